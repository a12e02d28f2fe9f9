//! Folding the log into derived tables: what a rebuild writes and a verification compares.
//!
//! The log is read in pages. Of the tasks those are in memory that had an event not long ago, at most twice [`TASKS_YOUNG`];
//! the others are in the tables. A row is written when its task has had no event for a while, so a task that came and ended
//! within that is written once.

use std::collections::{HashMap, HashSet, hash_map};

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::{TaskId, TaskType};
use azoth_scheduler_core::scope::Scope;
use rusqlite::Connection;

use super::base::Base;
use super::entry::{Entry, Place};
use super::log::{self, LogRow};
use super::log_row::{self, LogEntry};
use super::row_writer::{RowWriter, Updates};
use super::scope_row::ScopeEntry;
use super::scopes::Scopes;
use super::scratch::Scratch;
use super::task_row::{self, Cells};
use super::{cell, type_row, wait_row};
use crate::error::StoreError;

/// So many events are read at once.
pub(super) const REPLAY_PAGE_EVENTS: usize = 1_000;

/// What the events so far add up to: partly in the derived tables of a connection, the rest here.
#[derive(Debug, Default)]
pub(super) struct Fold {
    /// Tasks with an event since the last flush.
    young: HashMap<u64, Box<Slot>>,
    /// Tasks with an event between the last flush and the one before it; their rows are written.
    old: HashMap<u64, Box<Slot>>,
    /// Events since the last flush.
    events: usize,
    updates: Updates,
    /// Names of tasks that have no row yet.
    created: HashSet<TaskId>,
    types: HashMap<TaskType, u64>,
    scopes: Scopes,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    row: TaskRow,
    /// It waits for others, or did, and the rows that say so are not written.
    waits: bool,
}

/// What the table holds of a task.
#[derive(Debug)]
enum TaskRow {
    /// Nothing yet.
    Missing,
    /// The task as it is.
    Same,
    /// The task as it was.
    Behind(Box<Cells>),
}

/// A task before and after an event; `None` for the event of another subject.
pub(super) type Folded<'a> = Option<(Option<Entry>, &'a Entry)>;

/// Why an event was left out.
#[derive(Debug)]
pub(super) enum Unfoldable {
    /// It cannot stand where it stands.
    Wrong(String),
    /// It, or what it builds on, could not be read or written.
    Failed(StoreError),
}

impl From<StoreError> for Unfoldable {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Corrupt { .. } | StoreError::Undecodable { .. }) {
            return Unfoldable::Wrong(error.to_string());
        }
        Unfoldable::Failed(error)
    }
}

