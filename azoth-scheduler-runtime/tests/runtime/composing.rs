//! Tasks that come of each other, and those who wait for them.

use std::sync::{Arc, Mutex};

use azoth_scheduler_core::dependency::OnDependencyFailure;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::Outcome;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_runtime::{
    BlockingTaskHandler, BulkAction, BulkMode, Permanent, RequestError, Result, Said, ScheduleChange,
    ScheduleTaskRequest, Scheduler, SchedulerError, TaskContext, TaskEvent, TaskOutcome,
};
use azoth_scheduler_store::TaskFilter;
use serde::{Deserialize, Serialize};

use crate::support::{
    Closure, FaultyStore, Fixture, Gate, MINUTE, SECOND, clock, done, handler, immediate, within,
};

async fn phase(fixture: &Fixture, task: &str) -> PhaseKind {
    fixture.scheduler.get_task(task).await.unwrap().unwrap().phase
}

/// Schedules `child`, and then ends as its payload says.
fn parent() -> Closure {
    handler(|ctx, payload| async move {
        if ctx.task_type() != "work" || ctx.task_id() != "parent" {
            return done();
        }
        ctx.schedule(immediate("child").build()?)?;
        match payload.as_slice() {
            b"fails" => Err("no luck")?,
            b"panics" => panic!("boom"),
            _ => done(),
        }
    })
}

/// I24: with the success, or not at all.
#[tokio::test]
async fn what_a_handler_schedules_happens_with_its_success_only() {
    for (end, happens) in [("succeeds", true), ("fails", false), ("panics", false)] {
        let fixture = Fixture::with(parent());
        fixture.schedule(immediate("parent").payload(end).max_retries(0)).await;
        fixture.idle().await;
        let child = fixture.scheduler.get_task("child").await.unwrap();
        assert_eq!(child.is_some(), happens, "it {end}");
        fixture.end().await;
    }
}

#[tokio::test]
async fn child_and_success_are_one_transaction() {
    let fixture = Fixture::with(parent());
    fixture.schedule(immediate("parent")).await;
    fixture.idle().await;
    let events = fixture.scheduler.events(Default::default(), 100).await.unwrap();
    let names: Vec<_> = events.iter().map(|event| event.event.name()).collect();
    let success = names.iter().position(|name| *name == "TaskExecuted").unwrap();
    assert_eq!(names[success..success + 3], ["TaskExecuted", "TaskEventEmitted", "TaskScheduled"]);
    fixture.end().await;
}

struct BlockingParent;

impl BlockingTaskHandler for BlockingParent {
    fn task_type(&self) -> &str {
        "work"
    }

    fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> Result<TaskEvent> {
        if ctx.attempt() == 1 && ctx.task_id() == "parent" {
            let child = ScheduleTaskRequest::unnamed().task_type("work").immediate().build()?;
            let id = ctx.schedule(child)?;
            return TaskEvent::json("scheduled", id.as_str());
        }
        TaskEvent::new("done", [])
    }
}

#[tokio::test]
async fn blocking_handler_schedules_with_its_success_too() {
    let fixture = Fixture::building(|builder| builder.with_task_handler(BlockingParent));
    fixture.schedule(immediate("parent")).await;
    let outcome: TaskOutcome<String> =
        within(fixture.scheduler.handle("parent").unwrap().wait()).await.unwrap();
    fixture.idle().await;
    assert_eq!(phase(&fixture, &outcome.value().unwrap()).await, PhaseKind::Finished);
    fixture.end().await;
}

#[tokio::test]
async fn child_that_is_refused_fails_the_attempt_with_the_refusal_as_its_error() {
    let fixture = Fixture::with(handler(|ctx, _| async move {
        if ctx.attempt() == 1 {
            ctx.schedule(immediate("other").after(["nowhere"]).build()?)?;
            ctx.schedule(immediate("fine").build()?)?;
        }
        done()
    }));
    fixture.schedule(immediate("parent")).await;
    fixture.idle().await;
    let events = fixture.events("parent").await;
    let Some(Event::TaskExecuted { outcome: Outcome::Failed(failure), .. }) = events.last() else {
        panic!("it failed: {events:?}");
    };
    let text = failure.message.as_str();
    assert!(text.contains("task \"other\" cannot wait for \"nowhere\", which is not there"), "{text}");
    assert!(fixture.scheduler.get_task("fine").await.unwrap().is_none());
    fixture.pass(MINUTE).await;
    assert_eq!(phase(&fixture, "parent").await, PhaseKind::Finished, "the next attempt does better");
    fixture.end().await;
}

