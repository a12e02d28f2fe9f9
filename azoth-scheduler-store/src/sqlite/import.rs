//! A new file made of an exported log.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::beside::io_error;
use super::chain;
use super::fold::REPLAY_PAGE_EVENTS;
use super::handle::SqliteStore;
use super::hash::Hash;
use super::head::Head;
use super::lines::{EventLine, HeaderLine, shown};
use super::log::{self, LogRow};
use super::options::SqliteOptions;
use super::partial::Partial;
use super::place::Place;
use super::upkeep::in_background;
use super::{cell, rebuild, verify};
use crate::error::StoreError;

impl SqliteStore {
    /// Makes a new file of an [exported](Self::export_to) log, and opens it. It is the same database, with the same id and
    /// the same hash at its head; do not let both go on.
    ///
    /// Several exports are put together in their order where one begins behind the end of the other: the archives of a
    /// log that was cut, and what is left of it.
    ///
    /// # Errors
    /// [`StoreError::BadExport`] with the line that is not as it was written, [`StoreError::AlreadyExists`] for a name that
    /// is taken, [`StoreError::Io`], or why the file cannot be opened. There is no file then.
    pub async fn import<P: AsRef<Path>>(
        path: impl AsRef<Path>,
        exports: impl IntoIterator<Item = P>,
        options: SqliteOptions,
    ) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let exports: Vec<PathBuf> = exports.into_iter().map(|path| path.as_ref().to_owned()).collect();
        in_background("import", move || {
            let partial = Partial::create(&path)?;
            let place = Place::find(partial.path(), options.clone())?;
            import(&place, &exports)?;
            let path = partial.finally().to_owned();
            partial.finish()?;
            Self::open_with(path, options)
        })
        .await
    }
}

fn import(place: &Place, exports: &[PathBuf]) -> Result<(), StoreError> {
    let (conn, head) = place.establish()?;
    // Nobody else sees to the write-ahead log.
    conn.execute_batch("PRAGMA wal_autocheckpoint = 1000")?;
    let mut import = Import { conn: &conn, head, append: Vec::new(), named: false };
    for export in exports {
        import.part(export)?;
    }
    rebuild::rebuild(place, &watch::Sender::default())?;
    let report = verify::verify(place)?;
    match report.findings.first() {
        None => Ok(()),
        Some(finding) => Err(cell::corrupt(format!("what was imported is not sound: {finding}"))),
    }
}

struct Import<'a> {
    conn: &'a Connection,
    /// Where the log ends so far.
    head: Head,
    /// The rows of an append whose link has not come yet.
    append: Vec<LogRow>,
    /// The database has its id.
    named: bool,
}

