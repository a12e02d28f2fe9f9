//! The loop: one is enough, it never spins, and it starts no more than it may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_runtime::{ScheduleTaskRequest, Scheduler, SchedulerError, TaskEvent};
use azoth_scheduler_store::{LogPosition, StartFrom, TaskFilter};

use crate::support::{Fixture, Gate, MINUTE, SECOND, clock, done, handler, immediate, waits_at, within};

#[tokio::test]
async fn one_run_is_all_it_takes() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.schedule(immediate("now")).await;
    fixture.schedule(ScheduleTaskRequest::builder("every").task_type("work").interval(60)).await;
    let at = 1_700_000_000 + 90;
    fixture.schedule(ScheduleTaskRequest::builder("once").task_type("work").one_time(at)).await;
    fixture.schedule(ScheduleTaskRequest::builder("cron").task_type("work").cron("0 14 22 * * *")).await;
    fixture.idle().await;
    for _ in 0..120 {
        fixture.pass(SECOND).await;
    }
    let mut started = Vec::new();
    for task in ["now", "every", "once", "cron"] {
        let events = fixture.events(task).await;
        let runs = events.iter().filter(|event| matches!(event, Event::TaskExecuted { .. })).count();
        started.push((task, runs));
    }
    assert_eq!(started, [("now", 1), ("every", 2), ("once", 1), ("cron", 1)]);
    fixture.end().await;
}

#[tokio::test]
async fn due_task_starts_at_its_instant_and_not_at_the_next_poll() {
    let fixture = Fixture::building(|builder| {
        builder
            .with_task_handler(handler(|_, _| async { done() }))
            .with_poll_interval(Duration::from_secs(3600))
    });
    let period = Duration::from_millis(1700);
    fixture.schedule(ScheduleTaskRequest::builder("a").task_type("work").every(period)).await;
    fixture.idle().await;
    assert!(fixture.clock.until_next_sleeper().is_some_and(|span| span <= period));
    fixture.clock.advance(period);
    fixture.idle().await;
    let history = fixture.scheduler.task_history("a").await.unwrap();
    assert_eq!(history[1].event.name(), "ExecutionStarted");
    assert_eq!(history[1].at, Timestamp::from_unix_ms(1_700_000_001_700).unwrap());
    fixture.end().await;
}

#[tokio::test]
async fn second_run_is_refused() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.idle().await;
    let second = within(fixture.scheduler.run()).await;
    assert!(matches!(second, Err(SchedulerError::AlreadyRunning)));
    fixture.end().await;
}

#[tokio::test]
async fn run_that_was_dropped_can_be_followed_by_another() {
    let scheduler = Scheduler::builder(azoth_scheduler_store::MemoryStore::new())
        .with_clock(clock())
        .with_task_handler(handler(|_, _| async { done() }))
        .build()
        .unwrap();
    let first = tokio::spawn(crate::support::run(scheduler.clone()));
    within(scheduler.wait_until_idle()).await.unwrap();
    first.abort();
    assert!(within(first).await.unwrap_err().is_cancelled());
    let second = tokio::spawn(crate::support::run(scheduler.clone()));
    scheduler.schedule_task(immediate("a").build().unwrap()).await.unwrap();
    within(scheduler.wait_until_idle()).await.unwrap();
    assert!(!scheduler.get_task("a").await.unwrap().unwrap().enabled());
    within(scheduler.shutdown()).await;
    within(second).await.unwrap().unwrap();
}

#[tokio::test]
async fn task_that_nobody_handles_is_left_alone_and_makes_no_hot_loop() {
    // I16
    let fixture = Fixture::building(|builder| {
        builder.with_task_handler(handler(|_, _| async { done() })).with_remote_task_types(["elsewhere"])
    });
    fixture.schedule(immediate("orphan").task_type("elsewhere")).await;
    fixture.idle().await;
    let before = fixture.store.applies();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.store.applies(), before, "nothing happens while no time passes");
    for _ in 0..10 {
        fixture.pass(SECOND).await;
    }
    let passes = fixture.store.applies() - before;
    assert!(passes <= 30, "{passes} passes in ten seconds");
    assert_eq!(fixture.history("orphan").await, ["TaskScheduled"]);
    fixture.end().await;
}

