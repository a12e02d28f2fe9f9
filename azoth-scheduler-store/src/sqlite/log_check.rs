//! Checking the log alone: that every event is there, can be read, has its payload and is what the chain says.
//!
//! Payloads go while the log is read page by page. The event that lets them go is committed before the first of them is gone;
//! so what is missing in one snapshot was let go by an event that stands in it, and at the latest in the last one.

use std::collections::VecDeque;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::payload::PayloadDigest;
use rusqlite::Connection;

use super::base::{self, Base};
use super::chain;
use super::fold::REPLAY_PAGE_EVENTS;
use super::handle::SqliteStore;
use super::hash::Hash;
use super::head::Head;
use super::log::{self, LogRow};
use super::place::Place;
use super::readers::{self, in_snapshot};
use super::upkeep::{Upkeep, Work, in_background};
use super::{cell, log_row, schema};
use crate::codec::Decoder;
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::report::{Finding, VerifyReport};

impl SqliteStore {
    /// Verifies the log alone: that no event is missing, that each can be read, has its payload and is what the chain of hashes
    /// says. Reads every page of it once and writes nothing, which takes a small part of the time of
    /// [`verify`](crate::Store::verify).
    ///
    /// What the events add up to is not looked at: neither whether the projection says the same, nor whether each event can
    /// follow the ones before it. [`VerifyReport::tasks`] is 0.
    ///
    /// ```
    /// # use azoth_scheduler_store::{SqliteStore, sqlite::SqliteOptions};
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let folder = tempfile::tempdir()?;
    /// # let options = SqliteOptions::new().allow_old_sqlite(true);
    /// # let store = SqliteStore::open_with(folder.path().join("scheduler.db"), options)?;
    /// let report = store.verify_log().await?;
    /// assert!(report.is_sound(), "{:?}", report.findings);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As `verify` does: where the file cannot be read, not for what is wrong in it.
    pub async fn verify_log(&self) -> Result<VerifyReport, StoreError> {
        self.shared.place.files.check_process()?;
        let place = self.shared.place.clone();
        in_background("verify", move || verify_log(&place)).await
    }
}

/// Verifies the log of a file, page by page, and nothing that is made of it.
fn verify_log(place: &Place) -> Result<VerifyReport, StoreError> {
    let _shared = Upkeep::take(place, Work::Verify)?;
    let conn = readers::connect(place)?;
    let mut check = LogCheck::start(&conn, "main")?;
    while in_snapshot(&conn, |conn| page(conn, &mut check))? {}
    in_snapshot(&conn, |conn| rest(conn, check))
}

/// The next page, unless what is left is for the last snapshot; says whether it was read.
pub(super) fn page(conn: &Connection, check: &mut LogCheck) -> Result<bool, StoreError> {
    let further = check.far_behind(conn)?;
    if further {
        check.page(conn, |_, _, _| Ok(()))?;
    }
    Ok(further)
}

/// What is left, in the last snapshot.
pub(super) fn rest(conn: &Connection, mut check: LogCheck) -> Result<VerifyReport, StoreError> {
    while check.is_open() && check.page(conn, |_, _, _| Ok(()))? {}
    let head = Head::read(conn)?;
    check.end(conn, &head);
    Ok(check.report(&head, 0))
}

/// What was found, up to the most that a report holds.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, position: Option<u64>, what: impl Into<String>) {
        if self.room() > 0 {
            let position = position.map(LogPosition::from_number);
            self.0.push(Finding { position, what: what.into() });
        }
    }

    pub(super) fn add_altered(&mut self, objects: Vec<&str>) {
        for name in objects {
            self.add(None, format!("{name} is missing or not as this version makes it"));
        }
    }

    /// So many more are taken.
    pub(super) fn room(&self) -> usize {
        VerifyReport::FINDINGS_MAX.saturating_sub(self.0.len())
    }
}

