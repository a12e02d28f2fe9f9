//! The simulator that users get for their tests.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its failure")]

mod deploying;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_runtime::testing::{RunEnd, Simulator, StoreCall, StoreFault};
use azoth_scheduler_runtime::{
    BlockingTaskHandler, Clock, EventHandler, ManualClock, Result, ScheduleTaskRequest,
    ScheduleTaskRequestBuilder, SchedulerError, TaskContext, TaskError, TaskEvent, TaskHandler, TaskResult,
};
use azoth_scheduler_store::{LogPosition, RecordedEvent, StartFrom, StoreError, TaskFilter};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Waits so long, and fails at its first attempts.
struct Work {
    clock: Option<ManualClock>,
    takes: Duration,
    fails: u32,
}

impl Work {
    fn at_once() -> Self {
        Self { clock: None, takes: Duration::ZERO, fails: 0 }
    }

    fn for_so_long(world: &Simulator, takes: Duration) -> Self {
        Self { clock: Some(world.clock().clone()), takes, fails: 0 }
    }
}

#[async_trait]
impl TaskHandler for Work {
    fn task_type(&self) -> &str {
        "work"
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        if let Some(clock) = &self.clock {
            clock.sleep(self.takes).await;
        }
        if ctx.attempt() <= self.fails {
            Err("not yet")?;
        }
        Ok(TaskEvent::new("done", [])?)
    }
}

fn request(id: &str) -> ScheduleTaskRequestBuilder {
    ScheduleTaskRequest::builder(id).task_type("work")
}

fn schedule(
    world: &Simulator,
    scheduler: &azoth_scheduler_runtime::Scheduler,
    task: ScheduleTaskRequestBuilder,
) {
    world.block_on(scheduler.schedule_task(task.build().unwrap())).unwrap();
}

#[test]
fn year_of_schedules_runs_each_occurrence_at_its_instant() {
    let world = Simulator::of_seed(1);
    let scheduler = world.start(|builder| builder.with_task_handler(Work::at_once())).unwrap();
    schedule(&world, &scheduler, request("daily").cron("0 30 6 * * *").time_zone("Europe/Berlin"));
    schedule(&world, &scheduler, request("weekly").cron("0 0 7 * * MON"));
    schedule(&world, &scheduler, request("once").at((world.now().saturating_add_ms(86_400_000)).into()));
    world.run_for(365 * DAY).unwrap();
    let runs = world.runs().unwrap();
    assert!(runs.iter().all(|run| run.succeeded() && run.started_at == run.scheduled_at));
    let number = |task: &str| runs.iter().filter(|run| run.task.as_str() == task).count();
    assert_eq!((number("daily"), number("weekly"), number("once")), (365, 52, 1));
    assert_eq!(world.now(), Timestamp::from_unix_seconds(1_767_225_600 + 365 * 86_400).unwrap());
}

#[test]
fn retry_comes_at_the_instant_of_its_backoff() {
    let world = Simulator::of_seed(1);
    let flaky = Work { fails: 2, ..Work::at_once() };
    let scheduler = world.start(|builder| builder.with_task_handler(flaky)).unwrap();
    let start = world.now();
    schedule(&world, &scheduler, request("a").immediate());
    let mut instants = vec![];
    while let Some(now) = world.run_to_next().unwrap() {
        instants.push(now.ms_since(start));
    }
    assert_eq!(instants, [60_000, 180_000], "one minute, then two");
    let runs = world.runs_of("a").unwrap();
    assert_eq!(
        runs.iter().map(|run| (run.attempt, run.succeeded())).collect::<Vec<_>>(),
        [(1, false), (2, false), (3, true)]
    );
    assert_eq!(world.run_to_next().unwrap(), None, "nothing is due any more");
}

/// Saves a step at each of its attempts, and is done at the third.
struct Steps;

impl BlockingTaskHandler for Steps {
    fn task_type(&self) -> &str {
        "work"
    }

    fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> Result<TaskEvent> {
        let step = ctx.checkpoint::<u32>()?.unwrap_or(0) + 1;
        ctx.save_checkpoint_blocking(&step)?;
        if step < 3 { Err("not yet")? } else { TaskEvent::json("done", &step) }
    }
}

#[test]
fn blocking_handler_saves_checkpoints_although_nothing_moves_meanwhile() {
    let world = Simulator::of_seed(1);
    let scheduler = world.start(|builder| builder.with_task_handler(Steps)).unwrap();
    schedule(&world, &scheduler, request("a").immediate());
    world.run_for(HOUR).unwrap();
    let ended: Vec<_> = world.runs_of("a").unwrap().iter().map(|run| run.succeeded()).collect();
    assert_eq!(ended, [false, false, true]);
}

#[test]
fn handler_that_waits_for_the_clock_is_waited_for_and_timed_out() {
    let world = Simulator::of_seed(1);
    let slow = Work::for_so_long(&world, 10 * SECOND);
    let scheduler = world.start(|builder| builder.with_task_handler(slow)).unwrap();
    schedule(&world, &scheduler, request("in time").immediate().timeout(20 * SECOND));
    schedule(&world, &scheduler, request("late").immediate().timeout(5 * SECOND).max_retries(0));
    world.run_for(HOUR).unwrap();
    let info = |id: &str| world.block_on(scheduler.get_task(id)).unwrap().unwrap();
    assert_eq!(info("in time").phase, PhaseKind::Finished);
    assert_eq!(info("late").phase, PhaseKind::Disabled);
    let [run] = &world.runs_of("late").unwrap()[..] else { panic!("one run") };
    let Some(RunEnd::Ended { at, .. }) = &run.ended else { panic!("it ended") };
    assert_eq!(at.ms_since(run.started_at), 5_000);
}

/// What a simulated week with crashes, retries and several schedulers leaves in the log.
fn week(seed: u64) -> Vec<RecordedEvent> {
    let world = Simulator::of_seed(seed);
    let build =
        || world.start(|builder| builder.with_task_handler(Work { fails: 1, ..Work::at_once() })).unwrap();
    let (first, second) = (build(), build());
    for number in 0..5 {
        let task = request(&format!("task {number}")).every(Duration::from_secs(7 * 3600));
        schedule(&world, if number % 2 == 0 { &first } else { &second }, task);
    }
    world.run_for(3 * DAY).unwrap();
    world.kill(&first, true);
    build();
    world.run_for(4 * DAY).unwrap();
    world.log(LogPosition::START).unwrap()
}

/// I28: the same seed gives the same log, to the last id.
#[test]
fn same_seed_gives_the_same_log_to_the_last_id() {
    let log = week(7);
    assert!(log.len() > 400, "{} events", log.len());
    assert_eq!(log, week(7));
    assert_ne!(log, week(8), "another seed, other ids");
}

#[test]
fn killed_scheduler_leaves_its_work_to_another_one() {
    let world = Simulator::of_seed(3);
    let slow = || Work::for_so_long(&world, HOUR);
    let lease = 15 * SECOND;
    let first = world.start(|builder| builder.with_task_handler(slow()).with_lease(lease)).unwrap();
    schedule(&world, &first, request("a").immediate().timeout(5 * HOUR));
    world.run_for(SECOND).unwrap();
    world.kill(&first, false);
    let second = world.start(|builder| builder.with_task_handler(slow()).with_lease(lease)).unwrap();
    world.run_for(2 * HOUR).unwrap();
    let runs = world.runs_of("a").unwrap();
    assert!(matches!(runs[0].ended, Some(RunEnd::Abandoned { .. })) && runs[1].succeeded(), "{runs:?}");
    assert_eq!(runs.len(), 2);
    assert!(world.block_on(second.verify()).unwrap().is_sound());
}

