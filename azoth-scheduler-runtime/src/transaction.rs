//! A transaction of the loop that is under way with the store, and its answer.

use std::pin::Pin;
use std::time::Duration;

use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::{Applied, StandingOffer, StoreError};

/// A transaction that the store was asked for.
pub(crate) struct Transaction {
    /// So many results are recorded in it.
    pub(crate) sent: usize,
    /// It may claim.
    pub(crate) offered: bool,
    pub(crate) now: Timestamp,
    /// By the monotonic clock.
    pub(crate) begun: Duration,
    pub(crate) answer: Pin<Box<dyn Future<Output = Result<Applied, StoreError>> + Send>>,
}

/// The store's answer to one.
pub(crate) struct Answer {
    pub(crate) sent: usize,
    pub(crate) offered: bool,
    pub(crate) now: Timestamp,
    pub(crate) begun: Duration,
    pub(crate) applied: Result<Applied, StoreError>,
}

/// The answer to a transaction, once it is there; never where there is none.
pub(crate) async fn answer_to(transaction: &mut Option<Transaction>) -> Answer {
    let Some(under_way) = transaction else {
        return std::future::pending().await;
    };
    let applied = under_way.answer.as_mut().await;
    let (sent, offered, now, begun) = (under_way.sent, under_way.offered, under_way.now, under_way.begun);
    *transaction = None;
    Answer { sent, offered, now, begun, applied }
}

/// Returns once the offer that stands has brought something.
pub(crate) async fn answered(standing: Option<&StandingOffer>) {
    match standing {
        Some(standing) => standing.answered().await,
        None => std::future::pending().await,
    }
}
