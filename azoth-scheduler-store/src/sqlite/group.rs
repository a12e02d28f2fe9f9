//! What happens inside one write transaction: commands are decided, their events folded and appended. Nothing here begins
//! or ends a transaction, so it works in anybody's.

use std::collections::BTreeMap;

use azoth_scheduler_core::carry_out::{Ground, carry_out};
use azoth_scheduler_core::command::{ScopeCommand, TaskCommand};
use azoth_scheduler_core::decide::{Answer, Decision};
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::{IdempotencyKey, TaskId};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::retention::LogState;
use azoth_scheduler_core::scope;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::time::Timestamp;
use rusqlite::Connection;

use super::cell;
use super::chain;
use super::entry::{Entry, Place};
use super::head::Head;
use super::log::{self, LogRow};
use super::log_row::{self, LogEntry};
use super::memory::{Check, Memory, Slot};
use super::scope_row::ScopeEntry;
use super::task_row;
use crate::codec::{self, EventKind};
use crate::error::StoreError;
use crate::touched::leaving;

/// A write transaction that others share.
pub(super) struct Group<'a> {
    conn: &'a Connection,
    memory: &'a mut Memory,
    head: Head,
    pending: Vec<LogRow>,
    /// Bytes that events refer to, each with the position of its event, that stand in no table yet.
    payloads: Vec<(u64, Payload)>,
    found: Head,
    moved: bool,
    opened: Opened,
    /// The tasks to which something happened, where somebody wants to know.
    touched: Option<Vec<TaskId>>,
}

/// What a transaction gives to be claimed.
#[derive(Debug)]
pub(super) struct Opened {
    /// The earliest `run_at` among the tasks that it made to wait, by the key of their type.
    pub(super) waiting: BTreeMap<u64, Timestamp>,
    /// The latest instant at which one of them was decided.
    pub(super) now: Option<Timestamp>,
    /// Nothing else happened that may let a task be claimed.
    pub(super) by_scheduling_alone: bool,
}

impl<'a> Group<'a> {
    /// Goes on from the head that was read in this transaction.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the head is not that of the log: nothing is written on top of damage.
    pub(super) fn new(conn: &'a Connection, memory: &'a mut Memory, head: Head) -> Result<Self, StoreError> {
        debug_assert!(!conn.is_autocommit(), "a group runs inside a transaction");
        let Check { known, moved } = memory.check(&head);
        if !known {
            head.check_log(conn)?;
        }
        let opened = Opened { waiting: BTreeMap::new(), now: None, by_scheduling_alone: true };
        let (pending, payloads) = (Vec::new(), Vec::new());
        let (found, touched) = (head.clone(), None);
        Ok(Self { conn, memory, found, head, pending, payloads, moved, opened, touched })
    }

    /// Notes from now on which tasks are touched.
    pub(super) fn note_touched(&mut self) {
        self.touched.get_or_insert_default();
    }

    /// The tasks that were touched, if that was noted.
    pub(super) fn take_touched(&mut self) -> Option<Vec<TaskId>> {
        self.touched.take()
    }

    /// Decides one command and records what it comes to, for its task and for others.
    pub(super) fn command(
        &mut self,
        command: &TaskCommand,
        now: Timestamp,
    ) -> Result<Result<Answer, Rejection>, StoreError> {
        carry_out(self, command, now)
    }

    /// Decides one command about a scope and records what it comes to.
    pub(super) fn scope_command(
        &mut self,
        command: &ScopeCommand,
        now: Timestamp,
    ) -> Result<Result<Answer, Rejection>, StoreError> {
        let mut entry = self.memory.scopes.get(self.conn, &command.scope)?.cloned();
        let state = entry.as_ref().map(|entry| &entry.state);
        let Decision { events, answer } = match scope::decide(state, command, now) {
            Ok(decision) => decision,
            Err(rejection) => return Ok(Err(rejection)),
        };
        for event in &events {
            let previous = entry.as_ref().map(|entry| entry.last);
            let position = self.head.position.saturating_add(1);
            let after = ScopeEntry::after(entry, event, position, now)
                .map_err(|error| cell::corrupt(format!("a decision that cannot follow: {error}")))?;
            self.push(event, after.key, previous, now)?;
            self.memory.scopes.put(after.clone());
            entry = Some(after);
        }
        Ok(Ok(answer))
    }

    /// A task as it stands.
    pub(super) fn state(&mut self, id: &TaskId) -> Result<Option<TaskState>, StoreError> {
        Ok(self.memory.task(self.conn, id)?.map(|entry| entry.state.clone()))
    }