impl Fold {
    /// Folds one more event, and gives back its task, if it is of one, as it was before and as it is now. One that is
    /// refused is left out.
    pub(super) fn add(
        &mut self,
        conn: &Connection,
        row: &LogRow,
        event: &Event,
    ) -> Result<Folded<'_>, Unfoldable> {
        self.events += 1;
        if let Some(scope) = event.scope() {
            return self.add_to_scope(conn, scope, row, event).map(|()| None);
        }
        if event.is_of_the_log() {
            return self.add_to_the_log(conn, row, event).map(|()| None);
        }
        let before = self.task(conn, row.subject)?;
        let previous = before.as_ref().map(|entry| entry.last);
        if previous != row.previous {
            return Err(Unfoldable::Wrong(format!(
                "it follows event {} of its task, and the one before it is {}",
                row.previous.unwrap_or(0),
                previous.unwrap_or(0)
            )));
        }
        let type_key = if let Event::TaskScheduled { definition, .. } = event {
            self.type_key(conn, &definition.task_type, row.position)?
        } else {
            0
        };
        if let Some(before) = &before {
            self.scopes.touch(&before.state.definition);
        }
        let is_new = before.is_none();
        let place = Place { position: row.position, at: row.at, type_key };
        let entry =
            Entry::after(before, event, place).map_err(|error| Unfoldable::Wrong(error.to_string()))?;
        if entry.key != row.subject {
            let what = format!("it creates task {} under the key of another", entry.key);
            return Err(Unfoldable::Wrong(what));
        }
        if is_new {
            self.name(conn, &entry)?;
        }
        self.scopes.touch(&entry.state.definition);
        if let Event::ExecutionStarted { .. } = event {
            self.scopes.spend(conn, &entry.state.definition, row.at)?;
        }
        Ok(Some(self.put(entry)))
    }

    fn add_to_scope(
        &mut self,
        conn: &Connection,
        scope: &Scope,
        row: &LogRow,
        event: &Event,
    ) -> Result<(), Unfoldable> {
        let before = self.scopes.get(conn, scope)?.cloned();
        let place = before.as_ref().map(|entry| (entry.key, Some(entry.last)));
        if place.unwrap_or((row.position, None)) != (row.subject, row.previous) {
            return Err(Unfoldable::Wrong(format!("it does not follow the event before it of {scope}")));
        }
        let entry = ScopeEntry::after(before, event, row.position, row.at)
            .map_err(|error| Unfoldable::Wrong(error.to_string()))?;
        self.scopes.put(entry);
        Ok(())
    }

    fn add_to_the_log(&mut self, conn: &Connection, row: &LogRow, event: &Event) -> Result<(), Unfoldable> {
        self.flush(conn)?;
        let before = LogEntry::read(conn)?;
        let entry = LogEntry::after(before, event, row.position)
            .map_err(|error| Unfoldable::Wrong(error.to_string()))?;
        if (row.subject, row.previous) != (entry.key, before.map(|before| before.last)) {
            let what = "it does not follow the event of the log before it".to_owned();
            return Err(Unfoldable::Wrong(what));
        }
        if let Event::TasksForgotten { horizon, tasks } = event {
            log_row::forget(conn, *horizon, tasks)?.map_err(Unfoldable::Wrong)?;
            let left: HashSet<_> = tasks.iter().collect();
            for slots in [&mut self.young, &mut self.old] {
                slots.retain(|_, slot| !left.contains(&slot.entry.state.id));
            }
        }
        Ok(entry.write(conn)?)
    }

    /// Flushes when there is enough to be worth it, and when memory would grow otherwise.
    pub(super) fn flush_some(&mut self, conn: &Connection) -> Result<(), StoreError> {
        if self.young.len() < TASKS_YOUNG && self.events < EVENTS_UNWRITTEN {
            return Ok(());
        }
        self.flush(conn)
    }

    /// Writes all rows that are not written yet, in the order of their keys, and forgets who had no event since the last time.
    pub(super) fn flush(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let mut rows = RowWriter::new(conn, &mut self.updates);
        let mut young: Vec<_> = self.young.values_mut().collect();
        young.sort_unstable_by_key(|slot| slot.entry.key);
        for slot in young {
            let before = match std::mem::replace(&mut slot.row, TaskRow::Same) {
                TaskRow::Same => continue,
                TaskRow::Missing => None,
                TaskRow::Behind(before) => Some(before),
            };
            rows.write(before.as_deref(), &Cells::of(&slot.entry))?;
            if std::mem::take(&mut slot.waits) {
                wait_row::write(conn, &slot.entry)?;
            }
        }
        self.scopes.flush(conn)?;
        self.scopes.trim();
        self.created.clear();
        self.old = std::mem::take(&mut self.young);
        self.events = 0;
        if self.types.len() > TYPES_MAX {
            self.types.clear();
        }
        Ok(())
    }

    /// Keeps a task after an event. Gives back what it was, and what it is.
    fn put(&mut self, entry: Entry) -> (Option<Entry>, &Entry) {
        let waits = !entry.state.waits_for.is_empty();
        match self.young.entry(entry.key) {
            hash_map::Entry::Occupied(slot) => {
                let slot = slot.into_mut();
                slot.waits |= waits || !slot.entry.state.waits_for.is_empty();
                if let TaskRow::Same = slot.row {
                    slot.row = TaskRow::Behind(Box::new(Cells::of(&slot.entry)));
                }
                let before = std::mem::replace(&mut slot.entry, entry);
                (Some(before), &slot.entry)
            }
            hash_map::Entry::Vacant(slot) => {
                let slot = slot.insert(Box::new(Slot { entry, row: TaskRow::Missing, waits }));
                (None, &slot.entry)
            }
        }
    }

    /// A copy of a task, which is among the young ones then.
    fn task(&mut self, conn: &Connection, key: u64) -> Result<Option<Entry>, StoreError> {
        let slot = match self.young.entry(key) {
            hash_map::Entry::Occupied(slot) => slot.into_mut(),
            hash_map::Entry::Vacant(place) => {
                let slot = match self.old.remove(&key) {
                    Some(slot) => slot,
                    None => {
                        let Some(entry) = task_row::by_key(conn, key)? else { return Ok(None) };
                        Box::new(Slot { entry, row: TaskRow::Same, waits: false })
                    }
                };
                place.insert(slot)
            }
        };
        Ok(Some(slot.entry.clone()))
    }

    /// Notes the name of a new task, which no other may have.
    fn name(&mut self, conn: &Connection, entry: &Entry) -> Result<(), Unfoldable> {
        let id = &entry.state.id;
        if self.created.contains(id) || task_row::place_of(conn, id)?.is_some() {
            return Err(Unfoldable::Wrong(format!("it creates task {id:?} a second time")));
        }
        self.created.insert(id.clone());
        Ok(())
    }

    fn type_key(&mut self, conn: &Connection, name: &TaskType, position: u64) -> Result<u64, StoreError> {
        if let Some(key) = self.types.get(name) {
            return Ok(*key);
        }
        let key = match type_row::key_of(conn, name)? {
            Some(key) => key,
            None => {
                type_row::add(conn, position, name.as_str())?;
                position
            }
        };
        self.types.insert(name.clone(), key);
        Ok(key)
    }
}

