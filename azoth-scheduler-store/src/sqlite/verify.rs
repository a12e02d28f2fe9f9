//! Reading the whole log and comparing everything with it. Nothing is written but the scratch.
//!
//! The log is read in pages, each in a snapshot of its own, so that the write-ahead log of a busy file is not held up; only
//! the last few events and the projection are read in one snapshot. In memory are a page of the log, as many tasks as a
//! [`Fold`] remembers, and the ids of running executions.

use std::collections::HashMap;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::ExecutionId;
use azoth_scheduler_core::ledger::{Imbalance, Ledger};
use rusqlite::Connection;

use super::fold::{Fold, Unfoldable};
use super::head::Head;
use super::log::{LogRow, row_known_at};
use super::log_check::{Findings, LogCheck};
use super::place::Place;
use super::scratch::Scratch;
use super::upkeep::{Upkeep, Work};
use super::{cell, compare, consumer, schema, task_row};
use crate::error::StoreError;
use crate::report::VerifyReport;

/// Verifies a file.
pub(super) fn verify(place: &Place) -> Result<VerifyReport, StoreError> {
    let _shared = Upkeep::take(place, Work::Verify)?;
    verify_alone(place)
}

/// Verifies a file whose lock is held.
pub(super) fn verify_alone(place: &Place) -> Result<VerifyReport, StoreError> {
    let mut verification = Verification::start(place)?;
    while verification.page()? {}
    verification.end()
}

/// A file that is being verified.
pub(super) struct Verification {
    scratch: Scratch,
    log: LogCheck,
    replay: Replay,
}

impl Verification {
    /// Before the first event that is there.
    pub(super) fn start(place: &Place) -> Result<Self, StoreError> {
        let scratch = Scratch::open(place)?;
        let mut log = LogCheck::start(scratch.conn(), "origin")?;
        log.findings.add_altered(scratch.within(|conn| schema::altered_beside(conn, "origin"))?);
        let replay = scratch.within(|conn| Replay::start(conn, &log))?;
        Ok(Self { scratch, log, replay })
    }

    /// The next page, unless what is left is for the last snapshot; says whether it was read.
    pub(super) fn page(&mut self) -> Result<bool, StoreError> {
        let Self { scratch, log, replay } = self;
        scratch.within(|conn| {
            let further = log.far_behind(conn)?;
            if further {
                replay.page(conn, log)?;
            }
            Ok(further)
        })
    }

    /// What is left, and everything that is made of the log, in the last snapshot.
    pub(super) fn end(self) -> Result<VerifyReport, StoreError> {
        let Self { scratch, mut log, mut replay } = self;
        scratch.within(|conn| {
            let head = Head::read(conn)?;
            while log.is_open() && replay.page(conn, &mut log)? {}
            replay.close_book(&mut log.findings);
            log.end(conn, &head);
            let tasks = if log.is_open() { replay.compare(conn, &head, &mut log)? } else { 0 };
            Ok(log.report(&head, tasks))
        })
    }
}

/// What the events of the log add up to, and what each must have found.
struct Replay {
    fold: Fold,
    /// The task whose events are read, and its book.
    subject: u64,
    ledger: Ledger,
    running: HashMap<ExecutionId, u64>,
}

impl Replay {
    /// Starts from what the log begins with.
    fn start(conn: &Connection, log: &LogCheck) -> Result<Self, StoreError> {
        log.base.load(conn)?;
        let mut already = HashMap::new();
        let mut statement = conn.prepare("SELECT execution FROM main.azoth_p_tasks WHERE phase = 1")?;
        for running in statement.query_map([], |row| row.get(0))? {
            already.insert(cell::execution(running?), log.base.position);
        }
        let (fold, ledger) = (Fold::start(conn)?, Ledger::default());
        Ok(Self { fold, subject: 0, ledger, running: already })
    }

    /// The next page of the log; says whether there may be another one.
    fn page(&mut self, conn: &Connection, log: &mut LogCheck) -> Result<bool, StoreError> {
        let more = log.page(conn, |row, event, findings| self.event(conn, row, event, findings))?;
        if self.fold.is_full() {
            self.fold.flush(conn)?;
        }
        Ok(more)
    }