    /// Records an event that happens to the log itself. One append to the chain.
    pub(super) fn happens_to_the_log(
        &mut self,
        event: &Event,
        now: Timestamp,
    ) -> Result<LogState, StoreError> {
        self.settle()?;
        let before = LogEntry::read(self.conn)?;
        let position = self.head.position.saturating_add(1);
        let entry = LogEntry::after(before, event, position)
            .map_err(|error| cell::corrupt(format!("a decision that cannot follow: {error}")))?;
        if let Event::TasksForgotten { horizon, tasks } = event {
            log_row::forget(self.conn, *horizon, tasks)?.map_err(cell::corrupt)?;
            self.memory.leave(tasks);
        }
        if let Some(touched) = &mut self.touched {
            touched.extend_from_slice(leaving(event));
        }
        entry.write(self.conn)?;
        self.push(event, entry.key, before.map(|before| before.last), now)?;
        self.append()?;
        Ok(entry.state)
    }

    /// Whether something happened to others than this task since a position of this transaction.
    pub(super) fn told_others(&self, since: u64, key: u64) -> bool {
        let newest = self.pending.iter().rev().take_while(|row| row.position > since);
        newest.into_iter().any(|row| row.subject != key)
    }

    /// Makes ready for another job: it finds all that those before it have recorded.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        self.append()?;
        self.flush()
    }

    /// Writes the rows of all tasks that changed so far, and the bytes that they were given, so that queries see them.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        self.flush_payloads()?;
        self.memory.flush(self.conn)
    }

    /// Whether tasks were given bytes that queries do not see yet.
    pub(super) fn holds_payloads(&self) -> bool {
        !self.payloads.is_empty()
    }

    /// Writes the bytes that tasks were given so far, so that queries see them.
    pub(super) fn flush_payloads(&mut self) -> Result<(), StoreError> {
        let payloads = self.payloads.iter().map(|(position, payload)| (*position, &payload.bytes()[..]));
        log::put_payloads(self.conn, payloads)?;
        self.payloads.clear();
        Ok(())
    }

    /// Ends the group: the head row is written where it moved. Gives it back for the one who commits.
    pub(super) fn finish(mut self) -> Result<Head, StoreError> {
        self.settle()?;
        if self.head != self.found {
            assert!(self.head.position >= self.found.position, "the log only grows");
            self.head.write(self.conn)?;
        }
        Ok(self.head)
    }

    /// So many events were recorded so far.
    pub(super) fn events(&self) -> u64 {
        self.head.position.saturating_sub(self.found.position)
    }

    /// Whether somebody else wrote since this writer's last transaction.
    pub(super) fn others_wrote(&self) -> bool {
        self.moved
    }

    /// What can be claimed because of this transaction.
    pub(super) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Where the log ended when the transaction began.
    pub(super) fn began_at(&self) -> u64 {
        self.found.position
    }

    pub(super) fn conn(&self) -> &'a Connection {
        self.conn
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn memory(&mut self) -> &mut Memory {
        self.memory
    }

    /// Counts a claim that an offer has brought.
    pub(super) fn count_claim(&mut self) {
        self.head.claims = self.head.claims.saturating_add(1);
    }

    /// Gives an event its place behind the head, and folds it into its task.
    fn fold(
        &mut self,
        entry: Option<Entry>,
        event: &Event,
        payload: Option<&Payload>,
        now: Timestamp,
    ) -> Result<Entry, StoreError> {
        let position = self.head.position.saturating_add(1);
        let type_key = if let Event::TaskScheduled { definition, .. } = event {
            self.memory.type_key_or_new(self.conn, &definition.task_type, position)?
        } else {
            0
        };
        let previous = entry.as_ref().map(|entry| entry.last);
        let entry = Entry::after(entry, event, Place { position, at: now, type_key })
            .map_err(|error| cell::corrupt(format!("a decision that cannot follow: {error}")))?;
        self.keep_payload(event, payload, position)?;
        self.push(event, entry.key, previous, now)?;
        if let Event::ExecutionStarted { .. } = event {
            self.memory.scopes.spend(self.conn, &entry.state.definition, now)?;
        }
        Ok(entry)
    }

    /// Keeps the bytes that an event refers to. They come from the command, and are those of the event's digest.
    fn keep_payload(
        &mut self,
        event: &Event,
        payload: Option<&Payload>,
        position: u64,
    ) -> Result<(), StoreError> {
        let Some(digest) = event.payload() else { return Ok(()) };
        let payload = payload.ok_or_else(|| cell::corrupt("an event without the bytes that it refers to"))?;
        assert_eq!(payload.digest(), digest, "an event refers to the bytes of its command");
        self.payloads.push((position, payload.clone()));
        Ok(())
    }

    fn push(
        &mut self,
        event: &Event,
        subject: u64,
        previous: Option<u64>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut record = Vec::with_capacity(RECORD_BYTES_USUAL);
        self.opened.by_scheduling_alone &= only_schedules(event);
        codec::encode(event, &mut record).map_err(codec::CodecError::writing)?;
        self.head.position = self.head.position.saturating_add(1);
        self.head.ordered_at = self.head.ordered_at.max(at);
        self.pending.push(LogRow {
            position: self.head.position,
            at,
            ordered_at: self.head.ordered_at,
            subject,
            previous,
            kind: EventKind::of(event).code(),
            record,
            link: None,
        });
        Ok(())
    }

    /// Appends what is pending, unless it is a single event: that and what comes of it share a link.
    pub(super) fn append_unless_single(&mut self) -> Result<(), StoreError> {
        if self.pending.len() > 1 { self.append() } else { Ok(()) }
    }

    /// Appends what is pending under one link of the chain.
    pub(super) fn append(&mut self) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let link = chain::link(&self.head.hash, &self.head.database, &self.pending);
        if let Some(last) = self.pending.last_mut() {
            last.link = Some(link);
        }
        log::append(self.conn, &self.pending)?;
        self.pending.clear();
        self.head.hash = link;
        Ok(())
    }
}

