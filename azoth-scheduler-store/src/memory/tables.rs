//! The log, and the transaction that appends to it.

use std::collections::BTreeMap;

use azoth_scheduler_core::carry_out::{Ground, carry_out};
use azoth_scheduler_core::command::{Command, ScopeCommand, TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::evolve::OutOfOrder;
use azoth_scheduler_core::id::{ConsumerName, IdempotencyKey, TaskId, WorkerId};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::scope;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::time::Timestamp;

use super::parties::{Consumer, Worker};
use super::projection::Projection;
use crate::codec::{self, EventKind};
use crate::error::StoreError;
use crate::record::{LogPosition, RecordedEvent, RecordedPayload, Subject};
use crate::report::{ConsumerLag, StoreStats, UnhandledType};
use crate::store::{Applied, Batch, EVENTS_PAGE_MAX};
use crate::touched;

/// All that a store holds. `projection` follows from `log`; workers and consumers do not, and survive a rebuild.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// The event at position n stands at index n - 1.
    pub(super) log: Vec<RecordedEvent>,
    /// The last event of each transaction, in order.
    pub(super) ends: Vec<LogPosition>,
    pub(super) projection: Projection,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) consumers: BTreeMap<ConsumerName, Consumer>,
    /// How many claims were made so far, for whose turn it is.
    pub(super) claim_turn: u64,
    commits: u64,
    /// Events of the largest commit.
    largest_commit: u64,
}

impl Tables {
    /// One transaction: all of it, or nothing.
    pub(super) fn apply(&mut self, batch: &Batch) -> Result<Applied, StoreError> {
        batch.check()?;
        let before = self.log.len();
        let applied = self.apply_all(batch);
        if applied.is_err() {
            self.undo_to(before);
        } else if self.log.len() > before {
            self.commits = self.commits.saturating_add(1);
            let events = self.log.len().saturating_sub(before) as u64;
            self.largest_commit = self.largest_commit.max(events);
        }
        applied
    }

    /// Forgets all events but so many.
    pub(super) fn undo_to(&mut self, events: usize) {
        self.log.truncate(events);
        match Projection::replay(&self.log) {
            Ok(projection) => self.projection = projection,
            Err((position, error)) => unreachable!("event {position} was folded before: {error}"),
        }
    }

    fn apply_all(&mut self, batch: &Batch) -> Result<Applied, StoreError> {
        let mut answers = Vec::with_capacity(batch.commands.len());
        for command in &batch.commands {
            answers.push(match command {
                Command::Task(command) => self.asked(command, batch.now)?,
                Command::Scope(command) => self.scope_command(command, batch.now)?,
            });
        }
        let claims = batch.offer.as_ref().map(|offer| self.claim(offer, batch.now)).transpose()?;
        Ok(Applied { answers, claims })
    }

    /// What somebody asks for: a claim of his own is held back as others are.
    fn asked(
        &mut self,
        command: &TaskCommand,
        now: Timestamp,
    ) -> Result<Result<Answer, Rejection>, StoreError> {
        if matches!(command.wish, Wish::Claim { .. }) && self.holds_back(&command.task, now) {
            return Ok(Err(Rejection::HeldBack { task: command.task.clone(), now }));
        }
        self.command(command, now)
    }

    /// Decides a command and appends what it comes to.
    pub(super) fn command(
        &mut self,
        command: &TaskCommand,
        now: Timestamp,
    ) -> Result<Result<Answer, Rejection>, StoreError> {
        carry_out(self, command, now)
    }

    /// Decides a command about a scope and appends what it comes to.
    pub(super) fn scope_command(
        &mut self,
        command: &ScopeCommand,
        now: Timestamp,
    ) -> Result<Result<Answer, Rejection>, StoreError> {
        let decision = match scope::decide(self.projection.scopes.get(&command.scope), command, now) {
            Ok(decision) => decision,
            Err(rejection) => return Ok(Err(rejection)),
        };
        for event in decision.events {
            self.append(Subject::Scope(command.scope.clone()), event, RecordedPayload::Absent, now)?;
        }
        Ok(Ok(decision.answer))
    }

    pub(super) fn append(
        &mut self,
        subject: Subject,
        event: Event,
        payload: RecordedPayload,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        assert_fits(&event)?;
        let recorded = RecordedEvent {
            position: LogPosition::from_number(self.head().number().saturating_add(1)),
            at: now,
            ordered_at: self.log.last().map_or(now, |last| last.ordered_at.max(now)),
            subject,
            payload,
            event,
        };
        self.projection.apply(&recorded).map_err(|error| damaged(&error))?;
        self.log.push(recorded);
        Ok(())
    }

    /// What is appended from now on belongs to another transaction.
    pub(super) fn end_transaction(&mut self) {
        let head = self.head();
        if self.ends.last().is_none_or(|end| *end < head) && head > LogPosition::START {
            self.ends.push(head);
        }
    }

    /// The position of the newest event.
    pub(super) fn head(&self) -> LogPosition {
        LogPosition::from_number(self.log.len() as u64)
    }