/// The log up to one of its events, read from its beginning.
pub(super) struct LogCheck {
    database: [u8; 16],
    hash: Hash,
    position: u64,
    ordered_at: i64,
    append: Vec<LogRow>,
    pub(super) base: Base,
    cut_is_recorded: bool,
    /// The name of the database that the file is.
    database_name: &'static str,
    /// Payloads up to here may have been dropped, as the events so far say.
    payloads_dropped: u64,
    /// Payloads that are not there and that no event so far lets go: the newest of them, as many as a report holds. An event
    /// that is yet to be read may, since payloads are dropped while the log is read. So they are judged by its end.
    missing: VecDeque<u64>,
    /// An event is missing or cannot be read: it may have let payloads go.
    is_silent: bool,
    pub(super) findings: Findings,
    decoder: Decoder,
    /// Each row so far could be read.
    is_whole: bool,
}

impl LogCheck {
    /// Before the first event that is there. What the log begins with, and the tables themselves, are checked here. The file
    /// is the database of this name.
    pub(super) fn start(conn: &Connection, database: &'static str) -> Result<Self, StoreError> {
        in_snapshot(conn, |conn| {
            let (head, base) = (Head::read(conn)?, Base::read(conn)?);
            let mut check = Self {
                database: head.database,
                hash: base.hash,
                position: base.position,
                ordered_at: if base.position == 0 { i64::MIN } else { base.ordered_at.unix_ms() },
                append: Vec::new(),
                base,
                cut_is_recorded: false,
                database_name: database,
                payloads_dropped: 0,
                missing: VecDeque::new(),
                is_silent: false,
                findings: Findings::default(),
                decoder: Decoder::new(),
                is_whole: true,
            };
            check.findings.add_altered(schema::altered_log(conn, database)?);
            if base.position > 0 && base::digest(conn, database, "azoth_s_")? != base.snapshot {
                let what = "the snapshot of what was cut is not as it was made";
                check.findings.add(Some(base.position), what);
            }
            Ok(check)
        })
    }

    /// Whether what comes next can be told right from wrong.
    pub(super) fn is_open(&self) -> bool {
        self.is_whole && self.findings.room() > 0
    }

    /// The newest event that was read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether there is more to read than the last snapshot should hold.
    pub(super) fn far_behind(&self, conn: &Connection) -> Result<bool, StoreError> {
        let left = Head::read(conn)?.position.saturating_sub(self.position);
        Ok(self.is_open() && left > REPLAY_PAGE_EVENTS as u64)
    }

    /// Checks the next page of the log, and hands on each event that can be read. Says whether there may be another page.
    pub(super) fn page(
        &mut self,
        conn: &Connection,
        mut each: impl FnMut(&LogRow, &Event, &mut Findings) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let page = log::raw_page(conn, self.position, REPLAY_PAGE_EVENTS)?;
        let more = page.len() == REPLAY_PAGE_EVENTS;
        let through = page.last().map_or(0, |raw| u64::try_from(raw.position()).unwrap_or(0));
        let mut payloads = log::payload_digests(conn, self.position, through)?.into_iter().peekable();
        for raw in page {
            let position = cell::number(raw.position(), "azoth_log.position")?;
            while payloads.next_if(|(at, _)| *at < position).is_some() {}
            let payload = payloads.next_if(|(at, _)| *at == position).map(|(_, digest)| digest);
            let row = match raw.check() {
                Ok(row) => row,
                Err(error) => {
                    // Nothing behind it can be held against the chain.
                    (self.position, self.is_whole, self.is_silent) = (position, false, true);
                    self.findings.add(Some(position), error.to_string());
                    return Ok(false);
                }
            };
            self.place(&row);
            match row.event_by(&mut self.decoder) {
                Ok(event) => {
                    each(&row, &event, &mut self.findings)?;
                    self.event(position, &event, payload);
                }
                Err(error) => {
                    self.is_silent = true;
                    self.findings.add(Some(position), error.to_string());
                }
            }
            self.link(row);
        }
        Ok(more)
    }

