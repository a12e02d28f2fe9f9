//! The canonical log as rows, and the payload bytes beside it.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::payload::PayloadDigest;
use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use super::cell;
use super::hash::Hash;
use super::packed::Packed;
use super::passing::{Passing, Stand, unread};
use crate::codec::{self, Decoder};
use crate::error::StoreError;

/// An event as it stands in `azoth_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogRow {
    pub(super) position: u64,
    pub(super) at: Timestamp,
    pub(super) ordered_at: Timestamp,
    /// The task's key: the position of its creating event.
    pub(super) subject: u64,
    /// Position of the subject's event before this one.
    pub(super) previous: Option<u64>,
    pub(super) kind: u8,
    pub(super) record: Vec<u8>,
    /// The chain's hash, in the last row of an append.
    pub(super) link: Option<Hash>,
}

const COLUMNS: &str = "position, at_ms, ordered_at_ms, subject, previous, kind, record, link";
static ROW: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {COLUMNS} FROM azoth_log WHERE position = ?1"));
static PAGE: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {COLUMNS} FROM azoth_log WHERE position > ?1 ORDER BY position LIMIT ?2")
});
pub(super) const PASSING: &str =
    "SELECT azoth_packed(position, at_ms, subject, previous, kind, record) FROM azoth_log
    WHERE position > ?1 AND position <= ?2";
const APPEND: &str =
    "INSERT INTO azoth_log (position, at_ms, ordered_at_ms, subject, previous, kind, record, link)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const PUT_PAYLOAD: &str = "INSERT INTO azoth_payloads (position, bytes) VALUES (?1, ?2)";
/// Links are not kept: nothing is appended behind such a row.
const KEPT: &str =
    "SELECT position, at_ms, ordered_at_ms, subject, previous, kind, record, NULL FROM azoth_s_kept
    WHERE position = ?1";
pub(super) const PAYLOADS: &str = "SELECT position, bytes FROM azoth_payloads
    WHERE position > ?1 AND position <= ?2 ORDER BY position";
pub(super) const PAYLOAD: &str = "SELECT bytes FROM azoth_payloads WHERE position = ?1";

impl LogRow {
    /// The event that the record holds.
    pub(super) fn event(&self) -> Result<Event, StoreError> {
        codec::decode(self.kind, &self.record).map_err(|error| unread(self.position, self.kind, error))
    }

    /// The same, by a decoder that has read others.
    pub(super) fn event_by(&self, decoder: &mut Decoder) -> Result<Event, StoreError> {
        decoder.decode(self.kind, &self.record).map_err(|error| unread(self.position, self.kind, error))
    }

    pub(super) fn stand(&self) -> Stand {
        let Self { position, at, subject, previous, .. } = *self;
        Stand { position, at, subject, previous }
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<RawRow> {
        Ok(RawRow {
            numbers: [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(5)?],
            previous: row.get(4)?,
            record: row.get(6)?,
            link: row.get(7)?,
        })
    }
}

/// A row as the engine gave it.
pub(super) struct RawRow {
    numbers: [i64; 5],
    previous: Option<i64>,
    record: Vec<u8>,
    link: Option<Hash>,
}

impl RawRow {
    /// The cell of the primary key, whatever it holds.
    pub(super) fn position(&self) -> i64 {
        self.numbers[0]
    }

    pub(super) fn check(self) -> Result<LogRow, StoreError> {
        let [position, at, ordered_at, subject, kind] = self.numbers;
        Ok(LogRow {
            position: cell::number(position, "azoth_log.position")?,
            at: cell::instant(at, "azoth_log.at_ms")?,
            ordered_at: cell::instant(ordered_at, "azoth_log.ordered_at_ms")?,
            subject: cell::number(subject, "azoth_log.subject")?,
            previous: self.previous.map(|cell| cell::number(cell, "azoth_log.previous")).transpose()?,
            kind: u8::try_from(kind).map_err(|_| cell::unlawful("azoth_log.kind", kind))?,
            record: self.record,
            link: self.link,
        })
    }
}

/// Appends rows, all by one statement.
pub(super) fn append<'a>(
    conn: &Connection,
    rows: impl IntoIterator<Item = &'a LogRow>,
) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(APPEND)?;
    for row in rows {
        append_one(&mut statement, row)?;
    }
    Ok(())
}

fn append_one(statement: &mut Statement<'_>, row: &LogRow) -> Result<(), StoreError> {
    let cells = params![
        cell::int(row.position),
        row.at.unix_ms(),
        row.ordered_at.unix_ms(),
        cell::int(row.subject),
        row.previous.map(cell::int),
        row.kind,
        row.record,
        row.link,
    ];
    let rows = statement.execute(cells)?;
    assert_eq!(rows, 1, "an event is one row");
    Ok(())
}

