//! Tasks that wait, by what is asked when a worker has room: which of these types goes first?

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use azoth_scheduler_core::id::TaskType;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::time::Timestamp;

use crate::record::LogPosition;

/// All tasks that may be claimed, now or later.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DueIndex {
    waiting: BTreeSet<Entry>,
    suspects: BTreeSet<Entry>,
    entries: BTreeMap<LogPosition, Entry>,
    /// Those that are not claimed ahead, whatever their type: with a loss, or with a concurrency key.
    not_ahead: BTreeSet<LogPosition>,
}

/// A task, and from when it may be claimed.
type Entry = (TaskType, Priority, Timestamp, LogPosition);

/// Which tasks are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// All but suspects.
    Any,
    /// Those that may be claimed ahead: up to the first of a type and level that may not.
    Ahead,
    /// Those that are run alone.
    Suspects,
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
    /// From when a task may be claimed; `None` while it may not.
    pub(super) fn set(&mut self, key: LogPosition, state: &TaskState, ready: Option<Timestamp>) {
        if let Some(entry) = self.entries.remove(&key) {
            self.waiting.remove(&entry);
            self.suspects.remove(&entry);
            self.not_ahead.remove(&key);
        }
        if let Some(ready) = ready {
            let definition = &state.definition;
            let entry = (definition.task_type.clone(), definition.priority, ready, key);
            let set = if state.counts.is_suspect() { &mut self.suspects } else { &mut self.waiting };
            set.insert(entry.clone());
            self.entries.insert(key, entry);
            if state.counts.losses > 0 || definition.concurrency_key.is_some() {
                self.not_ahead.insert(key);
            }
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
        which: Which,
        order: Order,
        now: Timestamp,
    ) -> Option<LogPosition> {
        let due = self.heads(types, which).filter(|(_, _, ready, _)| *ready <= now);
        let due = due.filter(|(_, _, _, key)| which != Which::Ahead || !self.not_ahead.contains(key));
        let first = due.min_by_key(|(_, priority, ready, key)| match order {
            Order::ByPriority => (Some(*priority), *ready, *key),
            Order::OldestFirst => (None, *ready, *key),
        });
        first.map(|(_, _, _, key)| *key)
    }

    /// The earliest instant at which such a task of these types may be claimed.
    pub(super) fn next_due(&self, types: &BTreeSet<TaskType>, which: Which) -> Option<Timestamp> {
        self.heads(types, which).map(|(_, _, ready, _)| *ready).min()
    }

    /// The earliest instant at which any task may be claimed.
    pub(super) fn earliest(&self) -> Option<Timestamp> {
        let mut earliest = None;
        for set in [&self.waiting, &self.suspects] {
            let mut next = set.first();
            while let Some((task_type, priority, ready, _)) = next {
                earliest = Some(earliest.map_or(*ready, |earliest: Timestamp| earliest.min(*ready)));
                let end = (task_type.clone(), *priority, Timestamp::MAX, LogPosition::from_number(u64::MAX));
                next = set.range((Bound::Excluded(end), Bound::Unbounded)).next();
            }
        }
        earliest
    }

    /// The earliest instant at which any task of this type may be claimed.
    pub(super) fn earliest_of(&self, task_type: &TaskType) -> Option<Timestamp> {
        let types = BTreeSet::from([task_type.clone()]);
        [Which::Any, Which::Suspects].into_iter().filter_map(|which| self.next_due(&types, which)).min()
    }

    /// The first such task of each of these types and each level.
    fn heads<'a>(&'a self, types: &'a BTreeSet<TaskType>, which: Which) -> impl Iterator<Item = &'a Entry> {
        let set = match which {
            Which::Any | Which::Ahead => &self.waiting,
            Which::Suspects => &self.suspects,
        };
        let levels = types.iter().flat_map(|ty| Priority::ALL.map(|priority| (ty, priority)));
        levels.filter_map(move |(ty, priority)| {
            let least = (ty.clone(), priority, Timestamp::MIN, LogPosition::START);
            let head = set.range(least..).next()?;
            (head.0 == *ty && head.1 == priority).then_some(head)
        })
    }
}
