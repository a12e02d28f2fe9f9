//! What the tests share: a file in a folder of its own, and short ways to say what is wished.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use azoth_scheduler_core::command::{NewTask, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::execution::{Emitted, Outcome};
use azoth_scheduler_core::id::{Actor, EventType, ExecutionId, TaskId, TaskType, WorkerId};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::retry::RetryPolicy;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::task::{Priority, TaskDefinition};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::sqlite::rusqlite::types::Value;
use azoth_scheduler_store::sqlite::{SqliteOptions, rusqlite};
use azoth_scheduler_store::{
    Applied, Batch, ClaimOffer, Claimed, ProcessIdentity, SqliteStore, Store, Suspects, WorkerInfo,
};
use tempfile::TempDir;

/// A folder with a database in it, gone at the end of the test.
pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("scheduler.db")
    }

    pub(crate) fn open(&self) -> SqliteStore {
        open(&self.path())
    }

    /// The names of all files in the folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Every cell of the derived tables.
    pub(crate) fn projection(&self) -> Vec<Vec<Value>> {
        let raw = self.raw();
        let mut rows = Vec::new();
        for sql in [
            "SELECT * FROM azoth_p_types ORDER BY type",
            "SELECT * FROM azoth_p_tasks ORDER BY key",
            "SELECT * FROM azoth_p_waits ORDER BY task, dependency",
        ] {
            let mut statement = raw.prepare(sql).unwrap();
            let columns = statement.column_count();
            let read = |row: &rusqlite::Row<'_>| (0..columns).map(|index| row.get(index)).collect();
            rows.extend(statement.query_map([], read).unwrap().map(Result::unwrap));
        }
        rows
    }

    /// A connection of somebody else's to the same file.
    pub(crate) fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

/// Settings under which the tests also run with an SQLite that is too old, where the gate asks for that.
pub(crate) fn options() -> SqliteOptions {
    let old = std::env::var_os("AZOTH_ALLOW_OLD_SQLITE_IN_TESTS").is_some_and(|value| value == "1");
    SqliteOptions::new().allow_old_sqlite(old)
}

pub(crate) fn open(path: &Path) -> SqliteStore {
    SqliteStore::open_with(path, options()).unwrap()
}

/// So many seconds after an instant that all tests share.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds).unwrap()
}

pub(crate) fn id(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

pub(crate) fn kind(name: &str) -> TaskType {
    TaskType::new(name).unwrap()
}

pub(crate) fn actor() -> Actor {
    Actor::new("operator").unwrap()
}

pub(crate) fn definition(schedule: Schedule) -> TaskDefinition {
    TaskDefinition {
        task_type: kind("work"),
        payload: Payload::empty().digest(),
        schedule,
        retry: RetryPolicy::default(),
        timeout_ms: NonZeroU64::new(60_000).unwrap(),
        priority: Priority::Normal,
        group: None,
        concurrency_key: None,
        after: None,
        unique: None,
    }
}

pub(crate) fn schedule(name: &str, definition: TaskDefinition, payload: &[u8]) -> TaskCommand {
    let new = NewTask::new(definition, Payload::new(payload.to_vec()), OnConflict::Redefine);
    TaskCommand { task: id(name), wish: Wish::Schedule(new) }
}

/// Work of type `work` that is due at once.
pub(crate) fn job(name: &str) -> TaskCommand {
    schedule(name, definition(Schedule::immediate()), name.as_bytes())
}

pub(crate) fn succeed(name: &str, execution: ExecutionId, payload: &[u8], now: Timestamp) -> TaskCommand {
    let emitted =
        Emitted { event_type: EventType::new("done").unwrap(), payload: Payload::new(payload.to_vec()) };
    let wish = Wish::Complete { execution, started_at: now, report: Outcome::Succeeded(emitted.into()) };
    TaskCommand { task: id(name), wish }
}

pub(crate) fn execution(number: u128) -> ExecutionId {
    ExecutionId::from_u128(number)
}

pub(crate) fn worker(number: u128) -> WorkerId {
    WorkerId::from_u128(number)
}

pub(crate) fn worker_info(number: u128) -> WorkerInfo {
    WorkerInfo {
        worker: worker(number),
        process: ProcessIdentity { pid: std::process::id(), started: u64::MAX, boot_id: "boot".into() },
        lease_ms: NonZeroU64::new(15_000).unwrap(),
        task_types: [kind("work")].into(),
    }
}

pub(crate) fn offer(by: u128, executions: impl IntoIterator<Item = u128>) -> ClaimOffer {
    let executions = executions.into_iter().map(execution).collect();
    let offer = ClaimOffer::new(worker(by), [kind("work")].into(), executions);
    ClaimOffer { suspects: Suspects::IfNothingElse, ..offer }
}

pub(crate) async fn apply(
    store: &SqliteStore,
    now: Timestamp,
    commands: impl IntoIterator<Item = TaskCommand>,
) -> Applied {
    let commands: Vec<_> = commands.into_iter().collect();
    store.apply(Batch::new(commands, now)).await.unwrap()
}

pub(crate) async fn claim(store: &SqliteStore, now: Timestamp, offer: ClaimOffer) -> Vec<Claimed> {
    let batch = Batch::claiming(offer, now);
    store.apply(batch).await.unwrap().claims.unwrap().claimed
}

/// Every test of a store ends with this, unless it damages the file on purpose.
pub(crate) async fn assert_sound(store: &SqliteStore) {
    let report = store.verify().await.unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
}

/// Values that differ from a cell's by one bit: of a number one of these, of bytes one in every so many of them.
pub(crate) fn one_bit_off(cell: &Value, bits: impl IntoIterator<Item = u32>, every: usize) -> Vec<Value> {
    match cell {
        Value::Integer(number) => bits.into_iter().map(|bit| Value::Integer(number ^ (1 << bit))).collect(),
        Value::Blob(bytes) => (0..bytes.len())
            .step_by(every)
            .map(|at| {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                Value::Blob(flipped)
            })
            .collect(),
        Value::Null => vec![Value::Integer(1), Value::Blob(vec![0; 32])],
        Value::Real(_) | Value::Text(_) => panic!("the log holds numbers and bytes"),
    }
}
