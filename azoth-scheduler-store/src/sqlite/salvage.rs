//! The readable part of a damaged log, written out with an account of what was lost.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde::Serialize;

use super::beside::{io_error, private_file};
use super::handle::SqliteStore;
use super::lines::EventLine;
use super::options::SqliteOptions;
use super::partial::PartialFolder;
use super::place::Place;
use super::survey::{self, Rows, Span, Survey};
use super::upkeep::{Upkeep, Work, in_background};
use super::{export, readers, schema};
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::report::{Damage, SalvageReport, SalvagedPart};

impl SqliteStore {
    /// Writes what can still be read of a damaged file's log to a new folder, and changes nothing of the file, which need
    /// not open as a store any more.
    ///
    /// Each unbroken stretch of the log that the chain proves becomes a file in the form of an [export](Self::export_to). The
    /// first of them is the log up to the damage, and can be [imported](Self::import) like any export; so can the ones behind
    /// the damage where the events between are found elsewhere. Events that can be read and not be proven stand in
    /// `unproven.jsonl`, and `damage.jsonl` says what is wrong, and where. `docs/export.md` describes the files.
    ///
    /// Only the log is looked at: the projection is made anew by an import. A salvage reads each event twice.
    ///
    /// ```
    /// # use azoth_scheduler_store::{SqliteStore, Store, sqlite::SqliteOptions};
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let folder = tempfile::tempdir()?;
    /// # let (path, salvaged) = (folder.path().join("scheduler.db"), folder.path().join("salvaged"));
    /// # let options = SqliteOptions::new().allow_old_sqlite(true);
    /// # drop(SqliteStore::open_with(&path, options.clone())?);
    /// let report = SqliteStore::salvage(&path, &salvaged, options).await?;
    /// for damage in &report.damage {
    ///     println!("{damage}");
    /// }
    /// # assert!(report.is_whole());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] for a folder that is there, [`StoreError::CannotOpen`], [`StoreError::NotADatabase`] or
    /// [`StoreError::Corrupt`] where not even the tables can be found, [`StoreError::Io`]. There is no folder then.
    pub async fn salvage(
        damaged: impl AsRef<Path>,
        folder: impl AsRef<Path>,
        options: SqliteOptions,
    ) -> Result<SalvageReport, StoreError> {
        let (damaged, folder) = (damaged.as_ref().to_owned(), folder.as_ref().to_owned());
        in_background("salvage", move || salvage(&damaged, &folder, options)).await
    }
}

fn salvage(damaged: &Path, folder: &Path, options: SqliteOptions) -> Result<SalvageReport, StoreError> {
    if !damaged.is_file() {
        let detail = "there is no such file".to_owned();
        return Err(StoreError::CannotOpen { path: damaged.to_owned(), detail });
    }
    let place = Place::find(damaged, options)?;
    let folder = PartialFolder::create(folder)?;
    let _shared = Upkeep::take(&place, Work::Salvage)?;
    let conn = readers::connect(&place)?;
    // A layout that cannot be read is damage like any other.
    if let Ok(layout) = survey::around(schema::layout(&conn))? {
        place.check_layout(layout)?;
    }
    let survey = survey::survey(&conn)?;
    let mut report = SalvageReport { beside: survey.beside.clone(), ..SalvageReport::default() };
    if let Some(database) = survey.database {
        for part in &survey.stretches {
            let name = format!("events-{}-{}.jsonl", part.after + 1, part.through);
            let path = folder.path().join(&name);
            private_file(&path).map_err(|error| io_error(&path, &error))?;
            report.events += export::write(&conn, database, part, &path)?.events;
            report.parts.push(SalvagedPart {
                path: folder.finally().join(name),
                after: LogPosition::from_number(part.after),
                through: LogPosition::from_number(part.through),
            });
        }
    }
    report.damage = unproven(&conn, &survey, &folder)?;
    account(&report, &folder)?;
    drop(conn);
    folder.finish()?;
    Ok(report)
}

/// Writes the events that can be read though they are not part of a whole stretch. What is wrong with each span.
fn unproven(conn: &Connection, survey: &Survey, folder: &PartialFolder) -> Result<Vec<Damage>, StoreError> {
    let mut file = Lines::create(folder.path().join("unproven.jsonl"))?;
    let mut rows = Rows::new(conn);
    let mut damage = Vec::new();
    for Span { from, through, what } in &survey.damage {
        let mut readable = 0;
        for position in *from..=(*through).min(survey.last) {
            let Ok(row) = rows.at(position)? else { continue };
            let content = survey::read(conn, &row, survey.payloads_dropped)?.ok();
            let (event, payload) =
                content.map_or((None, None), |content| (Some(content.event), content.payload.ok().flatten()));
            file.write(&EventLine::of(row, event.as_ref(), payload))?;
            readable += 1;
        }
        damage.push(Damage {
            from: LogPosition::from_number(*from),
            through: LogPosition::from_number(*through),
            readable,
            what: what.clone(),
        });
    }
    file.end()?;
    Ok(damage)
}

/// What is wrong, as lines of JSON.
fn account(report: &SalvageReport, folder: &PartialFolder) -> Result<(), StoreError> {
    let mut file = Lines::create(folder.path().join("damage.jsonl"))?;
    for what in &report.beside {
        file.write(&DamageLine { from: None, through: None, readable: None, what })?;
    }
    for Damage { from, through, readable, what } in &report.damage {
        let (from, through) = (Some(from.number()), Some(through.number()));
        file.write(&DamageLine { from, through, readable: Some(*readable), what })?;
    }
    file.end()
}

#[derive(Serialize)]
struct DamageLine<'a> {
    from: Option<u64>,
    through: Option<u64>,
    readable: Option<u64>,
    what: &'a str,
}

/// A file of lines in the making.
struct Lines {
    out: BufWriter<File>,
    path: PathBuf,
}

impl Lines {
    fn create(path: PathBuf) -> Result<Self, StoreError> {
        let file = private_file(&path).map_err(|error| io_error(&path, &error))?;
        Ok(Self { out: BufWriter::new(file), path })
    }

    fn write(&mut self, value: &impl Serialize) -> Result<(), StoreError> {
        export::line(&mut self.out, value).map_err(|error| io_error(&self.path, &error))
    }

    fn end(mut self) -> Result<(), StoreError> {
        self.out.flush().map_err(|error| io_error(&self.path, &error))
    }
}
