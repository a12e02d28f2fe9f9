//! Whether the events of a task account for every occurrence that they decide: it ran, passed, or is yet to run, exactly once.
//!
//! A decision moves `decided_through` over a span of time. What came due in that span is told by ranges: those that passed
//! stand in [`OccurrencesPassed`](Event::OccurrencesPassed) beside the decision, those that run in the decision itself.
//! A [`Ledger`] checks that these ranges lie within the span and apart from each other, that the newest one ends where the
//! span does, that the occurrence for which the task waited is among them, and that nothing which was to run vanishes.
//!
//! Whether something lies in a hole between two ranges only the schedule can say. That of an interval is plain arithmetic
//! and is always asked; a cron expression is not, since newer zone data would read it otherwise than whoever decided.

mod decision;
mod entry;
mod imbalance;

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use self::decision::{Decision, Told, pending};
use self::entry::Entry;
pub use self::imbalance::Imbalance;
use crate::decide::CLOCK_AHEAD_MS_MAX;
use crate::event::{Change, Event, Then};
use crate::schedule::{Calendar, Timing};
use crate::state::{TaskPhase, TaskState};
use crate::time::Timestamp;

/// The book of one task: its events are entered one by one, each with the states that it leads from and to.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    asks: Asks,
    /// What the definition says, read once; `None` inside where it is not asked.
    calendar: Option<Option<Arc<Calendar>>>,
    /// Ranges that passed, told before the event that decides them.
    told: Vec<Told>,
    /// A decision whose ranges are told behind it.
    open: Option<Decision>,
}

/// Which schedules a [`Ledger`] asks for their occurrences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asks {
    /// Intervals alone: they are read the same for ever.
    #[default]
    Intervals,
    /// All: for events that were decided with the zone data that this build holds.
    All,
}

impl Ledger {
    /// An empty book.
    pub fn new(asks: Asks) -> Self {
        Self { asks, ..Self::default() }
    }

    /// Enters an event with its number, its instant, and the task before and after it.
    ///
    /// # Errors
    /// [`Imbalance`] where it, or an earlier one that this one closes, loses or doubles an occurrence. The book goes on
    /// with the next event.
    pub fn enter(
        &mut self,
        position: u64,
        at: Timestamp,
        before: Option<&TaskState>,
        event: &Event,
        after: &TaskState,
    ) -> Result<(), Imbalance> {
        if let Event::TaskEventEmitted { .. } = event {
            return Ok(());
        }
        if let Event::OccurrencesPassed { passed, then: None } = event {
            let told = Told::new(position, passed)?;
            if self.open.as_mut().is_some_and(|open| open.takes(told, after)) {
                return Ok(());
            }
            self.told.push(told);
            return self.settle();
        }
        let settled = self.settle();
        let told = core::mem::take(&mut self.told);
        let decided = self.decide(Entry { position, at, before, event, after }, told);
        if let Event::TaskScheduled { .. } | Event::ClockCorrected { .. } = event {
            self.calendar = None;
        }
        settled.and(decided)
    }

    fn calendar(&mut self, state: &TaskState) -> Option<Arc<Calendar>> {
        let schedule = &state.definition.schedule;
        let asked = match (&schedule.timing, self.asks) {
            (Timing::Interval { .. }, _) | (Timing::Cron(_), Asks::All) => true,
            (Timing::Cron(_), Asks::Intervals) | (Timing::OneTime { .. } | Timing::Immediate, _) => false,
        };
        let read = || Some(Arc::new(schedule.calendar(state.defined_at).ok().filter(|_| asked)?));
        self.calendar.get_or_insert_with(read).clone()
    }

    /// Closes the book behind the last event.
    ///
    /// # Errors
    /// [`Imbalance`] where something is left to be told.
    pub fn close(&mut self) -> Result<(), Imbalance> {
        self.settle()?;
        refuse_told(&core::mem::take(&mut self.told))
    }

    fn settle(&mut self) -> Result<(), Imbalance> {
        self.open.take().map_or(Ok(()), Decision::settle)
    }

