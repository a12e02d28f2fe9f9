//! The kinds of events, by the codes under which they are stored.

use azoth_scheduler_core::event::Event;

/// What kind of event a record holds. The code stands beside the record, in a column of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum EventKind {
    TaskScheduled = 1,
    ExecutionStarted = 2,
    TaskExecuted = 3,
    TaskEventEmitted = 4,
    ExecutionAbandoned = 5,
    OccurrencesPassed = 6,
    TaskCancelled = 7,
    TaskPaused = 8,
    TaskResumed = 9,
    TaskDisabled = 10,
    ClockCorrected = 11,
    LimitsChanged = 20,
    ScopePaused = 21,
    ScopeResumed = 22,
    TasksForgotten = 30,
    PayloadsDropped = 31,
    LogCut = 32,
    DependencyEnded = 12,
    RunRequested = 13,
    TaskRetried = 14,
    ProgressReported = 15,
    CheckpointSaved = 16,
}

impl EventKind {
    /// All kinds.
    pub(crate) const ALL: [EventKind; 22] = [
        EventKind::TaskScheduled,
        EventKind::ExecutionStarted,
        EventKind::TaskExecuted,
        EventKind::TaskEventEmitted,
        EventKind::ExecutionAbandoned,
        EventKind::OccurrencesPassed,
        EventKind::TaskCancelled,
        EventKind::TaskPaused,
        EventKind::TaskResumed,
        EventKind::TaskDisabled,
        EventKind::ClockCorrected,
        EventKind::LimitsChanged,
        EventKind::ScopePaused,
        EventKind::ScopeResumed,
        EventKind::TasksForgotten,
        EventKind::PayloadsDropped,
        EventKind::LogCut,
        EventKind::DependencyEnded,
        EventKind::RunRequested,
        EventKind::TaskRetried,
        EventKind::ProgressReported,
        EventKind::CheckpointSaved,
    ];

    /// The kind of this event.
    pub(crate) const fn of(event: &Event) -> Self {
        match event {
            Event::TaskScheduled { .. } => EventKind::TaskScheduled,
            Event::ExecutionStarted { .. } => EventKind::ExecutionStarted,
            Event::TaskExecuted { .. } => EventKind::TaskExecuted,
            Event::TaskEventEmitted { .. } => EventKind::TaskEventEmitted,
            Event::ExecutionAbandoned { .. } => EventKind::ExecutionAbandoned,
            Event::OccurrencesPassed { .. } => EventKind::OccurrencesPassed,
            Event::TaskCancelled { .. } => EventKind::TaskCancelled,
            Event::TaskPaused { .. } => EventKind::TaskPaused,
            Event::TaskResumed { .. } => EventKind::TaskResumed,
            Event::TaskDisabled { .. } => EventKind::TaskDisabled,
            Event::ClockCorrected { .. } => EventKind::ClockCorrected,
            Event::LimitsChanged { .. } => EventKind::LimitsChanged,
            Event::ScopePaused { .. } => EventKind::ScopePaused,
            Event::ScopeResumed { .. } => EventKind::ScopeResumed,
            Event::TasksForgotten { .. } => EventKind::TasksForgotten,
            Event::PayloadsDropped { .. } => EventKind::PayloadsDropped,
            Event::LogCut { .. } => EventKind::LogCut,
            Event::DependencyEnded { .. } => EventKind::DependencyEnded,
            Event::RunRequested { .. } => EventKind::RunRequested,
            Event::TaskRetried { .. } => EventKind::TaskRetried,
            Event::ProgressReported { .. } => EventKind::ProgressReported,
            Event::CheckpointSaved { .. } => EventKind::CheckpointSaved,
        }
    }

    /// The kind with this code, or `None` for a code that this library does not know.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        BY_CODE.get(usize::from(code)).copied().flatten()
    }

    /// Of what an event of this kind is.
    #[cfg(feature = "sqlite")]
    pub(crate) const fn subject(self) -> Subject {
        match self {
            EventKind::TaskScheduled
            | EventKind::ExecutionStarted
            | EventKind::TaskExecuted
            | EventKind::TaskEventEmitted
            | EventKind::ExecutionAbandoned
            | EventKind::OccurrencesPassed
            | EventKind::TaskCancelled
            | EventKind::TaskPaused
            | EventKind::TaskResumed
            | EventKind::TaskDisabled
            | EventKind::ClockCorrected
            | EventKind::DependencyEnded
            | EventKind::RunRequested
            | EventKind::TaskRetried
            | EventKind::ProgressReported
            | EventKind::CheckpointSaved => Subject::Task,
            EventKind::LimitsChanged | EventKind::ScopePaused | EventKind::ScopeResumed => Subject::Scope,
            EventKind::TasksForgotten | EventKind::PayloadsDropped | EventKind::LogCut => Subject::Log,
        }
    }

    /// The code under which the kind is stored.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// The kind's name, the same as [`Event::name`].
    pub(crate) const fn name(self) -> &'static str {
        match self {
            EventKind::TaskScheduled => "TaskScheduled",
            EventKind::ExecutionStarted => "ExecutionStarted",
            EventKind::TaskExecuted => "TaskExecuted",
            EventKind::TaskEventEmitted => "TaskEventEmitted",
            EventKind::ExecutionAbandoned => "ExecutionAbandoned",
            EventKind::OccurrencesPassed => "OccurrencesPassed",
            EventKind::TaskCancelled => "TaskCancelled",
            EventKind::TaskPaused => "TaskPaused",
            EventKind::TaskResumed => "TaskResumed",
            EventKind::TaskDisabled => "TaskDisabled",
            EventKind::ClockCorrected => "ClockCorrected",
            EventKind::LimitsChanged => "LimitsChanged",
            EventKind::ScopePaused => "ScopePaused",
            EventKind::ScopeResumed => "ScopeResumed",
            EventKind::TasksForgotten => "TasksForgotten",
            EventKind::PayloadsDropped => "PayloadsDropped",
            EventKind::LogCut => "LogCut",
            EventKind::DependencyEnded => "DependencyEnded",
            EventKind::RunRequested => "RunRequested",
            EventKind::TaskRetried => "TaskRetried",
            EventKind::ProgressReported => "ProgressReported",
            EventKind::CheckpointSaved => "CheckpointSaved",
        }
    }
}

/// All kinds, each where its code is.
#[expect(clippy::indexing_slicing, reason = "done when this is compiled")]
static BY_CODE: [Option<EventKind>; 1 << u8::BITS] = {
    let mut kinds = [None; 1 << u8::BITS];
    let mut number = 0;
    while number < EventKind::ALL.len() {
        let kind = EventKind::ALL[number];
        kinds[kind.code() as usize] = Some(kind);
        number += 1;
    }
    kinds
};

/// What an event is of.
#[cfg(feature = "sqlite")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Task,
    Scope,
    /// The log itself.
    Log,
}

impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
