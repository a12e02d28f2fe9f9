//! Tasks that wait, by what is asked when a worker has room: which of these types goes first?

use std::collections::BTreeSet;

use azoth_scheduler_core::id::TaskType;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::time::Timestamp;

use crate::record::LogPosition;

/// All tasks that wait for an attempt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DueIndex {
    waiting: BTreeSet<(TaskType, Priority, Timestamp, LogPosition)>,
}

/// Which of several waiting tasks goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The one of the highest level, within it the one that is due for longest, then the one created first.
    ByPriority,
    /// The one that is due for longest whatever its level, then the one created first.
    OldestFirst,
}

impl DueIndex {
    pub(super) fn insert(&mut self, key: LogPosition, state: &TaskState) {
        self.waiting.extend(entry(key, state));
    }

    pub(super) fn remove(&mut self, key: LogPosition, state: &TaskState) {
        if let Some(entry) = entry(key, state) {
            self.waiting.remove(&entry);
        }
    }

    /// The task that goes first among those of these types that are due.
    pub(super) fn first(
        &self,
        types: &BTreeSet<TaskType>,
        order: Order,
        now: Timestamp,
    ) -> Option<LogPosition> {
        let due = self.heads(types).filter(|(_, _, run_at, _)| *run_at <= now);
        let first = due.min_by_key(|(_, priority, run_at, key)| match order {
            Order::ByPriority => (Some(*priority), *run_at, *key),
            Order::OldestFirst => (None, *run_at, *key),
        });
        first.map(|(_, _, _, key)| *key)
    }

    /// The earliest instant at which any task of these types may be claimed.
    pub(super) fn next_due(&self, types: &BTreeSet<TaskType>) -> Option<Timestamp> {
        self.heads(types).map(|(_, _, run_at, _)| *run_at).min()
    }

    /// The earliest instant at which any task may be claimed.
    pub(super) fn earliest(&self) -> Option<Timestamp> {
        self.waiting.iter().map(|(_, _, run_at, _)| *run_at).min()
    }

    /// The first task of each of these types and each level.
    fn heads<'a>(
        &'a self,
        types: &'a BTreeSet<TaskType>,
    ) -> impl Iterator<Item = &'a (TaskType, Priority, Timestamp, LogPosition)> {
        let levels = types.iter().flat_map(|ty| Priority::ALL.map(|priority| (ty, priority)));
        levels.filter_map(|(ty, priority)| {
            let least = (ty.clone(), priority, Timestamp::MIN, LogPosition::START);
            let head = self.waiting.range(least..).next()?;
            (head.0 == *ty && head.1 == priority).then_some(head)
        })
    }
}

fn entry(key: LogPosition, state: &TaskState) -> Option<(TaskType, Priority, Timestamp, LogPosition)> {
    let work = state.waiting()?;
    Some((state.definition.task_type.clone(), state.definition.priority, work.run_at, key))
}