#[test]
fn frozen_scheduler_loses_its_work_and_its_late_result_is_refused() {
    let world = Simulator::of_seed(3);
    let slow = || Work::for_so_long(&world, 10 * SECOND);
    let lease = 15 * SECOND;
    let first = world.start(|builder| builder.with_task_handler(slow()).with_lease(lease)).unwrap();
    schedule(&world, &first, request("a").immediate());
    world.run_for(SECOND).unwrap();
    let second = world.start(|builder| builder.with_task_handler(slow()).with_lease(lease)).unwrap();
    world.freeze(&first);
    world.run_for(HOUR).unwrap();
    world.thaw(&first);
    world.run_for(HOUR).unwrap();
    let runs = world.runs_of("a").unwrap();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert!(matches!(runs[0].ended, Some(RunEnd::Abandoned { .. })) && runs[1].succeeded(), "{runs:?}");
    // It goes on working under a new name.
    world.kill(&second, true);
    schedule(&world, &first, request("b").immediate());
    world.run_for(HOUR).unwrap();
    assert!(world.runs_of("b").unwrap()[0].succeeded());
}

#[test]
fn store_that_fails_delays_a_result_and_loses_none() {
    let world = Simulator::of_seed(3);
    let work = Work::for_so_long(&world, 10 * SECOND);
    let scheduler = world.start(|builder| builder.with_task_handler(work)).unwrap();
    schedule(&world, &scheduler, request("a").immediate());
    world.run_for(SECOND).unwrap();
    world.trouble_store(&scheduler, |call| {
        (call == StoreCall::Apply).then_some(StoreFault::Refused(StoreError::Full))
    });
    let refused = world.block_on(scheduler.schedule_task(request("b").immediate().build().unwrap()));
    assert!(matches!(refused, Err(SchedulerError::Store(StoreError::Full))));
    world.run_for(HOUR).unwrap();
    assert_eq!(world.runs_of("a").unwrap()[0].ended, None);
    world.heal_store(&scheduler);
    world.run_for(HOUR).unwrap();
    assert!(world.runs_of("a").unwrap()[0].succeeded());
    assert!(world.runs_of("b").unwrap().is_empty());
}

/// A blocking handler, and an event handler that fails at first.
struct Diligent {
    events: Arc<AtomicU32>,
}

impl BlockingTaskHandler for Diligent {
    fn task_type(&self) -> &str {
        "work"
    }

    fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> Result<TaskEvent> {
        TaskEvent::new("done", [])
    }
}

#[async_trait]
impl EventHandler for Diligent {
    fn name(&self) -> &str {
        "diligent"
    }

    async fn handle(&self, _event: &RecordedEvent) -> std::result::Result<(), TaskError> {
        if self.events.fetch_add(1, Ordering::SeqCst) == 0 {
            Err("not yet")?;
        }
        Ok(())
    }
}

#[test]
fn blocking_handlers_event_handlers_and_subscriptions_are_part_of_the_world() {
    let world = Simulator::of_seed(3);
    let events = Arc::new(AtomicU32::new(0));
    let diligent = || Diligent { events: Arc::clone(&events) };
    let scheduler =
        world.start(|builder| builder.with_task_handler(diligent()).with_event_handler(diligent())).unwrap();
    let mut subscription = world.block_on(scheduler.subscribe(StartFrom::Beginning)).unwrap();
    schedule(&world, &scheduler, request("a").immediate());
    let names: Vec<_> = (0..4).map(|_| world.block_on(subscription.next()).unwrap().event.name()).collect();
    assert_eq!(names, ["TaskScheduled", "ExecutionStarted", "TaskExecuted", "TaskEventEmitted"]);
    world.run_for(HOUR).unwrap();
    assert_eq!(events.load(Ordering::SeqCst), 5, "four events, the first one twice");
    let listed = world.block_on(scheduler.list_tasks(&TaskFilter::new())).unwrap();
    assert_eq!(listed[0].phase, PhaseKind::Finished);
    world.block_on(scheduler.shutdown());
    world.run_until_idle().unwrap();
}

#[test]
#[should_panic(expected = "never comes to an end")]
fn waiting_for_what_is_not_part_of_the_world_is_said_and_not_waited_for() {
    let world = Simulator::of_seed(3);
    world.block_on(std::future::pending::<()>());
}