#[tokio::test]
async fn invalid_child_is_an_error_where_it_is_scheduled_and_a_late_one_too() {
    let kept = Arc::new(Mutex::new(None));
    let fixture = Fixture::with(handler({
        let kept = Arc::clone(&kept);
        move |ctx, _| {
            *kept.lock().unwrap() = Some(ctx.clone());
            async move {
                let unknown = ScheduleTaskRequest::builder("x").task_type("nobody's").immediate().build()?;
                let refused = ctx.schedule(unknown);
                assert!(matches!(refused, Err(SchedulerError::HandlerNotFound { .. })), "{refused:?}");
                done()
            }
        }
    }));
    fixture.schedule(immediate("parent")).await;
    fixture.idle().await;
    assert_eq!(phase(&fixture, "parent").await, PhaseKind::Finished);
    let ctx = kept.lock().unwrap().take().unwrap();
    let late = ctx.schedule(immediate("late").build().unwrap());
    assert!(matches!(late, Err(SchedulerError::ExecutionOver)), "{late:?}");
    fixture.end().await;
}

#[tokio::test]
async fn execution_schedules_a_bounded_number_of_tasks() {
    let ctx = TaskContext::detached("parent", "work").unwrap();
    for number in 0..1_000 {
        ctx.schedule(immediate(&format!("task-{number}")).build().unwrap()).unwrap();
    }
    let error = ctx.schedule(immediate("one-more").build().unwrap()).unwrap_err();
    let expected = SchedulerError::InvalidTask(RequestError::TooMuchScheduled { tasks: 1_001, bytes: 0 });
    assert_eq!(error.to_string(), expected.to_string());
}

#[tokio::test]
async fn task_runs_after_those_that_it_waits_for_and_is_cancelled_when_one_fails() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let fixture = Fixture::with(handler({
        let order = Arc::clone(&order);
        move |ctx, payload| {
            order.lock().unwrap().push(ctx.task_id().to_string());
            async move { if payload == b"fails" { Err(Permanent::new("gone"))? } else { done() } }
        }
    }));
    let later = |id: &str, seconds: i64| {
        let at = crate::support::start().saturating_add_ms(seconds * 1_000);
        ScheduleTaskRequest::builder(id).task_type("work").at(at.into())
    };
    fixture.schedule(later("a", 20)).await;
    fixture.schedule(later("b", 10)).await;
    fixture.schedule(later("bad", 30).payload("fails")).await;
    fixture.schedule(immediate("after-both").after(["a", "b"])).await;
    fixture.schedule(immediate("hopeless").after(["a", "bad"])).await;
    let rule = OnDependencyFailure::RunAnyway;
    fixture.schedule(immediate("anyway").after_with(["bad"], rule)).await;
    fixture.idle().await;
    let task = fixture.scheduler.get_task("after-both").await.unwrap().unwrap();
    assert_eq!((task.phase, task.enabled(), task.next_run_at), (PhaseKind::Blocked, true, None));
    assert_eq!(task.waits_for, ["a", "b"]);
    let stats = fixture.scheduler.stats().await.unwrap().store.tasks;
    assert_eq!(stats.iter().find(|count| count.phase == PhaseKind::Blocked).unwrap().tasks, 3);
    fixture.pass(SECOND * 40).await;
    assert_eq!(*order.lock().unwrap(), ["b", "a", "bad", "after-both", "anyway"]);
    let hopeless = fixture.scheduler.get_task("hopeless").await.unwrap().unwrap();
    assert_eq!(hopeless.phase, PhaseKind::Cancelled);
    assert_eq!(hopeless.reason.as_deref(), Some("it waited for task \"bad\", which failed"));
    fixture.end().await;
}

#[tokio::test]
async fn recurring_task_cannot_wait_for_others() {
    let request = ScheduleTaskRequest::builder("x").task_type("work").interval(60).after(["a"]).build();
    let error = request.unwrap_err().to_string();
    assert!(error.contains("`.after(..)` belongs to one_time, at and immediate"), "{error}");
}

