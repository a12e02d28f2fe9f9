//! How many tasks of a type or a key run at once, how often they start, and when they rest.

use std::num::{NonZeroU32, NonZeroU64};

use azoth_scheduler_core::command::{OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::FailureClass;
use azoth_scheduler_core::id::{ConcurrencyKey, WorkerId};
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::scope::{Limits, LimitsChange, Rate, Scope};
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::testing::{
    actor, at, execution, failed, succeeded, task_id, task_type, text, wish,
};
use azoth_scheduler_core::time::Timestamp;

use super::bench::{Bench, ends, ok, some, want, want_with};
use super::scopes::{key, limit, pause, resume, running, work};
use crate::record::LogPosition;
use crate::store::{Claimed, Claims};

/// I22.
pub(super) async fn no_more_of_a_type_run_at_once_than_its_limit(bench: &mut Bench) {
    let workers = [bench.worker(at(0)).await, bench.worker(at(0)).await];
    bench.does(limit(work(), LimitsChange::Declared(running(2))), at(0)).await;
    let tasks = (0..6).map(|number| want(&format!("task-{number}"), Schedule::immediate()));
    bench.say_all(tasks.collect(), at(0)).await;
    let first = bench.claim(workers[0], &["work"], 1, at(1)).await;
    let second = bench.claim(workers[1], &["work"], 5, at(1)).await;
    assert_eq!((names(&first), names(&second)), (vec!["task-0"], vec!["task-1"]));
    assert_eq!(
        second.next_due, None,
        "I16: only an end lets another one run, so there is nothing to wait for"
    );
    assert!(bench.claim(workers[0], &["work"], 5, at(2)).await.claimed.is_empty());

    bench.does(ends(first_of(&first), succeeded()), at(3)).await;
    let third = bench.claim(workers[1], &["work"], 5, at(3)).await;
    assert_eq!(names(&third), ["task-2"]);
    bench.does(limit(work(), LimitsChange::Set(running(4))), at(4)).await;
    assert_eq!(names(&bench.claim(workers[0], &["work"], 5, at(4)).await), ["task-3", "task-4"]);
    bench.does(limit(work(), LimitsChange::Set(running(1))), at(5)).await;
    bench.does(ends(first_of(&second), succeeded()), at(5)).await;
    assert!(bench.claim(workers[0], &["work"], 5, at(5)).await.claimed.is_empty(), "three run, one may");
    bench.does(limit(work(), LimitsChange::Set(Limits::default())), at(6)).await;
    assert_eq!(names(&bench.claim(workers[0], &["work"], 5, at(6)).await), ["task-5"]);
}

/// I23.
pub(super) async fn a_type_at_its_limit_holds_up_no_other(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(limit(work(), LimitsChange::Set(running(1))), at(0)).await;
    let blocked = (0..300).map(|number| urgent(&format!("blocked-{number}"), "work"));
    bench.say_all(blocked.collect(), at(0)).await;
    bench.does(of_type("free", "other"), at(60)).await;
    let claims = bench.claim(worker, &["work", "other"], 10, at(60)).await;
    assert_eq!(names(&claims), ["blocked-0", "free"]);
}

pub(super) async fn everything_may_have_a_limit(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(limit(Scope::Everything, LimitsChange::Set(running(2))), at(0)).await;
    bench.say_all(vec![of_type("a", "work"), of_type("b", "other"), of_type("c", "work")], at(0)).await;
    let claims = bench.claim(worker, &["work", "other"], 10, at(0)).await;
    assert_eq!((names(&claims), claims.next_due), (vec!["a", "b"], None));
}

pub(super) async fn tasks_of_a_key_run_one_at_a_time_in_order(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let tasks = [("a", "work"), ("b", "other"), ("c", "work")];
    // A level is not looked at within a key: they run in order.
    for (task, kind) in tasks {
        let level = if task == "c" { Priority::Critical } else { Priority::Normal };
        bench.does(keyed(task, kind, "tenant", level), at(0)).await;
    }
    for (step, (task, _)) in (1..).zip(tasks) {
        let claims = bench.claim(worker, &["work", "other"], 10, at(step)).await;
        assert_eq!((names(&claims), claims.next_due), (vec![task], None), "one at a time, in order");
        assert!(bench.claim(worker, &["work", "other"], 10, at(step)).await.claimed.is_empty());
        bench.does(ends(first_of(&claims), succeeded()), at(step)).await;
    }
    // One that is paused or has ended gives its place to the next.
    for task in ["d", "e", "f"] {
        bench.does(keyed(task, "work", "tenant", Priority::Normal), at(10)).await;
    }
    bench.does(wish("d", Wish::Pause { reason: text("why"), by: actor("ops"), until: None }), at(11)).await;
    bench.does(wish("e", Wish::Cancel { reason: text("why"), by: actor("ops") }), at(11)).await;
    assert_eq!(names(&bench.claim(worker, &["work"], 10, at(12)).await), ["f"]);
}

pub(super) async fn a_key_in_backoff_keeps_its_place_and_holds_up_no_other_key(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    for task in ["a", "b"] {
        bench.does(keyed(task, "work", "tenant-1", Priority::Normal), at(0)).await;
    }
    let first = bench.claim(worker, &["work"], 10, at(0)).await;
    assert_eq!(names(&first), ["a"]);
    let retry = failed(FailureClass::RetryAfter { delay_ms: 60_000 });
    bench.does(ends(first_of(&first), retry), at(1)).await;
    bench.does(keyed("c", "work", "tenant-2", Priority::Normal), at(2)).await;
    let claims = bench.claim(worker, &["work"], 10, at(2)).await;
    assert_eq!((names(&claims), claims.next_due), (vec!["c"], Some(at(61))), "b waits behind a");
    assert_eq!(names(&bench.claim(worker, &["work"], 10, at(61)).await), ["a"]);
}

pub(super) async fn a_key_runs_as_many_as_was_said_of_it_or_of_its_type(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    for number in 0..4 {
        for tenant in ["big", "small"] {
            bench.does(keyed(&format!("{tenant}-{number}"), "work", tenant, Priority::Normal), at(0)).await;
        }
    }
    let per_key = |at_most| Limits { max_running_per_key: NonZeroU32::new(at_most), ..Limits::default() };
    bench.does(limit(work(), LimitsChange::Declared(per_key(2))), at(1)).await;
    bench.does(limit(key("big"), LimitsChange::Set(running(3))), at(1)).await;
    let claims = bench.claim(worker, &["work"], 10, at(1)).await;
    assert_eq!(names(&claims), ["big-0", "small-0", "big-1", "small-1", "big-2"]);
    bench.does(limit(work(), LimitsChange::Declared(Limits::default())), at(2)).await;
    bench.does(limit(key("big"), LimitsChange::Cleared), at(2)).await;
    bench.say_all(claims.claimed.iter().take(4).map(|claim| ends(claim, succeeded())).collect(), at(3)).await;
    let claims = bench.claim(worker, &["work"], 10, at(3)).await;
    assert_eq!(names(&claims), ["small-2"], "one of each key, and big-2 still runs");
}

pub(super) async fn a_rate_lets_its_burst_through_and_then_one_at_a_time(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(limit(work(), LimitsChange::Set(rate(1, 10, 2))), at(0)).await;
    let tasks = (0..5).map(|number| want(&format!("task-{number}"), Schedule::immediate()));
    bench.say_all(tasks.collect(), at(0)).await;
    bench.does(of_type("free", "other"), at(0)).await;
    let claims = bench.claim(worker, &["work", "other"], 10, at(0)).await;
    assert_eq!((names(&claims), claims.next_due), (vec!["task-0", "task-1", "free"], Some(at(10))));
    let claims = bench.claim(worker, &["work", "other"], 10, at(9)).await;
    assert_eq!((names(&claims), claims.next_due), (vec![], Some(at(10))), "I16: not before the next token");
    let claims = bench.claim(worker, &["work"], 10, at(10)).await;
    assert_eq!((names(&claims), claims.next_due), (vec!["task-2"], Some(at(20))));
    bench.reopen().await;
    let claims = bench.claim(worker, &["work"], 10, at(19)).await;
    assert_eq!((names(&claims), claims.next_due), (vec![], Some(at(20))), "it is kept with the log");
    let claims = bench.claim(worker, &["work"], 10, at(40)).await;
    assert_eq!((names(&claims), claims.next_due), (vec!["task-3", "task-4"], None));
}

pub(super) async fn a_rate_of_a_key_holds_up_no_other_key(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let slow = Limits { max_running: NonZeroU32::new(5), ..rate(1, 10, 2) };
    bench.does(limit(key("slow"), LimitsChange::Set(slow)), at(0)).await;
    for task in ["a", "b", "c"] {
        bench.does(keyed(task, "work", "slow", Priority::High), at(0)).await;
    }
    bench.does(keyed("free", "work", "fast", Priority::Low), at(0)).await;
    let claims = bench.claim(worker, &["work"], 10, at(0)).await;
    assert_eq!((names(&claims), claims.next_due), (vec!["a", "b", "free"], Some(at(10))));
    assert!(bench.claim(worker, &["work"], 10, at(9)).await.claimed.is_empty());
    assert_eq!(names(&bench.claim(worker, &["work"], 10, at(10)).await), ["c"]);
}

pub(super) async fn a_claim_by_name_is_held_back_too(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(limit(work(), LimitsChange::Set(running(1))), at(0)).await;
    bench.say_all(vec![want("a", Schedule::immediate()), want("b", Schedule::immediate())], at(0)).await;
    for task in ["x", "y"] {
        bench.does(keyed(task, "other", "tenant", Priority::Normal), at(0)).await;
    }
    let by_name = |task: &str, number| wish(task, Wish::Claim { execution: execution(number), worker });
    for (first, second) in [("a", "b"), ("x", "y")] {
        assert!(bench.say(by_name(first, 900), at(1)).await.is_ok());
        let held_back = Rejection::HeldBack { task: task_id(second), now: at(1) };
        assert_eq!(bench.say(by_name(second, 901), at(1)).await, Err(held_back));
        bench.does(wish(first, Wish::Cancel { reason: text("why"), by: actor("ops") }), at(1)).await;
    }
}

pub(super) async fn a_paused_type_key_or_everything_claims_nothing(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(keyed("a", "work", "tenant", Priority::Normal), at(0)).await;
    for scope in [work(), key("tenant"), Scope::Everything] {
        bench.does(pause(scope.clone(), None), at(1)).await;
        let claims = bench.claim(worker, &["work"], 10, at(2)).await;
        assert_eq!((names(&claims), claims.next_due), (vec![], None), "{scope}");
        bench.does(resume(scope), at(3)).await;
    }
    bench.does(pause(Scope::TaskType(task_type("other")), None), at(4)).await;
    bench.does(pause(key("other"), None), at(4)).await;
    assert_eq!(names(&bench.claim(worker, &["work"], 10, at(5)).await), ["a"]);
    bench.does(pause(work(), None), at(6)).await;
    assert_eq!(bench.phase("a").await, PhaseKind::Running, "what runs goes on to its end");
}

pub(super) async fn a_pause_ends_by_itself_and_that_is_recorded(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("a", Schedule::immediate()), at(0)).await;
    bench.does(keyed("b", "other", "tenant", Priority::Normal), at(0)).await;
    bench.does(of_type("c", "third"), at(0)).await;
    let types = ["work", "other", "third"];
    bench.does(pause(work(), Some(at(60))), at(1)).await;
    bench.does(pause(key("tenant"), Some(at(70))), at(1)).await;
    let until = Some(at(80));
    bench.does(wish("c", Wish::Pause { reason: text("why"), by: actor("ops"), until }), at(1)).await;
    for (instant, task, next) in [(60, "a", Some(at(70))), (70, "b", Some(at(80))), (80, "c", None)] {
        let early = bench.claim(worker, &types, 10, at(instant - 1)).await;
        assert_eq!((names(&early), early.next_due), (vec![], Some(at(instant))));
        let claims = bench.claim(worker, &types, 10, at(instant)).await;
        assert_eq!((names(&claims), claims.next_due), (vec![task], next));
    }
    let scopes = ok(bench.store().scopes().await);
    assert!(scopes.len() == 2 && scopes.iter().all(|state| state.pause.is_none()));
    let mut ended = Vec::new();
    for event in ok(bench.store().events(LogPosition::START, 100).await) {
        if let Event::ScopeResumed { scope, .. } = event.event {
            ended.push((scope, event.at));
        }
    }
    assert_eq!(ended, [(work(), at(60)), (key("tenant"), at(70))]);
    assert_eq!(bench.story("c").await, ["TaskScheduled", "TaskPaused", "TaskResumed", "ExecutionStarted"]);
}

