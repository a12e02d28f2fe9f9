//! Each defect of an earlier scheduler of this kind, by what one would see of it.

use azoth_scheduler::event::Then;
use azoth_scheduler::execution::Outcome;
use azoth_scheduler::prelude::*;
use azoth_scheduler::schedule::Schedule;
use azoth_scheduler::{Clock, ManualClock, SchedulerBuilder, Timestamp};

use crate::support::{House, MINUTE, Work, assert_sound, store_in, work};

fn worker(work: &Work) -> impl FnOnce(SchedulerBuilder) -> SchedulerBuilder {
    let work = work.clone();
    move |builder| builder.with_task_handler(work)
}

#[tokio::test]
async fn one_call_of_run_is_enough_to_run_tasks() {
    // Lost there: nothing ran unless a second loop was started by hand.
    let work_done = Work::default();
    let house = House::with(worker(&work_done)).await;
    house.schedule(work("now").immediate()).await;
    assert_eq!(work_done.runs(), [("now".to_owned(), 1)]);
    house.close().await;
}

#[tokio::test]
async fn one_time_task_that_succeeds_finishes_and_lets_the_others_go_on() {
    // Lost there: its success jammed the projection.
    let work_done = Work::default();
    let house = House::with(worker(&work_done)).await;
    house.schedule(work("once").one_time(1_800_000_060)).await;
    house.pass(MINUTE).await;
    house.schedule(work("next").immediate()).await;
    assert_eq!(house.task("once").await.phase, PhaseKind::Finished);
    assert_eq!(house.task("next").await.phase, PhaseKind::Finished);
    assert_eq!(work_done.runs().len(), 2);
    house.close().await;
}

#[tokio::test]
async fn due_task_is_not_started_again_while_it_runs() {
    // I7. Lost there: each poll dispatched it once more.
    struct Endless;
    #[async_trait]
    impl TaskHandler for Endless {
        fn task_type(&self) -> &str {
            "endless"
        }
        async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
            ctx.cancelled().await;
            Err("stopped".into())
        }
    }
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::starting_at(Timestamp::UNIX_EPOCH));
    let store = store_in(&folder);
    let scheduler =
        Scheduler::builder(store).with_clock(clock.clone()).with_task_handler(Endless).build().unwrap();
    let request = ScheduleTaskRequest::builder("long").task_type("endless").every(Duration::from_secs(1));
    scheduler.schedule_task(request.build().unwrap()).await.unwrap();
    let running = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });
    clock.advance(Duration::from_secs(1));
    let mut log = scheduler.subscribe(StartFrom::Beginning).await.unwrap();
    while !matches!(log.next().await.unwrap().event, Event::ExecutionStarted { .. }) {}
    // Ten more occurrences come due while it runs, and ten polls.
    for _ in 0..10 {
        clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    scheduler.cancel_task("long", "enough").await.unwrap();
    scheduler.shutdown().await;
    running.await.unwrap().unwrap();
    let history = scheduler.task_history("long").await.unwrap();
    let started = history.iter().filter(|recorded| matches!(recorded.event, Event::ExecutionStarted { .. }));
    assert_eq!(started.count(), 1);
    assert_sound(&scheduler).await;
}

#[tokio::test]
async fn restart_does_not_apply_the_log_again() {
    // I5. Lost there: after a restart everything in the log happened a second time.
    let work_done = Work::default();
    let house = House::with(worker(&work_done)).await;
    house.schedule(work("done").immediate()).await;
    house.schedule(work("hourly").interval(3600)).await;
    let before = (house.history("done").await, house.task("hourly").await);
    let house = house.restart(worker(&work_done)).await;
    assert_eq!((house.history("done").await, house.task("hourly").await), before);
    assert_eq!(work_done.runs().len(), 1);
    house.close().await;
}

#[tokio::test]
async fn rebuilding_years_later_gives_the_same_tasks() {
    // I6. Lost there: applying an event read the clock, so that a rebuild differed.
    let work_done = Work::that_fails();
    let house = House::with(worker(&work_done)).await;
    house.schedule(work("daily").cron("0 0 3 * * *").time_zone("Europe/Berlin")).await;
    house.schedule(work("failing").immediate()).await;
    house.schedule(work("paused").interval(5)).await;
    house.scheduler.pause_task("paused", "for the rebuild").await.unwrap();
    let tasks = house.scheduler.list_tasks(&TaskFilter::new()).await.unwrap();
    let (folder, _) = house.stop().await;
    // Nothing runs now, so all that could change the tasks is the rebuild itself.
    let later = ManualClock::starting_at(Timestamp::MAX);
    let reader = Scheduler::builder(store_in(&folder)).with_clock(later).build().unwrap();
    reader.store().rebuild_projection().await.unwrap();
    assert_eq!(reader.list_tasks(&TaskFilter::new()).await.unwrap(), tasks);
    assert_sound(&reader).await;
}

