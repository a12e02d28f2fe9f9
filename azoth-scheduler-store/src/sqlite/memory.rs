//! What the writer remembers of the projection from one transaction to the next, and what it has yet to write.
//!
//! Valid only while the head row is as the writer left it; other processes, and the application's own connections,
//! write too. Nothing of a transaction that did not commit is kept.

use std::collections::hash_map::Entry as InMap;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use azoth_scheduler_core::id::{TaskId, TaskType, WorkerId};
use azoth_scheduler_core::state::TaskPhase;
use rusqlite::Connection;

use super::entry::Entry;
use super::head::Head;
use super::outlook::{Outlook, Turn};
use super::row_writer::{RowWriter, Updates};
use super::scopes::Scopes;
use super::task_row::{self, Cells};
use super::{type_row, wait_row, worker};
use crate::codec::Decoder;
use crate::error::StoreError;

/// Tasks and types by name.
#[derive(Debug, Default)]
pub(super) struct Memory {
    tasks: HashMap<TaskId, Box<Slot>>,
    /// None of the tasks has its turn later, or it is not known.
    last_turn: (i64, u64),
    unwritten: Vec<Unwritten>,
    /// Tasks whose rows this transaction has written.
    written: Vec<TaskId>,
    /// The rows of tasks that are unwritten, as they stand in their table.
    rows: Vec<Cells>,
    /// A task that was looked for in this transaction and is not there: whoever schedules it takes it next.
    absent: Option<TaskId>,
    /// Among the unwritten are some that wait for others, or did.
    has_unwritten_waits: bool,
    /// Whether any row says that a task waits for another one, where that is known.
    anybody_waits: Option<bool>,
    updates: Updates,
    types: HashMap<TaskType, u64>,
    pub(super) scopes: Scopes,
    pub(super) outlook: Outlook,
    /// Decodes the definitions of tasks that are read together, which have much in common.
    pub(super) decoder: Decoder,
    /// The head as this writer left it.
    left: Option<Head>,
    /// The engine's count of what other connections have committed, as it was last seen.
    others: Option<i64>,
    /// The workers that live, by whomever they were registered.
    living: Option<BTreeSet<WorkerId>>,
    /// Workers that were registered through this store, so that those of others can be told. Never forgotten.
    own_workers: BTreeSet<WorkerId>,
}

/// How a head compares with the one that was left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    /// It is the same.
    pub(super) known: bool,
    /// Somebody else wrote meanwhile.
    pub(super) moved: bool,
}

/// A task whose row is to be written.
#[derive(Debug)]
struct Unwritten {
    id: TaskId,
    /// Which of the rows is its one; `None` where there is none yet.
    row: Option<usize>,
}

/// A task. Empty for one that does not exist.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) entry: Option<Entry>,
    /// The bytes that its definition refers to, where they are few and were scheduled through this writer or read with others.
    payload: Option<Arc<[u8]>>,
    /// Rows say that it waits for others.
    has_waits: bool,
    /// Its row is to be written.
    is_unwritten: bool,
    /// Which of the rows is its one, while it is taken out and its row is as the task was.
    row: Option<usize>,
}

impl Memory {
    /// The head. It is not read where no other connection has committed anything since this one left it.
    pub(super) fn head(&mut self, conn: &Connection) -> Result<Head, StoreError> {
        let others = conn.prepare_cached(COMMITS_OF_OTHERS)?.query_row([], |row| row.get(0))?;
        if self.others.replace(others) == Some(others)
            && let Some(head) = &self.left
        {
            return Ok(head.clone());
        }
        self.living = None;
        Head::read(conn)
    }

    /// Forgets everything unless the head is where this writer left it.
    pub(super) fn check(&mut self, head: &Head) -> Check {
        assert!(
            self.unwritten.is_empty(),
            "a transaction's rows are written or forgotten before the next one"
        );
        let same =
            |left: &Head| (left.position, left.hash, left.epoch) == (head.position, head.hash, head.epoch);
        let known = self.left.as_ref().is_some_and(same);
        let moved = self.left.is_some() && !known;
        if !known {
            let others = self.others;
            self.forget();
            self.others = others;
        }
        Check { known, moved }
    }