    fn event(
        &mut self,
        conn: &Connection,
        row: &LogRow,
        event: &Event,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        let position = row.position;
        // The events of a decision stand together, so one book at a time is enough (I17).
        if self.subject != row.subject {
            self.subject = row.subject;
            self.close_book(findings);
        }
        match self.fold.add_and_tell(conn, row.stand(), event) {
            Ok(None) => {}
            Ok(Some((before, after))) => {
                let before = before.as_ref().map(|entry| &entry.state);
                let entered = self.ledger.enter(position, row.at, before, event, &after.state);
                balance(entered, findings);
            }
            Err(Unfoldable::Wrong(what)) => findings.add(Some(position), what),
            Err(Unfoldable::Failed(error)) => return Err(error),
        }
        self.execution(position, event, findings);
        Ok(())
    }

    fn close_book(&mut self, findings: &mut Findings) {
        balance(std::mem::take(&mut self.ledger).close(), findings);
    }

    /// Each execution that starts has exactly one end.
    fn execution(&mut self, position: u64, event: &Event, findings: &mut Findings) {
        match event {
            Event::ExecutionStarted { execution, .. } => {
                if self.running.insert(*execution, position).is_some() {
                    findings.add(Some(position), format!("execution {execution} starts a second time"));
                }
            }
            Event::TaskExecuted { execution, .. }
            | Event::ExecutionAbandoned { execution, .. }
            | Event::TaskCancelled { execution: Some(execution), .. } => {
                if self.running.remove(execution).is_none() {
                    findings.add(Some(position), format!("execution {execution} ends and does not run"));
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

    /// Compares all that is made of the log with what it should be. Gives how many tasks there are.
    fn compare(&mut self, conn: &Connection, head: &Head, log: &mut LogCheck) -> Result<u64, StoreError> {
        self.fold.flush(conn)?;
        self.running(conn, &mut log.findings)?;
        payloads(conn, log)?;
        projection(conn, &mut log.findings)?;
        for what in consumer::unlawful(conn, head.position)? {
            log.findings.add(None, what);
        }
        task_row::count(conn)
    }

    /// What started and has no end is what its task says that it runs.
    fn running(&mut self, conn: &Connection, findings: &mut Findings) -> Result<(), StoreError> {
        let sql = "SELECT execution FROM main.azoth_p_tasks WHERE phase = 1";
        let mut statement = conn.prepare(sql)?;
        for running in statement.query_map([], |row| row.get(0))? {
            self.running.remove(&cell::execution(running?));
        }
        for (execution, position) in std::mem::take(&mut self.running) {
            findings.add(
                Some(position),
                format!("execution {execution} has no end, and its task does not run it"),
            );
        }
        Ok(())
    }
}

fn balance(entered: Result<(), Imbalance>, findings: &mut Findings) {
    if let Err(Imbalance { position, what }) = entered {
        findings.add(Some(position), what);
    }
}

/// The bytes that tasks may need are there, and none are kept for nobody.
fn payloads(conn: &Connection, log: &mut LogCheck) -> Result<(), StoreError> {
    let sql = "SELECT max(position) FROM azoth_payloads";
    let newest: Option<i64> = conn.query_row(sql, [], |row| row.get(0))?;
    if newest.is_some_and(|newest| newest > cell::int(log.position())) {
        log.findings.add(None, "bytes are kept for events that are not there");
    }
    let sql = "SELECT id, defined FROM main.azoth_p_tasks WHERE defined <= ?1
               AND NOT EXISTS (SELECT 1 FROM azoth_payloads WHERE position = defined)
               UNION ALL SELECT id, checkpoint FROM main.azoth_p_tasks WHERE checkpoint <= ?1
               AND NOT EXISTS (SELECT 1 FROM azoth_payloads WHERE position = checkpoint)";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([cell::int(log.payloads_dropped())])?;
    while let Some(row) = rows.next()? {
        let (id, position): (String, i64) = (row.get(0)?, row.get(1)?);
        let position = cell::number(position, "azoth_p_tasks.defined or checkpoint")?;
        let digest = row_known_at(conn, position)?.event()?.payload();
        if digest.is_some_and(|digest| digest.bytes > 0) {
            log.findings
                .add(Some(position), format!("the payload of task {id:?} is missing and it may need it"));
        }
    }
    Ok(())
}

/// Every row of every derived table is what a replay makes of it.
fn projection(conn: &Connection, findings: &mut Findings) -> Result<(), StoreError> {
    for object in schema::derived_tables() {
        // One that is not as it should be was found already.
        if schema::is_as_made(conn, "origin", object)? {
            for what in compare::differences(conn, object.name, findings.room())? {
                findings.add(None, what);
            }
        }
    }
    Ok(())
}
