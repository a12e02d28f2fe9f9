//! A replay never reads a schedule: with another cron engine, other zone data, or none for that zone, the same events
//! give the same states (I6).
//!
//! Random histories are decided under schedules that can be read. Then each definition in their events is given one
//! that nobody can read, and the events are replayed.
#![cfg(feature = "testing")]

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use azoth_scheduler_core::command::{AbandonReason, NewTask, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::evolve::evolve;
use azoth_scheduler_core::execution::{FailureClass, Outcome};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::retry::{OnExhausted, RetryPolicy};
use azoth_scheduler_core::schedule::{CronSpec, Misfire, MisfirePolicy, Overlap, Schedule, Timing};
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_core::testing::{
    Given, actor, at, claim, complete, definition, execution, failed, given_nothing, succeeded, text, wish,
};
use azoth_scheduler_core::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Something that happens to a task so many seconds after what happened before.
#[derive(Clone, Debug)]
struct Step {
    seconds: i64,
    deed: Deed,
}

#[derive(Clone, Debug)]
enum Deed {
    Define(Schedule, OnExhausted),
    Claim,
    Succeed,
    Fail(FailureClass),
    TimeOut,
    Lose(AbandonReason),
    Pause,
    Resume(MisfirePolicy),
    ResumeWithScope(MisfirePolicy),
    Disable,
    Cancel,
    CorrectClock,
    RunNow,
    Retry,
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let crons = [
        ("*/20 * * * * *", "UTC"),
        ("0 */10 * * * *", "Europe/Berlin"),
        ("0 30 2 * * *", "Africa/Casablanca"),
        ("0 0 12 L * MON#1", "Pacific/Apia"),
    ];
    let timing = select(crons.to_vec())
        .prop_map(|(expression, zone)| Timing::Cron(CronSpec::from_stored(expression, zone)));
    let period = (1_000_u64..90_000_000)
        .prop_map(|ms| Timing::Interval { period_ms: NonZeroU64::MIN.saturating_add(ms), anchor: None });
    let once = (0..1_000_000_i64).prop_map(|seconds| Timing::OneTime { at: at(seconds) });
    let timing = prop_oneof![4 => timing, 2 => period, 1 => once, 1 => Just(Timing::Immediate)];
    let overlap = select(&[Overlap::Skip, Overlap::BufferOne][..]);
    let max_runs = proptest::option::weighted(0.2, 1..4_u32).prop_map(|runs| runs.and_then(NonZeroU32::new));
    let values = (timing, policies(), overlap, max_runs, 0..900_u32);
    values.prop_map(|(timing, policy, overlap, max_runs, jitter_ms)| Schedule {
        timing,
        misfire: Misfire { policy, ..Misfire::default() },
        overlap,
        max_runs,
        jitter_ms,
        ..Schedule::immediate()
    })
}

fn policies() -> impl Strategy<Value = MisfirePolicy> {
    let limit = NonZeroU32::MIN.saturating_add(2);
    select(vec![MisfirePolicy::RunOnce, MisfirePolicy::Skip, MisfirePolicy::CatchUp { limit }])
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let classes =
        [FailureClass::Retryable, FailureClass::RetryAfter { delay_ms: 5_000 }, FailureClass::Permanent];
    let losses = [AbandonReason::WorkerLost, AbandonReason::ShutDown, AbandonReason::NotStarted];
    let on_exhausted = select(&[OnExhausted::Continue, OnExhausted::Disable][..]);
    let deed = prop_oneof![
        2 => (schedules(), on_exhausted).prop_map(|(schedule, then)| Deed::Define(schedule, then)),
        10 => Just(Deed::Claim),
        6 => Just(Deed::Succeed),
        3 => select(classes.to_vec()).prop_map(Deed::Fail),
        1 => Just(Deed::TimeOut),
        2 => select(losses.to_vec()).prop_map(Deed::Lose),
        1 => Just(Deed::Pause),
        2 => policies().prop_map(Deed::Resume),
        2 => policies().prop_map(Deed::ResumeWithScope),
        1 => select(vec![Deed::Disable, Deed::Cancel]),
        1 => Just(Deed::CorrectClock),
        2 => select(vec![Deed::RunNow, Deed::Retry]),
    ];
    let seconds = prop_oneof![4 => 0..60_i64, 3 => 0..5_000_i64, 2 => 0..200_000_i64, 1 => -100_000..0_i64];
    vec((seconds, deed).prop_map(|(seconds, deed)| Step { seconds, deed }), 1..40)
}

/// The task that these steps lead to; a step that is refused did not happen.
fn history(first: Schedule, steps: Vec<Step>) -> Given {
    let start = Step { seconds: 0, deed: Deed::Define(first, OnExhausted::Continue) };
    let mut now = 0;
    let mut given = given_nothing();
    for (number, step) in (1..).zip(std::iter::once(start).chain(steps)) {
        now += step.seconds;
        let when = given.clone().when(command(step.deed, number, given.state(), at(now)), at(now));
        if when.decided().is_ok() {
            given = when.then_accepted();
        }
    }
    given
}

fn command(deed: Deed, number: u128, state: Option<&TaskState>, now: Timestamp) -> TaskCommand {
    let holder = state.and_then(TaskState::held_by).unwrap_or(execution(0));
    let (reason, by) = (text("because"), actor("somebody"));
    let done = |report| complete("task", holder.as_u128(), report, now);
    match deed {
        Deed::Define(schedule, on_exhausted) => {
            let retry = RetryPolicy { max_retries: 1, on_exhausted, ..RetryPolicy::default() };
            let definition = TaskDefinition { retry, ..definition(schedule) };
            let payload = Payload::empty();
            let new = NewTask::new(definition, payload, OnConflict::Redefine);
            wish("task", Wish::Schedule(new))
        }
        Deed::Claim => claim("task", number),
        Deed::Succeed => done(succeeded()),
        Deed::Fail(class) => done(failed(class)),
        Deed::TimeOut => done(Outcome::TimedOut { timeout_ms: 300_000 }),
        Deed::Lose(why) => wish("task", Wish::Abandon { execution: holder, why, last_seen: now }),
        Deed::Pause => wish("task", Wish::Pause { reason, by, until: None }),
        Deed::Resume(misfire) => wish("task", Wish::Resume { misfire, by }),
        Deed::ResumeWithScope(misfire) => wish("task", Wish::ResumeWithScope { misfire, by }),
        Deed::Disable => wish("task", Wish::Disable { reason, by }),
        Deed::Cancel => wish("task", Wish::Cancel { reason, by }),
        Deed::CorrectClock => wish("task", Wish::CorrectClock),
        Deed::RunNow => wish("task", Wish::RunNow { by }),
        Deed::Retry => wish("task", Wish::Retry { by }),
    }
}

/// The event as a library sees it that can neither read the expression nor find the zone.
fn unreadable(event: &Event) -> Event {
    let mut event = event.clone();
    if let Event::TaskScheduled { definition, .. } = &mut event {
        Arc::make_mut(definition).schedule.timing =
            Timing::Cron(CronSpec::from_stored("garbage", "Nowhere/Zone"));
        assert!(definition.schedule.calendar(at(0)).is_err(), "it can be read");
    }
    event
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replay_gives_the_same_states_without_a_schedule_that_can_be_read(
        first in schedules(),
        steps in steps(),
    ) {
        let history = history(first, steps);
        let (mut read, mut unread) = (None, None);
        for (at, event) in history.events() {
            let one = evolve(read.take(), event, *at);
            let other = evolve(unread.take(), &unreadable(event), *at);
            prop_assert!(one.is_ok() && other.is_ok(), "{event:?}: {one:?}, {other:?}");
            (read, unread) = (one.ok(), other.ok());
            let same = unread.clone().zip(read.clone()).map(|(state, read)| TaskState {
                definition: read.definition,
                ..state
            });
            prop_assert_eq!(&same, &read, "after {:?}", event);
        }
        prop_assert_eq!(read.as_ref(), history.state());
    }
}

#[test]
fn histories_hold_events_of_every_kind() {
    let mut runner = TestRunner::deterministic();
    let mut names = BTreeSet::new();
    for _ in 0..300 {
        let (first, steps) = (schedules(), steps()).new_tree(&mut runner).unwrap().current();
        names.extend(history(first, steps).events().iter().map(|(_, event)| event.name()));
    }
    // One task alone waits for no other, so there is no `DependencyEnded` among them.
    assert_eq!(names.len(), 13, "{names:?}");
}
