//! Declaring: making a named group of tasks equal to what the code says.

use std::collections::{BTreeMap, BTreeSet};

use azoth_scheduler_core::command::{NewTask, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::decide::{Answer, decide};
use azoth_scheduler_core::execution::ErrorText;
use azoth_scheduler_core::id::{GroupName, TaskId};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::state::{TaskPhase, TaskState};
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::store::BATCH_COMMANDS_MAX;
use azoth_scheduler_store::{Batch, TaskFilter};

use crate::error::{RequestError, Result, SchedulerError};
use crate::request::ScheduleTaskRequest;
use crate::shared::Shared;

/// What a declaration came to: each task of it, and each one that is no longer in it, stands in one list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Declared {
    /// The group.
    pub group: GroupName,
    /// Tasks that are new, or were scheduled anew after they had ended.
    pub created: Vec<TaskId>,
    /// Tasks that go on under another definition.
    pub redefined: Vec<TaskId>,
    /// Tasks about which nothing was done: their last definition is the declared one.
    pub unchanged: Vec<TaskId>,
    /// Tasks that were cancelled, since the group declares them no longer.
    pub cancelled: Vec<TaskId>,
}

/// A request with every default filled in.
struct Wanted {
    task: TaskId,
    definition: TaskDefinition,
    payload: Payload,
}

impl Declared {
    /// Whether the group was so already: nothing was recorded.
    pub fn is_unchanged(&self) -> bool {
        self.created.is_empty() && self.redefined.is_empty() && self.cancelled.is_empty()
    }

    fn nothing(group: GroupName) -> Self {
        Self { group, created: vec![], redefined: vec![], unchanged: vec![], cancelled: vec![] }
    }
}

impl Shared {
    /// Makes the group equal to the requests, in one transaction for up to [`BATCH_COMMANDS_MAX`] changes.
    pub(crate) async fn declare(
        &self,
        group: GroupName,
        requests: &[ScheduleTaskRequest],
    ) -> Result<Declared> {
        let now = self.clock().now();
        let wanted = self.wanted(&group, requests)?;
        let members = self.members(&group).await?;
        let mut declared = Declared::nothing(group);
        let mut commands = self.withdrawals(&declared.group, &wanted, &members);
        commands.extend(definitions(&mut declared, wanted, &members, now)?);
        for commands in commands.chunks(BATCH_COMMANDS_MAX) {
            let batch = Batch::new(commands.to_vec(), now);
            let answers = self.store.apply(batch).await?.answers;
            for (command, answer) in commands.iter().zip(answers) {
                let answer = answer.map_err(SchedulerError::rejected)?;
                self.note(&mut declared, command, answer);
            }
        }
        Ok(declared)
    }

    /// The requests, checked before the store is asked.
    fn wanted(&self, group: &GroupName, requests: &[ScheduleTaskRequest]) -> Result<Vec<Wanted>> {
        let mut names = BTreeSet::new();
        let mut wanted = Vec::with_capacity(requests.len());
        for request in requests {
            let task_type = request.task_type();
            let Some(task) = request.task_id() else {
                let (group, task_type) = (group.clone(), task_type.clone());
                return Err(RequestError::DeclaredWithoutId { group, task_type }.into());
            };
            if !names.insert(task) {
                let (group, task) = (group.clone(), task.clone());
                return Err(RequestError::DeclaredTwice { group, task }.into());
            }
            if request.policies().on_conflict != OnConflict::Redefine {
                let (group, task) = (group.clone(), task.clone());
                return Err(RequestError::DeclaredWithOnConflict { group, task }.into());
            }
            let (definition, payload) = self.defined(request, Some(group.clone()))?;
            wanted.push(Wanted { task: task.clone(), definition, payload });
        }
        Ok(wanted)
    }

    /// The tasks of the group, those that have ended too.
    async fn members(&self, group: &GroupName) -> Result<BTreeMap<TaskId, TaskState>> {
        let filter = TaskFilter::new().group(group.clone()).limit(TaskFilter::LIMIT_MAX);
        let (mut members, mut page) = (BTreeMap::new(), filter.clone());
        loop {
            let tasks = self.store.tasks(&page).await?;
            let last = tasks.last().filter(|_| tasks.len() == TaskFilter::LIMIT_MAX);
            let last = last.map(|state| state.id.clone());
            members.extend(tasks.into_iter().map(|state| (state.id.clone(), state)));
            match last {
                Some(task) => page = filter.clone().after(task),
                None => return Ok(members),
            }
        }
    }

    /// The ends of those that live and are declared no longer.
    fn withdrawals(
        &self,
        group: &GroupName,
        wanted: &[Wanted],
        members: &BTreeMap<TaskId, TaskState>,
    ) -> Vec<TaskCommand> {
        let names: BTreeSet<_> = wanted.iter().map(|wanted| &wanted.task).collect();
        let vanished =
            members.values().filter(|state| state.phase.kind().is_live() && !names.contains(&state.id));
        let cancel = |state: &TaskState| {
            let wish = Wish::Cancel { reason: withdrawn(group), by: self.actor.clone() };
            TaskCommand { task: state.id.clone(), wish }
        };
        vanished.map(cancel).collect()
    }

    fn note(&self, declared: &mut Declared, command: &TaskCommand, answer: Answer) {
        let list = match answer {
            Answer::Created => &mut declared.created,
            Answer::Redefined => &mut declared.redefined,
            Answer::Recorded => {
                self.running.stop_task(&command.task);
                &mut declared.cancelled
            }
            // Somebody else said the same meanwhile: declared it, or ended one that has vanished.
            Answer::Unchanged(_) => match command.wish {
                Wish::Schedule(_) => &mut declared.unchanged,
                _ => return,
            },
            // Its key stands for a task that is there already.
            Answer::Existing(_) => &mut declared.unchanged,
            Answer::Started | Answer::Passed | Answer::Kept => {
                unreachable!("declaring is not answered by {answer:?}")
            }
        };
        list.push(command.task.clone());
    }
}

/// The wishes for those that are new or changed; the others are noted as unchanged.
///
/// Unlike a single call, a declaration runs no one-time task a second time, since it is repeated at every start. What it
/// ended itself it also revives; what anybody else ended stays so until its definition changes.
fn definitions(
    declared: &mut Declared,
    wanted: Vec<Wanted>,
    members: &BTreeMap<TaskId, TaskState>,
    now: Timestamp,
) -> Result<Vec<TaskCommand>> {
    let ours = withdrawn(&declared.group);
    let mut commands = Vec::new();
    for Wanted { task, definition, payload } in wanted {
        let on_conflict = match members.get(&task) {
            Some(TaskState { phase: TaskPhase::Cancelled { reason, .. }, .. }) if *reason == ours => {
                OnConflict::Replace
            }
            Some(state) if *state.definition == definition => {
                declared.unchanged.push(task);
                continue;
            }
            Some(_) | None => OnConflict::Redefine,
        };
        // No trace: a declaration is the program's, repeated at every start, and no part of what one request asked for.
        let wish = Wish::Schedule(NewTask::new(definition, payload, on_conflict));
        let command = TaskCommand { task, wish };
        // Whether a definition is accepted does not depend on what was there, so nothing is changed unless all are.
        decide(None, &command, now).map_err(SchedulerError::rejected)?;
        commands.push(command);
    }
    Ok(commands)
}

/// What is recorded of a task that its group declares no longer.
fn withdrawn(group: &GroupName) -> ErrorText {
    ErrorText::new(format!("no longer declared by group {:?}", group.as_str()))
}
