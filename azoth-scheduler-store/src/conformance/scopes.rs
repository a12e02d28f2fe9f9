//! What is said of a task type, a concurrency key, or everything.

use std::num::NonZeroU32;

use azoth_scheduler_core::command::{ScopeCommand, ScopeWish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::scope::{Limits, LimitsChange, LimitsError, Scope};
use azoth_scheduler_core::testing::{actor, at, task_type, text};
use azoth_scheduler_core::time::Timestamp;

use super::bench::{Bench, ok};
use crate::record::{LogPosition, Subject};

pub(super) async fn what_is_said_of_a_scope_is_kept(bench: &mut Bench) {
    assert_eq!(ok(bench.store().scopes().await), []);
    let change = LimitsChange::Set(running(3));
    assert_eq!(bench.does(limit(work(), change), at(1)).await, Answer::Recorded);
    assert_eq!(bench.does(limit(work(), change), at(2)).await, Answer::Kept, "it is so already");
    bench.does(pause(key("tenant"), Some(at(60))), at(3)).await;
    bench.does(pause(Scope::Everything, None), at(4)).await;
    assert_eq!(bench.does(pause(Scope::Everything, None), at(5)).await, Answer::Kept);
    bench.does(resume(Scope::Everything), at(6)).await;
    assert_eq!(bench.does(resume(Scope::Everything), at(7)).await, Answer::Kept);

    for reopened in [false, true] {
        let found = ok(bench.store().scopes().await);
        let names: Vec<_> = found.iter().map(|state| state.scope.clone()).collect();
        assert_eq!(names, [Scope::Everything, work(), key("tenant")]);
        let [everything, by_type, by_key] = found.as_slice() else { panic!("there are three") };
        assert!(everything.pause.is_none() && by_type.pause.is_none());
        assert_eq!(*by_type.limits(), running(3));
        let paused = by_key.pause.as_ref().map(|pause| (pause.at, pause.by.as_str(), pause.until));
        assert_eq!(paused, Some((at(3), "ops", Some(at(60)))));
        ok(bench.store().rebuild_projection().await);
        assert_eq!(ok(bench.store().scopes().await), found, "I5");
        if !reopened {
            bench.reopen().await;
        }
    }
    let events = ok(bench.store().events(LogPosition::START, 10).await);
    let last = events.last().map(|event| (event.event.name(), event.at));
    assert_eq!(last, Some(("ScopeResumed", at(6))));
    let subjects = events.into_iter().map(|event| event.subject);
    let expected = [work(), key("tenant"), Scope::Everything, Scope::Everything].map(Subject::Scope);
    assert_eq!(subjects.collect::<Vec<_>>(), expected);
}

pub(super) async fn limits_that_were_set_hold_instead_of_those_that_were_declared(bench: &mut Bench) {
    bench.does(limit(work(), LimitsChange::Declared(running(1))), at(0)).await;
    assert_eq!(limits(bench).await, running(1));
    bench.does(limit(work(), LimitsChange::Set(running(2))), at(1)).await;
    bench.does(limit(work(), LimitsChange::Declared(running(9))), at(2)).await;
    assert_eq!(limits(bench).await, running(2), "a program that starts again changes nothing that was set");
    bench.does(limit(work(), LimitsChange::Cleared), at(3)).await;
    assert_eq!(limits(bench).await, running(9));
    assert_eq!(bench.does(limit(work(), LimitsChange::Cleared), at(4)).await, Answer::Kept);
}

pub(super) async fn limits_that_make_no_sense_are_refused(bench: &mut Bench) {
    let of_a_key = Limits { max_running_per_key: NonZeroU32::new(2), ..Limits::default() };
    let answer = bench.say(limit(key("tenant"), LimitsChange::Set(of_a_key)), at(0)).await;
    let error = LimitsError::PerKeyOfAKey(NonZeroU32::MIN.saturating_add(1));
    assert_eq!(answer, Err(Rejection::Limits { scope: key("tenant"), error }));
    let answer = bench.say(pause(work(), Some(at(10))), at(10)).await;
    assert_eq!(answer, Err(Rejection::PauseIsOver { until: at(10), now: at(10) }));
    assert_eq!(ok(bench.store().scopes().await), [], "I15");
}

pub(super) fn limit(scope: Scope, change: LimitsChange) -> ScopeCommand {
    ScopeCommand { scope, wish: ScopeWish::ChangeLimits { change, by: actor("ops") } }
}

pub(super) fn pause(scope: Scope, until: Option<Timestamp>) -> ScopeCommand {
    ScopeCommand { scope, wish: ScopeWish::Pause { reason: text("repair"), by: actor("ops"), until } }
}

pub(super) fn resume(scope: Scope) -> ScopeCommand {
    ScopeCommand { scope, wish: ScopeWish::Resume { by: actor("ops") } }
}

/// At most so many at once.
pub(super) fn running(at_most: u32) -> Limits {
    Limits { max_running: NonZeroU32::new(at_most), ..Limits::default() }
}

pub(super) fn work() -> Scope {
    Scope::TaskType(task_type("work"))
}

pub(super) fn key(name: &str) -> Scope {
    Scope::Key(ok(name.parse()))
}

async fn limits(bench: &Bench) -> Limits {
    let scopes = ok(bench.store().scopes().await);
    scopes.iter().find(|state| state.scope == work()).map(|state| *state.limits()).unwrap_or_default()
}
