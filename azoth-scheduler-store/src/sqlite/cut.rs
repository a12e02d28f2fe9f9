//! Cutting the oldest part of the log, behind a snapshot of what it adds up to.
//!
//! 1. Everything is verified, and the part is written to an archive in the form of an export.
//! 2. It is folded into new snapshot tables, and the events that their rows refer to are copied, all in small transactions.
//! 3. One transaction puts those in the place of the old ones, moves the beginning of the log and records `LogCut` with the
//!    digest of the snapshot.
//! 4. The rows of the part are deleted, some at a time. Triggers allow no other deletion.
//!
//! A process that is killed before the third step leaves the log whole, after it a part that nobody reads and that the next
//! call deletes. A consumer that lags is never passed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::retention;
use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::base::{self, Base};
use super::error::of_file;
use super::group::Group;
use super::handle::SqliteStore;
use super::hash::Hash;
use super::head::Head;
use super::log_row::LogEntry;
use super::making::{Making, written};
use super::partial::Partial;
use super::place::Place;
use super::readers::{self, in_snapshot};
use super::shadow::{self, Shadow};
use super::tables::Tables;
use super::upkeep::{Upkeep, Work, in_background};
use super::{cell, consumer, export, guard, log, past, retain, schema, verify};
use crate::codec::EventKind;
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::report::CutReport;

/// How much of the log is cut, and where it goes.
///
/// ```
/// use std::time::Duration;
/// use azoth_scheduler_store::sqlite::CutOptions;
///
/// let options = CutOptions::archive_to("2026-11.jsonl").keep_events_for(Duration::from_secs(90 * 86_400));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct CutOptions {
    archive: PathBuf,
    through: Option<LogPosition>,
    keep: Duration,
}

impl CutOptions {
    /// Cuts all that no consumer has yet to handle, and writes it to this file first, which must not exist.
    pub fn archive_to(archive: impl Into<PathBuf>) -> Self {
        Self { archive: archive.into(), through: None, keep: Duration::ZERO }
    }

    /// Cuts nothing that is younger than this.
    pub fn keep_events_for(mut self, span: Duration) -> Self {
        self.keep = span;
        self
    }

    /// Cuts nothing behind this position.
    pub fn through(mut self, position: LogPosition) -> Self {
        self.through = Some(position);
        self
    }
}

impl SqliteStore {
    /// Cuts the oldest part of the log, so that the file does not grow for ever. What it adds up to is kept as a snapshot, from
    /// which [`verify`](crate::Store::verify) and a rebuild start from then on; the part itself is written to an archive first,
    /// which [`import`](Self::import) reads. Tasks stay as they are, with their definitions and payloads.
    ///
    /// Where the cut falls it is the end of a commit; nothing that a consumer has yet to handle is cut. Reading before the cut
    /// is answered with [`StoreError::LogCut`]. The file does not become smaller by itself: its pages are used again.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where anything is wrong with the store: nothing is cut then. [`StoreError::AlreadyExists`] for an
    /// archive that is there, [`StoreError::InUse`] while somebody verifies the store or looks at the past for too long, or
    /// where a consumer is made meanwhile that would be passed, [`StoreError::Io`], [`StoreError::Full`]. Called again, with
    /// another archive, it goes on where it was stopped.
    pub async fn cut_log(&self, options: CutOptions, now: Timestamp) -> Result<CutReport, StoreError> {
        let place = self.shared.place.clone();
        let prepared = in_background("cut", move || prepare(&place, options, now)).await?;
        let Prepared { cut, upkeep } = prepared;
        // Each transaction holds it too: it may be committed when nobody waits for it any more.
        let upkeep = Arc::new(upkeep);
        let report = match cut {
            None => CutReport::default(),
            Some(cut) => {
                let report = CutReport {
                    events: cut.events,
                    archive: Some(cut.archive.clone()),
                    ..CutReport::default()
                };
                if !self.write(under(&upkeep, move |group| adopt(group, &cut, now))).await? {
                    return Err(StoreError::InUse {
                        waited_ms: 0,
                        by: "an event handler was added that has yet to handle what was to be cut",
                        remedy: "try again, with another archive",
                    });
                }
                report
            }
        };
        while self.write(under(&upkeep, delete_some)).await? {}
        let base = self.read(Base::read).await?;
        let mut after = 0;
        while after < base.position {
            let drop = move |group: &mut Group<'_>| drop_payloads(group, after, base.position);
            after = self.write(under(&upkeep, drop)).await?;
        }
        drop(upkeep);
        Ok(CutReport { through: LogPosition::from_number(base.position), ..report })
    }
}

