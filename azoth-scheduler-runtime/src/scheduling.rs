//! From a request to a command, and from its answer to an outcome.

use azoth_scheduler_core::command::{NewTask, TaskCommand, Wish};
use azoth_scheduler_core::decide::{Answer, first_run_at};
use azoth_scheduler_core::id::{GroupName, TaskId};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::retry::RetryPolicy;
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::{Batch, Prepared};
use time::OffsetDateTime;

use crate::error::{RequestError, Result, SchedulerError};
use crate::handler::TaskOptions;
use crate::request::ScheduleTaskRequest;
use crate::request::checked::timeout_ms;
use crate::shared::Shared;
use crate::view::{NextRunAt, Said, ScheduleChange, ScheduleOutcome};

impl Shared {
    /// Schedules all of these in one transaction. The inner results are the answers of each one's task.
    pub(crate) async fn schedule(
        &self,
        requests: &[ScheduleTaskRequest],
    ) -> Result<Vec<Result<ScheduleOutcome>>> {
        let prepared = self.prepare(requests)?;
        let now = prepared.now();
        let tasks: Vec<TaskId> = prepared.commands().iter().map(|command| command.task.clone()).collect();
        let applied = self.store.apply(Batch::new(prepared.into_commands(), now)).await?;
        let mut outcomes = Vec::with_capacity(tasks.len());
        for ((task, request), answer) in tasks.into_iter().zip(requests).zip(applied.answers) {
            let outcome = match answer {
                Ok(answer) => Ok(self.outcome(task, request, answer, now).await?),
                Err(rejection) => Err(SchedulerError::rejected(rejection)),
            };
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// The commands of these requests, each checked, with every default filled in.
    pub(crate) fn prepare(&self, requests: &[ScheduleTaskRequest]) -> Result<Prepared> {
        let now = self.clock().now();
        let commands = requests.iter().map(|request| self.command(request, now));
        Ok(Prepared::new(commands.collect::<Result<_>>()?, now))
    }

    pub(crate) fn command(&self, request: &ScheduleTaskRequest, now: Timestamp) -> Result<TaskCommand> {
        let (definition, payload) = self.defined(request, None)?;
        let task = match request.task_id() {
            Some(task) => task.clone(),
            None => TaskId::new(self.mint(now).to_string())?,
        };
        let new =
            NewTask::new(definition, payload, request.policies().on_conflict).traced(self.trace_parent());
        Ok(TaskCommand { task, wish: Wish::Schedule(new) })
    }

    /// The definition and the payload of a request that is accepted.
    pub(crate) fn defined(
        &self,
        request: &ScheduleTaskRequest,
        group: Option<GroupName>,
    ) -> Result<(TaskDefinition, Payload)> {
        let (bytes, limit) = (request.payload().len(), self.config.max_payload_bytes);
        if bytes > limit {
            return Err(RequestError::PayloadTooLarge { bytes, limit }.into());
        }
        self.registry.check(request.task_type(), request.payload())?;
        let payload = Payload::new(request.payload());
        let definition = TaskDefinition { group, ..self.definition(request, &payload)? };
        Ok((definition, payload))
    }

    /// What was asked for, with every default filled in: the request's word, then the handler's, then the scheduler's.
    fn definition(&self, request: &ScheduleTaskRequest, payload: &Payload) -> Result<TaskDefinition> {
        let given = request.policies();
        let handler = self.registry.find(request.task_type());
        let options = handler.map_or_else(TaskOptions::new, |registered| registered.options.clone());
        let timeout = given.timeout.or(options.timeout).unwrap_or(self.config.default_timeout);
        let retries = given.max_retries.or(options.max_retries);
        Ok(TaskDefinition {
            task_type: request.task_type().clone(),
            payload: payload.digest(),
            schedule: request.schedule().clone(),
            retry: RetryPolicy {
                max_retries: retries.unwrap_or(self.config.default_max_retries),
                backoff: given.backoff.or(options.backoff).unwrap_or_default(),
                on_exhausted: given.on_exhausted,
            },
            timeout_ms: timeout_ms("timeout", timeout)?,
            priority: given.priority.or(options.priority).unwrap_or_default(),
            group: None,
            concurrency_key: given.concurrency_key.clone(),
            after: request.after().cloned(),
            unique: request.unique().cloned(),
        })
    }

    /// What the answer to a request means. `task` is the one that was asked for; the answer may name another in its place.
    async fn outcome(
        &self,
        mut task: TaskId,
        request: &ScheduleTaskRequest,
        answer: Answer,
        now: Timestamp,
    ) -> Result<ScheduleOutcome> {
        if let Answer::Existing(existing) = &answer {
            task = existing.clone();
        }
        let change = match answer {
            Answer::Created => ScheduleChange::Created,
            Answer::Redefined => ScheduleChange::Redefined,
            Answer::Unchanged(phase) => ScheduleChange::Unchanged(phase),
            Answer::Existing(_) => ScheduleChange::Existing,
            Answer::Started | Answer::Passed | Answer::Recorded | Answer::Kept => {
                unreachable!("scheduling is not answered by {answer:?}")
            }
        };
        let is_new = change == ScheduleChange::Created;
        let next_run_at = match is_new.then(|| first_run(request, &task, now)).flatten() {
            Some(first_run) => Some(first_run.into()),
            None => {
                let stored = self.store.task(&task).await?;
                stored.and_then(|stored| stored.state.phase.next_run_at())
            }
        };
        let due_at_once = next_run_at.is_some_and(|at| at <= OffsetDateTime::from(now));
        Ok(ScheduleOutcome { task, change, next_run_at, due_at_once })
    }

    /// Says something about a task.
    pub(crate) async fn say(&self, task: TaskId, wish: Wish) -> Result<Said> {
        let commands = vec![TaskCommand { task: task.clone(), wish }];
        let batch = Batch::new(commands, self.clock().now());
        let answer = self.store.apply(batch).await?.answers.pop();
        match answer.unwrap_or(Err(Rejection::UnknownTask { task })) {
            Ok(Answer::Unchanged(phase)) => Ok(Said::Unchanged(phase)),
            Ok(_) => Ok(Said::Recorded),
            Err(rejection) => Err(SchedulerError::rejected(rejection)),
        }
    }
}

/// When the task of this request runs first, if it is created at this instant; `None` where that depends on other tasks.
/// The store makes the same pure decision, so the task need not be read back.
fn first_run(request: &ScheduleTaskRequest, task: &TaskId, now: Timestamp) -> Option<Timestamp> {
    if request.after().is_some() {
        return None;
    }
    first_run_at(task, request.schedule(), now).ok()
}