    /// The transaction is committed and left the head like this.
    pub(super) fn keep(&mut self, head: &Head) {
        assert!(self.unwritten.is_empty(), "a transaction writes all its rows before it commits");
        self.let_go();
        if self.types.len() > TYPES_MAX {
            self.types.clear();
        }
        self.absent = None;
        // They may have been the last ones.
        self.anybody_waits = self.anybody_waits.filter(|any| !any);
        self.scopes.trim();
        self.left = Some(head.clone());
    }

    /// What has ended is not asked for any more. Where there are too many, those go whose turn is after that of all others.
    fn let_go(&mut self) {
        for id in self.written.drain(..) {
            let is_full = self.tasks.len() > TASKS_MAX;
            let InMap::Occupied(slot) = self.tasks.entry(id) else { continue };
            let Some(turn) = slot.get().turn() else {
                slot.remove();
                continue;
            };
            if !is_full {
                self.last_turn = self.last_turn.max(turn);
            } else if turn >= self.last_turn {
                slot.remove();
            }
        }
        if self.tasks.len() > TASKS_MAX + SOONER_MAX {
            self.keep_the_first();
        }
    }

    /// Keeps as many as may stay, those whose turn comes first.
    fn keep_the_first(&mut self) {
        let turn = |slot: &Slot| slot.turn().unwrap_or((i64::MAX, u64::MAX));
        let mut turns: Vec<(i64, u64)> = self.tasks.values().map(|slot| turn(slot)).collect();
        let (_, last, _) = turns.select_nth_unstable(TASKS_MAX);
        self.last_turn = *last;
        let last_turn = self.last_turn;
        self.tasks.retain(|_, slot| turn(slot) < last_turn);
    }

    /// The transaction came to nothing, or another connection is used from here on.
    pub(super) fn forget(&mut self) {
        self.tasks.clear();
        self.last_turn = (i64::MIN, 0);
        self.unwritten.clear();
        self.written.clear();
        self.rows.clear();
        self.absent = None;
        self.has_unwritten_waits = false;
        self.anybody_waits = None;
        self.types.clear();
        self.scopes.forget();
        self.outlook.forget();
        (self.left, self.others, self.living) = (None, None, None);
    }

    /// Whether a worker is registered and has not ended.
    pub(super) fn lives(&mut self, conn: &Connection, worker: WorkerId) -> Result<bool, StoreError> {
        Ok(self.living(conn)?.contains(&worker))
    }

    /// Whether a worker lives that was not registered through this store.
    pub(super) fn others_live(&mut self, conn: &Connection) -> Result<bool, StoreError> {
        let own = self.own_workers.len();
        Ok(self.living(conn)?.len() > own)
    }

    fn living(&mut self, conn: &Connection) -> Result<&BTreeSet<WorkerId>, StoreError> {
        let living = match self.living.take() {
            Some(living) => living,
            None => worker::living(conn)?,
        };
        Ok(self.living.insert(living))
    }

    /// A worker was registered through this store.
    pub(super) fn came(&mut self, worker: WorkerId) {
        self.own_workers.insert(worker);
        self.living = None;
    }

    /// A worker has ended.
    pub(super) fn went(&mut self, worker: WorkerId) {
        self.own_workers.remove(&worker);
        self.living = None;
    }

    /// Sees to it that a task is in memory, by the key of its row. Whether it had to be read.
    pub(super) fn bring(&mut self, conn: &Connection, id: &TaskId, key: u64) -> Result<bool, StoreError> {
        if self.remembers(id) {
            return Ok(false);
        }
        if let Some(entry) = task_row::by_key(conn, key)? {
            self.put_back(Slot::of(entry));
        }
        Ok(true)
    }

    /// Whether a task is in memory.
    pub(super) fn remembers(&self, id: &TaskId) -> bool {
        self.tasks.contains_key(id)
    }

