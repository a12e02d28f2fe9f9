//! What holds over every history, clocks that jump back included.

use azoth_scheduler_core::event::{Event, Then};
use azoth_scheduler_core::evolve::evolve;
use azoth_scheduler_core::execution::{FailureClass, Outcome};
use azoth_scheduler_core::state::{Counts, PhaseKind, TaskState};
use azoth_scheduler_core::testing::{Account, audit};
use azoth_scheduler_core::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::history::histories;

proptest! {
    #![proptest_config(Config::with_cases(Config::default().cases.max(300)))]

    /// I7, I10, I11: one running execution at most and one end of each; each due occurrence is accounted for exactly
    /// once; the newest decided occurrence never goes back.
    #[test]
    fn every_history_accounts_for_all_that_its_schedule_asked_for(history in histories()) {
        let told = history.tell();
        let audit = audit(&told.events).map_err(|fault| {
            let events: Vec<_> = told.events.iter().enumerate().collect();
            TestCaseError::fail(format!("{fault}\n{events:#?}"))
        })?;
        let running = told.states.last().and_then(TaskState::held_by).is_some();
        prop_assert_eq!(audit.started, audit.ended + u64::from(running));
    }

    /// I6: a replay in one go, or of a prefix and then of the rest, gives the same.
    #[test]
    fn replay_of_a_prefix_and_the_rest_equals_replay_of_all(history in histories(), cut in any::<prop::sample::Index>()) {
        let told = history.tell();
        prop_assume!(!told.events.is_empty());
        let (prefix, rest) = told.events.split_at(cut.index(told.events.len()));
        let resumed = fold(fold(None, prefix), rest);
        prop_assert_eq!(&resumed, &fold(None, &told.events));
        prop_assert_eq!(resumed.as_ref(), told.states.last());
    }

    /// I15: a refusal changes nothing, and a repeated wish that changed nothing changes nothing again.
    #[test]
    fn refused_and_unchanged_commands_have_no_events(history in histories()) {
        for (before, command, decided) in history.tell().decisions {
            match decided {
                Ok(decision) if decision.events.is_empty() => {
                    let phase = before.map(|state| state.phase.kind());
                    let unchanged = phase.map(azoth_scheduler_core::decide::Answer::Unchanged);
                    prop_assert_eq!(Some(decision.answer), unchanged, "{:?}", command);
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// A wait between attempts is the one that the policy says, and an attempt is the next number.
    #[test]
    fn waits_between_attempts_stay_within_the_policy(history in histories()) {
        let told = history.tell();
        let states = std::iter::once(None).chain(told.states.iter().map(Some));
        for ((now, event), before) in told.events.iter().zip(states) {
            let (Event::TaskExecuted { outcome, then: Then::Retry { work, counts }, .. }, Some(before)) = (event, before)
            else {
                continue;
            };
            let running = before.running().expect("only what runs ends");
            let retry = &before.definition.retry;
            let wait_ms = u64::try_from(work.run_at.ms_since(*now)).expect("no attempt lies in the past");
            prop_assert_eq!(work.attempt.get(), running.attempt.get() + 1);
            prop_assert_eq!(work.occurrence, running.occurrence);
            let asked = match outcome {
                Outcome::Snoozed { for_ms } => Some(*for_ms),
                Outcome::Failed(failure) => match failure.class {
                    FailureClass::RetryAfter { delay_ms } => Some(delay_ms),
                    FailureClass::Retryable | FailureClass::Permanent => None,
                },
                Outcome::Succeeded(()) | Outcome::TimedOut { .. } | Outcome::Panicked { .. } => None,
            };
            match asked {
                Some(asked) => prop_assert_eq!(wait_ms, asked),
                None => {
                    prop_assert!(counts.failures <= retry.max_retries);
                    prop_assert!(wait_ms <= retry.backoff.cap_ms * 2, "{} ms", wait_ms);
                    prop_assert!(wait_ms >= retry.backoff.base_ms.min(retry.backoff.cap_ms), "{} ms", wait_ms);
                }
            }
        }
    }

    /// What waits is never due before its occurrence, but for one that a clock far ahead has opened; and a first attempt
    /// that was not judged late yet lies after all that is decided.
    #[test]
    fn work_that_waits_is_due_no_earlier_than_its_occurrence(history in histories()) {
        for state in &history.tell().states {
            if let Some(work) = state.waiting() {
                let chosen = work.occurrence <= state.progress.decided_through;
                let retry = work.attempt.get() > 1;
                // Somebody may ask for the only run of a one-time task before it is due.
                let hastened = !state.definition.schedule.is_recurring();
                let may = chosen || retry || hastened || state.off_schedule.is_some();
                prop_assert!(work.run_at >= work.occurrence || may, "{:?}", state);
                let clean = state.counts == Counts::default();
                prop_assert!(clean || retry, "counts start again: {:?}", state);
            }
            prop_assert_eq!(state.phase.kind() == PhaseKind::Running, state.held_by().is_some());
            // A checkpoint lives with its occurrence.
            let fresh = state.work().is_some_and(|work| work.attempt.get() == 1);
            let over = matches!(state.phase.kind(), PhaseKind::Finished | PhaseKind::Cancelled);
            let of_another = over || (fresh && state.definition.schedule.is_recurring());
            prop_assert!(state.checkpoint.is_none() || !of_another, "{:?}", state);
        }
    }
}

/// The audit itself finds what it is there to find.
#[test]
fn audit_notices_a_lost_and_a_doubled_occurrence() {
    use azoth_scheduler_core::command::OnConflict;
    use azoth_scheduler_core::schedule::Schedule;
    use azoth_scheduler_core::testing::{at, claim, complete, given_nothing, schedule, succeeded};

    let every_minute = Schedule::interval_secs(60).unwrap();
    let given = given_nothing()
        .and(schedule("task", every_minute, OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(60))
        .and(complete("task", 1, succeeded(), at(60)), at(61))
        .and(claim("task", 2), at(600));
    let events = given.events().to_vec();
    let accounts = audit(&events).unwrap().accounts;
    assert_eq!(accounts.len(), 10);
    assert_eq!(accounts.get(&at(60)), Some(&Account::Ran));

    let merged =
        events.iter().position(|(_, event)| matches!(event, Event::OccurrencesPassed { .. })).unwrap();
    let mut lost = events.clone();
    lost.remove(merged);
    let fault = audit(&lost).unwrap_err();
    assert!(fault.what.starts_with("nothing says what became of"), "{fault}");
    let mut doubled = events.clone();
    doubled.insert(merged, events[merged].clone());
    assert!(audit(&doubled).unwrap_err().what.contains("already"));
}

fn fold(state: Option<TaskState>, events: &[(Timestamp, Event)]) -> Option<TaskState> {
    let step = |state, (at, event): &(Timestamp, Event)| {
        Some(evolve(state, event, *at).expect("the event follows the ones before it"))
    };
    events.iter().fold(state, step)
}
