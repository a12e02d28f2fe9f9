//! Folding the log into derived tables: what a rebuild writes and a verification compares.
//!
//! The log is read in pages, and of the tasks at most [`TASKS_MAX`] are in memory; the others are in the tables.

use std::collections::{BTreeSet, HashMap, hash_map};

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
    tasks: HashMap<u64, Slot>,
    unwritten: Vec<u64>,
    /// Those of them that wait for others, or did.
    unwritten_waits: BTreeSet<u64>,
    updates: Updates,
    /// Names of tasks that have no row yet.
    created: HashMap<TaskId, u64>,
    types: HashMap<TaskType, u64>,
    scopes: Scopes,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    /// The row as it stands in its table; `None` where there is none yet.
    row: Option<Cells>,
    written: bool,
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
        if let Some(scope) = event.scope() {
            return self.add_to_scope(conn, scope, row, event).map(|()| None);
        }
        if event.is_of_the_log() {
            return self.add_to_the_log(conn, row, event).map(|()| None);
        }
        let before = self.task(conn, row.subject)?;
        if let Some(before) = &before {
            self.scopes.touch(&before.state.definition);
        }
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
        let is_new = before.is_none();
        let waited = before.as_ref().is_some_and(|entry| !entry.state.waits_for.is_empty());
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
        if let Event::ExecutionStarted { .. } = event {
            self.scopes.spend(conn, &entry.state.definition, row.at)?;
        }
        if waited || !entry.state.waits_for.is_empty() {
            self.unwritten_waits.insert(entry.key);
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
            self.tasks.retain(|_, slot| !tasks.contains(&slot.entry.state.id));
        }
        Ok(entry.write(conn)?)
    }

    /// Writes all rows that are not written yet, and keeps memory bounded.
    pub(super) fn flush(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let mut rows = RowWriter::new(conn, &mut self.updates);
        for key in self.unwritten.drain(..) {
            let Some(slot) = self.tasks.get_mut(&key).filter(|slot| !slot.written) else { continue };
            let row = Cells::of(&slot.entry);
            rows.write(slot.row.as_ref(), &row)?;
            slot.row = Some(row);
            if self.unwritten_waits.remove(&key) {
                wait_row::write(conn, &slot.entry)?;
            }
            slot.written = true;
        }
        self.scopes.flush(conn)?;
        self.scopes.trim();
        self.created.clear();
        if self.tasks.len() > TASKS_MAX {
            self.tasks.clear();
        }
        if self.types.len() > TYPES_MAX {
            self.types.clear();
        }
        Ok(())
    }

    fn put(&mut self, entry: Entry) -> (Option<Entry>, &Entry) {
        self.scopes.touch(&entry.state.definition);
        self.unwritten.push(entry.key);
        match self.tasks.entry(entry.key) {
            hash_map::Entry::Occupied(slot) => {
                let slot = slot.into_mut();
                slot.written = false;
                let before = std::mem::replace(&mut slot.entry, entry);
                (Some(before), &slot.entry)
            }
            hash_map::Entry::Vacant(slot) => {
                (None, &slot.insert(Slot { entry, row: None, written: false }).entry)
            }
        }
    }

    /// A copy of a task, which is in memory then.
    fn task(&mut self, conn: &Connection, key: u64) -> Result<Option<Entry>, StoreError> {
        if let Some(slot) = self.tasks.get(&key) {
            return Ok(Some(slot.entry.clone()));
        }
        let Some((row, entry)) = task_row::by_key(conn, key)? else { return Ok(None) };
        self.tasks.insert(key, Slot { entry: entry.clone(), row: Some(row), written: true });
        Ok(Some(entry))
    }

    /// Notes the name of a new task, which no other may have.
    fn name(&mut self, conn: &Connection, entry: &Entry) -> Result<(), Unfoldable> {
        let id = &entry.state.id;
        if self.created.contains_key(id) || task_row::place_of(conn, id)?.is_some() {
            return Err(Unfoldable::Wrong(format!("it creates task {id:?} a second time")));
        }
        self.created.insert(id.clone(), entry.key);
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
        Ok(())
    }

    /// Folds the next page, but nothing behind `through`. Inside a transaction.
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
        self.fold.flush(conn)
    }
}

/// A fold remembers at most so many tasks from page to page.
const TASKS_MAX: usize = 8_192;
/// A fold remembers at most so many types from page to page.
const TYPES_MAX: usize = 1_024;