impl Import<'_> {
    fn part(&mut self, path: &Path) -> Result<(), StoreError> {
        let file = File::open(path).map_err(|error| io_error(path, &error))?;
        let mut lines = Lines { lines: BufReader::new(file), path, number: 0, text: Vec::new() };
        let Some(header) = lines.next::<HeaderLine>()? else {
            return Err(lines.bad("is missing: the file is empty"));
        };
        self.begin(&header).map_err(|what| lines.bad(what))?;
        let mut more = true;
        while more {
            self.conn.execute_batch("BEGIN IMMEDIATE")?;
            more = self.some(&mut lines, &header)?;
            self.head.write(self.conn)?;
            self.conn.execute_batch("COMMIT")?;
        }
        Ok(())
    }

    /// Whether this part may follow the ones before it.
    fn begin(&mut self, header: &HeaderLine) -> Result<(), String> {
        header.check()?;
        if (header.after, header.after_hash.0) != (self.head.position, self.head.hash) {
            return Err(format!(
                "begins behind event {} with the hash {}, and what was imported so far ends at event {} with the hash {}: \
                 name the exports before it first",
                header.after,
                shown(&header.after_hash.0),
                self.head.position,
                shown(&self.head.hash),
            ));
        }
        if self.named && header.database.0 != self.head.database {
            return Err("is of another database than the export before it".to_owned());
        }
        if header.through < header.after {
            return Err(format!("ends at event {}, before it begins", header.through));
        }
        Ok(())
    }

    /// Reads some lines; says whether there are more.
    fn some(&mut self, lines: &mut Lines<'_>, header: &HeaderLine) -> Result<bool, StoreError> {
        if !self.named {
            self.head.database = header.database.0;
            let sql = "UPDATE azoth_head SET database = ?1";
            self.conn.execute(sql, params![self.head.database])?;
            self.named = true;
        }
        for _ in 0..REPLAY_PAGE_EVENTS {
            let Some(line) = lines.next::<EventLine>()? else {
                self.end(header).map_err(|what| lines.bad(what))?;
                return Ok(false);
            };
            self.event(line, header.through).map_err(|refused| match refused {
                Refused::Line(what) => lines.bad(what),
                Refused::Store(error) => error,
            })?;
        }
        Ok(true)
    }

    fn event(&mut self, line: EventLine, through: u64) -> Result<(), Refused> {
        let expected = self.append.last().map_or(self.head.position, |row| row.position).saturating_add(1);
        if line.position != expected || expected > through {
            let what = format!("holds event {}, and event {expected} should be here", line.position);
            return Err(Refused::Line(if expected > through {
                "goes on behind the end".to_owned()
            } else {
                what
            }));
        }
        let (row, _, payload) = line.take_apart().map_err(Refused::Line)?;
        let ordered_at = self.append.last().map_or(self.head.ordered_at, |row| row.ordered_at);
        if row.ordered_at != ordered_at.max(row.at) {
            return Err(Refused::Line("has an ordered instant that is not the greatest so far".to_owned()));
        }
        log::append(self.conn, [&row]).map_err(|error| Refused::Line(format!("cannot be a row: {error}")))?;
        log::put_payloads(self.conn, [(row.position, payload.as_deref().unwrap_or_default())])?;
        let link = row.link;
        self.append.push(row);
        if let Some(link) = link {
            self.link(link)?;
        }
        Ok(())
    }

    /// The append ends with this link, if it is the one.
    fn link(&mut self, link: Hash) -> Result<(), Refused> {
        if chain::link(&self.head.hash, &self.head.database, &self.append) != link {
            let first = self.append.first().map_or(0, |row| row.position);
            return Err(Refused::Line(format!(
                "holds a link of the chain that does not fit: an event from {first} on was changed"
            )));
        }
        let Some(last) = self.append.last() else { return Ok(()) };
        (self.head.position, self.head.ordered_at) = (last.position, last.ordered_at);
        self.head.hash = link;
        self.append.clear();
        Ok(())
    }

    /// Whether all that the first line promises was there.
    fn end(&self, header: &HeaderLine) -> Result<(), String> {
        let found = self.append.last().map_or(self.head.position, |row| row.position);
        if found != header.through {
            return Err(format!(
                "is missing: the export ends behind event {found} and should go on to {}",
                header.through
            ));
        }
        if !self.append.is_empty() || self.head.hash != header.through_hash.0 {
            return Err("is missing, or the first line does not hold the hash of the last event".to_owned());
        }
        Ok(())
    }
}

enum Refused {
    Line(String),
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Refused::Store(error)
    }
}

/// The lines of an export, numbered from 1.
struct Lines<'a> {
    lines: BufReader<File>,
    path: &'a Path,
    number: u64,
    text: Vec<u8>,
}

impl Lines<'_> {
    fn next<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, StoreError> {
        self.text.clear();
        self.number += 1;
        let read = self.lines.read_until(b'\n', &mut self.text);
        if read.map_err(|error| io_error(self.path, &error))? == 0 {
            return Ok(None);
        }
        if self.text.last() != Some(&b'\n') {
            return Err(self.bad("was cut short"));
        }
        let value = serde_json::from_slice(&self.text);
        value.map(Some).map_err(|error| self.bad(format!("cannot be read: {error}")))
    }

    fn bad(&self, what: impl Into<String>) -> StoreError {
        StoreError::BadExport { path: self.path.to_owned(), line: self.number, what: what.into() }
    }
}