    fn place(&mut self, row: &LogRow) {
        let position = row.position;
        let expected = self.position.saturating_add(1);
        if position != expected {
            let what = format!("events {expected} to {} are missing", position.saturating_sub(1));
            self.findings.add(Some(expected), what);
            self.is_silent = true;
        }
        self.position = position;
        if row.ordered_at.unix_ms() != self.ordered_at.max(row.at.unix_ms()) {
            self.findings.add(Some(position), "its ordered instant is not the greatest so far");
        }
        self.ordered_at = row.ordered_at.unix_ms();
    }

    /// Bytes that were dropped are no damage, other bytes are.
    fn event(&mut self, position: u64, event: &Event, kept: Option<PayloadDigest>) {
        if let Event::LogCut { through, hash, snapshot } = event {
            let base = &self.base;
            self.cut_is_recorded |= (*through, hash, snapshot) == (base.position, &base.hash, &base.snapshot);
        }
        if let Event::PayloadsDropped { through } = event {
            self.let_go(*through);
        }
        let what = match (event.payload(), kept) {
            (None, None) => return,
            (Some(wanted), None) if wanted.bytes == 0 => return,
            (Some(wanted), Some(kept)) if wanted == kept => return,
            (Some(_), None) => return self.misses(position),
            (None, Some(_)) => "bytes are kept for an event that refers to none",
            (Some(_), Some(_)) => "its payload is not the one that it refers to",
        };
        self.findings.add(Some(position), what);
    }

    fn misses(&mut self, position: u64) {
        if self.missing.len() == VerifyReport::FINDINGS_MAX {
            self.missing.pop_front();
        }
        self.missing.push_back(position);
    }

    /// Payloads up to here may have been dropped.
    fn let_go(&mut self, through: u64) {
        self.payloads_dropped = self.payloads_dropped.max(through);
        self.missing.retain(|position| *position > through);
    }

    /// Payloads up to here may be missing where no task needs them; all behind it were looked for.
    pub(super) fn payloads_dropped(&self) -> u64 {
        self.payloads_dropped.max(self.base.position)
    }

    fn link(&mut self, row: LogRow) {
        let (position, found) = (row.position, row.link);
        self.append.push(row);
        let Some(found) = found else { return };
        if chain::link(&self.hash, &self.database, &self.append) != found {
            let first = self.append.first().map_or(position, |row| row.position);
            let what = format!("events {first} to {position} do not match their link of the chain");
            self.findings.add(Some(first), what);
        }
        // The chain goes on from what stands there, so that one edit is one finding.
        self.hash = found;
        self.append.clear();
    }

    /// Checks how the log ends, that an event says where it was cut, and that one lets go whatever payload is missing. In the
    /// last snapshot: no payload that was found missing before can have been dropped by an event behind it.
    pub(super) fn end(&mut self, conn: &Connection, head: &Head) {
        if self.is_silent {
            // What is lost of the log may have said it, and then the projection is all that still does.
            self.let_go(log_row::payloads_dropped(conn, self.database_name).unwrap_or(0));
        }
        for position in std::mem::take(&mut self.missing) {
            self.findings.add(Some(position), "its payload is missing and was not dropped");
        }
        if !self.append.is_empty() {
            self.findings.add(Some(self.position), "no link of the chain ends the last append");
        }
        if self.base.position > 0 && !self.cut_is_recorded {
            let what = "no event says that the log was cut here, with this snapshot";
            self.findings.add(Some(self.base.position), what);
        }
        if head.position != self.position {
            let what = format!("the head says that event {} is the newest", head.position);
            self.findings.add(Some(self.position), what);
        } else if head.hash != self.hash || head.ordered_at.unix_ms() < self.ordered_at {
            let what = "hash or instant of the head are not those of the newest event";
            self.findings.add(Some(self.position), what);
        }
    }

    /// What shows in the projection alone comes behind what shows in the log.
    pub(super) fn report(self, head: &Head, tasks: u64) -> VerifyReport {
        let mut findings = self.findings.0;
        findings.sort_by_key(|finding| (finding.position.is_none(), finding.position));
        VerifyReport {
            events: self.position.saturating_sub(self.base.position),
            tasks,
            head: LogPosition::from_number(head.position),
            head_hash: head.hash,
            findings,
        }
    }
}