/// Whether an event lets no other task be claimed than its own. After all others a worker looks itself.
fn only_schedules(event: &Event) -> bool {
    matches!(
        event,
        Event::TaskScheduled { .. }
            | Event::ExecutionStarted { .. }
            | Event::OccurrencesPassed { .. }
            | Event::ProgressReported { .. }
            | Event::CheckpointSaved { .. }
    )
}

impl Ground for Group<'_> {
    type Error = StoreError;

    fn task(&mut self, id: &TaskId) -> Result<Option<&TaskState>, StoreError> {
        Ok(self.memory.task(self.conn, id)?.map(|entry| &entry.state))
    }

    fn newest_with_key(&mut self, key: &IdempotencyKey) -> Result<Option<TaskState>, StoreError> {
        self.flush()?;
        let Some(task) = task_row::newest_with_key(self.conn, key)? else { return Ok(None) };
        Ok(self.task(&task)?.cloned())
    }

    fn waiters(&mut self, dependency: &TaskId) -> Result<Vec<TaskId>, StoreError> {
        self.memory.waiters(self.conn, dependency)
    }

    fn record(
        &mut self,
        task: &TaskId,
        events: Vec<Event>,
        payload: Option<&Payload>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(touched) = &mut self.touched {
            touched.push(task.clone());
        }
        let mut slot = self.memory.take(self.conn, task)?;
        let has_key = |slot: &Slot| {
            slot.entry.as_ref().is_some_and(|entry| entry.state.definition.concurrency_key.is_some())
        };
        let had_key = has_key(&slot);
        for event in &events {
            slot.entry = Some(self.fold(slot.entry, event, payload, now)?);
        }
        if events.iter().any(|event| matches!(event, Event::TaskScheduled { .. })) {
            slot.remember(payload.map(Payload::bytes));
        }
        if slot.entry.as_ref().is_some_and(|entry| entry.state.id != *task) {
            return Err(cell::corrupt("events of another task"));
        }
        // Others of its key may be claimed now.
        let starts = events.iter().all(|event| {
            matches!(
                event,
                Event::ExecutionStarted { .. }
                    | Event::ProgressReported { .. }
                    | Event::CheckpointSaved { .. }
            )
        });
        self.opened.by_scheduling_alone &= starts || !(had_key || has_key(&slot));
        if let Some((entry, work)) =
            slot.entry.as_ref().and_then(|entry| Some((entry, entry.state.waiting()?)))
        {
            let earliest = self.opened.waiting.entry(entry.type_key).or_insert(work.run_at);
            *earliest = work.run_at.min(*earliest);
            self.opened.now = self.opened.now.max(Some(now));
        }
        self.memory.put(slot);
        Ok(())
    }
}

/// Most records are not larger.
const RECORD_BYTES_USUAL: usize = 192;
