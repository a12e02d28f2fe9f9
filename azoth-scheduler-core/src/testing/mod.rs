//! Tests of decisions: given some events, when this is wished, then that happens.
//!
//! ```
//! use azoth_scheduler_core::command::OnConflict;
//! use azoth_scheduler_core::rejection::Rejection;
//! use azoth_scheduler_core::state::PhaseKind;
//! use azoth_scheduler_core::testing::{at, given_nothing, schedule, task_id};
//! use azoth_scheduler_core::schedule::Schedule;
//!
//! let (now, again) = (at(0), schedule("report", Schedule::immediate(), OnConflict::Reject));
//! given_nothing().and(schedule("report", Schedule::immediate(), OnConflict::Redefine), now).when(again, now).then_rejected(
//!     Rejection::AlreadyExists { task: task_id("report"), phase: PhaseKind::Waiting },
//! );
//! ```

mod audit;
mod sample;

use alloc::vec::Vec;

pub use self::audit::{Account, Audit, Fault, audit};
pub use self::sample::{
    actor, at, claim, complete, definition, execution, failed, group, schedule, succeeded, task_id,
    task_type, text, wish, worker,
};
use crate::command::TaskCommand;
use crate::decide::{Answer, Decision, decide};
use crate::event::Event;
use crate::evolve::evolve;
use crate::rejection::Rejection;
use crate::state::TaskState;
use crate::time::Timestamp;

/// What happened to a task before.
#[derive(Clone, Debug, Default)]
pub struct Given {
    events: Vec<(Timestamp, Event)>,
    state: Option<TaskState>,
}

/// What a command came to.
#[derive(Clone, Debug)]
#[must_use]
pub struct When {
    given: Given,
    now: Timestamp,
    decided: Result<Decision, Rejection>,
}

/// A task to which nothing happened yet.
pub fn given_nothing() -> Given {
    Given::default()
}

/// A task to which these events happened, each with its instant.
///
/// # Panics
/// When an event cannot follow the ones before it.
pub fn given(events: impl IntoIterator<Item = (Timestamp, Event)>) -> Given {
    events.into_iter().fold(Given::default(), |given, (at, event)| given.with(event, at))
}

impl Given {
    /// And this command was accepted.
    ///
    /// # Panics
    /// When it is refused.
    pub fn and(self, command: TaskCommand, now: Timestamp) -> Given {
        self.when(command, now).then_accepted()
    }

    /// Decides a command.
    pub fn when(self, command: TaskCommand, now: Timestamp) -> When {
        let decided = decide(self.state.as_ref(), &command, now);
        When { given: self, now, decided }
    }

    /// What the events add up to.
    pub fn state(&self) -> Option<&TaskState> {
        self.state.as_ref()
    }

    /// The events with their instants, oldest first.
    pub fn events(&self) -> &[(Timestamp, Event)] {
        &self.events
    }

    fn with(mut self, event: Event, at: Timestamp) -> Given {
        match evolve(self.state.take(), &event, at) {
            Ok(state) => self.state = Some(state),
            Err(error) => panic!("{error}: {event:?} after {:#?}", self.events),
        }
        self.events.push((at, event));
        self
    }
}

impl When {
    /// These events, and no others.
    ///
    /// # Panics
    /// When it came to something else.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = Event>) -> Given {
        let expected: Vec<Event> = events.into_iter().collect();
        match &self.decided {
            Ok(decision) => assert_eq!(decision.events, expected, "the answer was {:?}", decision.answer),
            Err(rejection) => panic!("it was refused: {rejection}"),
        }
        self.then_accepted()
    }

    /// This answer.
    ///
    /// # Panics
    /// When the answer was another one.
    #[track_caller]
    pub fn then_answered(self, answer: Answer) -> Given {
        let found = self.decided.as_ref().map(|decision| &decision.answer);
        assert_eq!(found, Ok(&answer));
        self.then_accepted()
    }

    /// A refusal.
    ///
    /// # Panics
    /// When it was accepted, or refused for another reason.
    #[track_caller]
    pub fn then_rejected(self, rejection: Rejection) -> Given {
        assert_eq!(self.decided, Err(rejection));
        self.given
    }

    /// It was accepted, and nothing had to happen.
    ///
    /// # Panics
    /// When something did, or it was refused.
    #[track_caller]
    pub fn then_nothing(self) -> Given {
        self.then([])
    }

    /// It was accepted; its events have happened.
    ///
    /// # Panics
    /// When it was refused, or its events cannot follow the ones before them.
    #[track_caller]
    pub fn then_accepted(self) -> Given {
        let decision = match self.decided {
            Ok(decision) => decision,
            Err(rejection) => panic!("it was refused: {rejection}"),
        };
        let now = self.now;
        decision.events.into_iter().fold(self.given, |given, event| given.with(event, now))
    }

    /// What was decided, whatever it was.
    pub fn decided(&self) -> &Result<Decision, Rejection> {
        &self.decided
    }
}
