//! Offers that stand: room that a worker leaves with its store, so that whoever schedules a due task in this process
//! claims it in the same transaction, and the worker starts it without another commit.
//!
//! The worker keeps a [`StandingOffer`]; the store keeps [`StandingOffers`] and takes them in hand for a transaction.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use azoth_scheduler_core::time::Timestamp;
use tokio::sync::Notify;

use crate::error::StoreError;
use crate::offer::{ClaimOffer, Claims};
use crate::record::LogPosition;

/// The worker's end of an offer that stands until it is answered, withdrawn or dropped.
#[derive(Debug)]
#[must_use = "an offer that is dropped is withdrawn"]
pub struct StandingOffer {
    shared: Arc<Shared>,
}

/// The store's end: all offers that stand in this process. Every implementation of [`Store`](crate::Store) has one.
#[derive(Debug, Default)]
pub struct StandingOffers {
    offers: Mutex<Vec<Arc<Shared>>>,
}

/// An offer that one transaction may use. When it is dropped it stands again.
#[derive(Debug)]
pub struct OfferInHand {
    /// `None` once it was put down.
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    offer: ClaimOffer,
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// Up to here somebody has looked for this worker.
    seen: LogPosition,
    /// When the first of those comes due that were made to wait since the offer was left.
    next_due: Option<Timestamp>,
    /// The worker has withdrawn it, or let go of it.
    withheld: bool,
}

#[derive(Debug)]
enum Stage {
    Stands,
    InHand,
    Answered(Result<Claims, StoreError>),
}

impl StandingOffer {
    /// Returns once the offer was answered; never for one that nobody takes up. May be dropped and called again.
    pub async fn answered(&self) {
        while !matches!(self.shared.state().stage, Stage::Answered(_)) {
            // A notification that comes before this is kept.
            self.shared.settled.notified().await;
        }
    }

    /// Up to this position nothing due was left behind for want of somebody who looked.
    pub fn seen(&self) -> LogPosition {
        self.shared.state().seen
    }

    /// When the first task comes due among those that commits made to wait while the offer stood.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.shared.state().next_due
    }

    /// Lets no transaction take the offer up any more. One that holds it already goes on.
    pub fn withhold(&self) {
        self.shared.state().withheld = true;
    }

    /// Takes the offer back: with what it has brought, or `None`. While a transaction holds it, this waits for its end,
    /// so that no claim is made or lost behind the worker's back.
    ///
    /// # Errors
    /// That of the transaction that claimed, where nothing is known of what became of it.
    pub async fn withdraw(&self) -> Result<Option<Claims>, StoreError> {
        loop {
            {
                let mut state = self.shared.state();
                state.withheld = true;
                match std::mem::replace(&mut state.stage, Stage::Stands) {
                    Stage::Stands => return Ok(None),
                    Stage::Answered(answer) => return answer.map(Some),
                    Stage::InHand => state.stage = Stage::InHand,
                }
            }
            self.shared.settled.notified().await;
        }
    }
}

impl Drop for StandingOffer {
    fn drop(&mut self) {
        self.withhold();
    }
}

impl StandingOffers {
    /// Lets an offer stand. `seen` is the position up to which its worker has looked for due tasks itself.
    pub fn leave(&self, offer: ClaimOffer, seen: LogPosition) -> StandingOffer {
        let state = State { stage: Stage::Stands, seen, next_due: None, withheld: false };
        let shared = Arc::new(Shared { offer, state: Mutex::new(state), settled: Notify::new() });
        let mut offers = self.offers();
        offers.retain(|offer| offer.may_be_taken_up());
        offers.push(Arc::clone(&shared));
        StandingOffer { shared }
    }

    /// Takes all offers that stand in hand, for one transaction: the oldest first.
    pub fn take(&self) -> Vec<OfferInHand> {
        let mut offers = self.offers();
        offers.retain(|offer| offer.may_be_taken_up());
        offers.iter().filter_map(OfferInHand::take).collect()
    }

