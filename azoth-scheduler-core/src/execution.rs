//! One run of a task and how it ended.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::id::{EventType, TaskId};
use crate::new_task::NewTask;
use crate::payload::{Payload, PayloadDigest};

/// How an execution ended by itself. (One whose worker died or that was cancelled has no outcome: it has an event
/// of its own.) `S` is what comes with a success: nothing where it is stored, the handler's event in a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<S = ()> {
    /// The handler returned its event.
    Succeeded(S),
    /// The handler returned an error.
    Failed(Failure),
    /// The handler had not ended when its time was up.
    TimedOut {
        /// The time that it was given, in milliseconds.
        timeout_ms: u64,
    },
    /// The handler panicked.
    Panicked {
        /// The panic's message.
        message: ErrorText,
    },
    /// The handler asked to be run again later; this is no failure.
    Snoozed {
        /// How much later, in milliseconds.
        for_ms: u64,
    },
}

/// A handler's error, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the handler said about trying again.
    pub class: FailureClass,
    /// The error's own message.
    pub message: ErrorText,
    /// The messages of its chain of sources, the nearest first; at most [`Failure::SOURCES_MAX`].
    pub sources: Vec<ErrorText>,
}

impl Failure {
    /// So many sources of an error are kept.
    pub const SOURCES_MAX: usize = 16;
}

/// What a failed handler said about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// Try again after the usual backoff.
    Retryable,
    /// Try again after this wait; it counts as one failure.
    RetryAfter {
        /// The wait in milliseconds.
        delay_ms: u64,
    },
    /// Trying again is of no use.
    Permanent,
}

/// Text of an error or a reason, cut at [`ErrorText::BYTES_MAX`] bytes on a character boundary.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorText(String);

impl ErrorText {
    /// The most bytes that are kept.
    pub const BYTES_MAX: usize = 4096;

    /// Keeps the text, or as much of it as there is room for.
    pub fn new(text: impl Into<String>) -> Self {
        Self(cut(text.into(), Self::BYTES_MAX))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What a handler reports when it has ended: its outcome, and with a success the event that it gave back and the tasks
/// that it scheduled.
pub type Report = Outcome<Success>;

/// What comes with a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// The event that the handler gave back.
    pub emitted: Emitted<Payload>,
    /// The tasks that it scheduled, in order; at most [`CHILDREN_MAX`](Self::CHILDREN_MAX). They are scheduled with the
    /// success, or not at all.
    pub children: Vec<Child>,
}

/// A task that a handler scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its name.
    pub task: TaskId,
    /// What it is and when it runs.
    pub new: NewTask,
}

impl Success {
    /// One execution schedules at most so many tasks.
    pub const CHILDREN_MAX: usize = 1_000;
}

impl From<Emitted<Payload>> for Success {
    /// A success that scheduled nothing.
    fn from(emitted: Emitted<Payload>) -> Self {
        Self { emitted, children: Vec::new() }
    }
}

impl Report {
    /// The outcome alone, and the event of a success.
    pub fn split(self) -> (Outcome, Option<Emitted<Payload>>) {
        match self {
            Outcome::Succeeded(success) => (Outcome::Succeeded(()), Some(success.emitted)),
            Outcome::Failed(failure) => (Outcome::Failed(failure), None),
            Outcome::TimedOut { timeout_ms } => (Outcome::TimedOut { timeout_ms }, None),
            Outcome::Panicked { message } => (Outcome::Panicked { message }, None),
            Outcome::Snoozed { for_ms } => (Outcome::Snoozed { for_ms }, None),
        }
    }
}

/// The event that a handler gave back: a kind, and bytes (or, once stored, their digest).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted<P = PayloadDigest> {
    /// What kind of event it is; the user's word.
    pub event_type: EventType,
    /// Its content; the user's bytes, never looked into.
    pub payload: P,
}

/// The text, or its start with a mark where it has more bytes than there is room for.
pub(crate) fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let room = bytes_max.saturating_sub(CUT_MARK.len());
        text.truncate(text.floor_char_boundary(room));
        text.push_str(CUT_MARK);
    }
    text
}

const CUT_MARK: &str = " [cut]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_on_a_character_boundary_and_says_so() {
        let text = ErrorText::new("ü".repeat(5000));
        assert!(text.as_str().len() <= ErrorText::BYTES_MAX);
        assert!(text.as_str().ends_with("ü [cut]"));
    }

    #[test]
    fn text_of_the_greatest_length_is_kept_whole() {
        let text = "x".repeat(ErrorText::BYTES_MAX);
        assert_eq!(ErrorText::new(text.clone()).as_str(), text);
    }
}
