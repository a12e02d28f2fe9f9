//! What is let go, and when: tasks that have ended, bytes of old payloads, the oldest part of the log.
//!
//! Nothing is let go by itself. What a policy lets go is decided here, and is an event of the log's own; so a replay comes
//! to the same tasks.

use alloc::vec::Vec;
use core::time::Duration;

use crate::event::Event;
use crate::evolve::{Found, OutOfOrder};
pub use crate::horizon::Horizon;
use crate::id::TaskId;
use crate::state::TaskState;
use crate::time::Timestamp;

/// How long what is not needed any more is kept. By default all of it, for ever.
///
/// ```
/// use core::time::Duration;
/// use azoth_scheduler_core::retention::RetentionPolicy;
///
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// let policy = RetentionPolicy::new().keep_finished_for(DAY).keep_cancelled_for(7 * DAY).keep_payloads_for(30 * DAY);
/// assert_ne!(policy, RetentionPolicy::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct RetentionPolicy {
    finished: Option<Duration>,
    cancelled: Option<Duration>,
    disabled: Option<Duration>,
    payloads: Option<Duration>,
}

impl RetentionPolicy {
    /// Keeps everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tasks that finished so long ago leave: a task that is scheduled under the same id then is a new one.
    pub fn keep_finished_for(mut self, span: Duration) -> Self {
        self.finished = Some(span);
        self
    }

    /// Tasks that were cancelled so long ago leave. A program that declares the task again revives it then.
    pub fn keep_cancelled_for(mut self, span: Duration) -> Self {
        self.cancelled = Some(span);
        self
    }

    /// Tasks that were disabled so long ago leave. A program that declares the task again revives it then.
    pub fn keep_disabled_for(mut self, span: Duration) -> Self {
        self.disabled = Some(span);
        self
    }

    /// The bytes of payloads that are so old are dropped; their events stay, with length and digest. Those of the last
    /// definition of a task that is there stay, and those that an event handler has yet to see.
    pub fn keep_payloads_for(mut self, span: Duration) -> Self {
        self.payloads = Some(span);
        self
    }

    /// The instants before which tasks must have ended to leave now.
    pub fn horizon(&self, now: Timestamp) -> Horizon {
        let before = |span: Option<Duration>| span.map(|span| earlier(now, span));
        Horizon {
            finished: before(self.finished),
            cancelled: before(self.cancelled),
            disabled: before(self.disabled),
        }
    }

    /// The instant before which payloads may be dropped now.
    pub fn payloads_before(&self, now: Timestamp) -> Option<Timestamp> {
        self.payloads.map(|span| earlier(now, span))
    }
}

/// What the events of the log itself add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// Payloads of events up to this position may have been dropped.
    pub payloads_dropped: u64,
    /// Events up to this position were cut.
    pub cut: u64,
}

/// So many tasks leave by one event at most.
pub const FORGOTTEN_MAX: usize = 500;

/// Lets those of these tasks go that a horizon lets go, at most [`FORGOTTEN_MAX`] of them; `None` where that is none.
pub fn forget<'a>(horizon: Horizon, tasks: impl IntoIterator<Item = &'a TaskState>) -> Option<Event> {
    let gone = tasks.into_iter().filter(|state| horizon.lets_go(state)).map(|state| state.id.clone());
    let tasks: Vec<TaskId> = gone.take(FORGOTTEN_MAX).collect();
    (!tasks.is_empty()).then_some(Event::TasksForgotten { horizon, tasks })
}

/// Lets the payloads of events up to a position go; `None` where they have been let go.
pub fn drop_payloads(state: &LogState, through: u64) -> Option<Event> {
    (through > state.payloads_dropped).then_some(Event::PayloadsDropped { through })
}

/// Lets the events up to a position go; `None` where they have been let go.
pub fn cut(state: &LogState, through: u64, hash: [u8; 32], snapshot: [u8; 32]) -> Option<Event> {
    (through > state.cut).then_some(Event::LogCut { through, hash, snapshot })
}

/// The state of the log itself after one of its events.
///
/// # Errors
/// [`OutOfOrder`] for an event of something else, or one that leads back.
pub fn evolve(state: LogState, event: &Event) -> Result<LogState, OutOfOrder> {
    let lawful = |lawful: bool| {
        if lawful { Ok(()) } else { Err(OutOfOrder { event: event.name(), found: Found::LogBehind }) }
    };
    let mut state = state;
    match event {
        Event::TasksForgotten { .. } => {}
        Event::PayloadsDropped { through } => {
            lawful(*through > state.payloads_dropped)?;
            state.payloads_dropped = *through;
        }
        Event::LogCut { through, .. } => {
            lawful(*through > state.cut)?;
            state.cut = *through;
        }
        Event::TaskScheduled { .. }
        | Event::ExecutionStarted { .. }
        | Event::TaskExecuted { .. }
        | Event::TaskEventEmitted { .. }
        | Event::ExecutionAbandoned { .. }
        | Event::OccurrencesPassed { .. }
        | Event::TaskCancelled { .. }
        | Event::TaskPaused { .. }
        | Event::TaskResumed { .. }
        | Event::TaskDisabled { .. }
        | Event::ClockCorrected { .. }
        | Event::LimitsChanged { .. }
        | Event::ScopePaused { .. }
        | Event::ScopeResumed { .. }
        | Event::DependencyEnded { .. }
        | Event::ProgressReported { .. }
        | Event::CheckpointSaved { .. }
        | Event::RunRequested { .. }
        | Event::TaskRetried { .. } => {
            return Err(OutOfOrder { event: event.name(), found: Found::AnotherSubject });
        }
    }
    Ok(state)
}

fn earlier(now: Timestamp, span: Duration) -> Timestamp {
    let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    now.saturating_add_ms(ms.saturating_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_let_go_is_not_let_go_again_and_nothing_leads_back() {
        let state = LogState { payloads_dropped: 7, cut: 3 };
        assert_eq!(drop_payloads(&state, 7), None);
        assert_eq!(cut(&state, 3, [0; 32], [0; 32]), None);
        let dropped = evolve(state, &Event::PayloadsDropped { through: 9 });
        assert_eq!(dropped, Ok(LogState { payloads_dropped: 9, cut: 3 }));
        assert!(evolve(state, &Event::PayloadsDropped { through: 7 }).is_err());
        assert!(evolve(state, &Event::LogCut { through: 2, hash: [0; 32], snapshot: [0; 32] }).is_err());
    }

    #[test]
    fn span_beyond_all_years_lets_nothing_go() {
        let policy = RetentionPolicy::new().keep_finished_for(Duration::MAX);
        let horizon = policy.horizon(Timestamp::UNIX_EPOCH);
        assert_eq!(horizon, Horizon { finished: Some(Timestamp::MIN), ..Horizon::default() });
        assert_eq!(policy.payloads_before(Timestamp::UNIX_EPOCH), None);
    }
}
