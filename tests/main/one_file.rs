//! The whole, from request to recorded result, in one SQLite file that is closed and opened again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use azoth_scheduler::prelude::*;

use crate::support::{House, MINUTE, Work, store_in, work};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_kinds_of_schedules_run_and_survive_reopening_the_file() {
    let work_done = Work::default();
    let house = House::with(|builder| builder.with_task_handler(work_done.clone())).await;
    for request in [
        work("now").immediate(),
        work("every").interval(60),
        work("cron").cron("0 */2 * * * *").time_zone("Europe/Berlin"),
        work("once").one_time(1_800_000_090),
    ] {
        house.schedule(request).await;
    }
    house.pass(MINUTE).await;
    let house = house.restart(|builder| builder.with_task_handler(work_done.clone())).await;
    house.pass(MINUTE).await;
    let mut runs = work_done.runs();
    runs.sort_unstable();
    assert_eq!(runs, ["cron", "every", "every", "now", "once"].map(|task| (task.to_owned(), 1)));
    let expected = ["TaskScheduled", "ExecutionStarted", "TaskExecuted", "TaskEventEmitted"];
    assert_eq!(house.history("now").await, expected);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schedulers_on_one_file_run_each_task_once() {
    const TASKS: usize = 300;
    let work_done = Work::default();
    let house = House::with(|builder| builder.with_task_handler(work_done.clone())).await;
    let builder = Scheduler::builder(store_in(&house.folder)).with_clock(house.clock.clone());
    let second = builder.with_task_handler(work_done.clone()).build().unwrap();
    let running = tokio::spawn({
        let second = second.clone();
        async move { second.run().await }
    });
    for batch in (0..TASKS).collect::<Vec<_>>().chunks(50) {
        let requests =
            batch.iter().map(|number| work(&format!("task-{number}")).immediate().build().unwrap());
        house.scheduler.schedule_tasks(requests.collect()).await.unwrap();
    }
    second.wait_until_idle().await.unwrap();
    house.settle().await;
    second.wait_until_idle().await.unwrap();
    assert!(house.scheduler.list_tasks(&TaskFilter::new().enabled(true)).await.unwrap().is_empty());
    let mut runs = work_done.runs();
    assert_eq!(runs.len(), TASKS);
    runs.sort_unstable();
    runs.dedup();
    assert_eq!(runs.len(), TASKS);
    second.shutdown().await;
    running.await.unwrap().unwrap();
    house.close().await;
}

/// I26.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_wish_in_two_schedulers_is_one_task() {
    let house = House::with(|builder| builder.with_task_handler(Work::default())).await;
    let builder = Scheduler::builder(store_in(&house.folder)).with_clock(house.clock.clone());
    let client = builder.with_remote_task_types(["work"]).build().unwrap();
    let wish = || {
        let request = ScheduleTaskRequest::unnamed().task_type("work").one_time(1_800_000_060);
        request.unique_while_pending("invoice-7").build().unwrap()
    };
    let (here, there) = tokio::join!(house.scheduler.schedule_task(wish()), client.schedule_task(wish()));
    let (here, there) = (here.unwrap(), there.unwrap());
    assert_eq!(here.task, there.task, "the same wish again is answered with the first task");
    let existing = [&here, &there].map(|outcome| outcome.change == ScheduleChange::Existing);
    assert_eq!(existing.iter().filter(|existing| **existing).count(), 1);
    house.pass(MINUTE).await;
    let later = client.schedule_task(wish()).await.unwrap();
    assert!(later.is_created() && later.task != here.task, "the first one is not pending any more");
    house.settle().await;
    house.close().await;
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
    let counted = Arc::new(AtomicUsize::new(0));
    let furnish = || {
        let counter = Counter(Arc::clone(&counted));
        |builder: azoth_scheduler::SchedulerBuilder| {
            builder.with_task_handler(Work::default()).with_event_handler(counter)
        }
    };
    let mut house = House::with(furnish()).await;
    for round in 1..=3 {
        house.schedule(work(&format!("task-{round}")).immediate()).await;
        assert_eq!(counted.load(Ordering::SeqCst), round);
        house = house.restart(furnish()).await;
    }
    assert_eq!(counted.load(Ordering::SeqCst), 3);
    house.close().await;
}