#[tokio::test]
async fn same_wish_again_is_answered_with_the_first_task() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    let order = || {
        let request = ScheduleTaskRequest::unnamed().task_type("work").one_time(1_800_000_000);
        request.unique_while_pending("order-42").build().unwrap()
    };
    let first = fixture.scheduler.schedule_task(order()).await.unwrap();
    let again = fixture.scheduler.schedule_task(order()).await.unwrap();
    assert_eq!((again.change, &again.task), (ScheduleChange::Existing, &first.task));
    assert_eq!(again.next_run_at, first.next_run_at);
    fixture.scheduler.run_now(&first.task).await.unwrap();
    fixture.idle().await;
    let anew = fixture.scheduler.schedule_task(order()).await.unwrap();
    assert!(anew.is_created() && anew.task != first.task, "the first one has ended");

    let today = || immediate("x").unique_for("report", MINUTE).build().unwrap();
    assert!(fixture.scheduler.schedule_task(today()).await.unwrap().is_created());
    fixture.pass(SECOND * 59).await;
    let other = immediate("y").unique_for("report", MINUTE).build().unwrap();
    let again = fixture.scheduler.schedule_task(other.clone()).await.unwrap();
    assert_eq!((again.change, again.task.as_str()), (ScheduleChange::Existing, "x"));
    fixture.pass(SECOND).await;
    assert!(fixture.scheduler.schedule_task(other).await.unwrap().is_created());
    fixture.end().await;
}

/// I26: in whatever process it is wished, also at the same time.
#[tokio::test]
async fn of_many_that_wish_the_same_at_once_one_makes_the_task() {
    let store = FaultyStore::default();
    let mut wishes = tokio::task::JoinSet::new();
    for number in 0..20 {
        let scheduler = Scheduler::builder(store.clone()).build().unwrap();
        wishes.spawn(async move {
            let request = immediate(&format!("task-{number}")).unique_while_pending("only-one");
            scheduler.schedule_task(request.build().unwrap()).await.unwrap()
        });
    }
    let outcomes = within(wishes.join_all()).await;
    let created: Vec<_> = outcomes.iter().filter(|outcome| outcome.is_created()).collect();
    let [first] = created.as_slice() else { panic!("one task is made, not {created:?}") };
    assert!(outcomes.iter().all(|outcome| outcome.task == first.task));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sum {
    sum: u32,
}

#[tokio::test]
async fn wait_resolves_to_the_typed_outcome_from_any_process() {
    let gate = Gate::new();
    let fixture = Fixture::with(handler({
        let gate = gate.clone();
        move |_, payload| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                match payload.as_slice() {
                    b"gone" => Err(Permanent::new("no such account"))?,
                    _ => Ok(TaskEvent::json("summed", &Sum { sum: 6 })?),
                }
            }
        }
    }));
    // Another process: a client on the same store.
    let client = Scheduler::builder(fixture.store.clone()).with_clock(clock()).build().unwrap();
    for (id, payload) in [("good", ""), ("bad", "gone"), ("cancelled", "")] {
        client.schedule_task(immediate(id).payload(payload).build().unwrap()).await.unwrap();
    }
    gate.wait_for(3).await;
    let waits = ["good", "bad", "cancelled"].map(|id| {
        let handle = client.handle(id).unwrap();
        tokio::spawn(async move { handle.wait::<Sum>().await.unwrap() })
    });
    client.cancel_task("cancelled", "not wanted").await.unwrap();
    gate.open();
    let [good, bad, cancelled] = waits;
    let good = within(good).await.unwrap();
    assert!(matches!(&good, TaskOutcome::Succeeded { event_type, .. } if *event_type == "summed"));
    assert_eq!(good.value(), Some(Sum { sum: 6 }));
    let TaskOutcome::Failed { error: Some(error), .. } = within(bad).await.unwrap() else {
        panic!("it failed")
    };
    assert_eq!(error.message.as_str(), "no such account");
    let cancelled = within(cancelled).await.unwrap();
    let (reason, by) = ("not wanted".to_owned(), "program".to_owned());
    assert_eq!(cancelled, TaskOutcome::Cancelled { reason, by });
    let late: TaskOutcome<Sum> = within(client.handle("good").unwrap().wait()).await.unwrap();
    assert_eq!(late.value(), Some(Sum { sum: 6 }), "one that has ended is answered at once");
    let wrong = within(client.handle("good").unwrap().wait::<Vec<u8>>()).await.unwrap_err();
    assert!(wrong.to_string().contains("the handler's event cannot be read as"), "{wrong}");
    fixture.end().await;
}

