//! What is told of a write-ahead log that is too long, without the thread: each look is a call.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::*;
use crate::sqlite::SqliteOptions;

const KIB: u64 = 1024;

/// What was warned of while something was done.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words::default();
        event.record(&mut words);
        self.0.lock().unwrap().push(words.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

/// A file whose log nobody copies but the test.
struct House {
    _folder: tempfile::TempDir,
    place: Place,
    conn: Connection,
    copier: Copier,
}

impl House {
    fn new(soft: u64, hard: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new().allow_old_sqlite(true).wal_limits(soft, hard);
        let place = Place::find(&folder.path().join("scheduler.db"), options).unwrap();
        let (conn, _) = place.establish().unwrap();
        conn.execute_batch("CREATE TABLE theirs (bytes BLOB)").unwrap();
        let copier =
            Copier { place: place.clone(), conn: None, failing: false, held_back: false, warned: false };
        Self { _folder: folder, place, conn, copier }
    }

    /// Commits that make the log longer by so many bytes.
    fn write(&self, bytes: u64) {
        for _ in 0..bytes / (16 * KIB) {
            self.conn.execute_batch("INSERT INTO theirs VALUES (zeroblob(16384))").unwrap();
            self.place.committed(1);
        }
    }

    /// What a look at the log warns of.
    fn look(&mut self) -> Vec<String> {
        let warnings = Warnings::default();
        tracing::subscriber::with_default(warnings.clone(), || self.copier.look(false));
        std::mem::take(&mut *warnings.0.lock().unwrap())
    }
}

/// A read transaction that somebody keeps open.
fn reader(house: &House) -> Connection {
    let reader = Connection::open(&house.place.path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM theirs;").unwrap();
    reader
}

#[test]
fn log_over_its_soft_limit_is_warned_of_once_while_a_reader_keeps_it_and_again_when_that_comes_again() {
    let mut house = House::new(1_024 * KIB, 4_096 * KIB);
    let kept = reader(&house);
    house.write(256 * KIB);
    assert_eq!(house.look(), [""; 0], "it is long, and below the limit");
    house.write(1_024 * KIB);
    let warned = house.look();
    let [warning] = warned.as_slice() else { panic!("{warned:?}") };
    assert!(warning.contains("somebody keeps a read transaction open"), "{warning}");
    assert!(warning.contains(&format!("soft={} hard={}", 1_024 * KIB, 4_096 * KIB)), "{warning}");
    assert_eq!(house.place.wal.hard_limit(), None);
    house.write(256 * KIB);
    assert_eq!(house.look(), [""; 0], "it is known");

    drop(kept);
    assert_eq!(house.look(), [""; 0]);
    // The writer cuts what nobody keeps any more.
    assert!(house.place.wal.take_rest());
    copy_rest(&house.conn, &house.place).unwrap();
    let _kept = reader(&house);
    house.write(1_280 * KIB);
    assert_eq!(house.look().len(), 1);
}

/// New work was refused because of a log that the writer had cut to nothing, until the thread looked at it again.
#[test]
fn log_over_its_hard_limit_is_cut_by_the_writer_and_takes_new_work_in_at_once() {
    let mut house = House::new(64 * KIB, 256 * KIB);
    let kept = reader(&house);
    house.write(256 * KIB);
    house.look();
    assert_eq!(house.place.wal.hard_limit(), Some(256 * KIB));
    drop(kept);
    house.look();
    assert!(house.place.wal.take_rest());
    copy_rest(&house.conn, &house.place).unwrap();
    assert_eq!(house.place.files.wal_bytes(), 0);
    assert_eq!(house.place.wal.hard_limit(), None);
}

#[test]
fn log_that_is_long_because_much_is_written_is_not_warned_of() {
    let mut house = House::new(256 * KIB, 4_096 * KIB);
    house.write(512 * KIB);
    assert_eq!(house.look(), [""; 0], "nobody keeps it");
}
