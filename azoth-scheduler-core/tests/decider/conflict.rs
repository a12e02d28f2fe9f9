//! The same id again: in each phase, with the same and another definition, under each `on_conflict`.

use azoth_scheduler_core::command::{OnConflict, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::testing::{
    Given, actor, at, claim, complete, given_nothing, schedule, succeeded, task_id, text, wish,
};

/// All but `Blocked`: that one needs other tasks.
const PHASES: [PhaseKind; 6] = [
    PhaseKind::Waiting,
    PhaseKind::Running,
    PhaseKind::Paused,
    PhaseKind::Finished,
    PhaseKind::Disabled,
    PhaseKind::Cancelled,
];

#[test]
fn the_same_definition_changes_nothing_while_the_task_lives() {
    for phase in PHASES.into_iter().filter(|phase| phase.is_live()) {
        for wanted in [Schedule::one_time(at(100)), every_minute()] {
            let again = schedule("task", wanted.clone(), OnConflict::Redefine);
            task_in(phase, wanted).when(again, at(200)).then_answered(Answer::Unchanged(phase));
        }
    }
}

#[test]
fn another_definition_redefines_and_leaves_a_paused_task_paused_and_a_running_one_running() {
    for phase in PHASES.into_iter().filter(|phase| phase.is_live()) {
        let other = schedule("task", hourly(), OnConflict::Redefine);
        let given = task_in(phase, every_minute()).when(other, at(200)).then_answered(Answer::Redefined);
        let state = given.state().unwrap();
        assert_eq!(state.phase.kind(), phase);
        assert_eq!(state.definition.schedule, hourly());
        assert_eq!(state.running().is_some_and(|running| running.superseded), phase == PhaseKind::Running);
    }
}

#[test]
fn an_execution_of_the_old_definition_ends_and_the_new_one_goes_on() {
    let given = task_in(PhaseKind::Running, every_minute())
        .and(schedule("task", hourly(), OnConflict::Redefine), at(200))
        .and(complete("task", 1, succeeded(), at(100)), at(210));
    let work = given.state().and_then(|state| state.waiting()).copied().unwrap();
    assert_eq!((work.occurrence, work.attempt.get()), (at(200 + 3600), 1));
}

#[test]
fn what_has_ended_stays_so_when_it_recurs_and_is_scheduled_anew_when_it_does_not() {
    for phase in PHASES.into_iter().filter(|phase| !phase.is_live()) {
        let again = schedule("task", finite(), OnConflict::Redefine);
        task_in(phase, finite()).when(again, at(2000)).then_answered(Answer::Unchanged(phase));
        let again = schedule("task", Schedule::one_time(at(100)), OnConflict::Redefine);
        task_in(phase, Schedule::one_time(at(100))).when(again, at(2000)).then_answered(Answer::Created);
        let other = schedule("task", hourly(), OnConflict::Redefine);
        let given = task_in(phase, finite()).when(other, at(2000)).then_answered(Answer::Created);
        assert_eq!(given.state().unwrap().phase.kind(), PhaseKind::Waiting);
    }
}

#[test]
fn reject_refuses_and_keep_changes_nothing_in_every_phase() {
    for phase in PHASES {
        let given = task_in(phase, finite());
        let refusal = Rejection::AlreadyExists { task: task_id("task"), phase };
        let given =
            given.when(schedule("task", hourly(), OnConflict::Reject), at(2000)).then_rejected(refusal);
        let keep = schedule("task", hourly(), OnConflict::Keep);
        given.when(keep, at(2000)).then_answered(Answer::Unchanged(phase));
    }
}

#[test]
fn replace_schedules_anew_in_every_phase() {
    for phase in PHASES {
        let replace = schedule("task", every_minute(), OnConflict::Replace);
        let answer = if phase.is_live() { Answer::Redefined } else { Answer::Created };
        let given = task_in(phase, finite()).when(replace, at(2000)).then_answered(answer);
        assert_eq!(given.state().unwrap().defined_at, at(2000));
    }
}

/// Scheduling again is what ends a disabling, so it must also end one that waits for a running execution.
#[test]
fn another_definition_enables_a_task_that_was_to_be_disabled_when_its_execution_ends() {
    let given = task_in(PhaseKind::Running, every_minute())
        .and(wish("task", Wish::Disable { reason: text("broken"), by: actor("ops") }), at(110))
        .and(schedule("task", hourly(), OnConflict::Redefine), at(200))
        .and(complete("task", 1, succeeded(), at(100)), at(210));
    assert_eq!(given.state().unwrap().phase.kind(), PhaseKind::Waiting, "{:?}", given.state());
}

/// A task in this phase, at the 100th second. Its execution is number 1.
fn task_in(phase: PhaseKind, wanted: Schedule) -> Given {
    let (reason, by) = (text("said"), actor("ops"));
    let given = given_nothing().and(schedule("task", wanted, OnConflict::Redefine), at(0));
    let given = match phase {
        PhaseKind::Waiting | PhaseKind::Blocked => given,
        PhaseKind::Running => given.and(claim("task", 1), at(100)),
        PhaseKind::Paused => given.and(wish("task", Wish::Pause { reason, by, until: None }), at(100)),
        PhaseKind::Disabled => given.and(wish("task", Wish::Disable { reason, by }), at(100)),
        PhaseKind::Cancelled => given.and(wish("task", Wish::Cancel { reason, by }), at(100)),
        PhaseKind::Finished => {
            given.and(claim("task", 1), at(100)).and(complete("task", 1, succeeded(), at(100)), at(1000))
        }
    };
    assert_eq!(given.state().unwrap().phase.kind(), phase);
    given
}

fn every_minute() -> Schedule {
    Schedule::interval_secs(60).unwrap()
}

/// Every minute of the first two.
fn finite() -> Schedule {
    Schedule { not_after: Some(at(121)), ..every_minute() }
}

fn hourly() -> Schedule {
    Schedule::interval_secs(3600).unwrap()
}