/// Folds the log into a scratch, page by page.
#[derive(Debug)]
pub(super) struct Replay {
    fold: Fold,
    /// The last event that was folded.
    position: u64,
}

impl Replay {
    /// Before the first event that is there, with what those before it add up to in the scratch.
    pub(super) fn start(scratch: &Scratch) -> Result<Self, StoreError> {
        let base = scratch.within(|conn| {
            let base = Base::read(conn)?;
            base.load(conn)?;
            Ok(base)
        })?;
        Ok(Self { fold: Fold::default(), position: base.position })
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Folds up to here, a page in each transaction, and says after each where it stands.
    pub(super) fn advance(
        &mut self,
        scratch: &Scratch,
        through: u64,
        mut told: impl FnMut(u64),
    ) -> Result<(), StoreError> {
        while self.position < through {
            scratch.within(|conn| self.page(conn, through))?;
            told(self.position);
        }
        scratch.within(|conn| self.flush(conn))
    }

    /// Writes what is not written yet. Inside a transaction.
    pub(super) fn flush(&mut self, conn: &Connection) -> Result<(), StoreError> {
        self.fold.flush(conn)
    }

    /// Folds the next page, but nothing behind `through`; its last rows are yet to be [flushed](Self::flush). Inside a
    /// transaction.
    pub(super) fn page(&mut self, conn: &Connection, through: u64) -> Result<(), StoreError> {
        let left = through.saturating_sub(self.position);
        let limit = usize::try_from(left).unwrap_or(usize::MAX).min(REPLAY_PAGE_EVENTS);
        let rows = log::page(conn, self.position, limit)?;
        for row in &rows {
            let broken = |what: String| cell::corrupt(format!("event {}: {what}", row.position));
            let expected = self.position.saturating_add(1);
            if row.position != expected {
                return Err(broken(format!("event {expected} is missing before it")));
            }
            let folded = self.fold.add(conn, row, &row.event()?);
            folded.map_err(|unfoldable| match unfoldable {
                Unfoldable::Wrong(what) => broken(what),
                Unfoldable::Failed(error) => error,
            })?;
            self.position = expected;
        }
        if rows.is_empty() && limit > 0 {
            return Err(cell::corrupt(format!("event {} is missing", self.position.saturating_add(1))));
        }
        self.fold.flush_some(conn)
    }
}

/// After events of so many tasks their rows are written.
const TASKS_YOUNG: usize = 8_192;
/// After so many events too.
const EVENTS_UNWRITTEN: usize = 65_536;
/// A fold remembers at most so many types from one flush to the next.
const TYPES_MAX: usize = 1_024;
