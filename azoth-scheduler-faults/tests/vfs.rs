//! The file system under the engine itself, without the store.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its failure")]

use std::path::Path;

use azoth_scheduler_faults::{Call, Effect, Fate, Fault, FaultyVfs, Part};
use rusqlite::{Connection, OpenFlags};

fn open(path: &Path, vfs: FaultyVfs) -> Connection {
    let conn = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), vfs.name()).unwrap();
    // Without it the deletion of the first journal can be lost, and everything with it.
    conn.execute_batch("PRAGMA synchronous = EXTRA").unwrap();
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    conn.execute_batch("CREATE TABLE IF NOT EXISTS numbers (number INTEGER)").unwrap();
    conn
}

fn count(path: &Path) -> usize {
    let conn = Connection::open(path).unwrap();
    let count = conn.query_row("SELECT count(*) FROM numbers", [], |row| row.get::<_, u32>(0));
    count.unwrap() as usize
}

#[test]
fn what_the_engine_has_synced_is_in_every_image() {
    let vfs = FaultyVfs::register();
    vfs.record();
    let folder = tempfile::tempdir().unwrap();
    let conn = open(&folder.path().join("numbers.db"), vfs);
    let mut committed = vec![vfs.moment()];
    for number in 0..6 {
        conn.execute("INSERT INTO numbers VALUES (?1)", [number]).unwrap();
        committed.push(vfs.moment());
        if number == 3 {
            conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        }
    }
    let recording = vfs.recording();
    let boundaries = recording.sync_boundaries();
    assert!(boundaries.len() > 12);
    for moment in boundaries.into_iter().filter(|moment| *moment >= committed[0]) {
        let acknowledged = committed.iter().filter(|at| **at <= moment).count() - 1;
        for fate in [Fate::Lost, Fate::Kept, Fate::Random(1), Fate::Random(2)] {
            let image = tempfile::tempdir().unwrap();
            recording.cut(moment, fate).write_to(image.path()).unwrap();
            let found = count(&image.path().join("numbers.db"));
            let before = recording.before(moment, 20);
            assert!(found >= acknowledged, "{found} of {acknowledged} at {moment}, {fate:?}:\n{before}");
        }
    }
}

#[test]
fn fault_meets_the_call_that_was_named_and_no_other() {
    let vfs = FaultyVfs::register();
    let folder = tempfile::tempdir().unwrap();
    let conn = open(&folder.path().join("numbers.db"), vfs);
    let insert = || conn.execute("INSERT INTO numbers VALUES (1)", []);
    vfs.inject(Fault::at(Call::Sync, Part::Wal, Effect::IoError).nth(2));
    insert().unwrap();
    insert().unwrap_err();
    insert().unwrap();
    vfs.inject(Fault::at(Call::Write, Part::Wal, Effect::Full).lasting());
    insert().unwrap_err();
    insert().unwrap_err();
    vfs.heal();
    insert().unwrap();
    assert!(vfs.calls(Call::LockWrite, Part::Database) >= 6);
}