#[tokio::test]
async fn wait_for_no_task_and_beyond_a_timeout_comes_to_an_end() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    let none = within(fixture.scheduler.handle("nobody").unwrap().wait::<()>()).await;
    assert!(matches!(none, Err(SchedulerError::TaskNotFound { .. })), "{none:?}");
    fixture.schedule(ScheduleTaskRequest::builder("hourly").task_type("work").interval(3600)).await;
    fixture.idle().await;
    let handle = fixture.scheduler.handle("hourly").unwrap();
    let waits = tokio::spawn(async move { handle.wait_timeout::<()>(MINUTE).await.unwrap() });
    tokio::task::yield_now().await;
    fixture.clock.advance(MINUTE);
    assert_eq!(within(waits).await.unwrap(), None);
    let handle = fixture.scheduler.handle("hourly").unwrap();
    let waits = tokio::spawn(async move { handle.wait::<()>().await.unwrap() });
    tokio::task::yield_now().await;
    fixture.pass(MINUTE * 60).await;
    let outcome = within(waits).await.unwrap();
    assert_eq!(outcome.value(), Some(()), "the next success of a recurring task");
    fixture.end().await;
}

#[tokio::test]
async fn run_at_once_is_recorded_with_who_asked_and_leaves_the_schedule_as_it_was() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.schedule(ScheduleTaskRequest::builder("hourly").task_type("work").interval(3600)).await;
    let next = fixture.scheduler.get_task("hourly").await.unwrap().unwrap().next_run_at;
    assert_eq!(fixture.scheduler.run_now("hourly").await.unwrap(), Said::Recorded);
    fixture.idle().await;
    let events = fixture.events("hourly").await;
    assert!(matches!(&events[1], Event::RunRequested { by, .. } if *by == "program"), "{events:?}");
    assert!(events.iter().any(|event| event.name() == "TaskExecuted"));
    let task = fixture.scheduler.get_task("hourly").await.unwrap().unwrap();
    assert_eq!((task.next_run_at, task.runs), (next, 0));
    fixture.end().await;
}

#[tokio::test]
async fn bulk_touches_what_its_dry_run_says() {
    let fixture = Fixture::with(handler(|_, _| async { Err(Permanent::new("broken"))? }));
    for number in 0..5 {
        fixture.schedule(immediate(&format!("bad-{number}"))).await;
    }
    fixture.schedule(ScheduleTaskRequest::builder("good").task_type("work").interval(3600)).await;
    fixture.idle().await;
    let scheduler = &fixture.scheduler;
    let head = scheduler.store().head().await.unwrap();
    let all = TaskFilter::new();
    let would = scheduler.bulk(&all, &BulkAction::Retry, BulkMode::DryRun).await.unwrap();
    assert_eq!((would.matched, would.changed, would.unchanged, would.refused), (6, 5, 1, 0));
    assert_eq!(scheduler.store().head().await.unwrap(), head, "nothing was done");
    let first_two = TaskFilter::new().phase(PhaseKind::Disabled).limit(2);
    let did =
        scheduler.bulk(&first_two, &BulkAction::Cancel("enough".into()), BulkMode::Apply).await.unwrap();
    assert_eq!((did.matched, did.changed, did.unchanged), (2, 0, 2), "what has ended stays so");
    let did = scheduler.bulk(&all, &BulkAction::Retry, BulkMode::Apply).await.unwrap();
    assert_eq!(did, would);
    fixture.idle().await;
    let refused = scheduler.bulk(&all, &BulkAction::Pause("night".into()), BulkMode::Apply).await.unwrap();
    assert_eq!((refused.changed, refused.refused), (1, 5), "what is disabled cannot be paused");
    assert_eq!(refused.tasks, ["good"]);
    fixture.end().await;
}

#[tokio::test]
async fn bulk_goes_through_more_tasks_than_fit_in_a_transaction() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    let tasks = (0..1_234).map(|number| {
        let id = format!("task-{number}");
        ScheduleTaskRequest::builder(id).task_type("work").one_time(1_900_000_000).build().unwrap()
    });
    fixture.scheduler.schedule_tasks(tasks.collect()).await.unwrap();
    let filter = TaskFilter::new().limit(TaskFilter::LIMIT_MAX);
    let action = BulkAction::Cancel("never mind".into());
    let report = within(fixture.scheduler.bulk(&filter, &action, BulkMode::Apply)).await.unwrap();
    assert_eq!((report.matched, report.changed, report.tasks.len()), (1_234, 1_234, 1_000));
    fixture.end().await;
}
