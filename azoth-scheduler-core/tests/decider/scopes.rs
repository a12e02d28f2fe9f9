//! Limits and pauses of many tasks: a type, a key, everything.

use std::num::{NonZeroU32, NonZeroU64};

use azoth_scheduler_core::command::{ScopeCommand, ScopeWish};
use azoth_scheduler_core::decide::{Answer, Decision};
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::evolve::Found;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::scope::{
    Gate, Limits, LimitsChange, LimitsError, Rate, Scope, ScopeState, decide, evolve,
};
use azoth_scheduler_core::state::Pause;
use azoth_scheduler_core::testing::{actor, at, text};

/// What happened to a scope before.
struct Given {
    scope: Scope,
    state: Option<ScopeState>,
}

/// What a wish came to.
struct When {
    given: Given,
    now: i64,
    decided: Result<Decision, Rejection>,
}

fn given_nothing_of(scope: Scope) -> Given {
    Given { scope, state: None }
}

impl Given {
    fn when(self, wish: ScopeWish, now: i64) -> When {
        let command = ScopeCommand { scope: self.scope.clone(), wish };
        let decided = decide(self.state.as_ref(), &command, at(now));
        When { given: self, now, decided }
    }

    fn and(self, wish: ScopeWish, now: i64) -> Given {
        self.when(wish, now).then_recorded()
    }

    fn state(&self) -> &ScopeState {
        self.state.as_ref().unwrap()
    }
}

impl When {
    #[track_caller]
    fn then(self, event: Event) -> Given {
        assert_eq!(self.decided, Ok(Decision { events: vec![event], answer: Answer::Recorded }));
        self.then_recorded()
    }

    #[track_caller]
    fn then_recorded(self) -> Given {
        let decision = self.decided.unwrap();
        assert_eq!(decision.answer, Answer::Recorded);
        let Given { scope, state } = self.given;
        let fold = |state, event: &Event| Some(evolve(state, event, at(self.now)).unwrap());
        Given { scope, state: decision.events.iter().fold(state, fold) }
    }

    #[track_caller]
    fn then_kept(self) -> Given {
        let kept = Decision { events: vec![], answer: Answer::Kept };
        assert_eq!(self.decided, Ok(kept), "it was so already, so nothing is recorded");
        self.given
    }

    #[track_caller]
    fn then_rejected(self, rejection: Rejection) {
        assert_eq!(self.decided, Err(rejection));
    }
}

fn mail() -> Scope {
    Scope::task_type("mail").unwrap()
}

fn at_most(running: u32) -> Limits {
    Limits { max_running: NonZeroU32::new(running), ..Limits::default() }
}

fn one_per_second(burst: u32) -> Limits {
    let per_ms = NonZeroU64::new(1_000).unwrap();
    let rate = Rate::new(NonZeroU32::MIN, per_ms, NonZeroU32::new(burst).unwrap());
    Limits { rate, ..Limits::default() }
}

fn changed(change: LimitsChange) -> ScopeWish {
    ScopeWish::ChangeLimits { change, by: actor("ops") }
}

fn declared(limits: Limits) -> ScopeWish {
    changed(LimitsChange::Declared(limits))
}

fn set(limits: Limits) -> ScopeWish {
    changed(LimitsChange::Set(limits))
}

fn paused(reason: &str, until: Option<i64>) -> ScopeWish {
    ScopeWish::Pause { reason: text(reason), by: actor("ops"), until: until.map(at) }
}

fn resumed(by: &str) -> ScopeWish {
    ScopeWish::Resume { by: actor(by) }
}

#[test]
fn changed_limits_are_recorded_with_who_said_so() {
    let change = LimitsChange::Set(at_most(3));
    let event = Event::LimitsChanged { scope: mail(), change, by: actor("ops") };
    let given = given_nothing_of(mail()).when(set(at_most(3)), 0).then(event);
    assert_eq!(given.state().limits(), &at_most(3));
    given.when(set(at_most(3)), 1).then_kept();
}

#[test]
fn limits_that_were_set_hold_until_they_are_cleared_whatever_is_declared() {
    let given = given_nothing_of(mail()).and(declared(at_most(5)), 0).and(set(at_most(2)), 1);
    assert_eq!(given.state().limits(), &at_most(2));
    let given = given.and(declared(at_most(9)), 2);
    assert_eq!(given.state().limits(), &at_most(2), "a program that starts anew changes nothing of it");
    let given = given.when(declared(at_most(9)), 3).then_kept();
    let given = given.and(changed(LimitsChange::Cleared), 4);
    assert_eq!(given.state().limits(), &at_most(9));
    given.when(changed(LimitsChange::Cleared), 5).then_kept();
}

#[test]
fn no_limits_at_all_may_be_set_over_declared_ones() {
    let given = given_nothing_of(mail()).and(declared(at_most(5)), 0).and(set(Limits::default()), 1);
    assert_eq!(given.state().gate(1_000, at(1)), Gate::Open);
}