/// The row at a position, by the primary key; also one that was cut and is still referred to.
pub(super) fn row_at(conn: &Connection, position: u64) -> Result<Option<LogRow>, StoreError> {
    if let Some(row) = own_row_at(conn, position)? {
        return Ok(Some(row));
    }
    let mut statement = conn.prepare_cached(KEPT)?;
    let raw = statement.query_row([cell::int(position)], LogRow::read).optional()?;
    raw.map(RawRow::check).transpose()
}

/// The row of the log itself at a position, by the primary key.
pub(super) fn own_row_at(conn: &Connection, position: u64) -> Result<Option<LogRow>, StoreError> {
    let mut statement = conn.prepare_cached(row_sql())?;
    let raw = statement.query_row([cell::int(position)], LogRow::read).optional()?;
    raw.map(RawRow::check).transpose()
}

/// The row at a position at which one must stand.
pub(super) fn row_known_at(conn: &Connection, position: u64) -> Result<LogRow, StoreError> {
    row_at(conn, position)?.ok_or_else(|| cell::corrupt(format!("event {position} is missing from the log")))
}

/// At most `limit` rows behind a position, by the primary key. Stops before a gap.
pub(super) fn page(conn: &Connection, after: u64, limit: usize) -> Result<Vec<LogRow>, StoreError> {
    raw_page(conn, after, limit)?.into_iter().map(RawRow::check).collect()
}

/// As [`page`], whatever the rows hold.
pub(super) fn raw_page(conn: &Connection, after: u64, limit: usize) -> Result<Vec<RawRow>, StoreError> {
    let mut statement = conn.prepare_cached(page_sql())?;
    let rows = statement.query_map([cell::int(after), cell::int(limit as u64)], LogRow::read)?;
    rows.map(|raw| Ok(raw?)).collect()
}

/// Hands on the events behind a position and up to another one, by the primary key, until it is told to stop. Whoever takes them
/// looks whether one is missing. The connection [knows](super::packed::teach) how to pack them.
pub(super) fn pass(
    conn: &Connection,
    after: u64,
    through: u64,
    mut each: impl FnMut(Passing<'_>) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(PASSING)?;
    let mut position = after;
    while position < through {
        let page = position;
        let end = through.min(page.saturating_add(PAGE_EVENTS));
        let mut rows = statement.query([cell::int(page), cell::int(end)])?;
        let Some(row) = rows.next()? else { break };
        for event in Packed::page(row)? {
            let event = event?;
            position = event.stand.position;
            if each(event)?.is_break() {
                return Ok(());
            }
        }
        if position == page {
            // There are none.
            break;
        }
    }
    Ok(())
}

pub(super) fn row_sql() -> &'static str {
    &ROW
}

pub(super) fn page_sql() -> &'static str {
    &PAGE
}

/// Keeps the bytes that belong to the events at these positions, by one statement. None are kept for an empty payload.
pub(super) fn put_payloads<'a>(
    conn: &Connection,
    payloads: impl IntoIterator<Item = (u64, &'a [u8])>,
) -> Result<(), StoreError> {
    let mut payloads = payloads.into_iter().filter(|(_, bytes)| !bytes.is_empty()).peekable();
    if payloads.peek().is_none() {
        return Ok(());
    }
    let mut statement = conn.prepare_cached(PUT_PAYLOAD)?;
    for (position, bytes) in payloads {
        statement.execute(params![cell::int(position), bytes])?;
    }
    Ok(())
}

/// What the bytes behind a position and up to another one are, oldest first, by the primary key. One payload is in memory at
/// a time.
pub(super) fn payload_digests(
    conn: &Connection,
    after: u64,
    through: u64,
) -> Result<Vec<(u64, PayloadDigest)>, StoreError> {
    let mut statement = conn.prepare_cached(PAYLOADS)?;
    let mut rows = statement.query([cell::int(after), cell::int(through)])?;
    let mut digests = Vec::new();
    while let Some(row) = rows.next()? {
        let position = cell::number(row.get(0)?, "azoth_payloads.position")?;
        let bytes = row.get_ref(1)?.as_blob();
        digests.push((position, PayloadDigest::of(bytes.map_err(|error| cell::corrupt(error.to_string()))?)));
    }
    Ok(digests)
}

/// The bytes that belong to the event at this position, by the primary key.
pub(super) fn payload(conn: &Connection, position: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let mut statement = conn.prepare_cached(PAYLOAD)?;
    Ok(statement.query_row([cell::int(position)], |row| row.get(0)).optional()?)
}

/// So many events are packed into a page.
const PAGE_EVENTS: u64 = 128;
