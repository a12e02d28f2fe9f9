//! A task as the projection knows it: its state, and where in the log it came from.

use std::borrow::Cow;

use azoth_scheduler_core::event::{Event, MovedOn, Then};
use azoth_scheduler_core::evolve::{OutOfOrder, apply, begin};
use azoth_scheduler_core::execution::ErrorText;
use azoth_scheduler_core::headway::{Checkpoint, Reported};
use azoth_scheduler_core::id::Actor;
use azoth_scheduler_core::state::{Afterwards, DisabledReason, Pause, Running, TaskPhase, TaskState};
use azoth_scheduler_core::time::Timestamp;

/// A task and its positions. Everything in it follows from the log alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Position of the event that created it.
    pub(super) key: u64,
    /// Position of the event that first named its type.
    pub(super) type_key: u64,
    /// Position of the event that holds its definition.
    pub(super) defined: u64,
    /// Position of its newest event.
    pub(super) last: u64,
    /// Position of the event that holds the words of its phase: why it is (or will be) paused or disabled, or was
    /// cancelled. `None` for a phase without words.
    pub(super) said: Option<u64>,
    /// Position of the event that holds how far its execution last said that it has come.
    pub(super) reported: Option<u64>,
    /// Position of the event that holds its checkpoint.
    pub(super) checkpoint: Option<u64>,
    /// What its events add up to.
    pub(super) state: TaskState,
}

/// The place of an event, as far as folding needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) position: u64,
    pub(super) at: Timestamp,
    /// The key of the type that a `TaskScheduled` names; not looked at for others.
    pub(super) type_key: u64,
}

impl Entry {
    /// The task after one more event: the one fold that the writer, a rebuild and a verification share.
    pub(super) fn after(entry: Option<Entry>, event: &Event, place: Place) -> Result<Entry, OutOfOrder> {
        let Some(mut entry) = entry else { return Entry::first(event.clone(), place) };
        entry.apply(event, place)?;
        Ok(entry)
    }

    /// The task after its first event.
    #[inline]
    pub(super) fn first(event: Event, place: Place) -> Result<Entry, OutOfOrder> {
        let Place { position, at, type_key } = place;
        let state = begin(event, at)?;
        Ok(Entry {
            key: position,
            type_key,
            defined: position,
            last: position,
            said: None,
            reported: None,
            checkpoint: None,
            state,
        })
    }

    /// One more event. After an error the task is as it was.
    pub(super) fn apply(&mut self, event: &Event, place: Place) -> Result<(), OutOfOrder> {
        let Place { position, at, type_key } = place;
        debug_assert!(self.last < position, "events of a task are folded in their order");
        let words_before = words(&self.state.phase).map(Words::into_owned);
        apply(&mut self.state, event, at)?;
        self.said = match words(&self.state.phase) {
            None => None,
            Some(now) if words_before.as_ref() == Some(&now) => self.said,
            Some(_) => Some(position),
        };
        if let Event::TaskScheduled { .. } = event {
            self.type_key = type_key;
            self.defined = position;
        }
        let reports = matches!(event, Event::ProgressReported { .. });
        let reported = if reports { Some(position) } else { self.reported };
        self.reported = reported.filter(|_| reported_of(&self.state).is_some());
        let saves = matches!(event, Event::CheckpointSaved { .. });
        let checkpoint = if saves { Some(position) } else { self.checkpoint };
        self.checkpoint = checkpoint.filter(|_| self.state.checkpoint.is_some());
        self.last = position;
        Ok(())
    }
}

/// What was said when a task came into its phase, or what was said about it while it runs.
#[derive(Clone, PartialEq, Eq)]
enum Words<'a> {
    Pause(Cow<'a, Pause>),
    DisableLater(Cow<'a, Actor>, Cow<'a, ErrorText>),
    Disabled(Cow<'a, DisabledReason>),
    Cancelled(Cow<'a, Actor>, Cow<'a, ErrorText>),
}

impl Words<'_> {
    fn into_owned(self) -> Words<'static> {
        match self {
            Words::Pause(pause) => Words::Pause(Cow::Owned(pause.into_owned())),
            Words::DisableLater(by, reason) => {
                Words::DisableLater(Cow::Owned(by.into_owned()), Cow::Owned(reason.into_owned()))
            }
            Words::Disabled(because) => Words::Disabled(Cow::Owned(because.into_owned())),
            Words::Cancelled(by, reason) => {
                Words::Cancelled(Cow::Owned(by.into_owned()), Cow::Owned(reason.into_owned()))
            }
        }
    }
}

