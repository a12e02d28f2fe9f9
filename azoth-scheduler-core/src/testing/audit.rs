//! Whether the events of a task account for everything that its schedule asked for.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::event::{Event, MovedOn};
use crate::evolve::evolve;
use crate::id::ExecutionId;
use crate::ledger::{Asks, Ledger};
use crate::schedule::{Calendar, Fate, Passed};
use crate::state::{DisabledReason, Progress, TaskPhase, TaskState, Work};
use crate::time::Timestamp;

/// What became of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// It ran, in one attempt or several.
    Ran,
    /// It passed.
    Passed(Fate),
    /// It is decided that it runs, and it has yet to.
    Pending,
}

/// What the events of a task account for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Each decided occurrence of the newest definition, where that is a recurring one.
    pub accounts: BTreeMap<Timestamp, Account>,
    /// Executions that were started, over all definitions.
    pub started: u64,
    /// Those of them that have ended.
    pub ended: u64,
}

/// What is wrong with the events of a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {index}: {what}")]
pub struct Fault {
    /// The place of the event at which it shows, from 0.
    pub index: usize,
    /// What is wrong.
    pub what: String,
}

/// Reads the events of one task, each with its instant, oldest first, and checks that
///
/// - each can follow the ones before it;
/// - each execution that was started has one end, or holds the task;
/// - they balance in a [`Ledger`] that asks every schedule;
/// - each occurrence of a recurring task that is decided, or was due when its definition ended, ran, passed or is
///   pending: exactly one of these, and exactly once.
///
/// The ledger looks at ranges; here every occurrence is looked up one by one as well, so a test's schedule should not ask
/// for millions.
///
/// # Errors
/// [`Fault`] names the first event at which one of these does not hold.
pub fn audit(events: &[(Timestamp, Event)]) -> Result<Audit, Fault> {
    let mut auditor = Auditor {
        ledger: Ledger::new(Asks::All),
        state: None,
        holder: None,
        calendar: None,
        decided_through: None,
        ended_at: None,
        audit: Audit::default(),
    };
    for (index, (at, event)) in events.iter().enumerate() {
        auditor.read(event, *at).map_err(|what| Fault { index, what })?;
    }
    let index = events.len().saturating_sub(1);
    auditor.close_definition(None).map_err(|what| Fault { index, what })?;
    auditor.ledger.close().map_err(|imbalance| Fault { index, what: imbalance.what })?;
    Ok(auditor.audit)
}

struct Auditor {
    ledger: Ledger,
    state: Option<TaskState>,
    holder: Option<ExecutionId>,
    calendar: Option<Calendar>,
    decided_through: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    audit: Audit,
}

impl Auditor {
    fn read(&mut self, event: &Event, at: Timestamp) -> Result<(), String> {
        if let Event::TaskScheduled { .. } = event {
            self.close_definition(Some(at))?;
        }
        let before = self.state.take();
        let state = evolve(before.clone(), event, at).map_err(|error| format!("{error}"))?;
        self.count_execution(event)?;
        match event {
            Event::TaskScheduled { definition, .. } => {
                self.decided_through = None;
                self.ended_at = None;
                let recurring = definition.schedule.is_recurring();
                let calendar = definition.schedule.calendar(at).ok();
                self.calendar = calendar.filter(|_| recurring);
            }
            Event::ExecutionStarted { occurrence, attempt, .. } if attempt.get() == 1 => {
                if !state.is_off_schedule(*occurrence) {
                    self.account(*occurrence, Account::Ran)?;
                }
            }
            Event::OccurrencesPassed { passed, .. } => self.passed(passed)?,
            Event::ClockCorrected { progress, .. } => self.correct(&state, progress),
            Event::TasksForgotten { .. }
            | Event::PayloadsDropped { .. }
            | Event::LogCut { .. }
            | Event::ExecutionStarted { .. }
            | Event::TaskExecuted { .. }
            | Event::TaskEventEmitted { .. }
            | Event::ExecutionAbandoned { .. }
            | Event::TaskCancelled { .. }
            | Event::TaskPaused { .. }
            | Event::TaskResumed { .. }
            | Event::TaskDisabled { .. }
            | Event::LimitsChanged { .. }
            | Event::ScopePaused { .. }
            | Event::ScopeResumed { .. }
            | Event::DependencyEnded { .. }
            | Event::ProgressReported { .. }
            | Event::CheckpointSaved { .. }
            | Event::RunRequested { .. }
            | Event::TaskRetried { .. } => {}
        }
        if let Some(progress) = progress_of(event) {
            self.decided_through = Some(progress.decided_through);
        }
        let entered = self.ledger.enter(0, at, before.as_ref(), event, &state);
        entered.map_err(|imbalance| imbalance.what)?;
        if state.phase.kind().is_live() {
            self.ended_at = None;
        } else if self.ended_at.is_none() {
            self.ended_at = Some(at);
        }
        self.state = Some(state);
        Ok(())
    }

