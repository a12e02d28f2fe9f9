//! What a handler gives back when it has succeeded.

use azoth_scheduler_core::execution::{Emitted, ErrorText, Failure, FailureClass, Outcome, Report};
use azoth_scheduler_core::id::EventType;
use azoth_scheduler_core::payload::Payload;
use serde::Serialize;

use crate::error::{RequestError, Result, SchedulerError};
use crate::redaction::without_json_values;

/// The event of a handler's success: a type and some bytes. It is recorded in the log together with the success, and
/// event handlers are given it.
///
/// ```
/// use azoth_scheduler_runtime::TaskEvent;
///
/// let raw = TaskEvent::new("report_generated", vec![1, 2, 3])?;
/// assert_eq!(raw.event_type(), "report_generated");
/// let typed = TaskEvent::json("email_sent", &("welcome-42", 3))?;
/// assert_eq!(typed.payload(), br#"["welcome-42",3]"#);
/// # Ok::<(), azoth_scheduler_runtime::SchedulerError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TaskEvent {
    event_type: EventType,
    payload: Vec<u8>,
}

impl TaskEvent {
    /// An event of this type (1 to 255 bytes) with these bytes, which may be none.
    ///
    /// # Errors
    /// [`SchedulerError::Name`] for a type that is empty, too long, or holds a control character.
    pub fn new(event_type: impl AsRef<str>, payload: impl Into<Vec<u8>>) -> Result<Self> {
        Ok(Self { event_type: EventType::new(event_type)?, payload: payload.into() })
    }

    /// An event whose bytes are this value as JSON.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`SchedulerError::InvalidTask`] for a value that JSON cannot hold.
    pub fn json<T: Serialize + ?Sized>(event_type: impl AsRef<str>, value: &T) -> Result<Self> {
        Self::new(event_type, to_json(value)?)
    }

    /// What kind of event it is.
    pub fn event_type(&self) -> &str {
        self.event_type.as_str()
    }

    /// Its bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn into_emitted(self) -> Emitted<Payload> {
        Emitted { event_type: self.event_type, payload: Payload::new(self.payload) }
    }
}

impl std::fmt::Debug for TaskEvent {
    /// Never shows the bytes themselves: they may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TaskEvent({:?}, {} bytes)", self.event_type, self.payload.len())
    }
}

/// A value as JSON.
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, SchedulerError> {
    serde_json::to_vec(value).map_err(|error| {
        let problem = without_json_values(error.to_string());
        SchedulerError::InvalidTask(RequestError::PayloadNotJson { problem })
    })
}

/// What comes of an execution whose event is too large. Running it again would give the same event, so this is not tried again.
pub(crate) fn too_large(bytes: usize, limit: usize) -> Report {
    let message = format!(
        "the handler's event of {bytes} bytes is over the limit of {limit}: keep large content elsewhere and its name in the event"
    );
    let (class, message) = (FailureClass::Permanent, ErrorText::new(message));
    Outcome::Failed(Failure { class, message, sources: Vec::new() })
}