/// A snapshot that waits to be adopted.
struct Prepared {
    /// `None`: there is nothing to cut.
    cut: Option<Cut>,
    /// Nobody else looks after the file meanwhile.
    upkeep: Upkeep,
}

/// Work for the writer that holds the lock until it is done.
fn under<T>(
    upkeep: &Arc<Upkeep>,
    mut work: impl FnMut(&mut Group<'_>) -> Result<T, StoreError> + Send + 'static,
) -> impl FnMut(&mut Group<'_>) -> Result<T, StoreError> + Send + 'static {
    let upkeep = Arc::clone(upkeep);
    move |group| {
        let _held = &upkeep;
        work(group)
    }
}

struct Cut {
    base: Base,
    events: u64,
    archive: PathBuf,
}

fn prepare(place: &Place, options: CutOptions, now: Timestamp) -> Result<Prepared, StoreError> {
    let upkeep = Upkeep::take(place, Work::Cut)?;
    let conn = readers::connect(place)?;
    let (head, old) = in_snapshot(&conn, |conn| Ok((Head::read(conn)?, Base::read(conn)?)))?;
    let end = in_snapshot(&conn, |conn| end_of_cut(conn, &options, old.position, now))?;
    let Some((position, hash, ordered_at)) = end else { return Ok(Prepared { cut: None, upkeep }) };
    let report = verify::verify_alone(place)?;
    if let Some(finding) = report.findings.first() {
        return Err(cell::corrupt(format!("nothing is cut from a log that is not sound: {finding}")));
    }
    let (after, after_hash) = (old.position, old.hash);
    let part = export::Part { after, after_hash, through: position, through_hash: hash, mended: Vec::new() };
    let partial = Partial::create(&options.archive)?;
    export::write(&conn, head.database, &part, partial.path())?;
    let archive = partial.finally().to_owned();
    partial.finish()?;
    let snapshot = snapshot(place, position)?;
    let base = Base { position, hash, ordered_at, snapshot };
    Ok(Prepared { cut: Some(Cut { base, events: position - old.position, archive }), upkeep })
}

/// The last append that may be cut: its position, hash and instant.
fn end_of_cut(
    conn: &Connection,
    options: &CutOptions,
    base: u64,
    now: Timestamp,
) -> Result<Option<(u64, Hash, Timestamp)>, StoreError> {
    let ms = i64::try_from(options.keep.as_millis()).unwrap_or(i64::MAX);
    let mut through =
        past::newest_before(conn, now.saturating_add_ms(ms.saturating_neg()).saturating_add_ms(1))?;
    through = options.through.map_or(through, |most| through.min(most.number()));
    through = consumer::confirmed(conn)?.map_or(through, |confirmed| through.min(confirmed));
    let sql = "SELECT position, link, ordered_at_ms FROM azoth_log
               WHERE position > ?1 AND position <= ?2 AND link IS NOT NULL ORDER BY position DESC LIMIT 1";
    let cells = params![cell::int(base), cell::int(through)];
    let row: Option<(i64, Hash, i64)> =
        conn.query_row(sql, cells, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((position, link, ordered_at)) = row else { return Ok(None) };
    if i64::checked_sub(position, 1) == Some(cell::int(base)) && says_only_that_it_was_cut(conn, position)? {
        return Ok(None);
    }
    Ok(Some((
        cell::number(position, "azoth_log.position")?,
        link,
        cell::instant(ordered_at, "azoth_log.ordered_at_ms")?,
    )))
}

/// An idle log would be cut for ever otherwise.
fn says_only_that_it_was_cut(conn: &Connection, position: i64) -> Result<bool, StoreError> {
    let row = log::row_known_at(conn, cell::number(position, "azoth_log.position")?)?;
    Ok(row.kind == EventKind::LogCut.code())
}

/// Makes the tables of a new snapshot, and gives its digest.
fn snapshot(place: &Place, position: u64) -> Result<Hash, StoreError> {
    let conn = place.connect().map_err(|error| of_file(error, &place.path))?;
    let mut making = Making::start(place, &conn, NEW)?;
    making.fold(position, |_| ())?;
    let shadow = making.shadow;
    written(place, &conn, || {
        shadow.finish()?;
        let made = schema::KEPT.replacen("azoth_s_kept", KEPT_NEW, 1);
        Ok(conn.execute_batch(&format!("DROP TABLE IF EXISTS {KEPT_NEW}; {made}"))?)
    })?;
    let mut after = 0;
    while let Some(next) = written(place, &conn, || keep_some(&conn, shadow, after))? {
        after = next;
    }
    in_snapshot(&conn, |conn| base::digest(conn, "main", NEW))
}

/// Copies the events that the next tasks refer to: what created and defined them, what was said of them, and what they
/// said. Gives the last of those tasks.
fn keep_some(conn: &Connection, tasks: Shadow<'_>, after: u64) -> Result<Option<u64>, StoreError> {
    let sql = "SELECT max(key) FROM (SELECT key FROM azoth_p_tasks WHERE key > ?1 ORDER BY key LIMIT ?2)";
    let mut statement = tasks.derived(sql)?;
    let last: Option<i64> =
        statement.query_row(params![cell::int(after), TASKS_AT_ONCE], |row| row.get(0))?;
    let Some(last) = last else { return Ok(None) };
    for from in ["azoth_log", "azoth_s_kept"] {
        let sql = format!(
            "INSERT OR IGNORE INTO {KEPT_NEW}
             SELECT position, at_ms, ordered_at_ms, subject, previous, kind, record FROM {from}
             WHERE position IN (SELECT key FROM azoth_p_tasks WHERE key > ?1 AND key <= ?2
                UNION SELECT defined FROM azoth_p_tasks WHERE key > ?1 AND key <= ?2
                UNION SELECT said FROM azoth_p_tasks WHERE key > ?1 AND key <= ?2 AND said IS NOT NULL
                UNION SELECT reported FROM azoth_p_tasks WHERE key > ?1 AND key <= ?2 AND reported IS NOT NULL
                UNION SELECT checkpoint FROM azoth_p_tasks WHERE key > ?1 AND key <= ?2 AND checkpoint IS NOT NULL)"
        );
        conn.execute(&tasks.renamed(&sql), params![cell::int(after), last])?;
    }
    cell::number(last, "azoth_p_tasks.key").map(Some)
}

/// Puts the new snapshot in the place of the old one, and says so in the log. `false`: a consumer would be passed.
fn adopt(group: &mut Group<'_>, cut: &Cut, now: Timestamp) -> Result<bool, StoreError> {
    let conn = group.conn();
    let base = &cut.base;
    if consumer::confirmed(conn)?.is_some_and(|confirmed| confirmed < base.position) {
        return Ok(false);
    }
    let names = schema::derived_tables().map(|object| object.name.trim_start_matches(schema::PROJECTION));
    for name in names.chain(["kept"]) {
        shadow::replace(conn, &format!("{NEW}{name}"), &format!("azoth_s_{name}"))?;
    }
    let state = LogEntry::read(conn)?.map_or_else(Default::default, |entry| entry.state);
    let event = retention::cut(&state, base.position, base.hash, base.snapshot);
    let event = event.ok_or_else(|| cell::corrupt("the log was cut there before"))?;
    group.happens_to_the_log(&event, now)?;
    let sql =
        "UPDATE azoth_base SET position = ?1, hash = ?2, ordered_at_ms = ?3, snapshot = ?4 WHERE one = 1";
    let cells = params![cell::int(base.position), base.hash, base.ordered_at.unix_ms(), base.snapshot];
    let rows = guard::under(conn, || Ok(conn.execute(sql, cells)?))?;
    assert_eq!(rows, 1, "the base is one row");
    Ok(true)
}

/// Deletes some of what was cut; says whether there may be more.
fn delete_some(group: &mut Group<'_>) -> Result<bool, StoreError> {
    let conn = group.conn();
    let base = cell::int(Base::read(conn)?.position);
    let sql = "SELECT max(position) FROM (SELECT position FROM azoth_log WHERE position <= ?1 ORDER BY position LIMIT ?2)";
    let last: Option<i64> = conn.query_row(sql, params![base, EVENTS_AT_ONCE], |row| row.get(0))?;
    let Some(last) = last else { return Ok(false) };
    guard::under(conn, || Ok(conn.execute("DELETE FROM azoth_log WHERE position <= ?1", [last])?))?;
    Ok(true)
}

/// Drops the next payloads whose events are not kept. Gives where they end.
fn drop_payloads(group: &mut Group<'_>, after: u64, through: u64) -> Result<u64, StoreError> {
    let conn = group.conn();
    let next = retain::next_payloads(conn, after, through)?;
    let sql = "DELETE FROM azoth_payloads WHERE position > ?1 AND position <= ?2
               AND NOT EXISTS (SELECT 1 FROM azoth_s_kept AS event WHERE event.position = azoth_payloads.position)";
    conn.prepare_cached(sql)?.execute(params![cell::int(after), cell::int(next)])?;
    Ok(next)
}

/// The first letters of a snapshot that is in the making.
const NEW: &str = "azoth_n_";
const KEPT_NEW: &str = "azoth_n_kept";
/// So many tasks are looked at in one transaction.
const TASKS_AT_ONCE: i64 = 500;
/// So many events are deleted in one transaction.
const EVENTS_AT_ONCE: i64 = 1_000;
