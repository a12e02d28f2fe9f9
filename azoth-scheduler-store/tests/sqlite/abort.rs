//! A process that ends at a named point of a commit or of a checkpoint.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use azoth_scheduler_faults::{Call, Effect, Fault, FaultyVfs, Part};
use azoth_scheduler_store::SqliteStore;

use crate::kill::{assert_kept, work};
use crate::support::*;

const CHILD_FILE: &str = "AZOTH_TEST_ABORTED_CHILD_FILE";
const CHILD_POINT: &str = "AZOTH_TEST_ABORTED_CHILD_POINT";
const CHILD_NTH: &str = "AZOTH_TEST_ABORTED_CHILD_NTH";
/// More rounds than the gate does.
const ROUNDS: &str = "AZOTH_TEST_ABORTED_ROUNDS";

/// What a point is called, for whoever reads; the call that it is at; and on which side of it.
///
/// Everything that shows on the disk happens at one of these; a process that ends between two statements has written
/// nothing since the lock was taken.
const POINTS: &[(&str, Call, Part, Effect)] = &[
    ("before BEGIN", Call::LockWrite, Part::Database, Effect::AbortBefore),
    ("after BEGIN, before the statements", Call::LockWrite, Part::Database, Effect::AbortAfter),
    ("before a frame", Call::Write, Part::Wal, Effect::AbortBefore),
    ("after a frame", Call::Write, Part::Wal, Effect::AbortAfter),
    ("before COMMIT is synced", Call::Sync, Part::Wal, Effect::AbortBefore),
    ("after COMMIT is synced", Call::Sync, Part::Wal, Effect::AbortAfter),
    ("after COMMIT, before the lock is given back", Call::UnlockWrite, Part::Database, Effect::AbortBefore),
    ("after COMMIT, before the answer", Call::UnlockWrite, Part::Database, Effect::AbortAfter),
    ("in a checkpoint, before a page", Call::Write, Part::Database, Effect::AbortBefore),
    ("in a checkpoint, after a page", Call::Write, Part::Database, Effect::AbortAfter),
    ("in a checkpoint, before its sync", Call::Sync, Part::Database, Effect::AbortBefore),
    ("in a checkpoint, after its sync", Call::Sync, Part::Database, Effect::AbortAfter),
    ("before the log is cut", Call::Truncate, Part::Wal, Effect::AbortBefore),
    ("after the log is cut", Call::Truncate, Part::Wal, Effect::AbortAfter),
];

/// What the child does until it ends. Without its variables this is no test.
#[test]
fn child_that_aborts() {
    let Some(path) = std::env::var_os(CHILD_FILE).map(PathBuf::from) else { return };
    let number = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (point, nth) = (number(CHILD_POINT), number(CHILD_NTH));
    let (_, call, part, effect) = POINTS[usize::try_from(point).unwrap()];
    let vfs = FaultyVfs::register();
    let options = options().vfs(vfs.name()).wal_limits(64 * 1024, u64::MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open_with(path, options).unwrap();
        vfs.inject(Fault::at(call, part, effect).nth(nth));
        work(store, u128::from(point * 1_000 + nth)).await;
    });
}

/// Runs the child until it ends, and gives back what it has acknowledged.
fn aborted_at(folder: &Folder, point: usize, nth: u64) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "abort::child_that_aborts", "--nocapture", "--test-threads=1"])
        .env(CHILD_FILE, folder.path())
        .env(CHILD_POINT, point.to_string())
        .env(CHILD_NTH, nth.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let acknowledged =
        said.filter_map(|line| line.split_once("ack ").map(|(_, ack)| ack.to_owned())).collect();
    assert!(!child.wait().unwrap().success(), "it ends at its point, and not before");
    acknowledged
}

#[tokio::test]
async fn process_that_ends_at_any_point_of_a_commit_or_checkpoint_loses_nothing() {
    let rounds = std::env::var(ROUNDS).ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let mut kept = 0;
    for point in 0..POINTS.len() {
        // One file for all rounds, so that each opens what the one before it left.
        let folder = Folder::new();
        let mut acknowledged = Vec::new();
        for round in 0..rounds {
            acknowledged.extend(aborted_at(&folder, point, 1 + round * 19));
            let store = folder.open();
            assert_sound(&store).await;
            for line in &acknowledged {
                assert_kept(&store, line).await;
            }
        }
        kept += acknowledged.len();
    }
    assert!(kept > POINTS.len());
}
