//! Several tasks in one transaction: waiting for others, idempotency keys, what a handler scheduled.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZeroU64;

use azoth_scheduler_core::carry_out::{Ground, carry_out};
use azoth_scheduler_core::command::{NewTask, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::dependency::{After, AfterError, DependencyEnd, OnDependencyFailure};
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::evolve::evolve;
use azoth_scheduler_core::execution::{Child, FailureClass, Outcome, Report};
use azoth_scheduler_core::id::{IdempotencyKey, TaskId};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::{MisfirePolicy, Schedule};
use azoth_scheduler_core::state::{PhaseKind, TaskPhase, TaskState};
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_core::testing::{
    actor, at, claim, complete, definition, failed, schedule, succeeded, task_id, text, wish,
};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_core::unique::{Holds, Unique};

/// The simplest store there can be.
#[derive(Default)]
struct Map {
    states: BTreeMap<TaskId, TaskState>,
    log: Vec<(TaskId, &'static str)>,
}

impl Ground for Map {
    type Error = Infallible;

    fn task(&mut self, id: &TaskId) -> Result<Option<&TaskState>, Infallible> {
        Ok(self.states.get(id))
    }

    fn newest_with_key(&mut self, key: &IdempotencyKey) -> Result<Option<TaskState>, Infallible> {
        let has_key =
            |state: &&TaskState| state.definition.unique.as_ref().is_some_and(|unique| unique.key == *key);
        Ok(self.states.values().filter(has_key).max_by_key(|state| state.defined_at).cloned())
    }

    fn waiters(&mut self, dependency: &TaskId) -> Result<Vec<TaskId>, Infallible> {
        let waits = |state: &&TaskState| state.waits_for.contains(dependency);
        Ok(self.states.values().filter(waits).map(|state| state.id.clone()).collect())
    }

    fn record(
        &mut self,
        task: &TaskId,
        events: Vec<Event>,
        _payload: Option<&Payload>,
        now: Timestamp,
    ) -> Result<(), Infallible> {
        for event in events {
            let state = evolve(self.states.remove(task), &event, now).unwrap();
            self.log.push((task.clone(), event.name()));
            self.states.insert(task.clone(), state);
        }
        Ok(())
    }
}

impl Map {
    fn say(&mut self, command: &TaskCommand, now: i64) -> Result<Answer, Rejection> {
        carry_out(self, command, at(now)).unwrap()
    }

    #[track_caller]
    fn does(&mut self, command: &TaskCommand, now: i64) -> Answer {
        self.say(command, now).unwrap()
    }

    /// Runs a task that is due.
    #[track_caller]
    fn run(&mut self, task: &str, number: u128, report: Report, now: i64) {
        self.does(&claim(task, number), now);
        self.does(&complete(task, number, report, at(now)), now);
    }

    #[track_caller]
    fn phase(&self, task: &str) -> PhaseKind {
        self.states[&task_id(task)].phase.kind()
    }

    fn story(&self, task: &str) -> Vec<&'static str> {
        self.log.iter().filter(|(id, _)| *id == *task).map(|(_, name)| *name).collect()
    }
}

fn once(task: &str) -> TaskCommand {
    schedule(task, Schedule::immediate(), OnConflict::Redefine)
}

fn wants(task: &str, change: impl FnOnce(&mut TaskDefinition)) -> TaskCommand {
    let mut definition = definition(Schedule::immediate());
    change(&mut definition);
    wish(task, Wish::Schedule(NewTask::new(definition, Payload::empty(), OnConflict::Redefine)))
}

fn after(task: &str, others: &[&str], on_failure: OnDependencyFailure) -> TaskCommand {
    let after = After::new(others.iter().copied().map(task_id), on_failure).unwrap();
    wants(task, |definition| definition.after = Some(after))
}

fn cancel(task: &str) -> TaskCommand {
    wish(task, Wish::Cancel { reason: text("enough"), by: actor("ops") })
}

#[test]
fn task_runs_when_all_that_it_waits_for_have_succeeded() {
    let mut map = Map::default();
    for task in ["a", "b"] {
        map.does(&once(task), 0);
    }
    map.does(&after("c", &["b", "a", "b"], OnDependencyFailure::Cancel), 0);
    assert_eq!(map.phase("c"), PhaseKind::Blocked);
    assert!(matches!(map.say(&claim("c", 9), 5), Err(Rejection::NotDue { .. })));
    map.run("a", 1, succeeded(), 10);
    assert_eq!(map.states[&task_id("c")].waits_for, [task_id("b")]);
    map.run("b", 2, succeeded(), 20);
    let work = *map.states[&task_id("c")].waiting().unwrap();
    assert_eq!((work.occurrence, work.run_at), (at(0), at(20)));
    assert_eq!(map.story("c"), ["TaskScheduled", "DependencyEnded", "DependencyEnded"]);
    map.run("c", 3, succeeded(), 20);
    assert_eq!(map.phase("c"), PhaseKind::Finished);
}

#[test]
fn failure_that_is_retried_tells_nobody_and_one_for_good_cancels_the_whole_chain() {
    let mut map = Map::default();
    map.does(&once("a"), 0);
    map.does(&after("b", &["a"], OnDependencyFailure::Cancel), 0);
    map.does(&after("c", &["b"], OnDependencyFailure::Cancel), 0);
    map.does(&after("report", &["c"], OnDependencyFailure::RunAnyway), 0);
    map.run("a", 1, failed(FailureClass::Retryable), 1);
    assert_eq!(map.phase("b"), PhaseKind::Blocked);
    map.run("a", 2, failed(FailureClass::Permanent), 100);
    assert_eq!((map.phase("b"), map.phase("c")), (PhaseKind::Cancelled, PhaseKind::Cancelled));
    let TaskPhase::Cancelled { reason, by, .. } = &map.states[&task_id("c")].phase else { unreachable!() };
    assert_eq!(reason.as_str(), "it waited for task \"b\", which was cancelled");
    assert_eq!(by.as_str(), "azoth-scheduler");
    assert_eq!(map.phase("report"), PhaseKind::Waiting, "it runs anyway");
}

#[test]
fn what_has_succeeded_is_not_waited_for_and_what_has_failed_is_told_at_once() {
    let mut map = Map::default();
    map.does(&once("good"), 0);
    map.run("good", 1, succeeded(), 0);
    map.does(&once("bad"), 0);
    map.does(&cancel("bad"), 1);
    map.does(&after("x", &["good"], OnDependencyFailure::Cancel), 2);
    assert_eq!(map.phase("x"), PhaseKind::Waiting);
    map.does(&after("y", &["good", "bad"], OnDependencyFailure::Cancel), 2);
    assert_eq!(map.phase("y"), PhaseKind::Cancelled);
    assert_eq!(map.story("y"), ["TaskScheduled", "DependencyEnded", "TaskCancelled"]);
    map.does(&after("z", &["good", "bad"], OnDependencyFailure::RunAnyway), 2);
    assert_eq!(map.phase("z"), PhaseKind::Waiting);
}

#[test]
fn recurring_task_is_met_by_its_next_success() {
    let mut map = Map::default();
    map.does(&schedule("tick", Schedule::interval_secs(60).unwrap(), OnConflict::Redefine), 0);
    map.run("tick", 1, succeeded(), 60);
    map.does(&after("x", &["tick"], OnDependencyFailure::Cancel), 61);
    assert_eq!(map.phase("x"), PhaseKind::Blocked);
    map.run("tick", 2, succeeded(), 120);
    assert_eq!(map.phase("x"), PhaseKind::Waiting);
}

#[test]
fn unknown_tasks_circles_and_recurring_tasks_are_refused() {
    let mut map = Map::default();
    let unknown = Rejection::UnknownDependency { task: task_id("a"), dependency: task_id("b") };
    assert_eq!(map.say(&after("a", &["b"], OnDependencyFailure::Cancel), 0), Err(unknown));
    map.does(&once("a"), 0);
    map.does(&after("b", &["a"], OnDependencyFailure::Cancel), 0);
    map.does(&after("c", &["b"], OnDependencyFailure::Cancel), 0);
    let circle =
        |dependency| Rejection::DependencyCircle { task: task_id("a"), dependency: task_id(dependency) };
    assert_eq!(map.say(&after("a", &["c"], OnDependencyFailure::Cancel), 0), Err(circle("c")));
    assert_eq!(map.say(&after("a", &["a"], OnDependencyFailure::Cancel), 0), Err(circle("a")));
    let mut recurring = after("d", &["a"], OnDependencyFailure::Cancel);
    if let Wish::Schedule(new) = &recurring.wish {
        let schedule = Schedule::interval_secs(60).unwrap();
        let definition = TaskDefinition { schedule, ..new.definition().clone() };
        recurring.wish = Wish::Schedule(NewTask::new(definition, Payload::empty(), OnConflict::Redefine));
    }
    assert_eq!(map.say(&recurring, 0), Err(Rejection::RecurringAfter { task: task_id("d") }));
    map.does(&claim("a", 1), 0);
    let runs = Err(Rejection::RunsAlready { task: task_id("a") });
    map.does(&once("free"), 0);
    assert_eq!(map.say(&after("a", &["free"], OnDependencyFailure::Cancel), 0), runs);
}

#[test]
fn number_of_tasks_that_one_waits_for_is_bounded() {
    let tasks = |count: usize| (0..count).map(|number| task_id(&format!("task-{number}")));
    assert!(After::new(tasks(After::TASKS_MAX), OnDependencyFailure::Cancel).is_ok());
    let count = After::TASKS_MAX + 1;
    assert_eq!(After::new(tasks(count), OnDependencyFailure::Cancel), Err(AfterError::TooMany { count }));
    assert_eq!(After::new([], OnDependencyFailure::Cancel), Err(AfterError::None));
}

#[test]
fn blocked_task_is_paused_resumed_cancelled_and_run_at_once() {
    let mut map = Map::default();
    map.does(&once("a"), 0);
    for task in ["paused", "cancelled", "hasty"] {
        map.does(&after(task, &["a"], OnDependencyFailure::Cancel), 0);
    }
    map.does(&cancel("cancelled"), 1);
    map.does(&wish("hasty", Wish::RunNow { by: actor("ops") }), 1);
    assert_eq!((map.phase("hasty"), map.phase("cancelled")), (PhaseKind::Waiting, PhaseKind::Cancelled));
    let pause = wish("paused", Wish::Pause { reason: text("wait"), by: actor("ops"), until: None });
    let resume = wish("paused", Wish::Resume { misfire: MisfirePolicy::Skip, by: actor("ops") });
    map.does(&pause, 1);
    map.does(&resume, 2);
    assert_eq!(map.phase("paused"), PhaseKind::Blocked, "it waits for the same as before");
    map.does(&pause, 3);
    map.run("a", 1, succeeded(), 4);
    assert_eq!(map.phase("paused"), PhaseKind::Paused, "the end is noted while it rests");
    map.does(&resume, 5);
    assert_eq!(map.phase("paused"), PhaseKind::Waiting);
    assert_eq!(map.story("hasty"), ["TaskScheduled", "RunRequested"], "it waited no more");
}

#[test]
fn task_that_is_disabled_while_it_runs_tells_those_that_wait_when_it_ends() {
    let mut map = Map::default();
    map.does(&once("a"), 0);
    map.does(&after("b", &["a"], OnDependencyFailure::Cancel), 0);
    map.does(&claim("a", 1), 0);
    map.does(&wish("a", Wish::Disable { reason: text("broken"), by: actor("ops") }), 1);
    assert_eq!(map.phase("b"), PhaseKind::Blocked);
    map.does(&complete("a", 1, failed(FailureClass::Retryable), at(0)), 2);
    assert_eq!(map.phase("b"), PhaseKind::Cancelled);
}

/// I25: whatever ends is told, and only that.
#[test]
fn every_end_has_its_word() {
    for (phase, end) in [
        (PhaseKind::Finished, Some(DependencyEnd::Succeeded)),
        (PhaseKind::Disabled, Some(DependencyEnd::Failed)),
        (PhaseKind::Cancelled, Some(DependencyEnd::Cancelled)),
        (PhaseKind::Blocked, None),
    ] {
        assert_eq!(DependencyEnd::of_phase(phase), end);
    }
}

fn keyed(task: &str, holds: Holds) -> TaskCommand {
    let key = IdempotencyKey::new("order-42").unwrap();
    wants(task, |definition| definition.unique = Some(Unique { key, holds }))
}

/// I26: a key stands for one task at a time.
#[test]
fn same_wish_again_is_answered_with_the_first_task_while_that_is_pending() {
    let mut map = Map::default();
    assert_eq!(map.does(&keyed("first", Holds::WhilePending), 0), Answer::Created);
    let existing = Answer::Existing(task_id("first"));
    assert_eq!(map.does(&keyed("second", Holds::WhilePending), 1), existing);
    assert!(!map.states.contains_key(&task_id("second")));
    let unchanged = Answer::Unchanged(PhaseKind::Waiting);
    assert_eq!(
        map.does(&keyed("first", Holds::WhilePending), 1),
        unchanged,
        "its own key is in nobody's way"
    );
    map.run("first", 1, succeeded(), 2);
    assert_eq!(map.does(&keyed("second", Holds::WhilePending), 3), Answer::Created);
    assert_eq!(map.does(&keyed("first", Holds::WhilePending), 4), Answer::Existing(task_id("second")));
}

#[test]
fn same_wish_again_is_answered_with_the_first_task_for_a_period() {
    let mut map = Map::default();
    let holds = Holds::For { ms: NonZeroU64::new(60_000).unwrap() };
    map.does(&keyed("first", holds), 0);
    map.run("first", 1, succeeded(), 1);
    assert_eq!(map.does(&keyed("second", holds), 59), Answer::Existing(task_id("first")));
    assert_eq!(map.does(&keyed("second", holds), 60), Answer::Created);
}

fn success_with(children: &[TaskCommand]) -> Report {
    let Outcome::Succeeded(mut success) = succeeded() else { unreachable!() };
    success.children = children
        .iter()
        .map(|command| match &command.wish {
            Wish::Schedule(new) => Child { task: command.task.clone(), new: new.clone() },
            other => panic!("only a schedule makes a child, not {other:?}"),
        })
        .collect();
    Outcome::Succeeded(success)
}

/// I24: what a handler scheduled happens with its success.
#[test]
fn children_are_scheduled_with_the_success_and_may_wait_for_their_parent_and_for_each_other() {
    let mut map = Map::default();
    map.does(&once("parent"), 0);
    let children = [
        once("left"),
        once("right"),
        after("gather", &["left", "right", "parent"], OnDependencyFailure::Cancel),
    ];
    map.run("parent", 1, success_with(&children), 1);
    assert_eq!(map.phase("parent"), PhaseKind::Finished);
    assert_eq!(map.states[&task_id("gather")].waits_for, [task_id("left"), task_id("right")]);
}

/// I24: and of a success that is refused, nothing.
#[test]
fn stale_execution_schedules_nothing() {
    let mut map = Map::default();
    map.does(&once("parent"), 0);
    map.does(&claim("parent", 1), 0);
    map.does(&cancel("parent"), 1);
    let late = map.say(&complete("parent", 1, success_with(&[once("child")]), at(0)), 2);
    assert!(matches!(late, Err(Rejection::StaleExecution { .. })), "{late:?}");
    assert!(!map.states.contains_key(&task_id("child")));
}

#[test]
fn child_that_is_refused_fails_the_attempt_and_takes_the_others_with_it() {
    let mut map = Map::default();
    map.does(&once("parent"), 0);
    map.does(&once("taken"), 0);
    let taken = schedule("taken", Schedule::immediate(), OnConflict::Reject);
    map.does(&claim("parent", 1), 0);
    map.does(&complete("parent", 1, success_with(&[once("fine"), taken]), at(0)), 1);
    let state = &map.states[&task_id("parent")];
    assert_eq!((state.counts.failures, state.phase.kind()), (1, PhaseKind::Waiting), "it is retried");
    assert!(!map.states.contains_key(&task_id("fine")));
    assert_eq!(map.story("parent"), ["TaskScheduled", "ExecutionStarted", "TaskExecuted"]);
}

#[test]
fn task_may_schedule_itself_anew() {
    let mut map = Map::default();
    map.does(&once("self"), 0);
    map.run(
        "self",
        1,
        success_with(&[schedule("self", Schedule::one_time(at(500)), OnConflict::Redefine)]),
        1,
    );
    assert_eq!(map.states[&task_id("self")].waiting().unwrap().run_at, at(500));
}
