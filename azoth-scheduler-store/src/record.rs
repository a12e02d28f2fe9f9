//! Events as they stand in the log.

use std::fmt;
use std::sync::Arc;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::payload::PayloadDigest;
use azoth_scheduler_core::scope::Scope;
use azoth_scheduler_core::time::Timestamp;

/// A place in the log. Compare it and hand it back; what it counts is the store's own affair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition(u64);

impl LogPosition {
    /// Before the first event.
    pub const START: LogPosition = LogPosition(0);

    /// The position with this number, for stores and for whoever kept one as a number.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The position's number, for stores and for whoever keeps one as a number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An event in its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Where it stands. Positions are dense.
    pub position: LogPosition,
    /// When it was decided, by the clock of whoever asked. Clocks jump, so this may go back from one event to the next.
    pub at: Timestamp,
    /// The greatest `at` so far. It never goes back.
    pub ordered_at: Timestamp,
    /// What it happened to.
    pub subject: Subject,
    /// What happened.
    pub event: Event,
    /// The bytes that the event refers to.
    pub payload: RecordedPayload,
}

/// What an event happened to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// A task.
    Task(TaskId),
    /// A task type, a concurrency key, or everything.
    Scope(Scope),
    /// The log itself.
    Log,
}

/// The bytes that belong to an event or a task.
#[derive(Clone, PartialEq, Eq)]
pub enum RecordedPayload {
    /// None belong to it.
    Absent,
    /// These.
    Held(Arc<[u8]>),
    /// They were dropped since; this is what they were.
    Dropped(PayloadDigest),
}

impl RecordedPayload {
    /// The bytes, if there are any and they have not been dropped.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            RecordedPayload::Held(bytes) => Some(bytes),
            RecordedPayload::Absent | RecordedPayload::Dropped(_) => None,
        }
    }
}

impl fmt::Debug for RecordedPayload {
    /// Never shows the bytes themselves: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordedPayload::Absent => f.write_str("Absent"),
            RecordedPayload::Held(bytes) => write!(f, "Held({} bytes)", bytes.len()),
            RecordedPayload::Dropped(digest) => write!(f, "Dropped({digest:?})"),
        }
    }
}