#[test]
fn limit_per_key_makes_no_sense_for_a_key() {
    let key = Scope::key("tenant-7").unwrap();
    let two = NonZeroU32::new(2).unwrap();
    let limits = Limits { max_running_per_key: Some(two), ..Limits::default() };
    let rejection = Rejection::Limits { scope: key.clone(), error: LimitsError::PerKeyOfAKey(two) };
    given_nothing_of(key).when(set(limits), 0).then_rejected(rejection);
    given_nothing_of(mail()).and(set(limits), 0);
    given_nothing_of(Scope::Everything).and(declared(limits), 0);
}

#[test]
fn gate_is_shut_while_as_many_run_as_may() {
    let given = given_nothing_of(mail()).and(set(at_most(2)), 0);
    let gates = [0, 1, 2, 3].map(|running| given.state().gate(running, at(0)));
    assert_eq!(gates, [Gate::Open, Gate::Open, Gate::Shut, Gate::Shut]);
}

#[test]
fn rate_lets_its_burst_through_and_then_one_at_a_time() {
    let mut state = given_nothing_of(mail()).and(set(one_per_second(2)), 0).state().clone();
    for _ in 0..2 {
        assert_eq!(state.gate(0, at(10)), Gate::Open);
        state.spend(at(10));
    }
    assert_eq!(state.gate(0, at(10)), Gate::Until(at(11)));
    assert_eq!(state.gate(0, at(11)), Gate::Open);
    state.spend(at(11));
    assert_eq!(state.gate(0, at(11)), Gate::Until(at(12)), "the burst is used up");
}

#[test]
fn changed_rate_takes_over_what_is_used_up_and_no_rate_forgets_it() {
    let mut given = given_nothing_of(mail()).and(set(one_per_second(100)), 0);
    for _ in 0..100 {
        given.state.as_mut().unwrap().spend(at(0));
    }
    let slower = given.and(set(one_per_second(5)), 0);
    assert_eq!(slower.state().gate(0, at(0)), Gate::Until(at(1)), "at most all of the new one");
    let forgotten = slower.and(changed(LimitsChange::Cleared), 0).and(set(one_per_second(5)), 0);
    assert_eq!(forgotten.state().gate(0, at(0)), Gate::Open);
}

#[test]
fn pause_is_recorded_with_who_and_why_and_shuts_the_gate() {
    let event =
        Event::ScopePaused { scope: mail(), reason: text("mail is down"), by: actor("ops"), until: None };
    let given = given_nothing_of(mail()).when(paused("mail is down", None), 5).then(event);
    let pause = Pause { at: at(5), reason: text("mail is down"), by: actor("ops"), until: None };
    assert_eq!(given.state().pause, Some(pause));
    assert_eq!(given.state().gate(0, at(1_000)), Gate::Shut);
    given.when(paused("mail is down", None), 6).then_kept();
}

#[test]
fn pause_that_is_said_anew_goes_on_from_when_it_began() {
    let given =
        given_nothing_of(mail()).and(paused("mail is down", None), 5).and(paused("still", Some(90)), 60);
    let pause = Pause { at: at(5), reason: text("still"), by: actor("ops"), until: Some(at(90)) };
    assert_eq!(given.state().pause, Some(pause));
}

#[test]
fn pause_cannot_end_before_it_begins() {
    for until in [4, 5] {
        let rejection = Rejection::PauseIsOver { until: at(until), now: at(5) };
        given_nothing_of(mail()).when(paused("too late", Some(until)), 5).then_rejected(rejection);
    }
}

#[test]
fn resumed_scope_is_open_again_and_nothing_is_recorded_of_one_that_was_not_paused() {
    let event = Event::ScopeResumed { scope: mail(), by: actor("boss") };
    let given = given_nothing_of(mail()).and(paused("mail is down", None), 5);
    let given = given.when(resumed("boss"), 9).then(event);
    assert_eq!((given.state().pause.clone(), given.state().gate(0, at(9))), (None, Gate::Open));
    given.when(resumed("boss"), 10).then_kept();
    given_nothing_of(mail()).when(resumed("boss"), 10).then_kept();
}

#[test]
fn pause_with_an_end_ends_then_and_not_before_by_the_word_of_who_paused() {
    let given = given_nothing_of(mail()).and(paused("maintenance", Some(60)), 5);
    let given = given.when(ScopeWish::EndPause, 59).then_kept();
    assert_eq!(given.state().gate(0, at(61)), Gate::Shut, "until that is recorded");
    let event = Event::ScopeResumed { scope: mail(), by: actor("ops") };
    given.when(ScopeWish::EndPause, 60).then(event).when(ScopeWish::EndPause, 61).then_kept();
    given_nothing_of(mail())
        .and(paused("for good", None), 5)
        .when(ScopeWish::EndPause, 1_000_000)
        .then_kept();
}

#[test]
fn event_of_another_scope_or_of_a_task_changes_none() {
    let given = given_nothing_of(mail()).and(set(at_most(2)), 0);
    let other = Event::ScopeResumed { scope: Scope::Everything, by: actor("ops") };
    let task = Event::TaskDisabled { reason: text("why"), by: actor("ops") };
    for event in [other, task] {
        let found = evolve(given.state.clone(), &event, at(1)).unwrap_err().found;
        assert_eq!(found, Found::AnotherSubject);
    }
}
