//! What comes after an attempt: a retry, the next occurrence, or the end.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::left::left_behind;
use super::losses::LOSSES_MAX;
use super::plan::{calendar_of, first_attempt};
use crate::abandonment::AbandonReason;
use crate::event::Then;
use crate::execution::{ErrorText, FailureClass, Outcome};
use crate::retry::OnExhausted;
use crate::schedule::{Calendar, LateCause, Misfire, Miss, Passed, Run, Schedule, reckon, reckon_overlap};
use crate::state::{Afterwards, Counts, DisabledReason, Progress, Running, TaskState, Work};
use crate::time::Timestamp;

/// What comes after an execution, and which occurrences this decides.
pub(super) struct End {
    pub(super) then: Then,
    pub(super) progress: Progress,
    pub(super) passed: Vec<Passed>,
}

impl End {
    fn plain(then: Then, progress: Progress) -> Self {
        Self { then, progress, passed: Vec::new() }
    }

    /// The task ends, and what was due and has not started is missed.
    fn last(state: &TaskState, then: Then, now: Timestamp) -> Self {
        let passed = left_behind(state, now, Miss::Ended);
        Self { then, progress: state.progress, passed }
    }
}

/// What comes after an execution that ended by itself.
pub(super) fn after_outcome(state: &TaskState, running: &Running, outcome: &Outcome, now: Timestamp) -> End {
    if let Some(end) = said_meanwhile(state, running, now) {
        return end;
    }
    let delay_ms = match outcome {
        Outcome::Succeeded(()) => return next_occurrence(state, now),
        Outcome::Snoozed { for_ms } => return retry(state, running, state.counts, *for_ms, now),
        Outcome::Failed(failure) => match failure.class {
            FailureClass::Permanent => return exhausted(state, DisabledReason::Permanent, now),
            FailureClass::RetryAfter { delay_ms } => Some(delay_ms),
            FailureClass::Retryable => None,
        },
        Outcome::TimedOut { .. } | Outcome::Panicked { .. } => None,
    };
    after_failure(state, running, delay_ms, now)
}

/// What comes after an execution that was taken from its worker. `last_seen` is the worker's last sign of life.
pub(super) fn after_loss(
    state: &TaskState,
    running: &Running,
    why: AbandonReason,
    last_seen: Timestamp,
    now: Timestamp,
) -> End {
    if let Some(end) = said_meanwhile(state, running, now) {
        return end;
    }
    let losses = state.counts.losses.saturating_add(u32::from(why.is_loss()));
    if losses >= LOSSES_MAX {
        return End::last(state, Then::Disable(DisabledReason::Losses { losses }), now);
    }
    let mut end = retry(state, running, Counts { losses, ..state.counts }, 0, now);
    if let (true, Ok(calendar)) = (state.definition.schedule.is_recurring(), calendar_of(state)) {
        absence(state, &calendar, last_seen, now, &mut end);
    }
    end
}

/// Nobody could run what came due after the worker's last sign of life, so the misfire policy judges that, and the
/// overlap policy only what came due before.
fn absence(state: &TaskState, calendar: &Calendar, last_seen: Timestamp, now: Timestamp, end: &mut End) {
    let progress = &mut end.progress;
    let alive_until = last_seen.min(now);
    let schedule = &state.definition.schedule;
    let (buffered, decided) = (progress.buffered, progress.decided_through);
    if let Some(met) = reckon_overlap(calendar, schedule.overlap, buffered, decided, alive_until) {
        progress.decided_through = met.newest;
        progress.buffered = met.run.map(|run| run.next).or(buffered);
        end.passed.extend(met.passed);
    }
    let from = progress.decided_through.max(alive_until);
    end.passed.extend(judge_late(
        schedule,
        &schedule.misfire,
        calendar,
        LateCause::Late,
        (from, now),
        progress,
    ));
}

/// Lets the misfire policy judge what came due in a span in which no occurrence was open, although others that are to
/// run still wait for their turn. What it lets run goes behind those.
///
/// A backlog is one range, so in the rare case that neither it nor the buffer can take the new ones nothing is decided,
/// and the overlap policy judges them when the next execution ends.
pub(super) fn judge_late(
    schedule: &Schedule,
    misfire: &Misfire,
    calendar: &Calendar,
    cause: LateCause,
    (from, now): (Timestamp, Timestamp),
    progress: &mut Progress,
) -> Vec<Passed> {
    let Some(late) = reckon(calendar, misfire, schedule.jitter_ms, from, now, cause) else {
        return Vec::new();
    };
    match (progress.backlog, late.run) {
        (_, None) => {}
        (None, Some(run)) => progress.backlog = Some(run),
        (Some(backlog), Some(run)) if calendar.next(backlog.through) == Some(run.next) => {
            progress.backlog = Some(Run { through: run.through, ..backlog });
        }
        (Some(_), Some(run)) if run.next == run.through && progress.buffered.is_none() => {
            progress.buffered = Some(run.next);
        }
        (Some(_), Some(_)) => return Vec::new(),
    }
    progress.decided_through = late.newest;
    late.passed
}

