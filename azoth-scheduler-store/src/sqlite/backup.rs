//! A copy of the whole file while others write.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::handle::SqliteStore;
use super::partial::Partial;
use super::place::Place;
use super::upkeep::in_background;
use super::{cell, readers, verify};
use crate::error::StoreError;
use crate::report::BackupReport;

impl SqliteStore {
    /// Copies the whole file, with the application's own tables if it has any, as it stands at one instant. Others go on
    /// reading and writing meanwhile.
    ///
    /// The copy is read back before it gets its name: the engine checks every page, and it is [verified](crate::Store::verify)
    /// like the store itself. Until then it has another name, and goes if anything fails. It is restored by opening it.
    ///
    /// The executions that ran when it was made are in it: once it is opened they are found to be without a worker, and run
    /// again.
    ///
    /// ```
    /// # use azoth_scheduler_store::{SqliteStore, Store, sqlite::SqliteOptions};
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let folder = tempfile::tempdir()?;
    /// # let (path, copy) = (folder.path().join("scheduler.db"), folder.path().join("monday.db"));
    /// # let options = SqliteOptions::new().allow_old_sqlite(true);
    /// # let store = SqliteStore::open_with(&path, options.clone())?;
    /// let report = store.backup_to(&copy).await?;
    /// assert_eq!(report.head, store.head().await?);
    /// let restored = SqliteStore::open_with(&copy, options)?;
    /// # assert!(restored.verify().await?.is_sound());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] for a name that is taken, [`StoreError::Corrupt`] where the store itself is damaged,
    /// [`StoreError::Full`], [`StoreError::Io`] or what the engine says. There is no copy then.
    pub async fn backup_to(&self, path: impl AsRef<Path>) -> Result<BackupReport, StoreError> {
        let (place, path) = (self.shared.place.clone(), path.as_ref().to_owned());
        in_background("backup", move || backup(&place, &path)).await
    }
}

fn backup(place: &Place, path: &Path) -> Result<BackupReport, StoreError> {
    let partial = Partial::create(path)?;
    let copied = Place::find(partial.path(), place.options.clone())?;
    let report = {
        let conn = copy(place, &copied)?;
        check_pages(&conn)?;
        verify::verify(&copied)?
    };
    if let Some(finding) = report.findings.first() {
        return Err(cell::corrupt(format!("the copy is not sound: {finding}")));
    }
    let bytes = fs::metadata(partial.path()).map_or(0, |found| found.len());
    partial.finish()?;
    Ok(BackupReport { head: report.head, head_hash: report.head_hash, bytes })
}

/// Copies all pages in one step: that is one snapshot, and no commit of others can begin it anew.
fn copy(from: &Place, to: &Place) -> Result<Connection, StoreError> {
    let (source, mut target) = (readers::connect(from)?, to.connect()?);
    let backup = Backup::new(&source, &mut target)?;
    while backup.step(ALL_PAGES)? != StepResult::Done {
        thread::sleep(PAUSE);
    }
    drop(backup);
    Ok(target)
}

/// Whether the engine finds every page, row and index in order.
fn check_pages(conn: &Connection) -> Result<(), StoreError> {
    let found: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(cell::corrupt(found)) }
}

const ALL_PAGES: i32 = -1;
/// One wait for somebody who has the file locked.
const PAUSE: Duration = Duration::from_millis(1);