fn words(phase: &TaskPhase) -> Option<Words<'_>> {
    match phase {
        TaskPhase::Waiting(_) | TaskPhase::Blocked(_) | TaskPhase::Finished { .. } => None,
        TaskPhase::Running(Running { afterwards, .. }) => match afterwards {
            Afterwards::GoOn => None,
            Afterwards::Pause(pause) => Some(Words::Pause(Cow::Borrowed(pause))),
            Afterwards::Disable { by, reason } => {
                Some(Words::DisableLater(Cow::Borrowed(by), Cow::Borrowed(reason)))
            }
        },
        TaskPhase::Paused { pause, .. } => Some(Words::Pause(Cow::Borrowed(pause))),
        TaskPhase::Disabled { because, .. } => Some(Words::Disabled(Cow::Borrowed(because))),
        TaskPhase::Cancelled { by, reason, .. } => {
            Some(Words::Cancelled(Cow::Borrowed(by), Cow::Borrowed(reason)))
        }
    }
}

fn reported_of(state: &TaskState) -> Option<&Reported> {
    state.running().and_then(|running| running.reported.as_ref())
}

/// How far an execution said in an event that it has come.
pub(super) fn reported_in(event: Event, at: Timestamp) -> Option<Reported> {
    if let Event::ProgressReported { headway, .. } = event { Some(Reported { headway, at }) } else { None }
}

/// The checkpoint that an event holds.
pub(super) fn checkpoint_in(event: Event, at: Timestamp) -> Option<Checkpoint> {
    if let Event::CheckpointSaved { checkpoint, .. } = event {
        Some(Checkpoint { payload: checkpoint, at })
    } else {
        None
    }
}

/// The pause that an event holds.
pub(super) fn pause_in(event: Event, at: Timestamp) -> Option<Pause> {
    if let Event::TaskPaused { reason, by, until } = event {
        Some(Pause { at, reason, by, until })
    } else {
        None
    }
}

/// Who said in an event that the task be disabled, and why.
pub(super) fn disabling_in(event: Event) -> Option<Afterwards> {
    if let Event::TaskDisabled { reason, by } = event {
        Some(Afterwards::Disable { by, reason })
    } else {
        None
    }
}

/// Who cancelled the task in an event, and why.
pub(super) fn cancelling_in(event: Event) -> Option<(Actor, ErrorText)> {
    if let Event::TaskCancelled { reason, by, .. } = event { Some((by, reason)) } else { None }
}

/// Why an event disabled the task.
pub(super) fn disabled_in(event: Event) -> Option<DisabledReason> {
    let then = match event {
        Event::TaskDisabled { reason, by } => return Some(DisabledReason::Said { by, reason }),
        Event::TaskExecuted { then, .. } | Event::ExecutionAbandoned { then, .. } => then,
        Event::OccurrencesPassed { then: Some(MovedOn { then, .. }), .. }
        | Event::TaskResumed { then: Some(MovedOn { then, .. }), .. }
        | Event::ClockCorrected { then: Some(then), .. }
        | Event::TaskRetried { then: MovedOn { then, .. }, .. } => then,
        Event::OccurrencesPassed { then: None, .. }
        | Event::TaskResumed { then: None, .. }
        | Event::ClockCorrected { then: None, .. }
        | Event::TasksForgotten { .. }
        | Event::PayloadsDropped { .. }
        | Event::LogCut { .. }
        | Event::TaskScheduled { .. }
        | Event::ExecutionStarted { .. }
        | Event::TaskEventEmitted { .. }
        | Event::TaskCancelled { .. }
        | Event::TaskPaused { .. }
        | Event::LimitsChanged { .. }
        | Event::ScopePaused { .. }
        | Event::ScopeResumed { .. }
        | Event::DependencyEnded { .. }
        | Event::ProgressReported { .. }
        | Event::CheckpointSaved { .. }
        | Event::RunRequested { .. } => return None,
    };
    match then {
        Then::Disable(because) => Some(because),
        Then::Retry { .. } | Then::Next(_) | Then::Finish => None,
    }
}
