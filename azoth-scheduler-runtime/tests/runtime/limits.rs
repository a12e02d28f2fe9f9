//! Limits, keys, rates and pauses, as a program says and meets them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use azoth_scheduler_core::schedule::MisfirePolicy;
use azoth_scheduler_core::scope::Scope;
use azoth_scheduler_runtime::{
    Limits, Said, ScheduleTaskRequest, Scheduler, ScopeChange, TaskContext, TaskHandler, TaskOptions,
    TaskResult,
};
use azoth_scheduler_store::MemoryStore;
use time::OffsetDateTime;

use crate::support::{Fixture, Gate, MINUTE, SECOND, done, handler, immediate, start, within};

/// A handler of the type `work` that passes a gate and declares limits.
struct Limited {
    gate: Gate,
    options: TaskOptions,
}

#[async_trait::async_trait]
impl TaskHandler for Limited {
    fn task_type(&self) -> &str {
        "work"
    }

    fn options(&self) -> TaskOptions {
        self.options.clone()
    }

    async fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        self.gate.pass().await;
        done()
    }
}

/// I22, over two schedulers that share a store.
#[tokio::test]
async fn two_schedulers_together_run_no_more_than_their_handler_declares() {
    let gate = Gate::new();
    let limited = || Limited { gate: gate.clone(), options: TaskOptions::new().concurrency(2) };
    let first = Fixture::with(limited());
    let second =
        Fixture::on(first.store.clone(), first.clock.clone(), |builder| builder.with_task_handler(limited()));
    for number in 0..6 {
        first.schedule(immediate(&format!("task-{number}"))).await;
    }
    gate.wait_for(2).await;
    for _ in 0..5 {
        first.clock.advance(SECOND);
        tokio::task::yield_now().await;
    }
    assert_eq!(gate.arrived(), 2);
    assert_eq!(
        within(first.scheduler.set_limits(work(), Limits::new().max_running(3))).await.unwrap(),
        ScopeChange::Recorded
    );
    gate.wait_for(3).await;
    assert_eq!(gate.arrived(), 3);
    gate.open();
    gate.wait_for(6).await;
    within(second.scheduler.shutdown()).await;
    within(second.running).await.unwrap().unwrap();
    first.end().await;
}

#[tokio::test]
async fn tasks_of_a_key_run_one_at_a_time_and_those_of_another_beside_them() {
    let gate = Gate::new();
    let passing = gate.clone();
    let running = Arc::new(AtomicUsize::new(0));
    let fixture = Fixture::with(handler(move |ctx, _| {
        let (gate, running) = (passing.clone(), Arc::clone(&running));
        async move {
            let first = ctx.task_id().as_str().starts_with("first");
            let beside = if first { running.fetch_add(1, Ordering::SeqCst) } else { 0 };
            gate.pass().await;
            if first {
                running.fetch_sub(1, Ordering::SeqCst);
            }
            assert_eq!(beside, 0, "one at a time");
            done()
        }
    }));
    for task in ["first-1", "first-2", "first-3"] {
        fixture.schedule(immediate(task).concurrency_key("tenant-1")).await;
    }
    fixture.schedule(immediate("second").concurrency_key("tenant-2")).await;
    gate.wait_for(2).await;
    gate.open();
    fixture.idle().await;
    for task in ["first-1", "first-2", "first-3", "second"] {
        assert_eq!(fixture.history(task).await[2], "TaskExecuted", "{task}");
    }
    let events =
        within(fixture.scheduler.events(azoth_scheduler_store::LogPosition::START, 100)).await.unwrap();
    assert!(events.iter().all(|event| !format!("{:?}", event.event).contains("Panicked")));
    fixture.end().await;
}

/// I16: the loop sleeps until the next start is allowed, and asks the store no more often than that.
#[tokio::test]
async fn rate_is_kept_without_spinning() {
    let fixture = Fixture::building(|builder| {
        let handler =
            Limited { gate: open(), options: TaskOptions::new().limits(Limits::new().rate(1, MINUTE)) };
        builder.with_task_handler(handler).with_poll_interval(Duration::from_secs(3600))
    });
    for number in 0..3 {
        fixture.schedule(immediate(&format!("task-{number}"))).await;
    }
    fixture.idle().await;
    let ran = || async {
        let mut ran = 0;
        for number in 0..3 {
            ran += usize::from(fixture.history(&format!("task-{number}")).await.len() > 1);
        }
        ran
    };
    assert_eq!(ran().await, 1);
    assert!(fixture.clock.until_next_sleeper().is_some_and(|span| span <= MINUTE));
    fixture.pass(MINUTE - SECOND).await;
    assert_eq!(ran().await, 1);
    fixture.pass(SECOND).await;
    assert_eq!(ran().await, 2);
    fixture.pass(MINUTE).await;
    assert_eq!(ran().await, 3);
    fixture.end().await;
}