/// Under a stream of urgent work that never ends, with one slot.
pub(super) async fn low_levels_and_later_types_and_keys_are_served_in_the_end(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(with_level(of_type("low", "work"), Priority::Low), at(0)).await;
    bench.does(of_type("late-type", "zzz"), at(0)).await;
    bench.does(keyed("late-key", "work", "zzz", Priority::Low), at(0)).await;
    let mut served = Vec::new();
    for second in 1..=80 {
        bench.does(urgent(&format!("urgent-{second}"), "work"), at(second)).await;
        served.extend(finish_one(bench, worker, at(second)).await);
    }
    for task in ["low", "late-type", "late-key"] {
        let place = served.iter().position(|name| name == task);
        assert!(place.is_some_and(|place| place < 3 * 16), "{task} was served as number {place:?}");
    }
    assert_eq!(served.len(), 80, "no slot is wasted");
}

async fn finish_one(bench: &mut Bench, worker: WorkerId, now: Timestamp) -> Option<String> {
    let claims = bench.claim(worker, &["work", "zzz"], 1, now).await;
    let claimed: &Claimed = claims.claimed.first()?;
    bench.does(ends(claimed, succeeded()), now).await;
    Some(claimed.task.as_str().to_owned())
}

fn of_type(task: &str, kind: &str) -> TaskCommand {
    want_with(task, Schedule::immediate(), OnConflict::Redefine, |new| new.task_type = task_type(kind))
}

