//! The power is cut at every sync of a workload: what was written and not synced is lost, kept in part, in another order,
//! and torn.

use std::collections::BTreeSet;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_faults::{Call, Fate, FaultyVfs, Part, Recording};
use azoth_scheduler_store::sqlite::Synchronous;
use azoth_scheduler_store::{LogPosition, SqliteStore, Store};

use crate::support::*;

/// More seeds than the gate tries, for a night.
const SEEDS: &str = "AZOTH_TEST_POWER_SEEDS";
const TASKS: u128 = 4;
/// Limits of the write-ahead log: there is a checkpoint after each commit or two, and none before the end.
const OFTEN: u64 = 64 * 1024;
const NEVER: u64 = 1 << 30;
/// The database is synced so often when it is made and when it is closed.
const OF_BOTH_ENDS: u64 = 2;

/// A workload that was recorded, and what was acknowledged up to which moment of it.
struct Workload {
    recording: Recording,
    acknowledged: Vec<(usize, Ack)>,
}

#[derive(Debug)]
enum Ack {
    Scheduled(String),
    Claimed(u128),
    Completed(u128),
}

/// Schedules, claims and completes, one commit after the other. The write-ahead log is copied once it has a sixteenth of so many
/// bytes.
async fn record(synchronous: Synchronous, wal_limit: u64) -> Workload {
    let vfs = FaultyVfs::register();
    vfs.record();
    let folder = Folder::new();
    let options = options().vfs(vfs.name()).synchronous(synchronous).wal_limits(wal_limit, u64::MAX);
    let store = SqliteStore::open_with(folder.path(), options).unwrap();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    let mut acknowledged = Vec::new();
    for number in 0..TASKS {
        let name = format!("task-{number}");
        apply(&store, at(0), [job(&name)]).await;
        acknowledged.push((vfs.moment(), Ack::Scheduled(name.clone())));
        assert_eq!(claim(&store, at(1), offer(1, [number])).await.len(), 1);
        acknowledged.push((vfs.moment(), Ack::Claimed(number)));
        apply(&store, at(2), [succeed(&name, execution(number), b"done", at(1))]).await;
        acknowledged.push((vfs.moment(), Ack::Completed(number)));
    }
    drop(store);
    let syncs = vfs.calls(Call::Sync, Part::Database);
    assert_eq!(syncs > OF_BOTH_ENDS, wal_limit == OFTEN, "{syncs} syncs of the database");
    Workload { recording: vfs.recording(), acknowledged }
}

/// Opens what a power cut left; what was acknowledged and is missing.
async fn lost_after(workload: &Workload, moment: usize, fate: Fate) -> Vec<&(usize, Ack)> {
    let folder = Folder::new();
    workload.recording.cut(moment, fate).write_to(folder.path().parent().unwrap()).unwrap();
    let store = folder.open();
    // I2, I5: whatever is there, log and projection agree.
    assert_sound(&store).await;
    let events = store.events(LogPosition::START, 1_000).await.unwrap();
    let there: BTreeSet<_> = events.iter().filter_map(|recorded| mark(&recorded.event)).collect();
    let tasks: BTreeSet<_> = store
        .tasks(&Default::default())
        .await
        .unwrap()
        .into_iter()
        .map(|state| state.id.to_string())
        .collect();
    let is_missing = |ack: &Ack| match ack {
        Ack::Scheduled(task) => !tasks.contains(task),
        Ack::Claimed(number) => !there.contains(&(*number, false)),
        Ack::Completed(number) => !there.contains(&(*number, true)),
    };
    let until_then = workload.acknowledged.iter().filter(|(at, _)| *at <= moment);
    until_then.filter(|(_, ack)| is_missing(ack)).collect()
}

/// An execution that started, or ended.
fn mark(event: &Event) -> Option<(u128, bool)> {
    match event {
        Event::ExecutionStarted { execution, .. } => Some((execution.as_u128(), false)),
        Event::TaskExecuted { execution, .. } => Some((execution.as_u128(), true)),
        _ => None,
    }
}

fn seeds() -> u64 {
    std::env::var(SEEDS).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[tokio::test]
async fn nothing_that_was_acknowledged_is_lost_with_the_power() {
    let workload = record(Synchronous::Full, OFTEN).await;
    for moment in workload.recording.sync_boundaries() {
        for fate in [Fate::Lost, Fate::Kept].into_iter().chain((0..seeds()).map(Fate::Random)) {
            // I1: what was answered was synced.
            let lost = lost_after(&workload, moment, fate).await;
            let before = || workload.recording.before(moment, 40);
            assert!(lost.is_empty(), "at {moment}, {fate:?}: {lost:?} after\n{}", before());
        }
    }
}

#[tokio::test]
async fn without_a_sync_for_each_commit_the_last_ones_are_lost_and_the_file_stays_sound() {
    for wal_limit in [OFTEN, NEVER] {
        let workload = record(Synchronous::Normal, wal_limit).await;
        let mut lost = 0;
        for moment in workload.acknowledged.iter().map(|(moment, _)| *moment).step_by(3) {
            for fate in [Fate::Lost, Fate::Random(1)] {
                lost += lost_after(&workload, moment, fate).await.len();
            }
        }
        // Which also shows that the test above would notice. A checkpoint may sync what was acknowledged just before.
        assert!(lost > 0 || wal_limit == OFTEN);
    }
}
