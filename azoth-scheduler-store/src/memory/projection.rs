//! What the log adds up to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::evolve::{Found, OutOfOrder, evolve};
use azoth_scheduler_core::id::{ConcurrencyKey, TaskId};
use azoth_scheduler_core::ledger::{Imbalance, Ledger};
use azoth_scheduler_core::retention::{self, LogState};
use azoth_scheduler_core::scope::{self, Scope, ScopeState};
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::time::Timestamp;

use super::index::Indexes;
use crate::filter::TaskFilter;
use crate::record::{LogPosition, RecordedEvent, RecordedPayload, Subject};
use crate::store::StoredTask;

/// The tasks, in the order in which they were created, and what is looked up among them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Projection {
    /// By the position of the event that created the task.
    pub(super) rows: BTreeMap<LogPosition, Row>,
    pub(super) keys: BTreeMap<TaskId, LogPosition>,
    pub(super) indexes: Indexes,
    pub(super) scopes: BTreeMap<Scope, ScopeState>,
    pub(super) log: LogState,
}

/// An event that cannot stand where it does.
pub(super) type Misplaced = (LogPosition, OutOfOrder);

/// A task.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) state: TaskState,
    /// The bytes of the newest definition.
    pub(super) payload: RecordedPayload,
    /// Where the newest definition stands.
    pub(super) defined: LogPosition,
    /// Where the checkpoint stands, and its bytes.
    pub(super) checkpoint: Option<(LogPosition, RecordedPayload)>,
    /// Where the task's events stand, oldest first.
    pub(super) positions: Vec<LogPosition>,
}

impl Projection {
    /// Folds a whole log.
    pub(super) fn replay(log: &[RecordedEvent]) -> Result<Self, Misplaced> {
        let mut projection = Self::default();
        for event in log {
            projection.apply(event).map_err(|error| (event.position, error))?;
        }
        Ok(projection)
    }

    /// Folds a whole log, and keeps the book of each task: what comes of it, and what the books find.
    pub(super) fn audit(log: &[RecordedEvent]) -> (Result<Self, Misplaced>, Vec<Imbalance>) {
        let mut projection = Self::default();
        let mut books = BTreeMap::<TaskId, Ledger>::new();
        let mut found = Vec::new();
        for event in log {
            let task = match &event.subject {
                Subject::Task(task) => Some(task),
                Subject::Scope(_) | Subject::Log => None,
            };
            let before = task.and_then(|task| projection.row(task)).map(|row| row.state.clone());
            if let Err(error) = projection.apply(event) {
                return (Err((event.position, error)), found);
            }
            let after = task.and_then(|task| Some((task, projection.row(task)?)));
            if let Some((task, Row { state: after, .. })) = after {
                let book = books.entry(task.clone()).or_default();
                let position = event.position.number();
                found.extend(book.enter(position, event.at, before.as_ref(), &event.event, after).err());
            }
        }
        found.extend(books.into_values().filter_map(|mut book| book.close().err()));
        (Ok(projection), found)
    }

    /// Folds one event. After an error the projection is of no more use.
    pub(super) fn apply(&mut self, recorded: &RecordedEvent) -> Result<(), OutOfOrder> {
        match &recorded.subject {
            Subject::Task(task) => self.apply_to_task(task, recorded),
            Subject::Scope(scope) => self.apply_to_scope(scope, recorded),
            Subject::Log => self.apply_to_the_log(&recorded.event),
        }
    }

    fn apply_to_scope(&mut self, scope: &Scope, recorded: &RecordedEvent) -> Result<(), OutOfOrder> {
        let before = self.scopes.remove(scope);
        let state = scope::evolve(before, &recorded.event, recorded.at)?;
        self.scopes.insert(scope.clone(), state);
        for concurrency_key in self.indexes.concurrency_keys() {
            self.settle(&concurrency_key);
        }
        Ok(())
    }

