//! The life of one execution: claimed, completed or abandoned.

use alloc::vec;
use alloc::vec::Vec;

use super::decision::{Answer, Decision};
use super::ended::{End, after_loss, after_outcome, choose, judge_late, rest_of};
use super::plan::{calendar_of, passed_events, withdrawn};
use crate::abandonment::AbandonReason;
use crate::event::{Event, MovedOn};
use crate::execution::{Emitted, Report};
use crate::headway::Headway;
use crate::id::{ExecutionId, WorkerId};
use crate::payload::Payload;
use crate::rejection::Rejection;
use crate::schedule::{Calendar, LateCause, Passed, Reckoning, reckon};
use crate::state::{Progress, Running, TaskState, Work};
use crate::time::Timestamp;

pub(super) fn claim(
    state: &TaskState,
    execution: ExecutionId,
    worker: WorkerId,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let work = due(state, now)?;
    let start = |work: Work, progress| started(state, execution, worker, work, progress);
    if work.attempt.get() > 1 {
        return Ok(Decision::one(start(work, state.progress), Answer::Started));
    }
    if work.occurrence <= state.progress.decided_through || state.is_off_schedule(work.occurrence) {
        // It was judged when it came due, or nobody has to judge it; what came due since, while it waited for its turn,
        // was not judged.
        let mut progress = state.progress;
        let mut events = passed_events(late_meanwhile(state, now, &mut progress));
        events.push(start(work, progress));
        return Ok(Decision { events, answer: Answer::Started });
    }
    let Some((calendar, reckoning)) = reckoned(state, now) else {
        let progress = Progress { decided_through: work.occurrence, ..state.progress };
        return Ok(Decision::one(start(work, progress), Answer::Started));
    };
    let withdrawn = withdrawn(work, reckoning.oldest());
    let mut events = passed_events(withdrawn.into_iter().chain(reckoning.passed));
    let decided = Progress { decided_through: reckoning.newest, ..state.progress };
    if let Some(run) = reckoning.run {
        let progress = Progress { backlog: rest_of(&calendar, run), ..decided };
        events.push(start(Work { occurrence: run.next, ..work }, progress));
        return Ok(Decision { events, answer: Answer::Started });
    }
    let (then, progress) = choose(state, &calendar, decided, now);
    move_on(&mut events, MovedOn { then, progress });
    Ok(Decision { events, answer: Answer::Passed })
}

pub(super) fn complete(
    state: &TaskState,
    execution: ExecutionId,
    started_at: Timestamp,
    report: &Report,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let running = holder(state, execution)?;
    let (outcome, emitted) = report.clone().split();
    let End { then, progress, passed } = after_outcome(state, running, &outcome, now);
    let mut events = vec![Event::TaskExecuted { execution, outcome, started_at, then, progress }];
    if let Some(Emitted { event_type, payload }) = emitted {
        let emitted = Emitted { event_type, payload: payload.digest() };
        events.push(Event::TaskEventEmitted { execution, emitted });
    }
    events.extend(passed_events(passed));
    Ok(Decision { events, answer: Answer::Recorded })
}

pub(super) fn abandon(
    state: &TaskState,
    execution: ExecutionId,
    why: AbandonReason,
    last_seen: Timestamp,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let running = holder(state, execution)?;
    let End { then, progress, passed } = after_loss(state, running, why, last_seen, now);
    let mut events = vec![Event::ExecutionAbandoned { execution, why, then, progress }];
    events.extend(passed_events(passed));
    Ok(Decision { events, answer: Answer::Recorded })
}

/// What an execution says of itself. Only the last word counts, so the same word again is none.
pub(super) fn report_progress(
    state: &TaskState,
    execution: ExecutionId,
    headway: &Headway,
) -> Result<Decision, Rejection> {
    let running = holder(state, execution)?;
    if running.reported.as_ref().is_some_and(|reported| reported.headway == *headway) {
        return Ok(Decision::unchanged(state));
    }
    let event = Event::ProgressReported { execution, headway: headway.clone() };
    Ok(Decision::one(event, Answer::Recorded))
}

pub(super) fn save_checkpoint(
    state: &TaskState,
    execution: ExecutionId,
    checkpoint: &Payload,
) -> Result<Decision, Rejection> {
    holder(state, execution)?;
    let digest = checkpoint.digest();
    if state.checkpoint.is_some_and(|checkpoint| checkpoint.payload == digest) {
        return Ok(Decision::unchanged(state));
    }
    Ok(Decision::one(Event::CheckpointSaved { execution, checkpoint: digest }, Answer::Recorded))
}

fn due(state: &TaskState, now: Timestamp) -> Result<Work, Rejection> {
    let due = state.waiting().filter(|work| work.run_at <= now);
    due.copied().ok_or_else(|| Rejection::NotDue { task: state.id.clone(), phase: state.phase.kind(), now })
}

/// The fence: only the execution that holds the task may speak for it.
fn holder(state: &TaskState, execution: ExecutionId) -> Result<&Running, Rejection> {
    let holder = state.running().filter(|running| running.execution == execution);
    let stale = || Rejection::StaleExecution { task: state.id.clone(), execution, current: state.held_by() };
    holder.ok_or_else(stale)
}

/// The misfire policy's judgement of all that is due. `None` where there is nothing to judge: a one-shot task, or a
/// schedule that newer zone data or a newer library reads otherwise; the recorded occurrence then runs as it stands.
fn reckoned(state: &TaskState, now: Timestamp) -> Option<(Calendar, Reckoning)> {
    let schedule = &state.definition.schedule;
    if !schedule.is_recurring() {
        return None;
    }
    let calendar = calendar_of(state).ok()?;
    let last = state.progress.decided_through;
    let reckoning = reckon(&calendar, &schedule.misfire, schedule.jitter_ms, last, now, LateCause::Late)?;
    Some((calendar, reckoning))
}

fn late_meanwhile(state: &TaskState, now: Timestamp, progress: &mut Progress) -> Vec<Passed> {
    let schedule = &state.definition.schedule;
    let Some(calendar) = calendar_of(state).ok().filter(|_| schedule.is_recurring()) else {
        return Vec::new();
    };
    let span = (progress.decided_through, now);
    judge_late(schedule, &schedule.misfire, &calendar, LateCause::Late, span, progress)
}

fn started(
    state: &TaskState,
    execution: ExecutionId,
    worker: WorkerId,
    work: Work,
    progress: Progress,
) -> Event {
    let off_schedule = state.is_off_schedule(work.occurrence);
    let first = u32::from(work.attempt.get() == 1 && !off_schedule);
    let run = state.runs.saturating_add(first);
    Event::ExecutionStarted {
        execution,
        worker,
        occurrence: work.occurrence,
        attempt: work.attempt,
        run,
        off_schedule,
        progress,
    }
}

/// Lets the last of these events say what comes then.
fn move_on(events: &mut [Event], moved_on: MovedOn) {
    match events.last_mut() {
        Some(Event::OccurrencesPassed { then, .. }) => *then = Some(moved_on),
        other => unreachable!("a reckoning without a run names what passed, not {other:?}"),
    }
}