#[tokio::test]
async fn no_more_tasks_run_at_once_than_allowed() {
    let (gate, running, most) = (Gate::new(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let fixture = Fixture::building(|builder| {
        let (gate, running, most) = (gate.clone(), Arc::clone(&running), Arc::clone(&most));
        let counting = handler(move |_, _| {
            let (gate, running, most) = (gate.clone(), Arc::clone(&running), Arc::clone(&most));
            async move {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                gate.pass().await;
                running.fetch_sub(1, Ordering::SeqCst);
                done()
            }
        });
        builder.with_task_handler(counting).with_max_concurrent_tasks(3)
    });
    let requests = (0..20).map(|number| immediate(&format!("task-{number}")).build().unwrap()).collect();
    fixture.scheduler.schedule_tasks(requests).await.unwrap();
    gate.wait_for(3).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((gate.arrived(), most.load(Ordering::SeqCst)), (3, 3));
    gate.open();
    fixture.idle().await;
    assert_eq!((gate.arrived(), most.load(Ordering::SeqCst)), (20, 3));
    let left = fixture.scheduler.list_tasks(&TaskFilter::new().enabled(true)).await.unwrap();
    assert!(left.is_empty());
    fixture.end().await;
}

#[tokio::test]
async fn results_are_recorded_and_the_next_tasks_claimed_in_one_transaction() {
    let fixture = Fixture::building(|builder| {
        builder.with_task_handler(handler(|_, _| async { done() })).with_max_concurrent_tasks(10)
    });
    fixture.idle().await;
    let requests = (0..100).map(|number| immediate(&format!("task-{number}")).build().unwrap()).collect();
    let before = fixture.store.applies();
    fixture.scheduler.schedule_tasks(requests).await.unwrap();
    fixture.idle().await;
    let applies = fixture.store.applies() - before;
    assert!(applies <= 15, "{applies} transactions for ten rounds of ten tasks");
    fixture.end().await;
}

#[tokio::test]
async fn due_task_is_not_dispatched_again_while_it_runs() {
    let gate = Gate::new();
    let fixture = Fixture::with(waits_at(&gate));
    fixture
        .schedule(ScheduleTaskRequest::builder("a").task_type("work").interval(1).timeout_secs(3600))
        .await;
    fixture.clock.advance(SECOND);
    gate.wait_for(1).await;
    for _ in 0..30 {
        fixture.clock.advance(SECOND);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(gate.arrived(), 1);
    gate.open();
    fixture.idle().await;
    let names = fixture.history("a").await;
    assert!(names.contains(&"OccurrencesPassed"), "what came due meanwhile is recorded: {names:?}");
    fixture.end().await;
}

#[tokio::test]
async fn wall_clock_that_jumps_neither_loses_nor_repeats() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.schedule(ScheduleTaskRequest::builder("a").task_type("work").one_time(1_700_000_060)).await;
    fixture.idle().await;
    fixture.clock.set(Timestamp::from_unix_seconds(1_700_086_400).unwrap());
    fixture.pass(SECOND).await;
    fixture.clock.set(Timestamp::from_unix_seconds(1_699_000_000).unwrap());
    fixture.pass(MINUTE).await;
    let expected = ["TaskScheduled", "ExecutionStarted", "TaskExecuted", "TaskEventEmitted"];
    assert_eq!(fixture.history("a").await, expected);
    fixture.end().await;
}

#[tokio::test]
async fn restart_goes_on_where_the_last_one_ended() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.schedule(immediate("done")).await;
    fixture.schedule(ScheduleTaskRequest::builder("hourly").task_type("work").interval(3600)).await;
    fixture.idle().await;
    let (store, clock) = (fixture.store.clone(), fixture.clock.clone());
    fixture.end().await;
    let again =
        Fixture::on(store, clock, |builder| builder.with_task_handler(handler(|_, _| async { done() })));
    again.pass(MINUTE * 60).await;
    assert_eq!(again.history("done").await.len(), 4, "what was done is not done again");
    assert_eq!(again.history("hourly").await.len(), 4);
    again.end().await;
}

/// More events than a page holds, read long after they were written: the log itself is the buffer.
#[tokio::test]
async fn subscription_that_lags_reads_on_by_position_and_loses_nothing() {
    let fixture = Fixture::with(handler(|_, _| async { Ok(TaskEvent::new("worked", [])?) }));
    let mut lagging = fixture.scheduler.subscribe(StartFrom::Beginning).await.unwrap();
    for number in 0..100 {
        fixture.schedule(immediate(&format!("task-{number}"))).await;
    }
    fixture.idle().await;
    let mut positions = Vec::new();
    while positions.len() < 400 {
        positions.push(within(lagging.next()).await.unwrap().position.number());
    }
    assert!(positions.into_iter().eq(1..=400));
    fixture.end().await;
}

#[tokio::test]
async fn gap_in_the_log_is_an_error_of_the_subscription_and_is_not_skipped() {
    let fixture = Fixture::with(handler(|_, _| async { Ok(TaskEvent::new("worked", [])?) }));
    fixture.schedule(immediate("a")).await;
    fixture.idle().await;
    fixture.store.hide(LogPosition::from_number(3));
    let mut subscription = fixture.scheduler.subscribe(StartFrom::Beginning).await.unwrap();
    for number in 1..=2 {
        let event = within(subscription.next()).await.unwrap();
        assert_eq!(event.position, LogPosition::from_number(number));
    }
    for _ in 0..2 {
        let gap = within(subscription.next()).await.unwrap_err();
        let (after, next) = (LogPosition::from_number(2), LogPosition::from_number(4));
        assert!(matches!(gap, SchedulerError::Gap { after: a, next: n } if (a, n) == (after, next)), "{gap}");
    }
    let mut behind =
        fixture.scheduler.subscribe(StartFrom::After(LogPosition::from_number(3))).await.unwrap();
    assert_eq!(within(behind.next()).await.unwrap().event.name(), "TaskEventEmitted");
    fixture.end().await;
}

#[tokio::test]
async fn subscription_reads_every_event_in_order_and_goes_on_elsewhere() {
    let fixture = Fixture::with(handler(|_, _| async { Ok(TaskEvent::new("worked", [])?) }));
    let mut reader = fixture.scheduler.subscribe(StartFrom::Beginning).await.unwrap();
    fixture.schedule(immediate("a")).await;
    let mut names = Vec::new();
    for _ in 0..3 {
        names.push(within(reader.next()).await.unwrap().event.name());
    }
    let mut resumed = fixture.scheduler.subscribe(StartFrom::After(reader.position())).await.unwrap();
    names.push(within(resumed.next()).await.unwrap().event.name());
    assert_eq!(names, ["TaskScheduled", "ExecutionStarted", "TaskExecuted", "TaskEventEmitted"]);
    assert_eq!(resumed.position(), LogPosition::from_number(4));
    fixture.end().await;
}
