//! The log written out as lines of JSON.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::base::Base;
use super::beside::io_error;
use super::fold::REPLAY_PAGE_EVENTS;
use super::handle::SqliteStore;
use super::hash::{GENESIS, Hash};
use super::head::Head;
use super::lines::{EventLine, FORMAT, HeaderLine, Hex, VERSION};
use super::partial::Partial;
use super::readers::{self, in_snapshot};
use super::upkeep::{Upkeep, Work, in_background};
use super::{cell, log};
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::report::ExportReport;

impl SqliteStore {
    /// Writes the whole log to a file, one line of JSON for each event, payloads included, in the form
    /// that `docs/export.md` describes: for other tools, for an archive, and for [`import`](Self::import). Others go on reading
    /// and writing meanwhile; the events that they append until the last one is written are in it.
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
            let _shared = Upkeep::take(&place, Work::Export)?;
            let conn = readers::connect(&place)?;
            let partial = Partial::create(&path)?;
            let mut export = Export::begin(&conn, partial.path())?;
            while export.page(&conn)? {}
            let report = export.end(&conn)?;
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
    conn: &Connection,
    database: [u8; 16],
    part: &Part,
    path: &Path,
) -> Result<ExportReport, StoreError> {
    let mut lines = Lines::begin(database, part.after, part.after_hash, path)?;
    // What is behind a position never changes, so each page may have a snapshot of its own.
    while in_snapshot(conn, |conn| lines.page(conn, part.through, &part.mended))? {}
    lines.end(part.through_hash)
}

/// A log that is being written to a file, with all that is appended meanwhile.
///
/// Payloads are dropped meanwhile too, and the event that says so stands behind those that were there at first: without it a
/// payload that went would be missing. So the log is written up to the end that it has in the snapshot of the last page.
pub(super) struct Export {
    lines: Lines,
}

impl Export {
    /// Before the first event that is there. The file exists.
    pub(super) fn begin(conn: &Connection, path: &Path) -> Result<Self, StoreError> {
        let (base, head) = in_snapshot(conn, |conn| Ok((Base::read(conn)?, Head::read(conn)?)))?;
        Ok(Self { lines: Lines::begin(head.database, base.position, base.hash, path)? })
    }

    /// The next page, unless what is left is for the last snapshot; says whether it was written.
    pub(super) fn page(&mut self, conn: &Connection) -> Result<bool, StoreError> {
        in_snapshot(conn, |conn| {
            let head = Head::read(conn)?.position;
            let further = head.saturating_sub(self.lines.position) > REPLAY_PAGE_EVENTS as u64;
            Ok(further && self.lines.page(conn, head, &[])?)
        })
    }

    /// What is left, in the last snapshot.
    pub(super) fn end(mut self, conn: &Connection) -> Result<ExportReport, StoreError> {
        let head = in_snapshot(conn, |conn| {
            let head = Head::read(conn)?;
            while self.lines.page(conn, head.position, &[])? {}
            Ok(head)
        })?;
        self.lines.end(head.hash)
    }
}

/// The lines of a file so far. Its first one, which says how far they go, is written last, into the room that is left for it.
struct Lines {
    out: BufWriter<File>,
    path: PathBuf,
    header: HeaderLine,
    room: usize,
    /// The last event that was written.
    position: u64,
}

impl Lines {
    fn begin(database: [u8; 16], after: u64, after_hash: Hash, path: &Path) -> Result<Self, StoreError> {
        let header = HeaderLine {
            format: FORMAT.to_owned(),
            version: VERSION,
            database: Hex(database),
            after,
            after_hash: Hex(after_hash),
            through: u64::MAX,
            through_hash: Hex(GENESIS),
        };
        let file = File::options().write(true).open(path).map_err(|error| io_error(path, &error))?;
        let mut lines =
            Self { out: BufWriter::new(file), path: path.to_owned(), header, room: 0, position: after };
        let longest = lines.first_line()?;
        lines.room = longest.len();
        lines.put(&longest)?;
        Ok(lines)
    }

    /// The next page of events, but none behind `through`; says whether there was one.
    fn page(&mut self, conn: &Connection, through: u64, mended: &[(u64, Hash)]) -> Result<bool, StoreError> {
        let left = usize::try_from(through.saturating_sub(self.position)).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(false);
        }
        for mut event in page(conn, self.position, left.min(REPLAY_PAGE_EVENTS))? {
            self.position += 1;
            if event.position != self.position {
                return Err(cell::corrupt(format!("event {} is missing from the log", self.position)));
            }
            if let Ok(found) = mended.binary_search_by_key(&self.position, |(position, _)| *position) {
                event.link = mended.get(found).map(|(_, link)| Hex(*link));
            }
            line(&mut self.out, &event).map_err(|error| io_error(&self.path, &error))?;
        }
        Ok(true)
    }

    /// Writes the first line: the chain stands at this hash behind the last event.
    fn end(mut self, hash: Hash) -> Result<ExportReport, StoreError> {
        (self.header.through, self.header.through_hash) = (self.position, Hex(hash));
        let mut first = self.first_line()?;
        first.truncate(first.len() - 1);
        first.resize(self.room - 1, b' ');
        first.push(b'\n');
        self.out.rewind().map_err(|error| io_error(&self.path, &error))?;
        self.put(&first)?;
        self.out.flush().map_err(|error| io_error(&self.path, &error))?;
        let events = self.position - self.header.after;
        Ok(ExportReport { events, head: LogPosition::from_number(self.position), head_hash: hash })
    }

    fn first_line(&self) -> Result<Vec<u8>, StoreError> {
        let mut first = Vec::new();
        line(&mut first, &self.header).map_err(|error| io_error(&self.path, &error))?;
        Ok(first)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.out.write_all(bytes).map_err(|error| io_error(&self.path, &error))
    }
}

fn page(conn: &Connection, after: u64, limit: usize) -> Result<Vec<EventLine>, StoreError> {
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
