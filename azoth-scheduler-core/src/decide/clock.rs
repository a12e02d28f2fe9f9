//! A clock that stood far ahead and was set right: what was decided for instants that have yet to come is void.

use core::num::NonZeroU32;

use super::decision::{Answer, Decision};
use super::ended::choose;
use crate::event::{Event, Then};
use crate::schedule::{Calendar, Run};
use crate::state::{Progress, TaskState, Work};
use crate::time::Timestamp;

/// A clock that lies further back than this many milliseconds (3 hours) behind what was decided shows that it had stood
/// ahead then; less is waited for.
pub const CLOCK_AHEAD_MS_MAX: i64 = 10_800_000;

/// Lets a task that was decided by a clock far ahead of `now` go on from `now`. Occurrences up to `now` stay decided, those
/// after it will come due once more, and a wait that had begun is as long as it was to be.
pub(super) fn correct(state: &TaskState, now: Timestamp) -> Decision {
    let limit = now.saturating_add_ms(CLOCK_AHEAD_MS_MAX);
    let is_void = state.progress.decided_through > limit;
    let defined_at = if is_void { state.defined_at.min(now) } else { state.defined_at };
    let schedule = &state.definition.schedule;
    let calendar = schedule.calendar(defined_at).ok().filter(|_| state.is_ahead_of(limit));
    let Some(calendar) = calendar else { return Decision::unchanged(state) };
    let ahead = state.progress.decided_through.max(state.moved_at);
    let right = Right { calendar, is_void, limit, now };
    let progress = right.progress(state.progress);
    let (then, progress) = match state.work() {
        Some(work) => right.work(state, *work, progress),
        None => (None, progress),
    };
    Decision::one(Event::ClockCorrected { ahead, defined_at, then, progress }, Answer::Recorded)
}

/// What the clock that is right says.
struct Right {
    calendar: Calendar,
    /// Occurrences beyond the limit count as decided.
    is_void: bool,
    /// What lies beyond this was not decided by it.
    limit: Timestamp,
    now: Timestamp,
}

impl Right {
    fn progress(&self, decided: Progress) -> Progress {
        if !self.is_void {
            return decided;
        }
        let last = if self.calendar.is_single() { self.calendar.start() } else { self.now };
        Progress {
            decided_through: last.min(self.now),
            backlog: decided.backlog.and_then(|run| self.run(run)),
            buffered: decided.buffered.filter(|at| *at <= self.now),
        }
    }

    /// What has come due of a run of occurrences.
    fn run(&self, run: Run) -> Option<Run> {
        let through = if run.through <= self.now {
            run.through
        } else {
            self.calendar.newest_through(run.next, self.now).unwrap_or(run.next)
        };
        (run.next <= self.now).then_some(Run { through, ..run })
    }

    /// What has been open since, or has come due, stays; all else is looked for from now on.
    fn work(&self, state: &TaskState, work: Work, progress: Progress) -> (Option<Then>, Progress) {
        let run_at = match state.moved_at > self.limit {
            true => self.now.saturating_add_ms(work.run_at.ms_since(state.moved_at).max(0)),
            false => work.run_at,
        };
        let work = Work { run_at, ..work };
        if work.attempt > NonZeroU32::MIN {
            return (Some(Then::Retry { work, counts: state.counts }), progress);
        }
        let is_void = self.is_void && work.occurrence > self.now;
        let asked_for = state.is_off_schedule(work.occurrence);
        if asked_for || (state.chosen().is_some() && !is_void) {
            return (Some(Then::Next(work)), progress);
        }
        let (then, progress) = choose(state, &self.calendar, progress, self.now);
        (Some(then), progress)
    }
}
