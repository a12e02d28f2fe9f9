//! Waiting for what becomes of a task, from any process.

use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::{Emitted, Failure, FailureClass, Outcome};
use azoth_scheduler_core::id::{EventType, TaskId};
use azoth_scheduler_core::state::{DisabledReason, TaskPhase, TaskState};
use azoth_scheduler_store::store::EVENTS_PAGE_MAX;
use azoth_scheduler_store::{LogPosition, RecordedEvent, StoreError};
use serde::de::DeserializeOwned;

use crate::error::{Result, SchedulerError};
use crate::head_watch::HeadWatch;
use crate::redaction::without_json_values;
use crate::shared::Shared;

/// A task that somebody waits for. Made by [`Scheduler::handle`](crate::Scheduler::handle); dropping it, or a wait that
/// is under way, changes nothing.
#[derive(Clone)]
pub struct TaskHandle {
    shared: Arc<Shared>,
    task: TaskId,
}

/// What became of a task. `T` is the value of the event that its handler gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskOutcome<T> {
    /// Its handler succeeded.
    Succeeded {
        /// The type of the event that the handler gave back.
        event_type: EventType,
        /// Its value.
        value: T,
    },
    /// It was disabled: it failed for good, too many processes died while they ran it, or somebody said so.
    Failed {
        /// Why it was disabled.
        because: DisabledReason,
        /// The last attempt's error, if an attempt failed by an error.
        error: Option<Failure>,
    },
    /// It was cancelled.
    Cancelled {
        /// Why.
        reason: String,
        /// By whom.
        by: String,
    },
    /// Its schedule has ended, and its last run did not succeed.
    Ended,
}

impl<T> TaskOutcome<T> {
    /// The value of a success.
    pub fn value(self) -> Option<T> {
        if let TaskOutcome::Succeeded { value, .. } = self { Some(value) } else { None }
    }
}

impl TaskHandle {
    pub(crate) fn new(shared: Arc<Shared>, task: TaskId) -> Self {
        Self { shared, task }
    }

    /// The task's id.
    pub fn task_id(&self) -> &TaskId {
        &self.task
    }

    /// Waits until the task has ended, wherever it runs, and says how, with its handler's event read from JSON (`()` for
    /// an event without bytes). One that has ended already is answered at once.
    ///
    /// A recurring task ends with each run that succeeds: its first success after this was called is the answer, or its
    /// end.
    ///
    /// It looks again after commits to the task that this process hears of. Where the store does not hear of every commit
    /// ([`Store::hears_every_commit`](azoth_scheduler_store::Store::hears_every_commit)) it also looks once a poll interval, else
    /// twice a minute.
    ///
    /// # Errors
    /// [`SchedulerError::TaskNotFound`] when there is no such task (any more), [`SchedulerError::Handler`] for an event
    /// that does not fit the type or that retention has dropped, [`SchedulerError::Store`].
    pub async fn wait<T: DeserializeOwned>(&self) -> Result<TaskOutcome<T>> {
        match self.wait_raw().await? {
            TaskOutcome::Succeeded { event_type, value } => {
                Ok(TaskOutcome::Succeeded { event_type, value: decoded(&value)? })
            }
            TaskOutcome::Failed { because, error } => Ok(TaskOutcome::Failed { because, error }),
            TaskOutcome::Cancelled { reason, by } => Ok(TaskOutcome::Cancelled { reason, by }),
            TaskOutcome::Ended => Ok(TaskOutcome::Ended),
        }
    }