    /// Takes in a task that was read with others, and the bytes that its definition refers to where they were read too.
    pub(super) fn bring_read(&mut self, entry: Entry, bytes: Option<Arc<[u8]>>) {
        let mut slot = Slot::of(entry);
        slot.remember_read(bytes);
        self.put_back(slot);
    }

    /// A task, from memory or from its row.
    pub(super) fn task(&mut self, conn: &Connection, id: &TaskId) -> Result<Option<&Entry>, StoreError> {
        let slot = match self.tasks.entry(id.clone()) {
            InMap::Occupied(slot) => slot.into_mut(),
            InMap::Vacant(place) => {
                let slot = Slot::read(conn, id)?;
                if slot.entry.is_none() {
                    self.absent = Some(id.clone());
                    return Ok(None);
                }
                place.insert(slot)
            }
        };
        Ok(slot.entry.as_ref())
    }

    /// A task that is in memory, and the bytes that its definition refers to, where they are too.
    pub(super) fn remembered(&self, id: &TaskId) -> Option<(&Entry, Option<&Arc<[u8]>>)> {
        let slot = self.tasks.get(id)?;
        slot.entry.as_ref().map(|entry| (entry, slot.payload.as_ref()))
    }

    /// Takes a task out, to decide about it. It is either [`put`](Self::put) back changed or [`put_back`](Self::put_back)
    /// as it is.
    pub(super) fn take(&mut self, conn: &Connection, id: &TaskId) -> Result<Box<Slot>, StoreError> {
        let mut slot = match self.tasks.remove(id) {
            Some(slot) => slot,
            None if self.absent.take().as_ref() == Some(id) => Box::default(),
            None => Slot::read(conn, id)?,
        };
        slot.row = None;
        if let Some(entry) = &slot.entry {
            self.scopes.touch(&entry.state.definition);
            if !slot.is_unwritten {
                slot.row = Some(self.rows.len());
                self.rows.push(Cells::of(entry));
            }
        }
        Ok(slot)
    }

    /// Puts a task back that did not change.
    pub(super) fn put_back(&mut self, slot: Box<Slot>) {
        if let Some(entry) = &slot.entry {
            self.tasks.insert(entry.state.id.clone(), slot);
        }
    }

    /// Puts a changed task back; its row is written by [`flush`](Self::flush).
    pub(super) fn put(&mut self, mut slot: Box<Slot>) {
        let Some(entry) = &slot.entry else { return };
        self.scopes.touch(&entry.state.definition);
        let id = entry.state.id.clone();
        let waits = !entry.state.waits_for.is_empty();
        self.has_unwritten_waits |= slot.has_waits || waits;
        if waits {
            self.anybody_waits = Some(true);
        }
        if !slot.is_unwritten {
            self.unwritten.push(Unwritten { id: id.clone(), row: slot.row.take() });
            slot.is_unwritten = true;
        }
        let before = self.tasks.insert(id, slot);
        debug_assert!(before.is_none(), "a task that is put back was taken out");
    }

    /// These tasks are gone; their rows were written before.
    pub(super) fn leave(&mut self, ids: &[TaskId]) {
        for id in ids {
            let slot = self.tasks.remove(id);
            debug_assert!(slot.is_none_or(|slot| !slot.is_unwritten), "what leaves was written");
        }
    }

    /// Writes the rows of all tasks that changed: of each what is not in its row yet.
    pub(super) fn flush(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let mut rows = RowWriter::new(conn, &mut self.updates);
        for Unwritten { id, row } in self.unwritten.drain(..) {
            let Some(slot) = self.tasks.get_mut(&id) else { continue };
            let Some(entry) = &slot.entry else { continue };
            let (before, after) = (row.and_then(|row| self.rows.get(row)), Cells::of(entry));
            self.outlook.wrote(before, &after);
            rows.write(before, after)?;
            let waits = !entry.state.waits_for.is_empty();
            if slot.has_waits || waits {
                wait_row::write(conn, entry)?;
            }
            slot.has_waits = waits;
            slot.is_unwritten = false;
            self.written.push(id);
        }
        self.rows.clear();
        self.has_unwritten_waits = false;
        if self.scopes.flush(conn)? {
            self.outlook.forget();
        }
        Ok(())
    }