fn urgent(task: &str, kind: &str) -> TaskCommand {
    with_level(of_type(task, kind), Priority::Critical)
}

fn with_level(command: TaskCommand, level: Priority) -> TaskCommand {
    let Wish::Schedule(new) = &command.wish else { return command };
    let task_type = new.definition().task_type.clone();
    want_with(command.task.as_str(), Schedule::immediate(), OnConflict::Redefine, |new| {
        (new.task_type, new.priority) = (task_type, level);
    })
}

fn keyed(task: &str, kind: &str, name: &str, level: Priority) -> TaskCommand {
    let concurrency_key: ConcurrencyKey = ok(name.parse());
    want_with(task, Schedule::immediate(), OnConflict::Redefine, |new| {
        (new.task_type, new.priority) = (task_type(kind), level);
        new.concurrency_key = Some(concurrency_key);
    })
}

/// So many starts per so many seconds.
fn rate(count: u32, per_seconds: u64, burst: u32) -> Limits {
    let (count, burst) = (NonZeroU32::new(count), NonZeroU32::new(burst));
    let per_ms = NonZeroU64::new(per_seconds * 1000);
    let parts = count.zip(per_ms).zip(burst);
    let rate = parts.and_then(|((count, per_ms), burst)| Rate::new(count, per_ms, burst));
    Limits { rate, ..Limits::default() }
}

#[track_caller]
fn first_of(claims: &Claims) -> &Claimed {
    some(claims.claimed.first())
}

fn names(claims: &Claims) -> Vec<&str> {
    claims.claimed.iter().map(|claim| claim.task.as_str()).collect()
}
