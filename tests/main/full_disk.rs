//! A scheduler on a disk that is full for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use azoth_scheduler::prelude::*;
use azoth_scheduler::sqlite::SqliteOptions;
use azoth_scheduler::{ManualClock, Timestamp};
use azoth_scheduler_faults::{Call, Effect, Fault, FaultyVfs, Part};
use tokio::sync::Semaphore;

use crate::support::{assert_sound, work};

/// A handler that says when it runs, and ends when it may.
#[derive(Clone)]
struct Gated {
    started: Arc<Semaphore>,
    may_end: Arc<Semaphore>,
    runs: Arc<AtomicUsize>,
}

#[async_trait]
impl TaskHandler for Gated {
    fn task_type(&self) -> &str {
        "work"
    }

    async fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.started.add_permits(1);
        self.may_end.acquire().await?.forget();
        Ok(TaskEvent::new("worked", [])?)
    }
}

/// Lets virtual time pass until something holds.
async fn pass_until(clock: &ManualClock, holds: impl AsyncFn() -> bool) {
    let passing = async {
        while !holds().await {
            clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), passing).await.expect("it comes to hold");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scheduler_outlives_a_full_disk_and_then_records_what_ended_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let vfs = FaultyVfs::register();
    let options = SqliteOptions::new().vfs(vfs.name());
    let store = SqliteStore::open_with(folder.path().join("scheduler.db"), options).unwrap();
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000).unwrap());
    let handler = Gated {
        started: Arc::new(Semaphore::new(0)),
        may_end: Arc::new(Semaphore::new(0)),
        runs: Arc::default(),
    };
    let builder = Scheduler::builder(store).with_clock(clock.clone()).with_task_handler(handler.clone());
    let scheduler = builder.build().unwrap();
    let running = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });
    scheduler.schedule_task(work("a").immediate().build().unwrap()).await.unwrap();
    handler.started.acquire().await.unwrap().forget();

    vfs.inject(Fault::at(Call::Write, Part::Wal, Effect::Full).lasting());
    let tried = vfs.calls(Call::Write, Part::Wal);
    handler.may_end.add_permits(2);
    // The result is tried to be recorded again and again, and kept.
    pass_until(&clock, async || vfs.calls(Call::Write, Part::Wal) > tried + 3).await;
    let refused = scheduler.schedule_task(work("b").immediate().build().unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("full"), "{refused}");
    assert_eq!(scheduler.get_task("a").await.unwrap().unwrap().phase, PhaseKind::Running);
    assert!(!running.is_finished());

    vfs.heal();
    let finished = async || scheduler.get_task("a").await.unwrap().unwrap().phase == PhaseKind::Finished;
    pass_until(&clock, finished).await;
    assert_eq!(handler.runs.load(Ordering::SeqCst), 1, "it did not run again to be recorded");
    scheduler.schedule_task(work("b").immediate().build().unwrap()).await.unwrap();
    let finished = async || scheduler.get_task("b").await.unwrap().unwrap().phase == PhaseKind::Finished;
    pass_until(&clock, finished).await;
    assert_sound(&scheduler).await;
    scheduler.shutdown().await;
    running.await.unwrap().unwrap();
}
