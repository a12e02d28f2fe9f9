//! The log written out as lines of JSON.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::SqliteStore;
use super::base::Base;
use super::chain::Hash;
use super::fold::REPLAY_PAGE_EVENTS;
use super::head::Head;
use super::lines::{EventLine, FORMAT, HeaderLine, Hex, VERSION};
use super::partial::Partial;
use super::readers::{self, in_snapshot};
use super::upkeep::{Hold, Upkeep, in_background, io_error};
use super::{cell, log};
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::report::ExportReport;

impl SqliteStore {
    /// Writes the whole log to a file, one line of JSON for each event, payloads included, in the
    /// form that `docs/export.md` describes: for other tools, for an archive, and for [`import`](Self::import). Others go on reading and writing meanwhile; events that they append are not in it.
    ///
    /// Of a log that was cut it is what is left: an import needs the archives before it.
    ///
    /// Cursors, dead letters and workers are not part of the log: a [backup](Self::backup_to) has them too.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] for a name that is taken, [`StoreError::Corrupt`] or [`StoreError::Undecodable`] where
    /// the log is damaged, [`StoreError::Io`]. There is no file then.
    pub async fn export_to(&self, path: impl AsRef<Path>) -> Result<ExportReport, StoreError> {
        let (place, path) = (self.shared.place.clone(), path.as_ref().to_owned());
        in_background("export", move || {
            let _shared = Upkeep::take(&place, Hold::Shared)?;
            let conn = readers::connect(&place)?;
            let (base, head) = in_snapshot(&conn, |conn| Ok((Base::read(conn)?, Head::read(conn)?)))?;
            let (through, through_hash) = (head.position, head.hash);
            let (after, after_hash) = (base.position, base.hash);
            let part = Part { after, after_hash, through, through_hash, mended: Vec::new() };
            let partial = Partial::create(&path)?;
            let report = write(&conn, head.database, &part, partial.path())?;
            partial.finish()?;
            Ok(report)
        })
        .await
    }
}

/// Which part of the log is written.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) after: u64,
    pub(super) after_hash: Hash,
    pub(super) through: u64,
    pub(super) through_hash: Hash,
    /// Links that are known though other bytes stand in their places: positions and hashes, in order.
    pub(super) mended: Vec<(u64, Hash)>,
}

/// Writes a part of the log to a file that exists.
pub(super) fn write(
    conn: &rusqlite::Connection,
    database: [u8; 16],
    part: &Part,
    path: &Path,
) -> Result<ExportReport, StoreError> {
    let failed = |error: &std::io::Error| io_error(path, error);
    let file = File::options().write(true).open(path).map_err(|error| failed(&error))?;
    let mut out = BufWriter::new(file);
    let header = HeaderLine {
        format: FORMAT.to_owned(),
        version: VERSION,
        database: Hex(database),
        after: part.after,
        after_hash: Hex(part.after_hash),
        through: part.through,
        through_hash: Hex(part.through_hash),
    };
    line(&mut out, &header).map_err(|error| failed(&error))?;
    let mut position = part.after;
    while position < part.through {
        let left = usize::try_from(part.through - position).unwrap_or(usize::MAX);
        // What is behind a position never changes, so each page may have a snapshot of its own.
        let page = in_snapshot(conn, |conn| page(conn, position, left.min(REPLAY_PAGE_EVENTS)))?;
        for mut event in page {
            position += 1;
            if event.position != position {
                return Err(cell::corrupt(format!("event {position} is missing from the log")));
            }
            if let Ok(found) = part.mended.binary_search_by_key(&position, |(position, _)| *position) {
                event.link = part.mended.get(found).map(|(_, link)| Hex(*link));
            }
            line(&mut out, &event).map_err(|error| failed(&error))?;
        }
    }
    out.flush().map_err(|error| failed(&error))?;
    let events = part.through - part.after;
    Ok(ExportReport { events, head: LogPosition::from_number(part.through), head_hash: part.through_hash })
}

fn page(conn: &rusqlite::Connection, after: u64, limit: usize) -> Result<Vec<EventLine>, StoreError> {
    let rows = log::page(conn, after, limit)?;
    if rows.is_empty() {
        return Err(cell::corrupt(format!("event {} is missing from the log", after.saturating_add(1))));
    }
    let line = |row: log::LogRow| {
        let (event, payload) = (row.event()?, log::payload(conn, row.position)?);
        Ok(EventLine::of(row, Some(&event), payload))
    };
    rows.into_iter().map(line).collect()
}

pub(super) fn line(out: &mut impl Write, value: &impl serde::Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}
