//! Reading the whole log and comparing everything with it. Nothing is written but the scratch.
//!
//! The log is read in pages, each in a snapshot of its own, so that the write-ahead log of a busy file is not held up; only
//! the last few events and the projection are read in one snapshot. In memory are a page of the log, as many tasks as a
//! [`Fold`] remembers, and the ids of running executions.

use std::collections::HashMap;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::ExecutionId;
use azoth_scheduler_core::ledger::{Imbalance, Ledger};
use azoth_scheduler_core::payload::PayloadDigest;
use rusqlite::Connection;

use super::base::{self, Base};
use super::chain::{self, Hash};
use super::fold::{Fold, REPLAY_PAGE_EVENTS, Unfoldable};
use super::head::Head;
use super::log::{self, LogRow};
use super::open::Place;
use super::scratch::{Origin, Scratch};
use super::upkeep::{Hold, Upkeep};
use super::{cell, compare, consumer, readers, retain, schema, task_row};
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::report::{Finding, VerifyReport};

/// Verifies a file.
pub(super) fn verify(place: &Place) -> Result<VerifyReport, StoreError> {
    let _shared = Upkeep::take(place, Hold::Shared)?;
    verify_alone(place)
}

/// Verifies a file whose lock is held.
pub(super) fn verify_alone(place: &Place) -> Result<VerifyReport, StoreError> {
    let scratch = Scratch::open(place, Origin::ReadOnly)?;
    let (head, base) = scratch.within(|conn| Ok((Head::read(conn)?, Base::read(conn)?)))?;
    let mut check = Check::new(&head, base);
    check.payloads_dropped = check_dropped(place)?;
    for name in scratch.within(|conn| schema::altered(conn, "origin"))? {
        check.find(None, format!("{name} is missing or not as this version makes it"));
    }
    scratch.within(|conn| check.snapshot(conn))?;
    while scratch.within(|conn| check.far_behind(conn))? {
        scratch.within(|conn| check.page(conn).map(drop))?;
    }
    scratch.within(|conn| {
        let head = Head::read(conn)?;
        while check.is_open() && check.whole && check.page(conn)? {}
        check.last_append();
        check.cut();
        check.head(&head);
        if check.is_open() && check.whole {
            check.running(conn)?;
            check.payloads(conn)?;
            check.projection(conn)?;
            check.operations(conn, &head)?;
        }
        Ok(check.report(&head))
    })
}

/// How far payloads were dropped, as the projection says; nowhere where it cannot say.
fn check_dropped(place: &Place) -> Result<u64, StoreError> {
    let conn = readers::connect(place)?;
    readers::in_snapshot(&conn, |conn| Ok(retain::payloads_dropped(conn).unwrap_or(0)))
}

struct Check {
    database: [u8; 16],
    hash: Hash,
    position: u64,
    ordered_at: i64,
    append: Vec<LogRow>,
    fold: Fold,
    /// The task whose events are read, and its book.
    subject: u64,
    ledger: Ledger,
    running: HashMap<ExecutionId, u64>,
    /// Payloads up to here may be missing, as the projection says; that it is right is seen in the end.
    payloads_dropped: u64,
    base: Base,
    cut_is_recorded: bool,
    tasks: u64,
    findings: Vec<Finding>,
    /// The log was read to its end.
    whole: bool,
}

impl Check {
    fn new(head: &Head, base: Base) -> Self {
        Self {
            database: head.database,
            hash: base.hash,
            position: base.position,
            ordered_at: if base.position == 0 { i64::MIN } else { base.ordered_at.unix_ms() },
            append: Vec::new(),
            fold: Fold::default(),
            subject: 0,
            ledger: Ledger::default(),
            running: HashMap::new(),
            payloads_dropped: 0,
            base,
            cut_is_recorded: false,
            tasks: 0,
            findings: Vec::new(),
            whole: true,
        }
    }

    /// The log begins with what was cut: the snapshot of that is as it was made.
    fn snapshot(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let base = self.base;
        if base.position == 0 {
            return Ok(());
        }
        if base::digest(conn, "origin", "azoth_s_")? != base.snapshot {
            self.find(Some(base.position), "the snapshot of what was cut is not as it was made");
        }
        base.load(conn)?;
        let mut statement = conn.prepare("SELECT execution FROM main.azoth_p_tasks WHERE phase = 1")?;
        for running in statement.query_map([], |row| row.get(0))? {
            self.running.insert(cell::execution(running?), base.position);
        }
        Ok(())
    }

    /// Where the log begins is where an event says that it was cut.
    fn cut(&mut self) {
        if self.base.position > 0 && !self.cut_is_recorded && self.is_open() {
            self.find(
                Some(self.base.position),
                "no event says that the log was cut here, with this snapshot",
            );
        }
    }

