//! What the hot paths cost, where it can be counted: statements, commits, syncs, pages, allocations. No test here looks at a
//! clock. A number that goes down is changed here; one that goes up needs a reason.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::Arc;

use azoth_scheduler_core::command::{NewTask, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::{Emitted, Outcome};
use azoth_scheduler_core::id::{EventType, ExecutionId, TaskId, TaskType, WorkerId};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::retry::RetryPolicy;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::task::{Priority, TaskDefinition};
use azoth_scheduler_core::testing::{actor, text};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_faults::{Call, FaultyVfs, Part};
use rusqlite::Connection;

use super::claim::{Standing, claim_for_standing};
use super::fold::Fold;
use super::group::Group;
use super::head::Head;
use super::memory::Memory;
use super::{SqliteOptions, SqliteStore, chain, log, place, schema, worker};
use crate::codec::{self, Decoder};
use crate::store::{Batch, ClaimOffer, Claimed, ProcessIdentity, Store, Suspects, WorkerInfo};

thread_local! {
    static STATEMENTS: Cell<usize> = const { Cell::new(0) };
}

/// Counts each statement that is run; the parts of a trigger, which are told as comments, belong to theirs.
fn count(sql: &str) {
    if !sql.starts_with("--") {
        STATEMENTS.set(STATEMENTS.get() + 1);
    }
}

/// Tables in memory, what a writer remembers of them, and a worker.
struct Bench {
    conn: Connection,
    memory: Memory,
}

const WORKER: u128 = 7;

impl Bench {
    fn new() -> Self {
        let mut bench = Self::on(Connection::open_in_memory().unwrap());
        // An engine without a file counts its own first commit as one of others.
        for _ in 0..2 {
            bench.within(|_| {});
        }
        bench
    }

    fn on(conn: Connection) -> Self {
        place::settle(&conn).unwrap();
        schema::create(&conn).unwrap();
        worker::register(&conn, &info(), at(0)).unwrap();
        Self { conn, memory: Memory::default() }
    }

    /// Does something in a transaction as the writer does, and counts the statements between begin and commit.
    fn within<T>(&mut self, work: impl FnOnce(&mut Group<'_>) -> T) -> (T, usize) {
        self.conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        STATEMENTS.set(0);
        self.trace(Some(count));
        let head = self.memory.head(&self.conn).unwrap();
        let mut group = Group::new(&self.conn, &mut self.memory, head).unwrap();
        let done = work(&mut group);
        let head = group.finish().unwrap();
        let statements = STATEMENTS.get();
        self.trace(None);
        self.conn.execute_batch("COMMIT").unwrap();
        self.memory.keep(&head);
        (done, statements)
    }

    /// Applies a batch. What was claimed, and how many statements ran.
    fn apply(&mut self, batch: &Batch) -> (Vec<Claimed>, usize) {
        let (applied, statements) = self.within(|group| group.apply(batch).unwrap());
        assert!(applied.answers.iter().all(Result::is_ok), "{:?}", applied.answers);
        (applied.claims.map(|claims| claims.claimed).unwrap_or_default(), statements)
    }

    /// Applies a batch while an offer stands. What it has brought, and how many statements ran.
    fn apply_beside(&mut self, offer: &ClaimOffer, batch: &Batch) -> (Vec<Claimed>, usize) {
        let (standing, statements) = self.within(|group| {
            group.apply(batch).unwrap();
            claim_for_standing(group, offer).unwrap()
        });
        match standing {
            Standing::Brought(claims) => (claims.claimed, statements),
            Standing::Nothing { .. } | Standing::Unseen => (Vec::new(), statements),
        }
    }

    #[allow(deprecated, reason = "the oldest driver of the range has no other")]
    fn trace(&mut self, each: Option<fn(&str)>) {
        self.conn.trace(each);
    }

    /// Schedules tasks, so that the type is known and every statement prepared.
    fn warm(&mut self) {
        self.apply(&jobs(0..3));
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds).unwrap()
}

fn job(number: u32) -> TaskCommand {
    job_with(number, format!("payload {number}").as_bytes())
}

fn job_with(number: u32, payload: &[u8]) -> TaskCommand {
    job_of(number, payload, Schedule::immediate())
}

fn job_at(number: u32, instant: Timestamp) -> TaskCommand {
    job_of(number, b"later", Schedule::one_time(instant))
}

fn job_of(number: u32, payload: &[u8], schedule: Schedule) -> TaskCommand {
    let payload = Payload::new(payload);
    let definition = TaskDefinition {
        task_type: TaskType::new("work").unwrap(),
        payload: payload.digest(),
        schedule,
        retry: RetryPolicy::default(),
        timeout_ms: NonZeroU64::new(60_000).unwrap(),
        priority: Priority::Normal,
        group: None,
        concurrency_key: None,
        after: None,
        unique: None,
    };
    let task = TaskId::new(format!("job-{number:06}")).unwrap();
    TaskCommand { task, wish: Wish::Schedule(NewTask::new(definition, payload, OnConflict::Redefine)) }
}

fn jobs(numbers: std::ops::Range<u32>) -> Batch {
    Batch::new(numbers.map(job).collect::<Vec<_>>(), at(0))
}

fn offer(slots: u128) -> ClaimOffer {
    let executions = (1..=slots).map(ExecutionId::from_u128).collect();
    let offer =
        ClaimOffer::new(WorkerId::from_u128(WORKER), Arc::from([TaskType::new("work").unwrap()]), executions);
    ClaimOffer { suspects: Suspects::IfNothingElse, ..offer }
}

fn ends(claimed: &[Claimed]) -> Batch {
    let ends = claimed.iter().map(|claimed| {
        let event_type = EventType::new("done").unwrap();
        let report = Outcome::Succeeded(Emitted { event_type, payload: Payload::empty() }.into());
        let wish = Wish::Complete { execution: claimed.execution, started_at: at(1), report };
        TaskCommand { task: claimed.task.clone(), wish }
    });
    Batch::new(ends.collect::<Vec<_>>(), at(1))
}

fn info() -> WorkerInfo {
    let process = ProcessIdentity { pid: 1, started: 1, boot_id: "boot".into() };
    let lease_ms = NonZeroU64::new(15_000).unwrap();
    WorkerInfo { worker: WorkerId::from_u128(WORKER), process, lease_ms, task_types: [].into() }
}

#[test]
fn head_and_workers_are_read_only_after_others_have_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scheduler.db");
    let others = Connection::open(&path).unwrap();
    others.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    let mut bench = settle(Bench::on(Connection::open(&path).unwrap()));
    let claiming = Batch::claiming(offer(1), at(0));
    // Only whether others have committed.
    assert_eq!(bench.apply(&claiming).1, 1);
    worker::end(&others, info().worker).unwrap();
    let (standing, statements) = bench.within(|group| group.apply(&claiming).unwrap());
    assert!(standing.claims.is_some_and(|claims| claims.worker_ended));
    assert_eq!(statements, 3);
    // What has moved the head is read once.
    others.execute_batch("UPDATE azoth_head SET epoch = epoch + 1").unwrap();
    assert_eq!([bench.within(|_| {}).1, bench.within(|_| {}).1], [3, 1]);
}

#[test]
fn scheduling_is_a_look_up_and_three_rows_for_each_task() {
    let mut bench = Bench::new();
    bench.warm();
    // It is asked once whether others have committed, and the head is written once, whatever is between.
    assert_eq!(bench.apply(&jobs(10..11)).1, 2 + 4);
    assert_eq!(bench.apply(&jobs(1_000..2_000)).1, 2 + 4 * 1_000);
}

#[test]
fn scheduling_again_what_is_known_is_answered_from_memory() {
    let mut bench = Bench::new();
    bench.apply(&jobs(0..100));
    assert_eq!(bench.apply(&jobs(0..100)).1, 1);
}

#[test]
fn an_end_is_three_rows_for_each_task_and_one_look_for_anybody_who_waits() {
    let mut bench = Bench::new();
    bench.apply(&jobs(0..100));
    let (claimed, _) = bench.apply(&Batch::claiming(offer(100), at(0)));
    assert_eq!(claimed.len(), 100);
    // An event of the end, one of what the handler said, and the row.
    assert_eq!(bench.apply(&ends(&claimed)).1, 3 + 3 * 100);
}

#[test]
fn a_claim_is_two_rows_for_each_task_and_a_look_for_bytes_that_are_many() {
    let mut bench = Bench::new();
    bench.apply(&jobs(0..200));
    bench.apply(&Batch::claiming(offer(1), at(0)));
    let (few, for_few) = bench.apply(&Batch::claiming(offer(20), at(0)));
    let (many, for_many) = bench.apply(&Batch::claiming(offer(84), at(0)));
    assert_eq!((few.len(), many.len()), (20, 84));
    // Beside those come a few pages of the due index, and what does not depend on the number.
    assert_eq!((for_many - for_few) / 64, 2, "{for_few} and {for_many}");
    assert!(for_few - 2 * 20 <= 16, "{for_few}");

    let mut bench = Bench::new();
    bench.apply(&Batch::new((0..20).map(|number| job_with(number, &[7; 257])).collect::<Vec<_>>(), at(0)));
    let (claimed, statements) = bench.apply(&Batch::claiming(offer(20), at(0)));
    assert!(claimed.len() == 20 && claimed.iter().all(|claimed| claimed.payload[..] == [7; 257]));
    assert!((3 * 20..=3 * 20 + 24).contains(&statements), "{statements}");
}

/// Claims what is there, so that it is known when the next task of the lanes is due.
fn settled() -> Bench {
    settle(Bench::new())
}

fn settle(mut bench: Bench) -> Bench {
    bench.warm();
    let (claimed, _) = bench.apply(&Batch::claiming(offer(10), at(0)));
    bench.apply(&ends(&claimed));
    bench
}

#[test]
fn task_that_is_claimed_as_it_is_scheduled_costs_two_events_with_one_link_and_one_row() {
    let mut bench = settled();
    for number in 10..15 {
        let (claimed, statements) = bench.apply_beside(&offer(16), &jobs(number..number + 1));
        assert_eq!(claimed.len(), 1);
        // It is asked whether others have committed, and the head is written; its name is looked up; its bytes, its events and
        // its row.
        assert_eq!(statements, 3 + 4);
        let head = Head::read(&bench.conn).unwrap().position;
        let links = log::page(&bench.conn, head - 2, 2).unwrap();
        assert_eq!(links.iter().map(|row| row.link.is_some()).collect::<Vec<_>>(), [false, true]);
        bench.apply(&ends(&claimed));
    }
}

#[test]
fn lanes_in_which_nothing_is_due_are_not_read_while_others_wait_for_later() {
    let mut bench = settled();
    bench.apply(&Batch::new(vec![job_at(90, at(3_600))], at(0)));
    let (claimed, statements) = bench.apply(&Batch::claiming(offer(16), at(0)));
    // Whether others have committed.
    assert_eq!((claimed.len(), statements), (0, 1));
    let (claimed, _) = bench.apply(&Batch::claiming(offer(16), at(3_600)));
    assert_eq!(claimed.len(), 1);
}

/// All were forgotten together, and a claim read what had been written a moment before.
#[test]
fn those_whose_turn_comes_first_are_remembered_however_many_wait_behind_them() {
    let mut bench = Bench::new();
    for first in (0..12_000).step_by(1_000) {
        bench.apply(&jobs(first..first + 1_000));
    }
    for _ in 0..10 {
        let (claimed, statements) = bench.apply(&Batch::claiming(offer(100), at(0)));
        assert_eq!(claimed.len(), 100);
        assert!(statements <= 2 * 100 + 20, "{statements}");
        bench.apply(&ends(&claimed));
    }
}

/// Those that were scheduled first were remembered, and what was due in a year took the place of what was due now.
#[test]
fn those_that_are_due_are_remembered_however_many_wait_for_later() {
    let mut bench = Bench::new();
    let later = |numbers: std::ops::Range<u32>| {
        let jobs = numbers.map(|number| job_at(number, at(1_000_000 + i64::from(number))));
        Batch::new(jobs.collect::<Vec<_>>(), at(0))
    };
    for first in (0..12_000).step_by(1_000) {
        bench.apply(&later(first..first + 1_000));
    }
    for first in (20_000..24_000).step_by(1_000) {
        bench.apply(&jobs(first..first + 1_000));
    }
    for _ in 0..40 {
        let (claimed, statements) = bench.apply(&Batch::claiming(offer(100), at(0)));
        assert_eq!(claimed.len(), 100);
        assert!(statements <= 2 * 100 + 20, "{statements}");
        bench.apply(&ends(&claimed));
    }
}

/// Each was read by three statements of its own.
#[test]
fn those_that_are_not_remembered_are_read_by_the_page() {
    let mut bench = Bench::new();
    bench.apply(&jobs(0..1_000));
    bench.memory = Memory::default();
    let first = bench.apply(&Batch::claiming(offer(100), at(0)));
    let second = bench.apply(&Batch::claiming(offer(100), at(0)));
    for (number, claimed) in first.0.iter().chain(&second.0).enumerate() {
        assert_eq!(claimed.payload[..], *format!("payload {number}").as_bytes());
    }
    assert_eq!((first.0.len(), second.0.len()), (100, 100));
    // Only of the first it was not known that it is not remembered.
    assert!(first.1 <= 2 * 100 + 3 + 24, "{}", first.1);
    assert!(second.1 <= 2 * 100 + 8, "{}", second.1);
}

/// What a claim had read and had no room for was read again by the next.
#[test]
fn page_of_a_lane_is_used_up_before_the_next_one_is_read() {
    let mut bench = Bench::new();
    bench.apply(&jobs(0..40));
    let cost_of_one = |bench: &mut Bench| {
        let (claimed, statements) = bench.apply(&Batch::claiming(offer(1), at(0)));
        assert_eq!(claimed.len(), 1);
        statements
    };
    cost_of_one(&mut bench);
    for _ in 1..15 {
        // Whether others have committed; the head; the event and the row.
        assert_eq!(cost_of_one(&mut bench), 4);
    }
    // The last one has to ask when the next task is due, and that one reads a page.
    assert_eq!([(); 3].map(|()| cost_of_one(&mut bench)), [5, 5, 4]);
}

/// What is known of a lane follows what happens to its tasks.
#[test]
fn what_comes_and_goes_among_those_that_were_read_is_claimed_in_its_turn_or_not_at_all() {
    for is_remembered in [true, false] {
        let mut bench = Bench::new();
        let later = |number: u32, second: i64| job_at(number, at(second));
        bench.apply(&Batch::new(
            (10..20).map(|number| later(number, number.into())).collect::<Vec<_>>(),
            at(0),
        ));
        if !is_remembered {
            bench.memory = Memory::default();
        }
        let claim = |slots, bench: &mut Bench| {
            let (claimed, _) = bench.apply(&Batch::claiming(offer(slots), at(100)));
            claimed.iter().map(|claimed| claimed.task.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(claim(2, &mut bench), ["job-000010", "job-000011"]);
        let cancel = Wish::Cancel { reason: text("not wanted"), by: actor("ops") };
        let cancel = TaskCommand { task: TaskId::new("job-000013").unwrap(), wish: cancel };
        bench.apply(&Batch::new(vec![later(7, 12), later(8, 14), cancel], at(100)));
        let expected = ["job-000012", "job-000007", "job-000014", "job-000008", "job-000015"];
        assert_eq!(claim(5, &mut bench), expected);
        assert_eq!(claim(20, &mut bench).len(), 4);
    }
}

#[test]
fn a_record_is_encoded_without_an_allocation_and_an_append_is_hashed_with_one() {
    let mut bench = Bench::new();
    bench.apply(&jobs(0..20));
    let rows = log::page(&bench.conn, 0, 20).unwrap();
    let events: Vec<Event> = rows.iter().map(|row| row.event().unwrap()).collect();
    let mut bytes = Vec::with_capacity(8_192);
    let encoding = allocation_counter::measure(|| {
        for event in &events {
            codec::encode(event, &mut bytes).unwrap();
        }
    });
    assert_eq!(encoding.count_total, 0);
    let hashing = allocation_counter::measure(|| {
        chain::link(&super::hash::GENESIS, &[0; 16], &rows);
    });
    assert_eq!(hashing.count_total, 1);
}

#[test]
fn a_replay_allocates_the_name_and_the_definition_of_each_task_and_nothing_else() {
    let mut bench = Bench::new();
    bench.apply(&jobs(0..100));
    let (claimed, _) = bench.apply(&Batch::claiming(offer(100), at(0)));
    bench.apply(&ends(&claimed));
    let rows = log::page(&bench.conn, 0, 1_000).unwrap();
    assert_eq!(rows.len(), 4 * 100);
    let tables = Connection::open_in_memory().unwrap();
    schema::create_for_folding(&tables).unwrap();
    let (mut fold, mut decoder) = (Fold::start(&tables).unwrap(), Decoder::new());
    let mut replay = || {
        for row in &rows {
            fold.add(&tables, row.stand(), row.event_by(&mut decoder).unwrap()).unwrap();
        }
        fold.abandon_tasks();
    };
    // What is used again is made the first time.
    replay();
    assert_eq!(allocation_counter::measure(replay).count_total, 2 * 100);
}

#[test]
fn a_batch_allocates_a_few_times_for_each_task() {
    let mut bench = Bench::new();
    bench.warm();
    let batch = jobs(1_000..2_000);
    let scheduling = allocation_counter::measure(|| {
        bench.apply(&batch);
    });
    let mut claimed = Vec::new();
    let claiming =
        allocation_counter::measure(|| claimed = bench.apply(&Batch::claiming(offer(512), at(0))).0);
    let ends = ends(&claimed);
    let ending = allocation_counter::measure(|| {
        bench.apply(&ends);
    });
    let counts = [scheduling.count_total / 1_000, claiming.count_total / 512, ending.count_total / 512];
    assert!(counts.iter().zip([7, 4, 5]).all(|(count, most)| *count <= most), "{counts:?}");
}

/// A file on which every call to the file system is counted.
fn counted(folder: &tempfile::TempDir) -> (SqliteStore, FaultyVfs) {
    let vfs = FaultyVfs::register();
    let options = SqliteOptions::new().allow_old_sqlite(true).vfs(vfs.name());
    let store = SqliteStore::open_with(folder.path().join("scheduler.db"), options).unwrap();
    (store, vfs)
}

#[tokio::test]
async fn a_batch_is_one_commit_and_one_sync_however_many_tasks_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let (store, vfs) = counted(&folder);
    store.apply(jobs(0..3)).await.unwrap();
    for tasks in [10..11, 100..200] {
        let commits = store.stats(at(0)).await.unwrap().commits;
        let syncs = vfs.calls(Call::Sync, Part::Wal);
        store.apply(jobs(tasks)).await.unwrap();
        assert_eq!(store.stats(at(0)).await.unwrap().commits - commits, 1);
        assert_eq!(vfs.calls(Call::Sync, Part::Wal) - syncs, 1);
    }
}

#[tokio::test]
async fn one_task_is_a_page_for_each_tree_that_it_stands_in() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = counted(&folder);
    store.apply(jobs(0..3)).await.unwrap();
    let before = store.stats(at(0)).await.unwrap().wal_bytes;
    store.apply(jobs(10..11)).await.unwrap();
    let written = store.stats(at(0)).await.unwrap().wal_bytes - before;
    // The head, the log, the payloads, the tasks, their names, the due index. A page in the log has 24 bytes more.
    assert_eq!(written, 6 * (4_096 + 24));
}

#[tokio::test]
async fn task_that_is_claimed_as_it_is_scheduled_is_not_a_page_more() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = counted(&folder);
    store.register_worker(info(), at(0)).await.unwrap();
    store.apply(jobs(0..1)).await.unwrap();
    // From here on it is known that nothing else is due.
    let claimed = store.apply(Batch::claiming(offer(2), at(0))).await.unwrap().claims.unwrap().claimed;
    store.apply(ends(&claimed)).await.unwrap();
    let standing = store.stand(offer(1), store.head().await.unwrap());
    let before = store.stats(at(0)).await.unwrap().wal_bytes;
    store.apply(jobs(10..11)).await.unwrap();
    let written = store.stats(at(0)).await.unwrap().wal_bytes - before;
    assert_eq!(standing.withdraw().await.unwrap().unwrap().claimed.len(), 1);
    // It stands among the running ones instead of among those that are due.
    assert_eq!(written, 6 * (4_096 + 24));
}