#[tokio::test]
async fn paused_type_rests_until_its_instant_and_then_runs_by_itself() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    let until = OffsetDateTime::from(start()) + MINUTE;
    let said = within(fixture.scheduler.pause(work(), "repair").until(until).into_future()).await;
    assert_eq!(said.unwrap(), ScopeChange::Recorded);
    fixture.schedule(immediate("task")).await;
    fixture.idle().await;
    fixture.pass(MINUTE - SECOND).await;
    assert_eq!(fixture.history("task").await, ["TaskScheduled"]);
    fixture.pass(SECOND).await;
    assert_eq!(fixture.history("task").await[1], "ExecutionStarted");
    let scopes = within(fixture.scheduler.scopes()).await.unwrap();
    let paused = scopes.iter().find(|state| state.scope == work()).unwrap();
    assert!(paused.pause.is_none());
    fixture.end().await;
}

#[tokio::test]
async fn paused_everything_goes_on_when_somebody_says_so() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    within(fixture.scheduler.pause(Scope::Everything, "night").into_future()).await.unwrap();
    fixture.schedule(immediate("task")).await;
    fixture.pass(MINUTE).await;
    assert_eq!(fixture.history("task").await, ["TaskScheduled"]);
    assert_eq!(within(fixture.scheduler.resume(Scope::Everything)).await.unwrap(), ScopeChange::Recorded);
    fixture.idle().await;
    assert_eq!(fixture.history("task").await[1], "ExecutionStarted");
    assert_eq!(within(fixture.scheduler.resume(Scope::Everything)).await.unwrap(), ScopeChange::Kept);
    fixture.end().await;
}

#[tokio::test]
async fn what_came_due_in_a_paused_scope_goes_to_the_policy_that_its_resumption_names() {
    let key = || Scope::key("tenant-7").unwrap();
    for scope in [work(), Scope::Everything, key()] {
        let fixture = Fixture::with(handler(|_, _| async { done() }));
        let hourly = |id: &str| ScheduleTaskRequest::builder(id).task_type("work").interval(3600);
        fixture.schedule(hourly("inside").concurrency_key("tenant-7")).await;
        fixture.schedule(hourly("outside").task_type("work").concurrency_key("tenant-8")).await;
        within(fixture.scheduler.pause(scope.clone(), "repair").into_future()).await.unwrap();
        fixture.pass(MINUTE * 150).await;
        assert_eq!(fixture.history("inside").await, ["TaskScheduled"]);
        let resumed = within(fixture.scheduler.resume_with(scope.clone(), MisfirePolicy::Skip)).await;
        assert_eq!(resumed.unwrap(), ScopeChange::Recorded);
        fixture.idle().await;
        let skipped = ["TaskScheduled", "OccurrencesPassed", "TaskResumed"];
        assert_eq!(fixture.history("inside").await, skipped, "its own policy would run it once: {scope}");
        let outside = fixture.history("outside").await;
        assert_eq!(outside.contains(&"ExecutionStarted"), scope == key(), "{scope}: {outside:?}");
        let again = within(fixture.scheduler.resume_with(scope, MisfirePolicy::RunOnce)).await;
        assert_eq!(again.unwrap(), ScopeChange::Kept);
        fixture.pass(MINUTE * 30).await;
        assert_eq!(fixture.history("inside").await[3], "ExecutionStarted");
        fixture.end().await;
    }
}

#[tokio::test]
async fn more_tasks_than_one_batch_are_resumed_with_their_scope() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    let hourly =
        |number| ScheduleTaskRequest::builder(format!("task-{number}")).task_type("work").interval(3600);
    let requests = (0..1_001).map(|number| hourly(number).build().unwrap()).collect();
    within(fixture.scheduler.schedule_tasks(requests)).await.unwrap();
    within(fixture.scheduler.pause(work(), "repair").into_future()).await.unwrap();
    fixture.pass(MINUTE * 150).await;
    within(fixture.scheduler.resume_with(work(), MisfirePolicy::Skip)).await.unwrap();
    fixture.idle().await;
    for task in ["task-0", "task-499", "task-500", "task-1000"] {
        let skipped = ["TaskScheduled", "OccurrencesPassed", "TaskResumed"];
        assert_eq!(fixture.history(task).await, skipped, "{task}");
    }
    fixture.end().await;
}

