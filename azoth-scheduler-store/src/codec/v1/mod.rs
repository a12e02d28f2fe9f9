//! Version 1 of every record: structs of their own, converted by hand from and to core's types.
//!
//! The order of fields and variants is the format. Texts are borrowed, so that neither direction copies them twice.

mod definition;
mod event;
mod into_event;
mod log;
mod memory;
mod outcome;
mod scope;
#[cfg(feature = "sqlite")]
mod scope_state;
mod state;
mod stored;
mod trace;

#[cfg(feature = "sqlite")]
pub(super) use self::event::ScheduledBegin;
pub(super) use self::event::{
    CheckpointSaved, ClockCorrected, DependencyEnded, ExecutionAbandoned, ExecutionStarted,
    OccurrencesPassed, ProgressReported, Record, RunRequested, TaskCancelled, TaskDisabled, TaskEventEmitted,
    TaskExecuted, TaskPaused, TaskResumed, TaskRetried, TaskScheduled,
};
pub(super) use self::into_event::IntoEvent;
pub(super) use self::log::{LogCut, PayloadsDropped, TasksForgotten};
pub(super) use self::memory::Memory;
pub(super) use self::scope::{LimitsChanged, ScopePaused, ScopeResumed};
#[cfg(feature = "sqlite")]
pub(super) use self::scope_state::ScopeState;