    fn apply_to_task(&mut self, task: &TaskId, recorded: &RecordedEvent) -> Result<(), OutOfOrder> {
        let key = *self.keys.entry(task.clone()).or_insert(recorded.position);
        let old = self.rows.remove(&key);
        let key_before = old.as_ref().and_then(|row| row.state.definition.concurrency_key.clone());
        let (state, kept, checkpoint, mut positions) = match old {
            Some(row) => (Some(row.state), (row.payload, row.defined), row.checkpoint, row.positions),
            None => (None, (RecordedPayload::Absent, recorded.position), None, Vec::new()),
        };
        if let Some(state) = &state {
            self.indexes.take_out(key, state, kept.1);
        }
        let state = evolve(state, &recorded.event, recorded.at)?;
        let defines = matches!(recorded.event, Event::TaskScheduled { .. });
        let (payload, defined) = if defines { (recorded.payload.clone(), recorded.position) } else { kept };
        let saves = matches!(recorded.event, Event::CheckpointSaved { .. });
        let checkpoint = if saves { Some((recorded.position, recorded.payload.clone())) } else { checkpoint };
        let checkpoint = checkpoint.filter(|_| state.checkpoint.is_some());
        positions.push(recorded.position);
        if let Event::ExecutionStarted { .. } = recorded.event {
            self.spend(&state, recorded.at);
        }
        let key_after = state.definition.concurrency_key.clone();
        self.indexes.enter(key, &state, defined);
        self.rows.insert(key, Row { state, payload, defined, checkpoint, positions });
        for concurrency_key in key_before.into_iter().chain(key_after) {
            self.settle(&concurrency_key);
        }
        Ok(())
    }

    fn apply_to_the_log(&mut self, event: &Event) -> Result<(), OutOfOrder> {
        self.log = retention::evolve(self.log, event)?;
        if let Event::TasksForgotten { horizon, tasks } = event {
            for task in tasks {
                let key = self.keys.remove(task);
                let row = key.and_then(|key| Some((key, self.rows.remove(&key)?)));
                match row.filter(|(_, row)| horizon.lets_go(&row.state)) {
                    Some((key, row)) => self.indexes.take_out(key, &row.state, row.defined),
                    None => return Err(OutOfOrder { event: event.name(), found: Found::NoTask }),
                }
            }
        }
        Ok(())
    }

    /// Lets those tasks of a key be claimed that may be: those in front of its line, up to the first that has to wait.
    fn settle(&mut self, concurrency_key: &ConcurrencyKey) {
        let own = Scope::Key(concurrency_key.clone());
        let of_key = self.scopes.get(&own).cloned().unwrap_or_else(|| ScopeState::new(own));
        let everything = self.scopes.get(&Scope::Everything);
        let mut in_front = BTreeMap::new();
        for (before, (run_at, key)) in self.indexes.line(concurrency_key).enumerate() {
            let (Some(run_at), Some(row)) = (run_at, self.rows.get(&key)) else { continue };
            let of_type = self.scopes.get(&Scope::TaskType(row.state.definition.task_type.clone()));
            let limit = scope::per_key(Some(&of_key), of_type, everything);
            let Some(ready) = of_key.ready_at(run_at, before, limit) else { break };
            in_front.insert(key, ready);
        }
        for key in self.indexes.let_through(concurrency_key, &in_front) {
            if let Some(row) = self.rows.get(&key) {
                self.indexes.due.set(key, &row.state, None);
            }
        }
        for (key, ready) in in_front {
            if let Some(row) = self.rows.get(&key) {
                self.indexes.due.set(key, &row.state, Some(ready));
            }
        }
    }

    /// A start counts against the rate of every scope of the task.
    fn spend(&mut self, state: &TaskState, at: Timestamp) {
        for scope in Scope::all_of(&state.definition) {
            if let Some(state) = self.scopes.get_mut(&scope) {
                state.spend(at);
            }
        }
    }

    /// The events whose payloads tasks may need.
    pub(super) fn needed_payloads(&self) -> BTreeSet<LogPosition> {
        let of_row = |row: &Row| {
            [row.defined].into_iter().chain(row.checkpoint.as_ref().map(|(position, _)| *position))
        };
        self.rows.values().flat_map(of_row).collect()
    }

    pub(super) fn row(&self, task: &TaskId) -> Option<&Row> {
        self.rows.get(self.keys.get(task)?)
    }

    pub(super) fn task(&self, task: &TaskId) -> Option<StoredTask> {
        let row = self.row(task)?;
        Some(StoredTask { state: row.state.clone(), payload: row.payload.clone() })
    }

    pub(super) fn tasks(&self, filter: &TaskFilter) -> Vec<TaskState> {
        let after = match filter.starts_after().map(|task| self.keys.get(task)) {
            None => LogPosition::START,
            Some(Some(key)) => *key,
            Some(None) => return Vec::new(),
        };
        let wanted = |state: &&TaskState| {
            filter.accepts_phase(state.phase.kind())
                && filter.wanted_type().is_none_or(|wanted| *wanted == state.definition.task_type)
                && filter.decided_beyond().is_none_or(|instant| state.is_ahead_of(instant))
                && filter.wanted_group().is_none_or(|wanted| state.definition.group.as_ref() == Some(wanted))
        };
        let states = self.rows.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, row)| &row.state);
        states.filter(wanted).take(filter.at_most()).cloned().collect()
    }
}
