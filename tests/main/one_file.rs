//! The whole, from request to recorded result, in one SQLite file.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use azoth_scheduler::event::Then;
use azoth_scheduler::execution::Outcome;
use azoth_scheduler::prelude::*;
use azoth_scheduler::store::Store;
use azoth_scheduler::{ManualClock, SchedulerBuilder, Timestamp};
use tokio::task::JoinHandle;

const MINUTE: Duration = Duration::from_secs(60);

/// Writes down the payloads that it was given, and fails for those that say so.
#[derive(Clone, Default)]
struct Work {
    seen: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl TaskHandler for Work {
    fn task_type(&self) -> &str {
        "work"
    }

    async fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
        self.seen.lock().unwrap().push(format!("{} {}", ctx.task_id(), ctx.attempt()));
        if payload == b"fails" { Err("no luck")? } else { Ok(TaskEvent::new("worked", payload)?) }
    }
}

struct Running {
    scheduler: Scheduler,
    clock: ManualClock,
    store: SqliteStore,
    run: JoinHandle<Result<()>>,
}

/// Opens the file and runs a scheduler on it.
fn start(
    file: &Path,
    clock: &ManualClock,
    build: impl FnOnce(SchedulerBuilder) -> SchedulerBuilder,
) -> Running {
    let store = SqliteStore::open(file).unwrap();
    let builder = Scheduler::builder(store.clone()).with_clock(clock.clone());
    let scheduler = build(builder).build().unwrap();
    let run = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });
    Running { scheduler, clock: clock.clone(), store, run }
}

impl Running {
    async fn pass(&self, span: Duration) {
        self.clock.advance(span);
        self.scheduler.wait_until_idle().await.unwrap();
    }

    async fn history(&self, task: &str) -> Vec<&'static str> {
        let history = self.scheduler.task_history(task).await.unwrap();
        history.iter().map(|recorded| recorded.event.name()).collect()
    }

    /// Ends, and closes the file.
    async fn end(self) {
        self.scheduler.shutdown().await;
        self.run.await.unwrap().unwrap();
        let report = self.scheduler.verify().await.unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}

fn clock() -> ManualClock {
    ManualClock::starting_at(Timestamp::from_unix_seconds(1_700_000_000).unwrap())
}

fn request(id: &str) -> azoth_scheduler::ScheduleTaskRequestBuilder {
    ScheduleTaskRequest::builder(id).task_type("work")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_kinds_of_schedules_run_and_survive_reopening_the_file() {
    let (folder, clock, work) = (tempfile::tempdir().unwrap(), clock(), Work::default());
    let file = folder.path().join("scheduler.db");
    let running = start(&file, &clock, |builder| builder.with_task_handler(work.clone()));
    for builder in [
        request("now").immediate(),
        request("every").interval(60),
        request("cron").cron("0 */2 * * * *").time_zone("Europe/Berlin"),
        request("once").one_time(1_700_000_090),
    ] {
        running.scheduler.schedule_task(builder.build().unwrap()).await.unwrap();
    }
    running.pass(MINUTE).await;
    running.end().await;

    let running = start(&file, &clock, |builder| builder.with_task_handler(work.clone()));
    running.pass(MINUTE).await;
    let mut seen = work.seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, ["cron 1", "every 1", "every 1", "now 1", "once 1"]);
    let expected = ["TaskScheduled", "ExecutionStarted", "TaskExecuted", "TaskEventEmitted"];
    assert_eq!(running.history("now").await, expected);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_task_is_disabled_after_three_retries_and_a_rebuild_says_the_same() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let running =
        start(&folder.path().join("scheduler.db"), &clock, |b| b.with_task_handler(Work::default()));
    running
        .scheduler
        .schedule_task(request("a").immediate().payload("fails").build().unwrap())
        .await
        .unwrap();
    for minutes in [0, 1, 2, 4, 60] {
        running.pass(MINUTE * minutes).await;
    }
    let history = running.scheduler.task_history("a").await.unwrap();
    let failures = history.iter().filter(|recorded| {
        matches!(&recorded.event, Event::TaskExecuted { outcome: Outcome::Failed(_), .. })
    });
    assert_eq!(failures.count(), 4);
    let last = &history.last().unwrap().event;
    assert!(matches!(last, Event::TaskExecuted { then: Then::Disable(_), .. }), "{last:?}");
    let before = running.scheduler.get_task("a").await.unwrap().unwrap();
    assert_eq!(before.phase, PhaseKind::Disabled);
    running.store.rebuild_projection().await.unwrap();
    assert_eq!(running.scheduler.get_task("a").await.unwrap().unwrap(), before);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schedulers_on_one_file_run_each_task_once() {
    const TASKS: usize = 300;
    let (folder, clock, work) = (tempfile::tempdir().unwrap(), clock(), Work::default());
    let file = folder.path().join("scheduler.db");
    let both = [(); 2].map(|()| start(&file, &clock, |builder| builder.with_task_handler(work.clone())));
    let [first, second] = &both;
    for batch in (0..TASKS).collect::<Vec<_>>().chunks(50) {
        let requests =
            batch.iter().map(|number| request(&format!("task-{number}")).immediate().build().unwrap());
        first.scheduler.schedule_tasks(requests.collect()).await.unwrap();
    }
    second.scheduler.wait_until_idle().await.unwrap();
    first.scheduler.wait_until_idle().await.unwrap();
    second.scheduler.wait_until_idle().await.unwrap();
    assert!(first.scheduler.list_tasks(&TaskFilter::new().enabled(true)).await.unwrap().is_empty());
    let mut seen = work.seen.lock().unwrap().clone();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((seen.len(), work.seen.lock().unwrap().len()), (TASKS, TASKS));
    for running in both {
        running.end().await;
    }
}

struct Counter(Arc<AtomicUsize>);

#[async_trait]
impl EventHandler for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    fn wants(&self, event: &RecordedEvent) -> bool {
        matches!(&event.event, Event::TaskEventEmitted { .. })
    }

    async fn handle(&self, _event: &RecordedEvent) -> std::result::Result<(), TaskError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_handler_goes_on_after_the_file_was_reopened() {
    let (folder, clock, counted) = (tempfile::tempdir().unwrap(), clock(), Arc::new(AtomicUsize::new(0)));
    let file = folder.path().join("scheduler.db");
    for round in 1..=3 {
        let running = start(&file, &clock, |builder| {
            builder.with_task_handler(Work::default()).with_event_handler(Counter(Arc::clone(&counted)))
        });
        let request = request(&format!("task-{round}")).immediate().build().unwrap();
        running.scheduler.schedule_task(request).await.unwrap();
        running.scheduler.wait_until_idle().await.unwrap();
        assert_eq!(counted.load(Ordering::SeqCst), round);
        running.end().await;
    }
}
