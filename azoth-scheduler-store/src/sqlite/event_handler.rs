//! Application code that handles events in the transaction in which its cursor moves.

use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

use rusqlite::Transaction;

use crate::record::RecordedEvent;
use crate::store::StartFrom;

/// Handles each event exactly once, in the transaction in which its cursor moves.
///
/// What it writes through `tx` into the application's own tables of the same file commits together with the cursor, or
/// not at all. It runs on a thread and a connection of its own, and while it runs it holds the write lock of every
/// process on the file: do little, and do nothing that waits for something else. What reaches outside the transaction
/// (a mail, a request) may happen more than once.
///
/// The handler may read our tables (`azoth_*`) and not write them, cannot end the transaction, and cannot attach other
/// files. SQL that runs beyond [`time_limit`](Self::time_limit) is interrupted; a handler that comes back too late, fails
/// or panics is rolled back.
///
/// A failed batch is tried [`attempts`](Self::attempts) times, each time after a longer wait. Then its events are
/// handled one by one; one that fails as often alone becomes a dead letter
/// ([`Store::dead_letters`](crate::Store::dead_letters)), and the handler goes on behind it.
///
/// ```
/// use azoth_scheduler_store::RecordedEvent;
/// use azoth_scheduler_store::sqlite::{HandlerError, TransactionalEventHandler, rusqlite};
///
/// struct CountEvents;
///
/// impl TransactionalEventHandler for CountEvents {
///     fn name(&self) -> &str {
///         "count-events"
///     }
///
///     fn handle(&self, tx: &rusqlite::Transaction<'_>, events: &[RecordedEvent]) -> Result<(), HandlerError> {
///         tx.execute("UPDATE counters SET n = n + ?1 WHERE name = 'events'", [events.len() as i64])?;
///         Ok(())
///     }
/// }
/// ```
pub trait TransactionalEventHandler: Send + Sync + 'static {
    /// The name of its cursor, as [`ConsumerName`](azoth_scheduler_core::id::ConsumerName) allows. Two handlers of one name share the work.
    fn name(&self) -> &str;

    /// Where it starts when there is no cursor of its name. Default: with the first event.
    fn start_from(&self) -> StartFrom {
        StartFrom::Beginning
    }

    /// Handles events, oldest first, at least one.
    ///
    /// # Errors
    /// Any error rolls the transaction back; the events are handled again.
    fn handle(&self, tx: &Transaction<'_>, events: &[RecordedEvent]) -> Result<(), HandlerError>;

    /// How long one call may take. Default 5 s; stay well below the lease of the workers, who cannot renew meanwhile.
    fn time_limit(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// How often a batch, and then each event of it alone, is tried. Default 5.
    fn attempts(&self) -> NonZeroU32 {
        const FIVE: NonZeroU32 = NonZeroU32::new(5).expect("five is not zero");
        FIVE
    }

    /// The wait after a first failure; it doubles with each further one, up to half a minute. Default 100 ms.
    fn backoff(&self) -> Duration {
        Duration::from_millis(100)
    }
}

/// Why a handler failed.
pub type HandlerError = Box<dyn Error + Send + Sync>;