    /// The tasks that are new in this transaction and stand in no row yet, if nothing else is unwritten and they are few: those
    /// of them that can be claimed, now or later.
    pub(super) fn fresh(&self) -> Option<Vec<(Turn, u64, &TaskId)>> {
        if self.unwritten.len() > FRESH_MAX || self.scopes.is_unwritten() {
            return None;
        }
        let mut fresh = Vec::new();
        for Unwritten { id, row } in &self.unwritten {
            let entry = self.tasks.get(id)?.entry.as_ref()?;
            if row.is_some() {
                return None;
            }
            let cells = Cells::of(entry);
            if cells.paused_until.is_some() {
                return None;
            }
            fresh.extend(Turn::of(&cells).map(|turn| (turn, entry.key, id)));
        }
        Some(fresh)
    }

    /// Those that wait for a task, the oldest first. Where nobody waits for anything, that is known without asking.
    pub(super) fn waiters(
        &mut self,
        conn: &Connection,
        dependency: &TaskId,
    ) -> Result<Vec<TaskId>, StoreError> {
        if self.has_unwritten_waits {
            self.flush(conn)?;
        }
        let any = match self.anybody_waits {
            Some(any) => any,
            None => wait_row::are_any(conn)?,
        };
        self.anybody_waits = Some(any);
        if any { wait_row::waiters(conn, dependency) } else { Ok(Vec::new()) }
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

impl Slot {
    fn read(conn: &Connection, id: &TaskId) -> Result<Box<Self>, StoreError> {
        Ok(task_row::by_id(conn, id)?.map_or_else(Box::default, Self::of))
    }

    fn of(entry: Entry) -> Box<Self> {
        let has_waits = !entry.state.waits_for.is_empty();
        Box::new(Self { entry: Some(entry), payload: None, has_waits, is_unwritten: false, row: None })
    }

    /// When the task will be asked for, and among those of one instant the oldest first: what runs at any moment, what waits
    /// when it is due. `None` for one that has ended.
    fn turn(&self) -> Option<(i64, u64)> {
        let entry = self.entry.as_ref()?;
        let at = match &entry.state.phase {
            TaskPhase::Running(_) => i64::MIN,
            TaskPhase::Waiting(work) => work.run_at.unix_ms(),
            TaskPhase::Blocked(_) | TaskPhase::Paused { .. } => i64::MAX,
            TaskPhase::Finished { .. } | TaskPhase::Disabled { .. } | TaskPhase::Cancelled { .. } => {
                return None;
            }
        };
        Some((at, entry.key))
    }

    /// The task was defined with these bytes.
    pub(super) fn remember(&mut self, bytes: Option<&Arc<[u8]>>) {
        self.payload = bytes.filter(|bytes| bytes.len() <= PAYLOAD_BYTES_MAX).cloned();
    }

    /// These bytes stand where its definition refers to; others than those are not taken for them.
    fn remember_read(&mut self, bytes: Option<Arc<[u8]>>) {
        let expected = self.entry.as_ref().map(|entry| entry.state.definition.payload.bytes);
        self.payload = bytes.filter(|bytes| Some(bytes.len() as u64) == expected);
    }
}

/// Never moves by what this connection commits itself.
const COMMITS_OF_OTHERS: &str = "PRAGMA data_version";
/// So many new tasks are claimed without a row; where there are more, all get theirs first.
const FRESH_MAX: usize = 64;
/// The writer remembers no more tasks than this that wait.
const TASKS_MAX: usize = 8_192;
/// And no more of those that run, of those that were read and did not change, and of those that came later and are due sooner.
const SOONER_MAX: usize = 2_048;
/// And of their payloads none that has more bytes.
pub(super) const PAYLOAD_BYTES_MAX: usize = 256;
/// The writer remembers at most so many types between transactions.
const TYPES_MAX: usize = 1_024;