#[tokio::test]
async fn task_that_is_paused_until_an_instant_goes_on_then() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.schedule(ScheduleTaskRequest::builder("task").task_type("work").one_time(1_700_000_030)).await;
    let until = OffsetDateTime::from(start()) + MINUTE;
    let said = within(fixture.scheduler.pause_task("task", "later").until(until).into_future()).await;
    assert_eq!(said.unwrap(), Said::Recorded);
    fixture.pass(MINUTE - SECOND).await;
    assert_eq!(fixture.history("task").await, ["TaskScheduled", "TaskPaused"]);
    fixture.pass(SECOND).await;
    assert_eq!(fixture.history("task").await[2..4], ["TaskResumed", "ExecutionStarted"]);
    fixture.end().await;
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused_where_they_are_said() {
    let wrong = Limited { gate: open(), options: TaskOptions::new().concurrency(0) };
    let error =
        Scheduler::builder(MemoryStore::new()).with_task_handler(wrong).build().map(drop).unwrap_err();
    assert!(error.to_string().contains("max_running of 0: give at least 1"), "{error}");
    let client = Scheduler::builder(MemoryStore::new()).build().unwrap();
    let key = Scope::key("tenant-7").unwrap();
    let error = client.set_limits(key, Limits::new().max_running_per_key(2)).await.unwrap_err();
    assert!(error.to_string().contains("give it as the key's own `max_running`"), "{error}");
    let error = client.pause(work(), "why").until(OffsetDateTime::UNIX_EPOCH).await.unwrap_err();
    assert!(error.to_string().contains("give a later instant"), "{error}");
    let request = immediate("task").concurrency_key("").build().map(drop).unwrap_err();
    assert!(request.to_string().contains("concurrency key is empty"), "{request}");
}

fn work() -> Scope {
    Scope::task_type("work").unwrap()
}

fn open() -> Gate {
    let gate = Gate::new();
    gate.open();
    gate
}

#[tokio::test]
async fn builder_declares_limits_of_types_keys_and_everything() {
    let key = || Scope::key("tenant-7").unwrap();
    let limited = || Limited { gate: open(), options: TaskOptions::new().concurrency(2) };
    let first = Fixture::building(|builder| {
        let builder = builder.with_task_handler(limited()).with_actor("first release");
        let builder = builder.with_limits(Scope::Everything, Limits::new().max_running(50));
        let builder = builder.with_limits(key(), Limits::new().max_running(3));
        builder.with_limits(work(), Limits::new().max_running(7))
    });
    first.idle().await;
    let declared = async |fixture: &Fixture| {
        let scopes = within(fixture.scheduler.scopes()).await.unwrap();
        let max = |scope: Scope| {
            let state = scopes.iter().find(|state| state.scope == scope);
            state.and_then(|state| state.limits().max_running).map(std::num::NonZeroU32::get)
        };
        (max(Scope::Everything), max(work()), max(key()))
    };
    assert_eq!(declared(&first).await, (Some(50), Some(7), Some(3)), "before what the handler declares");
    within(first.scheduler.set_limits(key(), Limits::new().max_running(9))).await.unwrap();

    let second = Fixture::on(first.store.clone(), first.clock.clone(), |builder| {
        let builder = builder.with_task_handler(limited());
        builder.with_limits(Scope::Everything, Limits::new()).with_limits(key(), Limits::new().max_running(4))
    });
    second.idle().await;
    assert_eq!(declared(&second).await, (None, Some(2), Some(9)), "what was set holds still");
    within(second.scheduler.clear_limits(key())).await.unwrap();
    assert_eq!(declared(&second).await, (None, Some(2), Some(4)));
    second.end().await;
    first.end().await;
}

#[test]
fn limits_that_make_no_sense_are_an_error_of_build() {
    let refused = |scope, limits| {
        let builder = Scheduler::builder(MemoryStore::new()).with_limits(scope, limits);
        builder.build().unwrap_err().to_string()
    };
    let per_key = refused(Scope::key("tenant-7").unwrap(), Limits::new().max_running_per_key(2));
    assert!(per_key.contains("makes no sense for a single key"), "{per_key}");
    assert!(refused(work(), Limits::new().max_running(0)).contains("max_running of 0: give at least 1"));
}
