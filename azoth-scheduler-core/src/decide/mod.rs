//! Every rule: what a command does to a task in a given state, at a given instant.
//!
//! [`decide`] chooses, and writes its choice into the events; [`evolve`](fn@crate::evolve::evolve) only copies it.
//! A refusal changes nothing. The order in which the policies apply:
//!
//! 1. an occurrence is *open* from its claim to the end of its last attempt, waits between retries included;
//! 2. occurrences that come due while one is open go to the overlap policy, when that one ends;
//! 3. occurrences that come due while none is open go to the misfire policy, at the next claim or resumption.
//!
//! A clock that is set back repeats nothing: the task waits until it has come to the same place again. Only where it goes
//! back by more than [`CLOCK_AHEAD_MS_MAX`] was it wrong before, and [`Wish::CorrectClock`] takes that back.

mod clock;
mod decision;
mod dependency;
mod ended;
mod execution;
mod left;
mod losses;
mod operate;
mod plan;
mod retried;
mod schedule;
mod surroundings;

pub use self::clock::CLOCK_AHEAD_MS_MAX;
pub use self::decision::{Answer, Decision};
pub use self::dependency::dependency_ended;
pub use self::losses::{LOSSES_MAX, SUSPECT_LOSSES};
pub use self::schedule::first_run_at;
pub use self::surroundings::Surroundings;
use crate::command::{TaskCommand, Wish};
use crate::id::TaskId;
use crate::rejection::Rejection;
use crate::state::TaskState;
use crate::time::Timestamp;

/// Decides a command that is about no other task: nothing is waited for, no idempotency key is held.
///
/// `state` is what the task's events so far add up to, `None` where there are none. The instant `now` is stamped
/// once, outside, and may lie before instants that the state holds: clocks jump.
///
/// # Errors
/// [`Rejection`] says why the command is not allowed in this state. Nothing has happened then.
pub fn decide(
    state: Option<&TaskState>,
    command: &TaskCommand,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    decide_among(state, command, &Surroundings::default(), now)
}

/// Decides a command among other tasks: [`carry_out`](fn@crate::carry_out::carry_out) gathers what it must know of them.
///
/// # Errors
/// As [`decide`].
pub fn decide_among(
    state: Option<&TaskState>,
    command: &TaskCommand,
    surroundings: &Surroundings,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let task = &command.task;
    let existing = || known(state, task);
    debug_assert!(state.is_none_or(|state| state.id == *task), "the state belongs to the command's task");
    match &command.wish {
        Wish::Schedule(new) => schedule::schedule(state, task, new, surroundings, now),
        Wish::Claim { execution, worker } => execution::claim(existing()?, *execution, *worker, now),
        Wish::Complete { execution, started_at, report } => {
            execution::complete(existing()?, *execution, *started_at, report, now)
        }
        Wish::Abandon { execution, why, last_seen } => {
            execution::abandon(existing()?, *execution, *why, *last_seen, now)
        }
        Wish::ReportProgress { execution, headway } => {
            execution::report_progress(existing()?, *execution, headway)
        }
        Wish::SaveCheckpoint { execution, checkpoint } => {
            execution::save_checkpoint(existing()?, *execution, checkpoint)
        }
        Wish::Cancel { reason, by } => Ok(operate::cancel(existing()?, reason, by, now)),
        Wish::Pause { reason, by, until } => operate::pause(existing()?, reason, by, *until, now),
        Wish::Resume { misfire, by } => operate::resume(existing()?, *misfire, by, now),
        Wish::ResumeWithScope { misfire, by } => {
            Ok(operate::resume_with_scope(existing()?, *misfire, by, now))
        }
        Wish::Disable { reason, by } => operate::disable(existing()?, reason, by, now),
        Wish::CorrectClock => Ok(clock::correct(existing()?, now)),
        Wish::RunNow { by } => retried::run_now(existing()?, by, now),
        Wish::Retry { by } => retried::retry(existing()?, by, now),
    }
}

fn known<'a>(state: Option<&'a TaskState>, task: &TaskId) -> Result<&'a TaskState, Rejection> {
    state.ok_or_else(|| Rejection::UnknownTask { task: task.clone() })
}
