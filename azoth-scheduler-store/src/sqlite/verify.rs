//! Reading the whole log and comparing everything with it, in one snapshot that is never written.
//!
//! The log is read in pages of [`REPLAY_PAGE_EVENTS`]; the tasks that it adds up to are held in memory, about a kilobyte
//! each, and so are the ids of running executions.

use std::collections::{BTreeMap, HashMap};

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::ExecutionId;
use azoth_scheduler_core::payload::PayloadDigest;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::chain::{self, GENESIS, Hash};
use super::fold::{Fold, REPLAY_PAGE_EVENTS};
use super::head::Head;
use super::log::{self, LogRow};
use super::open::Place;
use super::task_row::{self, Cells};
use super::{cell, readers, schema, type_row};
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::report::{Finding, VerifyReport};

/// Verifies on a thread and a connection of its own, since it may take long.
pub(super) async fn run(place: &Place) -> Result<VerifyReport, StoreError> {
    let (reply, answer) = oneshot::channel();
    let place = place.clone();
    let thread = std::thread::Builder::new().name("azoth-verify".to_owned()).spawn(move || {
        let report = readers::connect(&place).and_then(|conn| readers::in_snapshot(&conn, verify));
        // Whoever gave up waiting needs no answer.
        let _ = reply.send(report);
    });
    thread.map_err(|error| StoreError::Io { detail: format!("no thread to verify on: {error}") })?;
    answer.await.map_err(|_| StoreError::Defect { detail: "the verification panicked".to_owned() })?
}

/// Verifies what this connection sees.
pub(super) fn verify(conn: &Connection) -> Result<VerifyReport, StoreError> {
    let head = Head::read(conn)?;
    let mut check = Check::new(&head);
    for name in schema::altered(conn)? {
        check.find(None, format!("{name} is missing or not as this version makes it"));
    }
    check.log(conn)?;
    check.head(&head);
    if check.is_open() {
        check.executions();
        check.payloads(conn)?;
        check.projection(conn)?;
        check.types(conn)?;
    }
    Ok(check.report(&head))
}

struct Check {
    database: [u8; 16],
    hash: Hash,
    position: u64,
    ordered_at: i64,
    append: Vec<LogRow>,
    fold: Fold,
    running: HashMap<ExecutionId, u64>,
    tasks: u64,
    findings: Vec<Finding>,
}

impl Check {
    fn new(head: &Head) -> Self {
        Self {
            database: head.database,
            hash: GENESIS,
            position: 0,
            ordered_at: i64::MIN,
            append: Vec::new(),
            fold: Fold::default(),
            running: HashMap::new(),
            tasks: 0,
            findings: Vec::new(),
        }
    }

    fn log(&mut self, conn: &Connection) -> Result<(), StoreError> {
        while self.is_open() {
            let page = log::page(conn, self.position, REPLAY_PAGE_EVENTS)?;
            let last_page = page.len() < REPLAY_PAGE_EVENTS;
            for row in page {
                self.event(conn, row)?;
            }
            if last_page {
                break;
            }
        }
        if !self.append.is_empty() {
            self.find(Some(self.position), "no link of the chain ends the last append");
        }
        Ok(())
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
                if let Err(what) = self.fold.add(&row, &event) {
                    self.find(Some(position), what);
                }
                self.execution(position, &event);
                self.payload(conn, position, event.payload())?;
            }
        }
        self.link(row);
        Ok(())
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
            | Event::ClockCorrected { .. } => {}
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
            (_, None) => {}
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
    fn executions(&mut self) {
        for running in self.fold.tasks.values().filter_map(|entry| entry.state.running()) {
            self.running.remove(&running.execution);
        }
        for (execution, position) in std::mem::take(&mut self.running) {
            self.find(
                Some(position),
                format!("execution {execution} has no end, and its task does not run it"),
            );
        }
    }

    fn payloads(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let sql = "SELECT max(position) FROM azoth_payloads";
        let newest: Option<i64> = conn.query_row(sql, [], |row| row.get(0))?;
        if newest.is_some_and(|newest| newest > cell::int(self.position)) {
            self.find(None, "bytes are kept for events that are not there");
        }
        Ok(())
    }

    fn projection(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let mut expected = std::mem::take(&mut self.fold.tasks);
        let mut after = 0;
        loop {
            let page = task_row::page(conn, after, REPLAY_PAGE_EVENTS)?;
            for cells in &page {
                after = cell::number(cells.key, "azoth_p_tasks.key")?;
                self.tasks += 1;
                let entry = expected.remove(&after);
                match entry.map(|entry| Cells::of(&entry)) {
                    Some(expected) if expected == *cells => {}
                    Some(_) => {
                        self.find(None, format!("the row of task {:?} differs from a replay", cells.id))
                    }
                    None => self.find(None, format!("task {:?} has a row and no events", cells.id)),
                }
            }
            if page.len() < REPLAY_PAGE_EVENTS || !self.is_open() {
                break;
            }
        }
        for entry in expected.values() {
            self.find(None, format!("task {:?} has no row", entry.state.id));
        }
        Ok(())
    }

    fn types(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let found: BTreeMap<u64, String> = type_row::all(conn)?.into_iter().collect();
        let expected = self.fold.types();
        let expected = expected.into_iter().map(|(key, name)| (key, name.as_str().to_owned()));
        if !expected.eq(found) {
            self.find(None, "the rows of task types differ from a replay");
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
            events: self.position,
            tasks: self.tasks,
            head: LogPosition::from_number(head.position),
            head_hash: head.hash,
            findings: self.findings,
        }
    }
}
