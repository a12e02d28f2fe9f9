//! What a task leaves behind when it is redefined or ends: occurrences that were due and have not started.

use alloc::vec::Vec;

use super::plan::{calendar_of, passed_events, withdrawn};
use crate::event::Event;
use crate::schedule::{Calendar, Count, Fate, Miss, Passed, Run};
use crate::state::TaskState;
use crate::time::Timestamp;

/// Records as missed what came due up to `now`, or was decided to run, and will not start any more.
///
/// A one-shot task leaves nothing: the event that ends it tells of its only occurrence.
pub(super) fn left_behind(state: &TaskState, now: Timestamp, why: Miss) -> Vec<Passed> {
    if !state.definition.schedule.is_recurring() {
        return Vec::new();
    }
    let (progress, fate) = (state.progress, Fate::Missed(why));
    let calendar = calendar_of(state).ok();
    let single = state.chosen().into_iter().chain(progress.buffered);
    let mut passed: Vec<Passed> = single.map(|at| Passed::one(at, fate)).collect();
    passed.extend(progress.backlog.map(|run| backlog(calendar.as_ref(), run, fate)));
    passed.extend(undecided(state, calendar.as_ref(), now, fate));
    passed
}

/// The same as events.
pub(super) fn left_events(state: &TaskState, now: Timestamp, why: Miss) -> Vec<Event> {
    passed_events(left_behind(state, now, why))
}

/// What was to run one by one. A schedule that cannot be read any more does not say how many they are.
fn backlog(calendar: Option<&Calendar>, run: Run, fate: Fate) -> Passed {
    let Run { next: from, through: to } = run;
    let before = from.saturating_add_ms(-1);
    let count = match calendar.map(|calendar| calendar.count(before, to)) {
        _ if from == to => Count { number: 1, exact: true },
        Some(count) if count.number > 1 => count,
        Some(_) | None => Count { number: 2, exact: false },
    };
    Passed { from, to, count, fate }
}

/// What has come due since the newest decision: by the schedule, or else what the task waited for.
fn undecided(state: &TaskState, calendar: Option<&Calendar>, now: Timestamp, fate: Fate) -> Vec<Passed> {
    let last = state.progress.decided_through;
    let first_attempt = state.work().filter(|work| work.attempt.get() == 1 && work.occurrence > last);
    let awaited = first_attempt.filter(|work| work.occurrence <= now).copied();
    // The schedule did not ask for a run that somebody asked for.
    let awaited = awaited.filter(|work| !state.is_off_schedule(work.occurrence));
    let undone = calendar.and_then(|calendar| Passed::all(calendar, last, now, fate));
    let withdrawn = match (awaited, calendar, &undone) {
        (Some(work), Some(_), Some(undone)) => withdrawn(work, undone.from),
        (Some(work), Some(_), None) => withdrawn(work, Timestamp::MAX),
        (Some(work), None, _) => Some(Passed::one(work.occurrence, fate)),
        (None, _, _) => None,
    };
    withdrawn.into_iter().chain(undone).collect()
}