#[tokio::test]
async fn retries_come_after_one_two_and_four_minutes_and_are_three() {
    // Lost there: they came after 2, 4 and 8 minutes, and `max_retries = 3` gave two of them.
    let work_done = Work::that_fails();
    let house = House::with(worker(&work_done)).await;
    house.schedule(work("failing").max_retries(3).immediate()).await;
    for (attempts, minutes) in [(1, 1), (2, 2), (3, 4)] {
        assert_eq!(work_done.runs().len(), attempts);
        house.pass(minutes * MINUTE - Duration::from_millis(1)).await;
        assert_eq!(work_done.runs().len(), attempts, "{minutes} minutes have not passed yet");
        house.pass(Duration::from_millis(1)).await;
    }
    assert_eq!(work_done.runs().len(), 4);
    let task = house.task("failing").await;
    assert_eq!(task.phase, PhaseKind::Disabled);
    assert_eq!(task.reason.as_deref(), Some("no retries left after 4 failures"));
    let last = house.scheduler.task_history("failing").await.unwrap().pop().unwrap();
    let Event::TaskExecuted { outcome: Outcome::Failed(failure), then: Then::Disable(_), .. } = last.event
    else {
        panic!("{last:?}");
    };
    assert_eq!(failure.message.as_str(), "it went wrong");
    house.pass(100 * MINUTE).await;
    assert_eq!(work_done.runs().len(), 4);
    house.scheduler.store().rebuild_projection().await.unwrap();
    assert_eq!(house.task("failing").await, task, "a rebuild says the same");
    house.close().await;
}

#[tokio::test]
async fn event_type_of_a_handler_is_kept() {
    let house = House::with(worker(&Work::default())).await;
    house.schedule(work("now").payload("content").immediate()).await;
    let history = house.scheduler.task_history("now").await.unwrap();
    let emitted = history.iter().find_map(|recorded| match &recorded.event {
        Event::TaskEventEmitted { emitted, .. } => {
            Some((emitted.event_type.as_str(), recorded.payload.bytes()))
        }
        _ => None,
    });
    assert_eq!(emitted, Some(("worked", Some(b"content".as_slice()))));
    house.close().await;
}

#[tokio::test]
async fn payload_that_looks_like_an_event_is_only_a_payload() {
    // Lost there: a user's payload in the shape of the scheduler's own events was applied as one.
    let house = House::with(worker(&Work::default())).await;
    house.schedule(work("victim").interval(60)).await;
    let forged = br#"{"TaskCancelled":{"task":"victim","reason":"forged","by":"nobody"}}"#;
    house.schedule(work("forger").payload(forged.as_slice()).immediate()).await;
    let house = house.restart(worker(&Work::default())).await;
    assert_eq!(house.task("victim").await.phase, PhaseKind::Waiting);
    assert_eq!(house.task("forger").await.payload(), Some(forged.as_slice()));
    house.close().await;
}

#[tokio::test]
async fn task_that_has_run_can_be_cancelled() {
    let work_done = Work::default();
    let house = House::with(worker(&work_done)).await;
    house.schedule(work("minutely").interval(60)).await;
    house.pass(MINUTE).await;
    assert_eq!(work_done.runs().len(), 1);
    house.scheduler.cancel_task("minutely", "enough").await.unwrap();
    let task = house.task("minutely").await;
    assert_eq!((task.phase, task.reason.as_deref()), (PhaseKind::Cancelled, Some("enough")));
    house.schedule(work("once").immediate()).await;
    let said = house.scheduler.cancel_task("once", "too late").await.unwrap();
    assert_eq!(said, Said::Unchanged(PhaseKind::Finished));
    house.pass(10 * MINUTE).await;
    assert_eq!(work_done.runs().len(), 2);
    house.close().await;
}

#[tokio::test]
async fn one_to_five_is_monday_to_friday() {
    // 2027-01-15T08:00:00Z is a Friday.
    let house = House::with(worker(&Work::default())).await;
    let weekdays = Schedule::cron("0 0 9 * * 1-5").unwrap();
    let next = weekdays.upcoming(house.clock.now(), 3).unwrap();
    let days: Vec<String> = next.iter().map(ToString::to_string).collect();
    assert_eq!(days, ["2027-01-15T09:00:00Z", "2027-01-18T09:00:00Z", "2027-01-19T09:00:00Z"]);
    house.close().await;
}