/// What was said while the execution ran takes the place of what its end would have led to.
fn said_meanwhile(state: &TaskState, running: &Running, now: Timestamp) -> Option<End> {
    if let Afterwards::Disable { by, reason } = &running.afterwards {
        let because = DisabledReason::Said { by: by.clone(), reason: reason.clone() };
        return Some(End::last(state, Then::Disable(because), now));
    }
    running.superseded.then(|| next_of_schedule(state, now))
}

fn after_failure(state: &TaskState, running: &Running, delay_ms: Option<u64>, now: Timestamp) -> End {
    let policy = &state.definition.retry;
    let failures = state.counts.failures.saturating_add(1);
    if failures > policy.max_retries {
        return exhausted(state, DisabledReason::Exhausted { failures }, now);
    }
    let delay_ms = delay_ms.unwrap_or_else(|| policy.backoff.delay_ms(state.id.as_str(), failures));
    retry(state, running, Counts { failures, ..state.counts }, delay_ms, now)
}

fn retry(state: &TaskState, running: &Running, counts: Counts, delay_ms: u64, now: Timestamp) -> End {
    let delay_ms = i64::try_from(delay_ms).unwrap_or(i64::MAX);
    let attempt = running.attempt.saturating_add(1);
    let work = Work { occurrence: running.occurrence, attempt, run_at: now.saturating_add_ms(delay_ms) };
    End::plain(Then::Retry { work, counts }, state.progress)
}

fn exhausted(state: &TaskState, because: DisabledReason, now: Timestamp) -> End {
    if state.off_schedule.is_some() {
        // The schedule did not ask for this run, so it goes on whatever became of it.
        return next_occurrence(state, now);
    }
    match state.definition.retry.on_exhausted {
        OnExhausted::Continue if state.definition.schedule.is_recurring() => next_occurrence(state, now),
        OnExhausted::Continue | OnExhausted::Disable => End::last(state, Then::Disable(because), now),
    }
}

fn next_occurrence(state: &TaskState, now: Timestamp) -> End {
    if state.definition.schedule.is_recurring() {
        next_of_schedule(state, now)
    } else {
        End::plain(Then::Finish, state.progress)
    }
}

/// The open occurrence has ended: what came due meanwhile is judged, then the next one is found.
fn next_of_schedule(state: &TaskState, now: Timestamp) -> End {
    let schedule = &state.definition.schedule;
    if schedule.max_runs.is_some_and(|max| state.runs >= max.get()) {
        return End::last(state, Then::Finish, now);
    }
    let calendar = match calendar_of(state) {
        Ok(calendar) => calendar,
        Err(error) => {
            let because = DisabledReason::Schedule { error: ErrorText::new(error.to_string()) };
            return End::last(state, Then::Disable(because), now);
        }
    };
    let mut progress = state.progress;
    let met = reckon_overlap(&calendar, schedule.overlap, progress.buffered, progress.decided_through, now);
    let passed = met.map_or_else(Vec::new, |met| {
        progress.decided_through = met.newest;
        progress.buffered = met.run.map(|run| run.next).or(progress.buffered);
        met.passed
    });
    let (then, progress) = choose(state, &calendar, progress, now);
    End { then, progress, passed }
}

/// What runs next: the backlog first, then what was buffered, then what the calendar says.
pub(super) fn choose(
    state: &TaskState,
    calendar: &Calendar,
    mut progress: Progress,
    now: Timestamp,
) -> (Then, Progress) {
    let at_once = |occurrence| Work { occurrence, attempt: NonZeroU32::MIN, run_at: now };
    if let Some(run) = progress.backlog {
        progress.backlog = rest_of(calendar, run);
        return (Then::Next(at_once(run.next)), progress);
    }
    if let Some(occurrence) = progress.buffered.take() {
        return (Then::Next(at_once(occurrence)), progress);
    }
    let then = match calendar.next(progress.decided_through) {
        Some(occurrence) => Then::Next(first_attempt(&state.id, &state.definition.schedule, occurrence)),
        None => Then::Finish,
    };
    (then, progress)
}

/// What is left of a run of occurrences once its first one is taken. Its last one was promised, and runs also where the
/// schedule is read otherwise by now.
pub(super) fn rest_of(calendar: &Calendar, run: Run) -> Option<Run> {
    if run.next >= run.through {
        return None;
    }
    let next = calendar.next(run.next).filter(|next| *next <= run.through);
    Some(Run { next: next.unwrap_or(run.through), through: run.through })
}
