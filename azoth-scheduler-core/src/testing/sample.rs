//! Names, instants and commands that tests say often.

use alloc::vec::Vec;
use core::num::NonZeroU64;

use crate::command::{NewTask, OnConflict, TaskCommand, Wish};
use crate::execution::{Emitted, ErrorText, Failure, FailureClass, Outcome, Report};
use crate::id::{Actor, EventType, ExecutionId, GroupName, TaskId, TaskType, WorkerId};
use crate::payload::{Payload, PayloadDigest};
use crate::retry::RetryPolicy;
use crate::schedule::Schedule;
use crate::task::{Priority, TaskDefinition};
use crate::time::Timestamp;

/// 2025-01-01T00:00:00Z and so many seconds.
pub fn at(seconds: i64) -> Timestamp {
    valid(Timestamp::from_unix_seconds(seconds.saturating_add(1_735_689_600)))
}

/// A task id.
///
/// # Panics
/// When it is none; so do all of these.
pub fn task_id(name: &str) -> TaskId {
    valid(TaskId::new(name))
}

/// A task type.
pub fn task_type(name: &str) -> TaskType {
    valid(TaskType::new(name))
}

/// A group.
pub fn group(name: &str) -> GroupName {
    valid(GroupName::new(name))
}

/// Somebody.
pub fn actor(name: &str) -> Actor {
    valid(Actor::new(name))
}

/// Some text.
pub fn text(text: &str) -> ErrorText {
    ErrorText::new(text)
}

/// The execution with this number.
pub fn execution(number: u128) -> ExecutionId {
    ExecutionId::from_u128(number)
}

/// The worker with this number.
pub fn worker(number: u128) -> WorkerId {
    WorkerId::from_u128(number)
}

/// A task of type `work` without a payload and with every default.
pub fn definition(schedule: Schedule) -> TaskDefinition {
    TaskDefinition {
        task_type: task_type("work"),
        payload: PayloadDigest::of(&[]),
        schedule,
        retry: RetryPolicy::default(),
        timeout_ms: NonZeroU64::new(300_000).unwrap_or(NonZeroU64::MIN),
        priority: Priority::Normal,
        group: None,
        concurrency_key: None,
        after: None,
        unique: None,
    }
}

/// A wish about a task.
pub fn wish(task: &str, wish: Wish) -> TaskCommand {
    TaskCommand { task: task_id(task), wish }
}

/// The wish to schedule a task with every default.
pub fn schedule(task: &str, schedule: Schedule, on_conflict: OnConflict) -> TaskCommand {
    let new = NewTask::new(definition(schedule), Payload::empty(), on_conflict);
    wish(task, Wish::Schedule(new))
}

/// The wish of worker 1 to start the execution with this number.
pub fn claim(task: &str, number: u128) -> TaskCommand {
    wish(task, Wish::Claim { execution: execution(number), worker: worker(1) })
}

/// What became of the execution with this number.
pub fn complete(task: &str, number: u128, report: Report, started_at: Timestamp) -> TaskCommand {
    wish(task, Wish::Complete { execution: execution(number), started_at, report })
}

/// A success with an event of type `done` and without content.
pub fn succeeded() -> Report {
    let emitted = Emitted { event_type: valid(EventType::new("done")), payload: Payload::empty() };
    Outcome::Succeeded(emitted.into())
}

/// A failure of this class.
pub fn failed(class: FailureClass) -> Report {
    Outcome::Failed(Failure { class, message: text("it went wrong"), sources: Vec::new() })
}

fn valid<T, E: core::fmt::Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
