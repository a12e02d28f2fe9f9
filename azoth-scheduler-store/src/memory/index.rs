//! What is looked up among the tasks, without a look at each of them.

use std::collections::{BTreeMap, BTreeSet};

use azoth_scheduler_core::id::{ConcurrencyKey, IdempotencyKey, TaskId, TaskType};
use azoth_scheduler_core::scope::Line;
use azoth_scheduler_core::state::{Pause, PhaseKind, TaskPhase, TaskState};
use azoth_scheduler_core::time::Timestamp;

use super::due::DueIndex;
use crate::record::LogPosition;
use crate::report::TaskCount;

/// Tasks are named by the positions of their creation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes {
    pub(super) due: DueIndex,
    /// Those that wait for a task.
    waiters: BTreeMap<TaskId, BTreeSet<LogPosition>>,
    /// Those that were defined with an idempotency key, by where their newest definitions stand.
    unique: BTreeMap<IdempotencyKey, BTreeMap<LogPosition, LogPosition>>,
    running: BTreeSet<LogPosition>,
    /// How many of a type run.
    running_of: BTreeMap<TaskType, u64>,
    /// Those whose pause ends by itself, and when.
    pauses: BTreeSet<(Timestamp, LogPosition)>,
    lines: BTreeMap<ConcurrencyKey, KeyLine>,
    /// How many tasks of a type stand in a phase.
    counts: BTreeMap<(TaskType, PhaseKind), u64>,
}

/// The line of a concurrency key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeyLine {
    /// In their order, each with the instant from which it waits.
    members: BTreeSet<(Line, Option<Timestamp>, LogPosition)>,
    /// Those in front that may be claimed.
    let_through: BTreeSet<LogPosition>,
}

impl Indexes {
    /// Enters a task, whose newest definition stands at `defined`. From when a task with a concurrency key may be claimed is
    /// [settled](Self::let_through) by the line of that.
    pub(super) fn enter(&mut self, key: LogPosition, state: &TaskState, defined: LogPosition) {
        let definition = &state.definition;
        let run_at = state.waiting().map(|work| work.run_at);
        match &definition.concurrency_key {
            None => self.due.set(key, state, run_at),
            Some(name) => {
                if let Some(line) = Line::of(state) {
                    self.lines.entry(name.clone()).or_default().members.insert((line, run_at, key));
                }
            }
        }
        for dependency in &state.waits_for {
            self.waiters.entry(dependency.clone()).or_default().insert(key);
        }
        if let Some(unique) = &definition.unique {
            self.unique.entry(unique.key.clone()).or_default().insert(defined, key);
        }
        if state.running().is_some() {
            self.running.insert(key);
            count_up(&mut self.running_of, definition.task_type.clone());
        }
        self.pauses.extend(end_of_pause(state).map(|until| (until, key)));
        count_up(&mut self.counts, (definition.task_type.clone(), state.phase.kind()));
    }

    /// Takes a task out again that was entered like this.
    pub(super) fn take_out(&mut self, key: LogPosition, state: &TaskState, defined: LogPosition) {
        let definition = &state.definition;
        self.due.set(key, state, None);
        if let (Some(name), Some(line)) = (&definition.concurrency_key, Line::of(state))
            && let Some(of_key) = self.lines.get_mut(name)
        {
            let run_at = state.waiting().map(|work| work.run_at);
            of_key.members.remove(&(line, run_at, key));
            of_key.let_through.remove(&key);
            if of_key.members.is_empty() {
                self.lines.remove(name);
            }
        }
        for dependency in &state.waits_for {
            if let Some(waiters) = self.waiters.get_mut(dependency) {
                waiters.remove(&key);
                if waiters.is_empty() {
                    self.waiters.remove(dependency);
                }
            }
        }
        if let Some(unique) = &definition.unique
            && let Some(of_key) = self.unique.get_mut(&unique.key)
        {
            of_key.remove(&defined);
            if of_key.is_empty() {
                self.unique.remove(&unique.key);
            }
        }
        if self.running.remove(&key) {
            count_down(&mut self.running_of, definition.task_type.clone());
        }
        if let Some(until) = end_of_pause(state) {
            self.pauses.remove(&(until, key));
        }
        count_down(&mut self.counts, (definition.task_type.clone(), state.phase.kind()));
    }