    /// Whether there is more to read than the last snapshot should hold.
    fn far_behind(&self, conn: &Connection) -> Result<bool, StoreError> {
        let left = Head::read(conn)?.position.saturating_sub(self.position);
        Ok(self.is_open() && self.whole && left > REPLAY_PAGE_EVENTS as u64)
    }

    /// Checks the next page of the log; says whether there may be another one.
    fn page(&mut self, conn: &Connection) -> Result<bool, StoreError> {
        let page = log::raw_page(conn, self.position, REPLAY_PAGE_EVENTS)?;
        let more = page.len() == REPLAY_PAGE_EVENTS;
        for raw in page {
            let position = cell::number(raw.position(), "azoth_log.position")?;
            match raw.check() {
                Ok(row) => self.event(conn, row)?,
                Err(error) => {
                    // Nothing behind it can be held against the chain.
                    (self.position, self.whole) = (position, false);
                    self.find(Some(position), error.to_string());
                    return Ok(false);
                }
            }
        }
        self.fold.flush(conn)?;
        Ok(more)
    }

    fn last_append(&mut self) {
        self.book(0);
        if !self.append.is_empty() {
            self.find(Some(self.position), "no link of the chain ends the last append");
        }
    }

    fn event(&mut self, conn: &Connection, row: LogRow) -> Result<(), StoreError> {
        let position = row.position;
        let expected = self.position.saturating_add(1);
        if position != expected {
            self.find(
                Some(expected),
                format!("events {expected} to {} are missing", position.saturating_sub(1)),
            );
        }
        self.position = position;
        if row.ordered_at.unix_ms() != self.ordered_at.max(row.at.unix_ms()) {
            self.find(Some(position), "its ordered instant is not the greatest so far");
        }
        self.ordered_at = row.ordered_at.unix_ms();
        match row.event() {
            Err(error) => self.find(Some(position), error.to_string()),
            Ok(event) => {
                self.book(row.subject);
                match self.fold.add(conn, &row, &event) {
                    Ok(None) => {}
                    Ok(Some((before, after))) => {
                        let before = before.as_ref().map(|entry| &entry.state);
                        let entered = self.ledger.enter(position, row.at, before, &event, &after.state);
                        self.balance(entered);
                    }
                    Err(Unfoldable::Wrong(what)) => self.find(Some(position), what),
                    Err(Unfoldable::Failed(error)) => return Err(error),
                }
                if let Event::LogCut { through, hash, snapshot } = &event {
                    let base = &self.base;
                    self.cut_is_recorded |=
                        (*through, hash, snapshot) == (base.position, &base.hash, &base.snapshot);
                }
                self.execution(position, &event);
                self.payload(conn, position, event.payload())?;
            }
        }
        self.link(row);
        Ok(())
    }

    /// Opens the book of a task (I17). The events of a decision stand together, so one book at a time is enough.
    fn book(&mut self, subject: u64) {
        if self.subject != subject {
            self.subject = subject;
            let closed = std::mem::take(&mut self.ledger).close();
            self.balance(closed);
        }
    }

    fn balance(&mut self, entered: Result<(), Imbalance>) {
        if let Err(Imbalance { position, what }) = entered {
            self.find(Some(position), what);
        }
    }

    /// Each execution that starts has exactly one end.
    fn execution(&mut self, position: u64, event: &Event) {
        match event {
            Event::ExecutionStarted { execution, .. } => {
                if self.running.insert(*execution, position).is_some() {
                    self.find(Some(position), format!("execution {execution} starts a second time"));
                }
            }
            Event::TaskExecuted { execution, .. }
            | Event::ExecutionAbandoned { execution, .. }
            | Event::TaskCancelled { execution: Some(execution), .. } => {
                if self.running.remove(execution).is_none() {
                    self.find(Some(position), format!("execution {execution} ends and does not run"));
                }
            }
            Event::TaskCancelled { execution: None, .. }
            | Event::TaskScheduled { .. }
            | Event::TaskEventEmitted { .. }
            | Event::OccurrencesPassed { .. }
            | Event::TaskPaused { .. }
            | Event::TaskResumed { .. }
            | Event::TaskDisabled { .. }
            | Event::ClockCorrected { .. }
            | Event::LimitsChanged { .. }
            | Event::ScopePaused { .. }
            | Event::ScopeResumed { .. }
            | Event::TasksForgotten { .. }
            | Event::PayloadsDropped { .. }
            | Event::LogCut { .. }
            | Event::DependencyEnded { .. }
            | Event::ProgressReported { .. }
            | Event::CheckpointSaved { .. }
            | Event::RunRequested { .. }
            | Event::TaskRetried { .. } => {}
        }
    }