    fn count_execution(&mut self, event: &Event) -> Result<(), String> {
        let audit = &mut self.audit;
        let ended = match event {
            Event::ExecutionStarted { execution, .. } => {
                audit.started = audit.started.saturating_add(1);
                return match self.holder.replace(*execution) {
                    None => Ok(()),
                    Some(other) => Err(format!("{execution} started while {other} ran")),
                };
            }
            Event::TaskExecuted { execution, .. } | Event::ExecutionAbandoned { execution, .. } => {
                Some(*execution)
            }
            Event::TaskCancelled { execution, .. } => *execution,
            Event::TaskScheduled { .. }
            | Event::TaskEventEmitted { .. }
            | Event::OccurrencesPassed { .. }
            | Event::TaskPaused { .. }
            | Event::TaskResumed { .. }
            | Event::TaskDisabled { .. }
            | Event::ClockCorrected { .. }
            | Event::LimitsChanged { .. }
            | Event::ScopePaused { .. }
            | Event::ScopeResumed { .. }
            | Event::TasksForgotten { .. }
            | Event::PayloadsDropped { .. }
            | Event::LogCut { .. }
            | Event::DependencyEnded { .. }
            | Event::ProgressReported { .. }
            | Event::CheckpointSaved { .. }
            | Event::RunRequested { .. }
            | Event::TaskRetried { .. } => return Ok(()),
        };
        if ended != self.holder.take() {
            return Err(format!("{ended:?} ended and did not run"));
        }
        audit.ended = audit.ended.saturating_add(u64::from(ended.is_some()));
        Ok(())
    }

    /// What was decided for later is void, and will be decided once more.
    fn correct(&mut self, state: &TaskState, progress: &Progress) {
        self.decided_through = None;
        let void = progress.decided_through.saturating_add_ms(1);
        self.audit.accounts.split_off(&void);
        let calendar = state.definition.schedule.calendar(state.defined_at).ok();
        self.calendar = calendar.filter(|_| state.definition.schedule.is_recurring());
    }

    fn passed(&mut self, passed: &Passed) -> Result<(), String> {
        let Some(calendar) = self.calendar.clone() else {
            return Ok(());
        };
        let mut number = 0_u64;
        let mut next = calendar.next(passed.from.saturating_add_ms(-1));
        if next != Some(passed.from) {
            return Err(format!("{} is no occurrence: {passed:?}", passed.from));
        }
        while let Some(occurrence) = next.filter(|next| *next <= passed.to) {
            self.account(occurrence, Account::Passed(passed.fate))?;
            number = number.saturating_add(1);
            next = calendar.next(occurrence);
        }
        if passed.count.exact && passed.count.number != number {
            return Err(format!("{number} occurrences, not {}: {passed:?}", passed.count.number));
        }
        Ok(())
    }

    fn account(&mut self, occurrence: Timestamp, account: Account) -> Result<(), String> {
        let Some(calendar) = &self.calendar else {
            return Ok(());
        };
        if occurrence <= calendar.start()
            || calendar.next(occurrence.saturating_add_ms(-1)) != Some(occurrence)
        {
            return Err(format!("{occurrence} is no occurrence: {account:?}"));
        }
        match self.audit.accounts.insert(occurrence, account) {
            None => Ok(()),
            Some(before) => Err(format!("{occurrence} was {before:?} already, now it is {account:?}")),
        }
    }