    /// Notes who in the line of a key may be claimed, each from when on. Gives those that may not any more.
    pub(super) fn let_through(
        &mut self,
        name: &ConcurrencyKey,
        ready: &BTreeMap<LogPosition, Timestamp>,
    ) -> BTreeSet<LogPosition> {
        let Some(line) = self.lines.get_mut(name) else { return BTreeSet::new() };
        let mut before = std::mem::replace(&mut line.let_through, ready.keys().copied().collect());
        before.retain(|key| !ready.contains_key(key));
        before
    }

    /// The line of a key from its front on, each with the instant from which it waits; `None` for one that runs.
    pub(super) fn line(
        &self,
        name: &ConcurrencyKey,
    ) -> impl Iterator<Item = (Option<Timestamp>, LogPosition)> + use<'_> {
        let members = self.lines.get(name).into_iter().flat_map(|line| &line.members);
        members.map(|(_, run_at, key)| (*run_at, *key))
    }

    /// The keys in whose lines somebody stands.
    pub(super) fn concurrency_keys(&self) -> Vec<ConcurrencyKey> {
        self.lines.keys().cloned().collect()
    }

    /// Those that wait for a task, in the order of their creation.
    pub(super) fn waiters(&self, dependency: &TaskId) -> impl Iterator<Item = LogPosition> + use<'_> {
        self.waiters.get(dependency).into_iter().flatten().copied()
    }

    /// The task that was last defined with an idempotency key.
    pub(super) fn newest_with_key(&self, key: &IdempotencyKey) -> Option<LogPosition> {
        self.unique.get(key)?.last_key_value().map(|(_, key)| *key)
    }

    /// Those that run, in the order of their creation.
    pub(super) fn running(&self) -> impl Iterator<Item = LogPosition> + use<'_> {
        self.running.iter().copied()
    }

    /// How many run, of a type or of all.
    pub(super) fn count_running(&self, of: Option<&TaskType>) -> u64 {
        of.map_or(self.running.len() as u64, |of| self.running_of.get(of).copied().unwrap_or_default())
    }

    /// When the first pause of a task ends by itself.
    pub(super) fn next_end_of_pause(&self) -> Option<Timestamp> {
        self.pauses.first().map(|(until, _)| *until)
    }

    /// Those whose pauses are over by now, in the order in which they ended.
    pub(super) fn pauses_over(&self, now: Timestamp) -> impl Iterator<Item = LogPosition> + use<'_> {
        self.pauses.iter().take_while(move |(until, _)| *until <= now).map(|(_, key)| *key)
    }

    /// How many tasks of each type stand in each phase.
    pub(super) fn counts(&self) -> Vec<TaskCount> {
        let count = |((task_type, phase), tasks): (&(TaskType, PhaseKind), &u64)| TaskCount {
            task_type: task_type.clone(),
            phase: *phase,
            tasks: *tasks,
        };
        self.counts.iter().map(count).collect()
    }
}

/// The pause of a task that is paused.
pub(super) fn pause_of(state: &TaskState) -> Option<&Pause> {
    if let TaskPhase::Paused { pause, .. } = &state.phase { Some(pause) } else { None }
}

fn end_of_pause(state: &TaskState) -> Option<Timestamp> {
    pause_of(state)?.until
}

fn count_up<K: Ord>(counts: &mut BTreeMap<K, u64>, what: K) {
    let count = counts.entry(what).or_default();
    *count = count.saturating_add(1);
}

fn count_down<K: Ord>(counts: &mut BTreeMap<K, u64>, what: K) {
    use std::collections::btree_map::Entry;
    if let Entry::Occupied(mut count) = counts.entry(what) {
        *count.get_mut() = count.get().saturating_sub(1);
        if *count.get() == 0 {
            count.remove();
        }
    }
}
