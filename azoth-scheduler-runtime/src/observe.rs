//! What the runtime tells `tracing`. The names here are documented and stay.
//!
//! | name | kind, level | fields |
//! |---|---|---|
//! | `azoth.execution` | span, info | `task`, `task_type`, `execution`, `attempt`, `trace_parent` where there is one |
//! | `execution ended` | event, debug; warn when it failed | `task`, `execution`, `outcome` |
//! | `result refused` | event, debug | `task`, `why` |
//! | `store failing` / `store works again` | event, error / info | `error`, `unrecorded` |
//! | `worker started` / `worker lost` / `worker ended` | event, info / warn / info | `worker` |
//! | `another worker is dead` | event, warn | `worker`, `pid` |
//! | `execution stopped` | event, info | `task`, `execution`, `why` |
//! | `thread set aside` | event, warn | `task`, `execution` |
//! | `handler blocks the async runtime` | event, warn, once per execution | `task`, `task_type`, `execution`, `took` |
//! | `event handler failed` / `event given up` | event, warn / error | `consumer`, `position`, `attempt` |
//! | `event handler waits for the store` | event, error | `consumer`, `error` |
//! | `nobody handles a task type` | event, warn, once per type | `task_type`, `due_since` |
//! | `trace context left out` | event, warn | |
//! | `shutting down` / `shut down` | event, info | `grace` / `given_back` |
//!
//! No payload, no handler's error and no panic message is ever among them: the task's history holds those. Ids are
//! written with escapes.

use azoth_scheduler_core::execution::Outcome;
use azoth_scheduler_core::id::{ConsumerName, ExecutionId, TaskId, TaskType, WorkerId};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::{Claimed, LogPosition, StoreError, WorkerInfo};
use std::time::Duration;
use tracing::{Span, debug, error, info, info_span, warn};

pub(crate) fn execution_span(claimed: &Claimed) -> Span {
    info_span!(
        "azoth.execution",
        task = ?claimed.task,
        task_type = ?claimed.task_type,
        execution = %claimed.execution,
        attempt = claimed.attempt,
        trace_parent = claimed.trace.as_ref().map(tracing::field::display),
    )
}

/// An outcome as logs and metrics write it.
pub(crate) fn word_of<S>(outcome: &Outcome<S>) -> &'static str {
    match outcome {
        Outcome::Succeeded(_) => "succeeded",
        Outcome::Snoozed { .. } => "snoozed",
        Outcome::Failed(_) => "failed",
        Outcome::TimedOut { .. } => "timed out",
        Outcome::Panicked { .. } => "panicked",
    }
}

pub(crate) fn execution_ended<S>(task: &TaskId, execution: ExecutionId, outcome: &Outcome<S>) {
    let word = word_of(outcome);
    match outcome {
        Outcome::Succeeded(_) | Outcome::Snoozed { .. } => {
            debug!(?task, %execution, outcome = word, "execution ended");
        }
        Outcome::Failed(_) | Outcome::TimedOut { .. } | Outcome::Panicked { .. } => {
            warn!(?task, %execution, outcome = word, "execution ended; its task's history says why");
        }
    }
}

pub(crate) fn result_refused(task: &TaskId, why: &dyn std::fmt::Display) {
    debug!(?task, %why, "result refused");
}

pub(crate) fn store_failing(error: &StoreError, unrecorded: usize) {
    error!(%error, unrecorded, "store failing; results are kept, nothing new is started until it works again");
}

pub(crate) fn store_works_again() {
    info!("store works again");
}

pub(crate) fn clock_went_back(from: Timestamp, to: Timestamp) {
    warn!(%from, %to, "clock went far back; tasks that it had led astray are corrected");
}

pub(crate) fn tasks_corrected(tasks: usize) {
    warn!(tasks, "tasks were decided by a clock that stood far ahead; they go on from now");
}

pub(crate) fn worker_started(worker: WorkerId) {
    info!(%worker, "worker started");
}

pub(crate) fn worker_lost(worker: WorkerId) {
    warn!(%worker, "worker lost: it was declared dead; its executions are stopped, a new worker takes its place");
}

pub(crate) fn worker_ended(worker: WorkerId) {
    info!(%worker, "worker ended");
}

pub(crate) fn worker_is_dead(worker: &WorkerInfo) {
    warn!(worker = %worker.worker, pid = worker.process.pid, "another worker is dead; its executions are taken from it");
}

pub(crate) fn execution_stopped(task: &TaskId, execution: ExecutionId, why: &'static str) {
    info!(?task, %execution, why, "execution stopped");
}

pub(crate) fn thread_set_aside(task: &TaskId, execution: ExecutionId) {
    warn!(?task, %execution, "thread set aside: a blocking handler goes on although its outcome is settled");
}

pub(crate) fn handler_blocks(task: &TaskId, task_type: &TaskType, execution: ExecutionId, took: Duration) {
    warn!(?task, ?task_type, %execution, ?took, "handler blocks the async runtime: use a blocking handler, or await");
}

pub(crate) fn nobody_handles(task_type: &TaskType, due_since: Timestamp) {
    warn!(
        ?task_type,
        %due_since,
        "nobody handles a task type: its tasks wait untouched until a program that handles it runs"
    );
}

pub(crate) fn trace_refused() {
    warn!("trace context left out: what `with_trace_parent` gave is no traceparent");
}

pub(crate) fn event_handler_failed(consumer: &ConsumerName, position: LogPosition, attempt: u32) {
    warn!(?consumer, %position, attempt, "event handler failed; the event is tried again");
}

pub(crate) fn event_given_up(consumer: &ConsumerName, position: LogPosition, attempt: u32) {
    error!(?consumer, %position, attempt, "event given up; it is among the dead letters");
}

pub(crate) fn event_handler_waits(consumer: &ConsumerName, error: &StoreError) {
    error!(?consumer, %error, "event handler waits for the store");
}

pub(crate) fn retention_waits(error: &StoreError) {
    warn!(%error, "nothing is let go until the next time");
}

pub(crate) fn shutting_down(grace: Duration) {
    info!(?grace, "shutting down");
}

pub(crate) fn shut_down(given_back: usize) {
    info!(given_back, "shut down");
}