    fn decide(&mut self, entry: Entry<'_>, mut told: Vec<Told>) -> Result<(), Imbalance> {
        let Some(before) = entry.before else { return refuse_told(&told) };
        match entry.event {
            Event::TaskScheduled { change: Change::Redefined, .. } | Event::TaskCancelled { .. } => {
                Decision::end(self.calendar(before), entry, before, told).settle()
            }
            Event::TaskDisabled { .. } if !entry.after.phase.kind().is_live() => {
                Decision::end(self.calendar(before), entry, before, told).settle()
            }
            Event::ExecutionStarted { off_schedule, .. } => {
                entry.follows(before)?;
                started(entry, before, *off_schedule)?;
                Decision::go_on(self.calendar(entry.after), entry, before, told)?.settle()
            }
            Event::OccurrencesPassed { passed, then: Some(_) } => {
                entry.follows(before)?;
                told.push(Told::new(entry.position, passed)?);
                Decision::go_on(self.calendar(entry.after), entry, before, told)?.settle()
            }
            Event::TaskResumed { then: Some(_), .. } => {
                entry.follows(before)?;
                Decision::go_on(self.calendar(entry.after), entry, before, told)?.settle()
            }
            Event::TaskExecuted { then, .. } | Event::ExecutionAbandoned { then, .. } => {
                entry.follows(before)?;
                retried(entry, before, then)?;
                refuse_told(&told)?;
                self.open = Some(match entry.after.phase.kind().is_live() {
                    true => Decision::go_on(self.calendar(entry.after), entry, before, told)?,
                    false => Decision::end(self.calendar(before), entry, before, told),
                });
                Ok(())
            }
            Event::TaskRetried { .. } => {
                entry.follows(before)?;
                Decision::anew(self.calendar(before), entry, before, told).settle()
            }
            Event::ClockCorrected { .. } => refuse_told(&told).and_then(|()| corrected(entry, before)),
            Event::TaskScheduled { change: Change::Created | Change::Anew, .. }
            | Event::TaskEventEmitted { .. }
            | Event::OccurrencesPassed { then: None, .. }
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
            | Event::RunRequested { .. } => refuse_told(&told),
        }
    }
}

fn refuse_told(told: &[Told]) -> Result<(), Imbalance> {
    let Some(first) = told.first() else { return Ok(()) };
    let what = format!("occurrences from {} to {} passed, and no decision says so", first.from, first.to);
    Err(Imbalance { position: first.position, what })
}

/// An execution serves what the task waited for, under the next number.
fn started(entry: Entry<'_>, before: &TaskState, off_schedule: bool) -> Result<(), Imbalance> {
    let (TaskPhase::Waiting(work), Some(running)) = (&before.phase, entry.after.running()) else {
        return Ok(());
    };
    let first = work.attempt == NonZeroU32::MIN;
    if running.attempt != work.attempt {
        let what = format!("attempt {} started, and the next one was {}", running.attempt, work.attempt);
        return Err(entry.wrong(what));
    }
    let free = first && before.definition.schedule.is_recurring() && before.chosen().is_none();
    if running.occurrence != work.occurrence && !free {
        let what = format!("{} started, and {} was to", running.occurrence, work.occurrence);
        return Err(entry.wrong(what));
    }
    if off_schedule != before.is_off_schedule(work.occurrence) {
        let what = format!("off its schedule: {off_schedule}, and what it was to run says otherwise");
        return Err(entry.wrong(what));
    }
    let counts = first && !off_schedule;
    let runs = before.runs.saturating_add(u32::from(counts));
    if entry.after.runs != runs {
        return Err(entry.wrong(format!("run {} started, and the next one was {runs}", entry.after.runs)));
    }
    Ok(())
}

/// A retry is the next attempt at the same occurrence.
fn retried(entry: Entry<'_>, before: &TaskState, then: &Then) -> Result<(), Imbalance> {
    let (Then::Retry { work, .. }, Some(running)) = (then, before.running()) else {
        return Ok(());
    };
    if work.occurrence != running.occurrence || work.attempt != running.attempt.saturating_add(1) {
        let what = format!("attempt {} at {} is to follow", work.attempt, work.occurrence);
        return Err(entry.wrong(format!("{what} attempt {} at {}", running.attempt, running.occurrence)));
    }
    Ok(())
}

/// A clock is corrected only where it had stood ahead, and nothing becomes decided by that.
fn corrected(entry: Entry<'_>, before: &TaskState) -> Result<(), Imbalance> {
    let limit = entry.at.saturating_add_ms(CLOCK_AHEAD_MS_MAX);
    let (from, to) = (before.progress.decided_through, entry.after.progress.decided_through);
    if !before.is_ahead_of(limit) || to > from || (to < from && to > entry.at) {
        let what = format!("the clock is corrected from {from} to {to} at {}, and was right", entry.at);
        return Err(entry.wrong(what));
    }
    let kept = pending(entry.after).all(|(_, through)| through <= to.max(entry.at));
    if !kept {
        return Err(entry.wrong(format!("what is to run lies beyond {to}")));
    }
    Ok(())
}
