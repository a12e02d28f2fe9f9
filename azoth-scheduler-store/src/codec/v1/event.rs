//! One struct for each kind of event.

use std::num::NonZeroU32;
use std::sync::Arc;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::Emitted;
use azoth_scheduler_core::headway::{Headway, Note, Share};
use azoth_scheduler_core::id::{Actor, EventType, ExecutionId, TaskId, WorkerId};
use serde::{Deserialize, Serialize};

use super::definition::{Common, Definition, Digest};
use super::into_event::IntoEvent;
use super::log::{LogCut, PayloadsDropped, TasksForgotten};
use super::memory::Memory;
use super::outcome::Outcome;
use super::scope::{LimitsChanged, ScopePaused, ScopeResumed};
use super::state::{AbandonReason, Change, DependencyEnd, MovedOn, Passed, Progress, Then, Work};
use super::stored::{Invalid, Stored, Unlawful, named, names};
use super::trace::Trace;
use crate::codec::bytes::{Bytes, Nested};

/// The stored form of an event. Only the struct is written: its kind stands beside the record.
#[derive(Serialize)]
#[serde(untagged)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, and a box would be an allocation for each task"
)]
pub(in crate::codec) enum Record<'a> {
    TaskScheduled(TaskScheduled<'a, Nested<Common<'a>>>),
    ExecutionStarted(ExecutionStarted),
    TaskExecuted(TaskExecuted<'a>),
    TaskEventEmitted(TaskEventEmitted<'a>),
    ExecutionAbandoned(ExecutionAbandoned<'a>),
    OccurrencesPassed(OccurrencesPassed<'a>),
    TaskCancelled(TaskCancelled<'a>),
    TaskPaused(TaskPaused<'a>),
    TaskResumed(TaskResumed<'a>),
    TaskDisabled(TaskDisabled<'a>),
    ClockCorrected(ClockCorrected<'a>),
    LimitsChanged(LimitsChanged<'a>),
    ScopePaused(ScopePaused<'a>),
    ScopeResumed(ScopeResumed<'a>),
    TasksForgotten(TasksForgotten<'a>),
    PayloadsDropped(PayloadsDropped),
    LogCut(LogCut),
    DependencyEnded(DependencyEnded<'a>),
    RunRequested(RunRequested<'a>),
    TaskRetried(TaskRetried<'a>),
    ProgressReported(ProgressReported<'a>),
    CheckpointSaved(CheckpointSaved),
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct TaskScheduled<'a, C> {
    task: &'a str,
    change: Change,
    #[serde(borrow)]
    definition: Definition<'a, C>,
    work: Work,
    progress: Progress,
    #[serde(borrow)]
    waits_for: Vec<&'a str>,
    trace: Option<Trace>,
}

/// What a [`TaskScheduled`] begins with. The common part of its definition begins with the name of its type.
#[cfg(feature = "sqlite")]
#[derive(Deserialize)]
pub(in crate::codec) struct ScheduledBegin<'a> {
    #[expect(dead_code, reason = "it stands before the definition")]
    task: &'a str,
    #[expect(dead_code, reason = "it stands before the definition")]
    change: Change,
    pub(in crate::codec) common: &'a [u8],
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct ExecutionStarted {
    execution: Id,
    worker: Id,
    occurrence: i64,
    attempt: NonZeroU32,
    run: u32,
    off_schedule: bool,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct TaskExecuted<'a> {
    execution: Id,
    #[serde(borrow)]
    outcome: Outcome<'a>,
    started_at: i64,
    #[serde(borrow)]
    then: Then<'a>,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct TaskEventEmitted<'a> {
    execution: Id,
    event_type: &'a str,
    payload: Digest,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct ExecutionAbandoned<'a> {
    execution: Id,
    why: AbandonReason,
    #[serde(borrow)]
    then: Then<'a>,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct OccurrencesPassed<'a> {
    passed: Passed,
    #[serde(borrow)]
    then: Option<MovedOn<'a>>,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct TaskCancelled<'a> {
    reason: &'a str,
    by: &'a str,
    execution: Option<Id>,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct TaskPaused<'a> {
    reason: &'a str,
    by: &'a str,
    until: Option<i64>,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct TaskResumed<'a> {
    by: &'a str,
    #[serde(borrow)]
    then: Option<MovedOn<'a>>,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct TaskDisabled<'a> {
    reason: &'a str,
    by: &'a str,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct ClockCorrected<'a> {
    ahead: i64,
    defined_at: i64,
    #[serde(borrow)]
    then: Option<Then<'a>>,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct DependencyEnded<'a> {
    dependency: &'a str,
    end: DependencyEnd,
    then: Option<Work>,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct RunRequested<'a> {
    by: &'a str,
    work: Work,
    off_schedule: bool,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct TaskRetried<'a> {
    by: &'a str,
    #[serde(borrow)]
    then: MovedOn<'a>,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct ProgressReported<'a> {
    execution: Id,
    /// In hundredths of a percent.
    done: u16,
    note: &'a str,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct CheckpointSaved {
    execution: Id,
    checkpoint: Digest,
}

/// 128 bits, the first one first.
type Id = Bytes<16>;

impl<'a> Record<'a> {
    /// The stored form of an event.
    pub(in crate::codec) fn of(event: &'a Event) -> Self {
        match event {
            Event::TaskScheduled { task, change, definition, work, progress, waits_for, trace } => {
                let (task, change) = (task.as_str(), Change::store(change));
                let (work, progress) = (Work::store(work), Progress::store(progress));
                let (definition, waits_for) = (Definition::of(definition), names(waits_for));
                let trace = trace.as_ref().map(Trace::store);
                Self::TaskScheduled(TaskScheduled {
                    task,
                    change,
                    definition,
                    work,
                    progress,
                    waits_for,
                    trace,
                })
            }
            Event::ExecutionStarted {
                execution,
                worker,
                occurrence,
                attempt,
                run,
                off_schedule,
                progress,
            } => {
                let (execution, worker) = (id(*execution), Bytes(worker.as_u128().to_be_bytes()));
                let (occurrence, progress) = (i64::store(occurrence), Progress::store(progress));
                let (attempt, run, off_schedule) = (*attempt, *run, *off_schedule);
                Self::ExecutionStarted(ExecutionStarted {
                    execution,
                    worker,
                    occurrence,
                    attempt,
                    run,
                    off_schedule,
                    progress,
                })
            }
            Event::TaskExecuted { execution, outcome, started_at, then, progress } => {
                let (execution, outcome) = (id(*execution), Outcome::store(outcome));
                let (started_at, then) = (i64::store(started_at), Then::store(then));
                let progress = Progress::store(progress);
                Self::TaskExecuted(TaskExecuted { execution, outcome, started_at, then, progress })
            }
            Event::TaskEventEmitted { execution, emitted: Emitted { event_type, payload } } => {
                let (event_type, payload) = (event_type.as_str(), Digest::store(payload));
                Self::TaskEventEmitted(TaskEventEmitted { execution: id(*execution), event_type, payload })
            }
            Event::ExecutionAbandoned { execution, why, then, progress } => {
                let (execution, why) = (id(*execution), AbandonReason::store(why));
                let (then, progress) = (Then::store(then), Progress::store(progress));
                Self::ExecutionAbandoned(ExecutionAbandoned { execution, why, then, progress })
            }
            Event::OccurrencesPassed { passed, then } => {
                let (passed, then) = (Passed::store(passed), Option::store(then));
                Self::OccurrencesPassed(OccurrencesPassed { passed, then })
            }
            Event::TaskCancelled { reason, by, execution } => {
                let (reason, by) = (reason.as_str(), by.as_str());
                Self::TaskCancelled(TaskCancelled { reason, by, execution: execution.map(id) })
            }
            Event::TaskPaused { reason, by, until } => {
                let (reason, by) = (reason.as_str(), by.as_str());
                Self::TaskPaused(TaskPaused { reason, by, until: Option::store(until) })
            }
            Event::TaskResumed { by, then } => {
                Self::TaskResumed(TaskResumed { by: by.as_str(), then: Option::store(then) })
            }
            Event::TaskDisabled { reason, by } => {
                Self::TaskDisabled(TaskDisabled { reason: reason.as_str(), by: by.as_str() })
            }
            Event::TasksForgotten { horizon, tasks } => {
                Self::TasksForgotten(TasksForgotten::of(horizon, tasks))
            }
            Event::PayloadsDropped { through } => Self::PayloadsDropped(PayloadsDropped::of(*through)),
            Event::LogCut { through, hash, snapshot } => Self::LogCut(LogCut::of(*through, *hash, *snapshot)),
            Event::ClockCorrected { ahead, defined_at, then, progress } => {
                let (ahead, defined_at) = (i64::store(ahead), i64::store(defined_at));
                let (then, progress) = (Option::store(then), Progress::store(progress));
                Self::ClockCorrected(ClockCorrected { ahead, defined_at, then, progress })
            }
            Event::LimitsChanged { scope, change, by } => {
                Self::LimitsChanged(LimitsChanged::of(scope, change, by))
            }
            Event::ScopePaused { scope, reason, by, until } => {
                Self::ScopePaused(ScopePaused::of(scope, reason, by, until))
            }
            Event::ScopeResumed { scope, by } => Self::ScopeResumed(ScopeResumed::of(scope, by)),
            Event::DependencyEnded { dependency, end, then } => {
                let (dependency, end) = (dependency.as_str(), DependencyEnd::store(end));
                Self::DependencyEnded(DependencyEnded { dependency, end, then: Option::store(then) })
            }
            Event::RunRequested { by, work, off_schedule } => {
                let (work, off_schedule) = (Work::store(work), *off_schedule);
                Self::RunRequested(RunRequested { by: by.as_str(), work, off_schedule })
            }
            Event::TaskRetried { by, then } => {
                Self::TaskRetried(TaskRetried { by: by.as_str(), then: MovedOn::store(then) })
            }
            Event::ProgressReported { execution, headway: Headway { done, note } } => {
                let (execution, done) = (id(*execution), done.hundredths());
                Self::ProgressReported(ProgressReported { execution, done, note: note.as_str() })
            }
            Event::CheckpointSaved { execution, checkpoint } => {
                let (execution, checkpoint) = (id(*execution), Digest::store(checkpoint));
                Self::CheckpointSaved(CheckpointSaved { execution, checkpoint })
            }
        }
    }
}

impl IntoEvent for TaskScheduled<'_, &[u8]> {
    fn into_event(self, memory: &mut Memory) -> Result<Event, Invalid> {
        Ok(Event::TaskScheduled {
            task: TaskId::new(self.task)?,
            change: self.change.restore()?,
            definition: Arc::new(self.definition.restore(&mut memory.common_parts)?),
            work: self.work.restore()?,
            progress: self.progress.restore()?,
            waits_for: named(self.waits_for)?,
            trace: self.trace.map(Trace::restore).transpose()?,
        })
    }
}

impl IntoEvent for ExecutionStarted {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        Ok(Event::ExecutionStarted {
            execution: execution(self.execution),
            worker: WorkerId::from_u128(u128::from_be_bytes(self.worker.0)),
            occurrence: self.occurrence.restore()?,
            attempt: self.attempt,
            run: self.run,
            off_schedule: self.off_schedule,
            progress: self.progress.restore()?,
        })
    }
}

impl IntoEvent for TaskExecuted<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        Ok(Event::TaskExecuted {
            execution: execution(self.execution),
            outcome: self.outcome.restore()?,
            started_at: self.started_at.restore()?,
            then: self.then.restore()?,
            progress: self.progress.restore()?,
        })
    }
}

impl IntoEvent for TaskEventEmitted<'_> {
    fn into_event(self, memory: &mut Memory) -> Result<Event, Invalid> {
        let event_type =
            memory.event_types.get(self.event_type.as_bytes(), || EventType::new(self.event_type))?;
        let emitted = Emitted { event_type, payload: self.payload.restore()? };
        Ok(Event::TaskEventEmitted { execution: execution(self.execution), emitted })
    }
}

impl IntoEvent for ExecutionAbandoned<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        Ok(Event::ExecutionAbandoned {
            execution: execution(self.execution),
            why: self.why.restore()?,
            then: self.then.restore()?,
            progress: self.progress.restore()?,
        })
    }
}

impl IntoEvent for OccurrencesPassed<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        Ok(Event::OccurrencesPassed { passed: self.passed.restore()?, then: self.then.restore()? })
    }
}

impl IntoEvent for TaskCancelled<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        let (reason, by) = (self.reason.restore()?, Actor::new(self.by)?);
        Ok(Event::TaskCancelled { reason, by, execution: self.execution.map(execution) })
    }
}

impl IntoEvent for TaskPaused<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        let (reason, by) = (self.reason.restore()?, Actor::new(self.by)?);
        Ok(Event::TaskPaused { reason, by, until: self.until.restore()? })
    }
}

impl IntoEvent for TaskResumed<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        Ok(Event::TaskResumed { by: Actor::new(self.by)?, then: self.then.restore()? })
    }
}

impl IntoEvent for TaskDisabled<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        Ok(Event::TaskDisabled { reason: self.reason.restore()?, by: Actor::new(self.by)? })
    }
}

impl IntoEvent for ClockCorrected<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        Ok(Event::ClockCorrected {
            ahead: self.ahead.restore()?,
            defined_at: self.defined_at.restore()?,
            then: self.then.restore()?,
            progress: self.progress.restore()?,
        })
    }
}

impl IntoEvent for DependencyEnded<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        Ok(Event::DependencyEnded {
            dependency: TaskId::new(self.dependency)?,
            end: self.end.restore()?,
            then: self.then.restore()?,
        })
    }
}

impl IntoEvent for RunRequested<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        let (by, work) = (Actor::new(self.by)?, self.work.restore()?);
        Ok(Event::RunRequested { by, work, off_schedule: self.off_schedule })
    }
}

impl IntoEvent for TaskRetried<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        Ok(Event::TaskRetried { by: Actor::new(self.by)?, then: self.then.restore()? })
    }
}

impl IntoEvent for ProgressReported<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        let done = Share::from_hundredths(self.done).ok_or(Unlawful::Share { hundredths: self.done })?;
        // A longer one would be cut, and would not be what was stored.
        if self.note.len() > Note::BYTES_MAX {
            return Err(Unlawful::Note { bytes: self.note.len() }.into());
        }
        let headway = Headway { done, note: Note::new(self.note) };
        Ok(Event::ProgressReported { execution: execution(self.execution), headway })
    }
}

impl IntoEvent for CheckpointSaved {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        let (execution, checkpoint) = (execution(self.execution), self.checkpoint.restore()?);
        Ok(Event::CheckpointSaved { execution, checkpoint })
    }
}

fn id(execution: ExecutionId) -> Id {
    Bytes(execution.as_u128().to_be_bytes())
}

fn execution(Bytes(bytes): Id) -> ExecutionId {
    ExecutionId::from_u128(u128::from_be_bytes(bytes))
}
