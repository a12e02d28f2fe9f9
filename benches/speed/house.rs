//! A scheduler on a file of its own, with a handler that does nothing but say when it was started.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use azoth_scheduler::Store;
use azoth_scheduler::prelude::*;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

/// A file in a folder that goes with it, and the async runtime for whoever works on it.
pub(crate) struct House {
    runtime: Runtime,
    folder: TempDir,
    store: SqliteStore,
    minted: AtomicU64,
}

/// A handler was started.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) task: String,
    pub(crate) at: Instant,
    pub(crate) clock: SystemTime,
}

/// The handler: says that it was started, waits where there is a gate, and is done.
pub(crate) struct Work {
    starts: Option<mpsc::UnboundedSender<Start>>,
    gate: Option<watch::Receiver<bool>>,
    pub(crate) started: Arc<AtomicU64>,
}

pub(crate) const TASK_TYPE: &str = "work";
const PAYLOAD: &[u8] = br#"{"order":4711,"customer":"c-20391","amount_cents":1999,"currency":"EUR"}"#;

impl Work {
    pub(crate) fn new() -> Self {
        Self { starts: None, gate: None, started: Arc::default() }
    }

    pub(crate) fn telling() -> (Self, mpsc::UnboundedReceiver<Start>) {
        let (tell, starts) = mpsc::unbounded_channel();
        (Self { starts: Some(tell), ..Self::new() }, starts)
    }

    pub(crate) fn behind(gate: watch::Receiver<bool>) -> Self {
        Self { gate: Some(gate), ..Self::new() }
    }
}

#[async_trait]
impl TaskHandler for Work {
    fn task_type(&self) -> &str {
        TASK_TYPE
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        if let Some(starts) = &self.starts {
            let (at, clock) = (Instant::now(), SystemTime::now());
            let _ = starts.send(Start { task: ctx.task_id().to_string(), at, clock });
        }
        self.started.fetch_add(1, Ordering::Relaxed);
        if let Some(gate) = &self.gate {
            let _ = gate.clone().wait_for(|open| *open).await;
        }
        Ok(TaskEvent::new("done", [])?)
    }
}

impl House {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a folder")?;
        Self::with(folder, "scheduler.db")
    }

    fn with(folder: TempDir, name: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let store = SqliteStore::open(folder.path().join(name))?;
        Ok(Self { runtime, folder, store, minted: AtomicU64::new(0) })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.store.path().to_owned()
    }

    pub(crate) fn store(&self) -> &SqliteStore {
        &self.store
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn spawn(&self, scheduler: &Scheduler) {
        let scheduler = scheduler.clone();
        self.runtime.spawn(async move { scheduler.run().await });
    }

    /// A scheduler that runs nothing.
    pub(crate) fn client(&self) -> Result<Scheduler> {
        Ok(Scheduler::builder(self.store.clone()).build()?)
    }

    /// A scheduler with so many slots.
    pub(crate) fn scheduler(&self, slots: usize, work: Work) -> Result<Scheduler> {
        let builder = Scheduler::builder(self.store.clone()).with_max_concurrent_tasks(slots);
        Ok(builder.with_task_handler(work).build()?)
    }

    /// So many requests with names that were not there before; `at` gives the instant of each.
    pub(crate) fn requests(
        &self,
        count: usize,
        at: impl Fn(usize) -> Option<OffsetDateTime>,
    ) -> Result<Vec<ScheduleTaskRequest>> {
        let first = self.minted.fetch_add(count as u64, Ordering::Relaxed);
        let requests = (first..).take(count).enumerate().map(|(index, number)| {
            let builder = ScheduleTaskRequest::builder(name(number)).task_type(TASK_TYPE).payload(PAYLOAD);
            match at(index) {
                Some(at) => builder.at(at).build(),
                None => builder.immediate().build(),
            }
        });
        Ok(requests.collect::<azoth_scheduler::Result<_>>()?)
    }

    /// So many requests for now.
    pub(crate) fn immediate(&self, count: usize) -> Result<Vec<ScheduleTaskRequest>> {
        self.requests(count, |_| None)
    }

    /// Schedules all of these, a thousand in a transaction.
    pub(crate) fn schedule(&self, requests: Vec<ScheduleTaskRequest>) -> Result<()> {
        let client = self.client()?;
        self.block_on(async {
            let mut left = requests.into_iter();
            loop {
                let batch: Vec<_> = left.by_ref().take(1000).collect();
                if batch.is_empty() {
                    return Ok(());
                }
                for outcome in client.schedule_tasks(batch).await? {
                    outcome?;
                }
            }
        })
    }

    /// Schedules so many tasks for a year from now.
    pub(crate) fn pend(&self, count: usize) -> Result<()> {
        let later = OffsetDateTime::now_utc() + Duration::from_secs(365 * 86_400);
        for start in (0..count).step_by(10_000) {
            let count = (count - start).min(10_000);
            let at = |index: usize| Some(later + Duration::from_secs((start + index) as u64));
            self.schedule(self.requests(count, at)?)?;
        }
        Ok(())
    }

    /// Runs whatever is due with so many slots.
    pub(crate) fn drain(&self, slots: usize) -> Result<()> {
        let scheduler = self.scheduler(slots, Work::new())?;
        Ok(self.block_on(scheduler.run_until_idle())?)
    }

    /// Schedules and runs tasks until the log holds so many events.
    pub(crate) fn age(&self, events: u64) -> Result<()> {
        while self.block_on(self.store.head())?.number() < events {
            let missing = events - self.block_on(self.store.head())?.number();
            let count = usize::try_from(missing / 4 + 1)?.min(20_000);
            self.schedule(self.immediate(count)?)?;
            self.drain(1_000)?;
        }
        Ok(())
    }
}

/// The id of a task; all are of the same length.
pub(crate) fn name(number: u64) -> String {
    format!("job-{number:010}")
}