    fn offers(&self) -> MutexGuard<'_, Vec<Arc<Shared>>> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfferInHand {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let mut state = shared.state();
        if state.withheld || !matches!(state.stage, Stage::Stands) {
            return None;
        }
        state.stage = Stage::InHand;
        drop(state);
        Some(Self { shared: Some(Arc::clone(shared)) })
    }

    /// What is offered.
    pub fn offer(&self) -> &ClaimOffer {
        match &self.shared {
            Some(shared) => &shared.offer,
            None => unreachable!("an offer that was put down is gone"),
        }
    }

    /// The transaction is committed, and these are the worker's.
    pub fn bring(self, claims: Claims) {
        self.answer(Ok(claims));
    }

    /// Nothing is known of what became of the transaction, and it may have claimed.
    pub fn fail(self, error: StoreError) {
        self.answer(Err(error));
    }

    /// The transaction is committed and had nothing for the worker. It led from one position to another, and `next_due` is
    /// when the first of the tasks comes due that it made to wait. The offer goes on standing.
    pub fn stand_on(mut self, from: LogPosition, to: LogPosition, next_due: Option<Timestamp>) {
        let Some(shared) = self.shared.take() else { return };
        let mut state = shared.state();
        if state.seen >= from {
            state.seen = state.seen.max(to);
        }
        state.next_due = [state.next_due, next_due].into_iter().flatten().min();
        drop(state);
        shared.put_down(Stage::Stands);
    }

    fn answer(mut self, answer: Result<Claims, StoreError>) {
        if let Some(shared) = self.shared.take() {
            shared.put_down(Stage::Answered(answer));
        }
    }
}

impl Drop for OfferInHand {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.put_down(Stage::Stands);
        }
    }
}

impl Shared {
    fn put_down(&self, stage: Stage) {
        self.state().stage = stage;
        // One waits at most: the worker's end is not cloned.
        self.settled.notify_one();
    }

    fn may_be_taken_up(&self) -> bool {
        let state = self.state();
        !state.withheld && !matches!(state.stage, Stage::Answered(_))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use azoth_scheduler_core::id::{ExecutionId, WorkerId};

    fn offer() -> ClaimOffer {
        let executions = vec![ExecutionId::from_u128(1)];
        ClaimOffer::new(WorkerId::from_u128(7), Arc::from([]), executions)
    }

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn position(number: u64) -> LogPosition {
        LogPosition::from_number(number)
    }

    #[test]
    fn offer_is_in_one_hand_at_a_time_and_stands_again_when_it_is_let_go() {
        let offers = StandingOffers::default();
        let _standing = offers.leave(offer(), position(0));
        let in_hand = offers.take();
        assert_eq!((in_hand.len(), offers.take().len()), (1, 0));
        drop(in_hand);
        assert_eq!(offers.take().len(), 1);
    }

    #[test]
    fn withdrawing_waits_for_the_transaction_that_holds_the_offer() {
        // I27: what is claimed meanwhile is not lost.
        let offers = StandingOffers::default();
        let standing = offers.leave(offer(), position(0));
        let in_hand = offers.take().remove(0);
        let mut withdrawn = pin!(standing.withdraw());
        assert!(poll(withdrawn.as_mut()).is_pending());
        in_hand.bring(Claims { next_due: Some(Timestamp::MAX), ..Claims::default() });
        match poll(withdrawn.as_mut()) {
            Poll::Ready(Ok(Some(claims))) => assert_eq!(claims.next_due, Some(Timestamp::MAX)),
            other @ (Poll::Ready(_) | Poll::Pending) => panic!("{other:?}"),
        }
    }

    #[test]
    fn offer_that_was_withdrawn_dropped_or_answered_is_not_taken_up() {
        let offers = StandingOffers::default();
        let (a, b, c) = (
            offers.leave(offer(), position(0)),
            offers.leave(offer(), position(0)),
            offers.leave(offer(), position(0)),
        );
        assert!(matches!(poll(pin!(a.withdraw())), Poll::Ready(Ok(None))));
        drop(b);
        let d = offers.leave(offer(), position(0));
        d.withhold();
        offers.take().remove(0).fail(StoreError::Full);
        assert!(poll(pin!(c.answered())).is_ready());
        assert!(offers.take().is_empty());
        assert!(matches!(poll(pin!(c.withdraw())), Poll::Ready(Err(StoreError::Full))));
    }

    #[test]
    fn what_others_committed_in_between_is_not_taken_for_seen() {
        let offers = StandingOffers::default();
        let standing = offers.leave(offer(), position(4));
        offers.take().remove(0).stand_on(position(4), position(6), Some(Timestamp::MAX));
        assert_eq!((standing.seen(), standing.next_due()), (position(6), Some(Timestamp::MAX)));
        offers.take().remove(0).stand_on(position(8), position(9), None);
        assert_eq!((standing.seen(), standing.next_due()), (position(6), Some(Timestamp::MAX)));
    }
}
