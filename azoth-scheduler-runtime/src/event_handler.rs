//! Event handlers: the user's code that is told what happened, at least once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_core::id::ConsumerName;
use azoth_scheduler_core::retry::Backoff;
use azoth_scheduler_store::{RecordedEvent, StartFrom};

use crate::task_error::TaskError;

/// Is told of events, in their order and at least once: after a crash the last ones come again.
///
/// Its place in the log is kept in the store under its name, so it goes on where it was. An event that it cannot handle
/// is tried again after a while, and after its last attempt put among the dead letters; then it goes on.
///
/// ```
/// use azoth_scheduler_core::event::Event;
/// use azoth_scheduler_runtime::{EventHandler, TaskError};
/// use azoth_scheduler_store::RecordedEvent;
///
/// struct Mailbox;
///
/// #[async_trait::async_trait]
/// impl EventHandler for Mailbox {
///     fn name(&self) -> &str {
///         "mailbox"
///     }
///
///     fn wants(&self, event: &RecordedEvent) -> bool {
///         matches!(&event.event, Event::TaskEventEmitted { emitted, .. } if emitted.event_type == "email_sent")
///     }
///
///     async fn handle(&self, event: &RecordedEvent) -> Result<(), TaskError> {
///         let bytes = event.payload.bytes().ok_or("its payload was dropped")?;
///         println!("{}", std::str::from_utf8(bytes)?);
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait EventHandler: Send + Sync + 'static {
    /// The name of its cursor, 1 to 255 bytes. Another name starts to read anew.
    fn name(&self) -> &str;

    /// Handles one event. It may be given the same event again.
    ///
    /// # Errors
    /// Any error; the event is tried again, unless its chain holds a [`Permanent`](crate::Permanent). A
    /// [`RetryAfter`](crate::RetryAfter) chooses the wait, a [`Snooze`](crate::Snooze) counts as no attempt.
    async fn handle(&self, event: &RecordedEvent) -> Result<(), TaskError>;

    /// Whether it is to be given an event at all. By default all of them.
    fn wants(&self, event: &RecordedEvent) -> bool {
        let _ = event;
        true
    }

    /// Where it starts to read when there is no cursor of its name yet. By default with the first event.
    fn start_from(&self) -> StartFrom {
        StartFrom::Beginning
    }

    /// How often an event is tried before it is given up, at least once. By default five times.
    fn max_attempts(&self) -> u32 {
        5
    }

    /// The waits between attempts. By default 1 s, 2 s, 4 s and so on, at most a minute.
    fn backoff(&self) -> Backoff {
        Backoff::doubling(Duration::from_secs(1), Duration::from_secs(60))
    }
}

/// An event handler with its checked name.
#[derive(Clone)]
pub(crate) struct Consumer {
    pub(crate) name: ConsumerName,
    pub(crate) handler: Arc<dyn EventHandler>,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Consumer({:?})", self.name)
    }
}