    pub(super) fn events(&self, after: LogPosition, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let limit = limit.min(EVENTS_PAGE_MAX);
        if limit > 0 {
            self.holds_behind(after)?;
        }
        let before = usize::try_from(after.number()).unwrap_or(usize::MAX);
        Ok(self.log.iter().skip(before).take(limit).cloned().collect())
    }

    pub(super) fn history(
        &self,
        task: &TaskId,
        before: Option<LogPosition>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let positions = self.projection.row(task).map_or(&[][..], |row| &row.positions);
        let asked = before.map_or(positions.len(), |before| positions.partition_point(|own| *own < before));
        let cut = positions.partition_point(|own| *own <= self.cut_through());
        let limit = limit.min(EVENTS_PAGE_MAX);
        // What is there is given; whoever asks for more is told.
        if let (true, Some(last)) = (asked <= cut && limit > 0, asked.checked_sub(1)) {
            let before = positions.get(last).map_or(0, |position| position.number().saturating_sub(1));
            self.holds_behind(LogPosition::from_number(before))?;
        }
        let readable = positions.get(cut..asked.max(cut)).unwrap_or_default().iter().rev();
        Ok(readable.take(limit).filter_map(|position| self.event(*position)).cloned().collect())
    }

    /// The tasks to which something happened behind a position.
    pub(super) fn touched_since(&self, before: LogPosition) -> Vec<TaskId> {
        let skipped = usize::try_from(before.number()).unwrap_or(usize::MAX);
        let mut tasks = Vec::new();
        for recorded in self.log.iter().skip(skipped) {
            match &recorded.subject {
                Subject::Task(task) => tasks.push(task.clone()),
                Subject::Log => tasks.extend_from_slice(touched::leaving(&recorded.event)),
                Subject::Scope(_) => {}
            }
        }
        tasks
    }

    fn event(&self, position: LogPosition) -> Option<&RecordedEvent> {
        let index = position.number().checked_sub(1)?;
        self.log.get(usize::try_from(index).ok()?)
    }

    pub(super) fn stats(&self, now: Timestamp) -> Result<StoreStats, StoreError> {
        let head = self.head();
        let lag = |(name, consumer): (&ConsumerName, &Consumer)| ConsumerLag {
            consumer: name.clone(),
            cursor: consumer.cursor,
            events_behind: head.number().saturating_sub(consumer.cursor.number()),
            dead_letters: consumer.dead_letters.len() as u64,
        };
        let tasks = self.projection.indexes.counts();
        let unhandled = UnhandledType::all(&tasks, &self.handled(), |task_type| {
            let due = self.projection.indexes.due.earliest_of(task_type);
            Ok(due.filter(|due| *due <= now))
        })?;
        Ok(StoreStats {
            head,
            tasks,
            unhandled,
            oldest_due: self.projection.indexes.due.earliest().filter(|run_at| *run_at <= now),
            consumers: self.consumers.iter().map(lag).collect(),
            file_bytes: 0,
            wal_bytes: 0,
            engine: "memory".to_owned(),
            commits: self.commits,
            cut: self.cut_through(),
            largest_commit: self.largest_commit,
            events_committed: head.number(),
        })
    }
}

impl Ground for Tables {
    type Error = StoreError;

    fn task(&mut self, id: &TaskId) -> Result<Option<&TaskState>, StoreError> {
        Ok(self.projection.row(id).map(|row| &row.state))
    }

    fn newest_with_key(&mut self, key: &IdempotencyKey) -> Result<Option<TaskState>, StoreError> {
        let newest = self.projection.indexes.newest_with_key(key);
        Ok(newest.and_then(|key| self.projection.rows.get(&key)).map(|row| row.state.clone()))
    }

    fn waiters(&mut self, dependency: &TaskId) -> Result<Vec<TaskId>, StoreError> {
        let keys = self.projection.indexes.waiters(dependency);
        let rows = keys.filter_map(|key| self.projection.rows.get(&key));
        Ok(rows.map(|row| row.state.id.clone()).collect())
    }

    fn record(
        &mut self,
        task: &TaskId,
        events: Vec<Event>,
        payload: Option<&Payload>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        events.into_iter().try_for_each(|event| {
            let payload = payload_of(&event, payload);
            self.append(Subject::Task(task.clone()), event, payload, now)
        })
    }
}

/// Refuses what stores with records could not keep, and what they could not read back.
fn assert_fits(event: &Event) -> Result<(), StoreError> {
    let mut record = Vec::new();
    codec::encode(event, &mut record).map_err(codec::CodecError::writing)?;
    debug_assert_eq!(
        codec::decode(EventKind::of(event).code(), &record).as_ref(),
        Ok(event),
        "what is written can be read"
    );
    Ok(())
}

fn payload_of(event: &Event, payload: Option<&Payload>) -> RecordedPayload {
    let Some(digest) = event.payload() else {
        return RecordedPayload::Absent;
    };
    match payload {
        Some(payload) if payload.digest() == digest => RecordedPayload::Held(payload.bytes().clone()),
        other => unreachable!("the event refers to {digest:?}, its command holds {other:?}"),
    }
}

/// The error for an event that cannot follow the ones before it.
pub(super) fn damaged(error: &OutOfOrder) -> StoreError {
    StoreError::Corrupt { what: error.to_string() }
}