    /// Bytes that were dropped are no damage, other bytes are.
    fn payload(
        &mut self,
        conn: &Connection,
        position: u64,
        digest: Option<PayloadDigest>,
    ) -> Result<(), StoreError> {
        let bytes = log::payload(conn, position)?;
        match (digest, bytes) {
            (None, None) => {}
            (Some(digest), None) if digest.bytes == 0 || position <= self.payloads_dropped => {}
            (Some(_), None) => self.find(Some(position), "its payload is missing and was not dropped"),
            (None, Some(_)) => self.find(Some(position), "bytes are kept for an event that refers to none"),
            (Some(digest), Some(bytes)) if PayloadDigest::of(&bytes) == digest => {}
            (Some(_), Some(_)) => self.find(Some(position), "its payload is not the one that it refers to"),
        }
        Ok(())
    }

    fn link(&mut self, row: LogRow) {
        let (position, found) = (row.position, row.link);
        self.append.push(row);
        let Some(found) = found else { return };
        if chain::link(&self.hash, &self.database, &self.append) != found {
            let first = self.append.first().map_or(position, |row| row.position);
            self.find(
                Some(first),
                format!("events {first} to {position} do not match their link of the chain"),
            );
        }
        // The chain goes on from what stands there, so that one edit is one finding.
        self.hash = found;
        self.append.clear();
    }

    fn head(&mut self, head: &Head) {
        if head.position != self.position && self.is_open() {
            let what = format!("the head says that event {} is the newest", head.position);
            self.find(Some(self.position), what);
        } else if (head.hash != self.hash || head.ordered_at.unix_ms() < self.ordered_at) && self.is_open() {
            self.find(Some(self.position), "hash or instant of the head are not those of the newest event");
        }
    }

    /// What started and has no end is what its task says that it runs.
    fn running(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let sql = "SELECT execution FROM main.azoth_p_tasks INDEXED BY azoth_p_running WHERE phase = 1";
        let mut statement = conn.prepare(sql)?;
        for running in statement.query_map([], |row| row.get(0))? {
            self.running.remove(&cell::execution(running?));
        }
        for (execution, position) in std::mem::take(&mut self.running) {
            self.find(
                Some(position),
                format!("execution {execution} has no end, and its task does not run it"),
            );
        }
        Ok(())
    }

    fn payloads(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let sql = "SELECT max(position) FROM azoth_payloads";
        let newest: Option<i64> = conn.query_row(sql, [], |row| row.get(0))?;
        if newest.is_some_and(|newest| newest > cell::int(self.position)) {
            self.find(None, "bytes are kept for events that are not there");
        }
        let sql = "SELECT id, defined FROM main.azoth_p_tasks WHERE defined <= ?1
                   AND NOT EXISTS (SELECT 1 FROM azoth_payloads WHERE position = defined)
                   UNION ALL SELECT id, checkpoint FROM main.azoth_p_tasks WHERE checkpoint <= ?1
                   AND NOT EXISTS (SELECT 1 FROM azoth_payloads WHERE position = checkpoint)";
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query([cell::int(self.payloads_dropped.max(self.base.position))])?;
        while let Some(row) = rows.next()? {
            let (id, position): (String, i64) = (row.get(0)?, row.get(1)?);
            let position = cell::number(position, "azoth_p_tasks.defined or checkpoint")?;
            let digest = log::row_known_at(conn, position)?.event()?.payload();
            if digest.is_some_and(|digest| digest.bytes > 0) {
                self.find(
                    Some(position),
                    format!("the payload of task {id:?} is missing and it may need it"),
                );
            }
        }
        Ok(())
    }

    /// Every row of every derived table is what a replay makes of it.
    fn projection(&mut self, conn: &Connection) -> Result<(), StoreError> {
        self.tasks = task_row::count(conn)?;
        for object in schema::derived_tables() {
            // One that is not as it should be was found already.
            if schema::is_as_made(conn, "origin", object)? {
                let room = VerifyReport::FINDINGS_MAX.saturating_sub(self.findings.len());
                for what in compare::differences(conn, object.name, room)? {
                    self.find(None, what);
                }
            }
        }
        Ok(())
    }

    /// What operational tables say of the log can be so.
    fn operations(&mut self, conn: &Connection, head: &Head) -> Result<(), StoreError> {
        for what in consumer::unlawful(conn, head.position)? {
            self.find(None, what);
        }
        Ok(())
    }

    fn find(&mut self, position: Option<u64>, what: impl Into<String>) {
        if self.is_open() {
            let position = position.map(LogPosition::from_number);
            self.findings.push(Finding { position, what: what.into() });
        }
    }

    fn is_open(&self) -> bool {
        self.findings.len() < VerifyReport::FINDINGS_MAX
    }

    /// What shows in the projection alone comes behind what shows in the log.
    fn report(mut self, head: &Head) -> VerifyReport {
        self.findings.sort_by_key(|finding| (finding.position.is_none(), finding.position));
        VerifyReport {
            events: self.position.saturating_sub(self.base.position),
            tasks: self.tasks,
            head: LogPosition::from_number(head.position),
            head_hash: head.hash,
            findings: self.findings,
        }
    }
}
