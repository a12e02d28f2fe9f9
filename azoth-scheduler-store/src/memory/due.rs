//! Tasks that wait, by what is asked when a worker has room: which of these types goes first?

use std::collections::{BTreeMap, BTreeSet};

use azoth_scheduler_core::id::TaskType;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::time::Timestamp;

use crate::record::LogPosition;

/// All tasks that may be claimed, now or later.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DueIndex {
    waiting: BTreeSet<Entry>,
    entries: BTreeMap<LogPosition, Entry>,
}

/// A task, and from when it may be claimed.
type Entry = (TaskType, Priority, Timestamp, LogPosition);

/// Which of several waiting tasks goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The one of the highest level, within it the one that is due for longest, then the one created first.
    ByPriority,
    /// The one that is due for longest whatever its level, then the one created first.
    OldestFirst,
}

impl DueIndex {
    /// From when a task may be claimed; `None` while it may not.
    pub(super) fn set(&mut self, key: LogPosition, state: &TaskState, ready: Option<Timestamp>) {
        if let Some(entry) = self.entries.remove(&key) {
            self.waiting.remove(&entry);
        }
        if let Some(ready) = ready {
            let definition = &state.definition;
            let entry = (definition.task_type.clone(), definition.priority, ready, key);
            self.waiting.insert(entry.clone());
            self.entries.insert(key, entry);
        }
    }

    /// Whether a task may be claimed.
    pub(super) fn is_ready(&self, key: LogPosition, now: Timestamp) -> bool {
        self.entries.get(&key).is_some_and(|(_, _, ready, _)| *ready <= now)
    }

    /// The task that goes first among those of these types that are due.
    pub(super) fn first(
        &self,
        types: &BTreeSet<TaskType>,
        order: Order,
        now: Timestamp,
    ) -> Option<LogPosition> {
        let due = self.heads(types).filter(|(_, _, ready, _)| *ready <= now);
        let first = due.min_by_key(|(_, priority, ready, key)| match order {
            Order::ByPriority => (Some(*priority), *ready, *key),
            Order::OldestFirst => (None, *ready, *key),
        });
        first.map(|(_, _, _, key)| *key)
    }

    /// The earliest instant at which any task of these types may be claimed.
    pub(super) fn next_due(&self, types: &BTreeSet<TaskType>) -> Option<Timestamp> {
        self.heads(types).map(|(_, _, ready, _)| *ready).min()
    }

    /// The earliest instant at which any task may be claimed.
    pub(super) fn earliest(&self) -> Option<Timestamp> {
        self.waiting.iter().map(|(_, _, ready, _)| *ready).min()
    }

    /// The first task of each of these types and each level.
    fn heads<'a>(&'a self, types: &'a BTreeSet<TaskType>) -> impl Iterator<Item = &'a Entry> {
        let levels = types.iter().flat_map(|ty| Priority::ALL.map(|priority| (ty, priority)));
        levels.filter_map(|(ty, priority)| {
            let least = (ty.clone(), priority, Timestamp::MIN, LogPosition::START);
            let head = self.waiting.range(least..).next()?;
            (head.0 == *ty && head.1 == priority).then_some(head)
        })
    }
}
