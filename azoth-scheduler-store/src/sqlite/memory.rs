//! What the writer remembers of the projection from one transaction to the next, and what it has yet to write.
//!
//! Valid only while the head row is as the writer left it; other processes, and the application's own connections,
//! write too. Nothing of a transaction that did not commit is kept.

use std::collections::{BTreeSet, HashMap};

use azoth_scheduler_core::id::{TaskId, TaskType, WorkerId};
use rusqlite::Connection;

use super::chain::Hash;
use super::entry::Entry;
use super::head::Head;
use super::scopes::Scopes;
use super::task_row::{self, Cells};
use super::type_row;
use crate::error::StoreError;

/// Tasks and types by name.
#[derive(Debug, Default)]
pub(super) struct Memory {
    tasks: HashMap<TaskId, Slot>,
    unwritten: Vec<TaskId>,
    types: HashMap<TaskType, u64>,
    pub(super) scopes: Scopes,
    left: Option<Mark>,
    /// Workers that were registered through this store, so that those of others can be told. Never forgotten.
    pub(super) own_workers: BTreeSet<WorkerId>,
}

/// How a head compares with the one that was left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    /// It is the same.
    pub(super) known: bool,
    /// Somebody else wrote meanwhile.
    pub(super) moved: bool,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    written: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Mark {
    position: u64,
    hash: Hash,
    epoch: u64,
}

impl Memory {
    /// Forgets everything unless the head is where this writer left it.
    pub(super) fn check(&mut self, head: &Head) -> Check {
        assert!(
            self.unwritten.is_empty(),
            "a transaction's rows are written or forgotten before the next one"
        );
        let found = Mark::of(head);
        let known = self.left.as_ref() == Some(&found);
        let moved = self.left.is_some() && !known;
        if !known {
            self.forget();
        }
        Check { known, moved }
    }

    /// The transaction is committed and left the head like this.
    pub(super) fn keep(&mut self, head: &Head) {
        assert!(self.unwritten.is_empty(), "a transaction writes all its rows before it commits");
        if self.tasks.len() > TASKS_MAX {
            self.tasks.clear();
        }
        if self.types.len() > TYPES_MAX {
            self.types.clear();
        }
        self.scopes.trim();
        self.left = Some(Mark::of(head));
    }

    /// The transaction came to nothing.
    pub(super) fn forget(&mut self) {
        self.tasks.clear();
        self.unwritten.clear();
        self.types.clear();
        self.scopes.forget();
        self.left = None;
    }

    /// A task, from memory or from its row.
    pub(super) fn task(&mut self, conn: &Connection, id: &TaskId) -> Result<Option<&Entry>, StoreError> {
        if !self.tasks.contains_key(id) {
            let Some(entry) = task_row::by_id(conn, id)? else { return Ok(None) };
            self.tasks.insert(id.clone(), Slot { entry, written: true });
        }
        Ok(self.tasks.get(id).map(|slot| &slot.entry))
    }

    /// Takes a task out, to fold an event into it and [`put`](Self::put) it back.
    pub(super) fn take(&mut self, conn: &Connection, id: &TaskId) -> Result<Option<Entry>, StoreError> {
        self.task(conn, id)?;
        Ok(self.tasks.remove(id).map(|slot| slot.entry))
    }

    /// Puts a changed task back; its row is written by [`flush`](Self::flush).
    pub(super) fn put(&mut self, entry: Entry) {
        let id = entry.state.id.clone();
        self.unwritten.push(id.clone());
        let before = self.tasks.insert(id, Slot { entry, written: false });
        debug_assert!(before.is_none(), "a task that is put back was taken out");
    }

    /// Writes the rows of all tasks that changed.
    pub(super) fn flush(&mut self, conn: &Connection) -> Result<(), StoreError> {
        for id in self.unwritten.drain(..) {
            let Some(slot) = self.tasks.get_mut(&id).filter(|slot| !slot.written) else { continue };
            Cells::of(&slot.entry).write(conn)?;
            slot.written = true;
        }
        self.scopes.flush(conn)
    }

    /// The key of a type, `None` for one that no task ever had.
    pub(super) fn type_key(&mut self, conn: &Connection, name: &TaskType) -> Result<Option<u64>, StoreError> {
        if let Some(key) = self.types.get(name) {
            return Ok(Some(*key));
        }
        let key = type_row::key_of(conn, name)?;
        if let Some(key) = key {
            self.types.insert(name.clone(), key);
        }
        Ok(key)
    }

    /// The key of a type that the event at this position names.
    pub(super) fn type_key_or_new(
        &mut self,
        conn: &Connection,
        name: &TaskType,
        position: u64,
    ) -> Result<u64, StoreError> {
        if let Some(key) = self.type_key(conn, name)? {
            return Ok(key);
        }
        type_row::add(conn, position, name.as_str())?;
        self.types.insert(name.clone(), position);
        Ok(position)
    }
}

impl Mark {
    fn of(head: &Head) -> Self {
        Self { position: head.position, hash: head.hash, epoch: head.epoch }
    }
}

/// The writer remembers at most so many tasks between transactions.
const TASKS_MAX: usize = 8_192;
/// The writer remembers at most so many types between transactions.
const TYPES_MAX: usize = 1_024;