    /// Checks that the newest definition leaves nothing open. `at` is the instant at which another one replaces it.
    fn close_definition(&mut self, at: Option<Timestamp>) -> Result<(), String> {
        let (Some(calendar), Some(state)) = (self.calendar.clone(), self.state.clone()) else {
            self.audit.accounts.clear();
            return Ok(());
        };
        let ended_at = self.ended_at.or(at);
        if ended_at.is_none() {
            self.pending(&state, &calendar)?;
        }
        let decided = self.decided_through.unwrap_or(calendar.start());
        // A schedule that cannot be read any more tells nobody what it asked for.
        if !unreadable(&state) {
            self.complete(&calendar, ended_at.map_or(decided, |at| at.max(decided)))?;
        }
        if at.is_some() {
            self.audit.accounts.clear();
        }
        Ok(())
    }

    /// Enters what is decided to run and has not started.
    fn pending(&mut self, state: &TaskState, calendar: &Calendar) -> Result<(), String> {
        let progress = state.progress;
        let first = |work: &Work| {
            work.attempt.get() == 1
                && work.occurrence <= progress.decided_through
                && !state.is_off_schedule(work.occurrence)
        };
        match &state.phase {
            TaskPhase::Waiting(work) | TaskPhase::Blocked(work) | TaskPhase::Paused { work, .. }
                if first(work) =>
            {
                self.account(work.occurrence, Account::Pending)?;
            }
            TaskPhase::Waiting(_)
            | TaskPhase::Blocked(_)
            | TaskPhase::Running(_)
            | TaskPhase::Paused { .. }
            | TaskPhase::Finished { .. }
            | TaskPhase::Disabled { .. }
            | TaskPhase::Cancelled { .. } => {}
        }
        if let Some(occurrence) = progress.buffered {
            self.account(occurrence, Account::Pending)?;
        }
        let mut next = progress.backlog.map(|run| run.next);
        while let (Some(occurrence), Some(run)) = (next, progress.backlog) {
            self.account(occurrence, Account::Pending)?;
            next = calendar.next(occurrence).filter(|next| *next <= run.through);
        }
        Ok(())
    }

    /// Checks that all occurrences up to and including `through` are accounted for, and none beyond.
    fn complete(&self, calendar: &Calendar, through: Timestamp) -> Result<(), String> {
        let accounts = &self.audit.accounts;
        let mut next = calendar.next(calendar.start());
        while let Some(occurrence) = next.filter(|next| *next <= through) {
            if !accounts.contains_key(&occurrence) {
                return Err(format!("nobody says what became of the occurrence at {occurrence}"));
            }
            next = calendar.next(occurrence);
        }
        match accounts.last_key_value() {
            Some((last, account)) if *last > through => {
                Err(format!("{last} is {account:?}, but only what came until {through} is decided"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn unreadable(state: &TaskState) -> bool {
    matches!(state.phase, TaskPhase::Disabled { because: DisabledReason::Schedule { .. }, .. })
}

fn progress_of(event: &Event) -> Option<&Progress> {
    match event {
        Event::TaskScheduled { progress, .. }
        | Event::ClockCorrected { progress, .. }
        | Event::ExecutionStarted { progress, .. }
        | Event::TaskExecuted { progress, .. }
        | Event::ExecutionAbandoned { progress, .. }
        | Event::OccurrencesPassed { then: Some(MovedOn { progress, .. }), .. }
        | Event::TaskResumed { then: Some(MovedOn { progress, .. }), .. }
        | Event::TaskRetried { then: MovedOn { progress, .. }, .. } => Some(progress),
        Event::TaskEventEmitted { .. }
        | Event::OccurrencesPassed { then: None, .. }
        | Event::TaskCancelled { .. }
        | Event::TaskPaused { .. }
        | Event::TaskResumed { then: None, .. }
        | Event::TaskDisabled { .. }
        | Event::LimitsChanged { .. }
        | Event::ScopePaused { .. }
        | Event::ScopeResumed { .. }
        | Event::TasksForgotten { .. }
        | Event::PayloadsDropped { .. }
        | Event::LogCut { .. }
        | Event::DependencyEnded { .. }
        | Event::ProgressReported { .. }
        | Event::CheckpointSaved { .. }
        | Event::RunRequested { .. } => None,
    }
}