    /// The same for no longer than this; `None` when the time is up first.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub async fn wait_timeout<T: DeserializeOwned>(
        &self,
        timeout: Duration,
    ) -> Result<Option<TaskOutcome<T>>> {
        tokio::select! {
            biased;
            outcome = self.wait() => outcome.map(Some),
            () = self.shared.clock().sleep(timeout) => Ok(None),
        }
    }

    /// As [`wait`](Self::wait), with the bytes of the handler's event as they are.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), but for an event that does not fit.
    pub async fn wait_raw(&self) -> Result<TaskOutcome<Vec<u8>>> {
        let mut touched = HeadWatch::of_task(&self.shared, &self.task);
        let since = self.shared.store.head().await?;
        loop {
            touched.mark_seen();
            if let Some(outcome) = self.outcome(since).await? {
                return Ok(outcome);
            }
            tokio::select! {
                _ = touched.moved() => {}
                () = self.shared.clock().sleep(self.shared.look_interval()) => {}
            }
        }
    }

    async fn outcome(&self, since: LogPosition) -> Result<Option<TaskOutcome<Vec<u8>>>> {
        let not_found = || SchedulerError::TaskNotFound { task: self.task.clone() };
        let state = self.shared.store.task(&self.task).await?.ok_or_else(not_found)?.state;
        if let TaskPhase::Cancelled { reason, by, .. } = &state.phase {
            let (reason, by) = (reason.to_string(), by.to_string());
            return Ok(Some(TaskOutcome::Cancelled { reason, by }));
        }
        let lives = state.phase.kind().is_live();
        if lives && !state.definition.schedule.is_recurring() {
            return Ok(None);
        }
        self.ended(&state, if lives { since } else { LogPosition::START }).await
    }

    /// Looks for the end among the task's newest events, back to a position.
    async fn ended(&self, state: &TaskState, since: LogPosition) -> Result<Option<TaskOutcome<Vec<u8>>>> {
        match &state.phase {
            TaskPhase::Disabled { because, .. } => {
                let error = self.newest(since, error_of).await?;
                Ok(Some(TaskOutcome::Failed { because: because.clone(), error }))
            }
            TaskPhase::Finished { .. } => {
                let success = self.newest(since, success_of).await?;
                success.transpose().map(|success| Some(success.unwrap_or(TaskOutcome::Ended)))
            }
            TaskPhase::Waiting(_)
            | TaskPhase::Blocked(_)
            | TaskPhase::Running(_)
            | TaskPhase::Paused { .. }
            | TaskPhase::Cancelled { .. } => self.newest(since, success_of).await?.transpose(),
        }
    }

    /// What is found in the newest of the task's events in which it is, back to a position and some way beyond: mostly in the
    /// first few.
    async fn newest<T>(
        &self,
        since: LogPosition,
        find: impl Fn(&RecordedEvent) -> Option<T>,
    ) -> Result<Option<T>> {
        let (mut before, mut read, mut page) = (None, 0, PAGE_FIRST);
        while read < EVENTS_PAGE_MAX {
            let events = match self.shared.store.history(&self.task, before, page).await {
                // All that is there was read.
                Err(StoreError::LogCut { .. }) if before.is_some() => return Ok(None),
                events => events?,
            };
            for event in events.iter().take_while(|event| event.position > since) {
                if let Some(found) = find(event) {
                    return Ok(Some(found));
                }
            }
            let oldest = events.last().map(|event| event.position);
            if events.len() < page || oldest.is_none_or(|oldest| oldest <= since) {
                return Ok(None);
            }
            read += events.len();
            (before, page) = (oldest, EVENTS_PAGE_MAX - read);
        }
        Ok(None)
    }
}

impl std::fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TaskHandle({:?})", self.task)
    }
}

fn success_of(recorded: &RecordedEvent) -> Option<Result<TaskOutcome<Vec<u8>>>> {
    let Event::TaskEventEmitted { emitted: Emitted { event_type, payload }, .. } = &recorded.event else {
        return None;
    };
    let event_type = event_type.clone();
    Some(match recorded.payload.bytes() {
        Some(bytes) => Ok(TaskOutcome::Succeeded { event_type, value: bytes.to_vec() }),
        None if payload.bytes == 0 => Ok(TaskOutcome::Succeeded { event_type, value: Vec::new() }),
        None => Err(SchedulerError::handler("the event's bytes were dropped by retention")),
    })
}

/// The error of an attempt that failed.
fn error_of(recorded: &RecordedEvent) -> Option<Failure> {
    let Event::TaskExecuted { outcome, .. } = &recorded.event else { return None };
    let plain = |message| Failure { class: FailureClass::Retryable, message, sources: Vec::new() };
    match outcome {
        Outcome::Failed(failure) => Some(failure.clone()),
        Outcome::Panicked { message } => Some(plain(message.clone())),
        Outcome::Succeeded(()) | Outcome::TimedOut { .. } | Outcome::Snoozed { .. } => None,
    }
}

fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let json = if bytes.is_empty() { &b"null"[..] } else { bytes };
    serde_json::from_slice(json).map_err(|error| {
        let problem = without_json_values(error.to_string());
        let type_name = std::any::type_name::<T>();
        SchedulerError::handler(format!("the handler's event cannot be read as {type_name}: {problem}"))
    })
}

/// So many events are read at first: an attempt has three, and those that it tells of its progress.
const PAGE_FIRST: usize = 16;
