//! What the tests share: a scheduler in a file of its own, under a clock that moves when it is told to.

use std::sync::{Arc, Mutex};

use azoth_scheduler::prelude::*;
use azoth_scheduler::{ManualClock, ScheduleTaskRequestBuilder, SchedulerBuilder, Timestamp};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// A scheduler that runs, in a folder that is gone at the end of the test.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) clock: ManualClock,
    pub(crate) scheduler: Scheduler,
    running: JoinHandle<Result<()>>,
}

impl House {
    /// Builds and runs a scheduler; `furnish` adds handlers.
    pub(crate) async fn with(furnish: impl FnOnce(SchedulerBuilder) -> SchedulerBuilder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000).unwrap());
        Self::moved_into(folder, clock, furnish).await
    }

    async fn moved_into(
        folder: TempDir,
        clock: ManualClock,
        furnish: impl FnOnce(SchedulerBuilder) -> SchedulerBuilder,
    ) -> Self {
        let builder = Scheduler::builder(store_in(&folder)).with_clock(clock.clone());
        let scheduler = furnish(builder).build().unwrap();
        let running = tokio::spawn({
            let scheduler = scheduler.clone();
            async move { scheduler.run().await }
        });
        let house = Self { folder, clock, scheduler, running };
        house.settle().await;
        house
    }

    /// Stops the scheduler, and starts another one on the same file.
    pub(crate) async fn restart(self, furnish: impl FnOnce(SchedulerBuilder) -> SchedulerBuilder) -> Self {
        let (folder, clock) = self.stop().await;
        Self::moved_into(folder, clock, furnish).await
    }

    /// Stops the scheduler and checks what it leaves.
    pub(crate) async fn close(self) {
        drop(self.stop().await);
    }

    /// Stops the scheduler, checks what it leaves, and gives back its folder and its clock.
    pub(crate) async fn stop(self) -> (TempDir, ManualClock) {
        self.settle().await;
        assert_sound(&self.scheduler).await;
        let Self { folder, clock, scheduler, running } = self;
        scheduler.shutdown().await;
        running.await.unwrap().unwrap();
        (folder, clock)
    }

    /// Lets everything happen that is due now.
    pub(crate) async fn settle(&self) {
        let idle = tokio::time::timeout(Duration::from_secs(60), self.scheduler.wait_until_idle());
        idle.await.expect("the scheduler comes to rest").unwrap();
    }

    /// Lets time pass, and everything happen that is due then.
    pub(crate) async fn pass(&self, span: Duration) {
        self.clock.advance(span);
        self.settle().await;
    }

    pub(crate) async fn schedule(&self, request: ScheduleTaskRequestBuilder) {
        self.scheduler.schedule_task(request.build().unwrap()).await.unwrap();
        self.settle().await;
    }

    pub(crate) async fn task(&self, id: &str) -> TaskInfo {
        self.scheduler.get_task(id).await.unwrap().unwrap()
    }

    /// The names of a task's events, oldest first.
    pub(crate) async fn history(&self, id: &str) -> Vec<&'static str> {
        self.scheduler.task_history(id).await.unwrap().iter().map(|recorded| recorded.event.name()).collect()
    }
}

/// A store in the folder's file. The gate runs this with the newest SQLite of the range.
pub(crate) fn store_in(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(folder.path().join("scheduler.db")).unwrap()
}

/// Every test of a store ends with this.
pub(crate) async fn assert_sound(scheduler: &Scheduler) {
    let report = scheduler.verify().await.unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
}

/// A handler of type `work` that notes when it ran, and does what it is told.
#[derive(Clone, Default)]
pub(crate) struct Work {
    runs: Arc<Mutex<Vec<(String, u32)>>>,
    fails: bool,
}

impl Work {
    pub(crate) fn that_fails() -> Self {
        Self { fails: true, ..Self::default() }
    }

    /// Task and attempt of each run so far.
    pub(crate) fn runs(&self) -> Vec<(String, u32)> {
        self.runs.lock().unwrap().clone()
    }
}

#[async_trait]
impl TaskHandler for Work {
    fn task_type(&self) -> &str {
        "work"
    }

    async fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
        self.runs.lock().unwrap().push((ctx.task_id().to_string(), ctx.attempt()));
        if self.fails {
            return Err("it went wrong".into());
        }
        Ok(TaskEvent::new("worked", payload)?)
    }

    fn validate(&self, payload: &[u8]) -> Result<()> {
        if payload == b"refuse me" { Err("such work is not done here".into()) } else { Ok(()) }
    }
}

/// A request for a task of type `work`.
pub(crate) fn work(id: &str) -> ScheduleTaskRequestBuilder {
    ScheduleTaskRequest::builder(id).task_type("work")
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
