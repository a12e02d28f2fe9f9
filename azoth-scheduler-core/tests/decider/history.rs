//! Random histories of one task: what is wished, and how far the clock moves before.

use std::num::{NonZeroU32, NonZeroU64};

use azoth_scheduler_core::command::{AbandonReason, NewTask, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::decide::{Decision, decide};
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::evolve::evolve;
use azoth_scheduler_core::execution::{FailureClass, Outcome};
use azoth_scheduler_core::headway::{Headway, Note, Share};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::retry::{Backoff, OnExhausted, RetryPolicy};
use azoth_scheduler_core::schedule::{Misfire, MisfirePolicy, Overlap, Schedule};
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_core::testing::{
    actor, at, claim, complete, definition, execution, failed, succeeded, text, wish,
};
use azoth_scheduler_core::time::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A task, and what happens to it.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) definition: TaskDefinition,
    pub(crate) steps: Vec<Step>,
}

/// The clock moves, backwards too, and then something is wished.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    clock: Clock,
    act: Act,
}

#[derive(Clone, Copy, Debug)]
enum Clock {
    By {
        ms: i64,
    },
    /// To the instant at which the task is due, and so much beyond.
    Due {
        late_ms: i64,
    },
}

#[derive(Clone, Debug)]
enum Act {
    Claim,
    Succeed,
    Fail(FailureClass),
    TimeOut,
    Snooze {
        for_ms: u64,
    },
    /// An execution of long ago reports.
    Late,
    Abandon {
        why: AbandonReason,
        silent_ms: i64,
    },
    Cancel,
    Pause,
    Resume(MisfirePolicy),
    ResumeWithScope(MisfirePolicy),
    Disable,
    CorrectClock,
    RunNow,
    Retry,
    Progress(f64),
    Checkpoint(u8),
    Again(OnConflict),
    Other(Box<TaskDefinition>, OnConflict),
}

/// What came of a history.
pub(crate) struct Told {
    /// All events with their instants.
    pub(crate) events: Vec<(Timestamp, Event)>,
    /// The state after the first n events.
    pub(crate) states: Vec<TaskState>,
    /// Each command with its state before and what was decided.
    pub(crate) decisions: Vec<(Option<TaskState>, TaskCommand, Result<Decision, Rejection>)>,
}

impl History {
    /// Decides all of it, one wish after the other.
    pub(crate) fn tell(&self) -> Told {
        let mut told = Told { events: Vec::new(), states: Vec::new(), decisions: Vec::new() };
        let mut now = at(0);
        told.tell(schedule("task", self.definition.clone(), OnConflict::Redefine), now);
        for (number, step) in (1..).zip(&self.steps) {
            now = step.clock.moved(now, told.states.last());
            let command = step.act.command(told.states.last(), &self.definition, number, now);
            told.tell(command, now);
        }
        told
    }
}

impl Told {
    fn tell(&mut self, command: TaskCommand, now: Timestamp) {
        let before = self.states.last().cloned();
        let decided = decide(before.as_ref(), &command, now);
        for event in decided.iter().flat_map(|decision| &decision.events) {
            let state = evolve(self.states.last().cloned(), event, now);
            self.states.push(state.expect("what decide emits, evolve accepts"));
            self.events.push((now, event.clone()));
        }
        self.decisions.push((before, command, decided));
    }
}

impl Clock {
    fn moved(self, now: Timestamp, state: Option<&TaskState>) -> Timestamp {
        match (self, state.and_then(TaskState::waiting)) {
            (Clock::By { ms }, _) => now.saturating_add_ms(ms),
            (Clock::Due { late_ms }, Some(work)) => now.max(work.run_at.saturating_add_ms(late_ms)),
            (Clock::Due { late_ms }, None) => now.saturating_add_ms(late_ms),
        }
    }
}

impl Act {
    /// The wish. Where nothing runs, what would end an execution starts one instead; where the task has ended, it is
    /// scheduled anew.
    fn command(
        &self,
        state: Option<&TaskState>,
        first: &TaskDefinition,
        number: u128,
        now: Timestamp,
    ) -> TaskCommand {
        let holder = match state.and_then(TaskState::held_by) {
            Some(holder) => holder.as_u128(),
            None if self.ends_an_execution() && state.is_some_and(|state| !state.phase.kind().is_live()) => {
                return schedule("task", first.clone(), OnConflict::Replace);
            }
            None if self.ends_an_execution() => return claim("task", number),
            None => 0,
        };
        let (reason, by) = (text("said"), actor("ops"));
        let report = match self {
            Act::Succeed | Act::Late => succeeded(),
            Act::Fail(class) => failed(*class),
            Act::TimeOut => Outcome::TimedOut { timeout_ms: 1000 },
            Act::Snooze { for_ms } => Outcome::Snoozed { for_ms: *for_ms },
            Act::Claim => return claim("task", number),
            Act::Abandon { why, silent_ms } => {
                let (execution, last_seen) = (execution(holder), now.saturating_add_ms(-silent_ms));
                return wish("task", Wish::Abandon { execution, why: *why, last_seen });
            }
            Act::Cancel => return wish("task", Wish::Cancel { reason, by }),
            Act::Pause => return wish("task", Wish::Pause { reason, by, until: None }),
            Act::Resume(misfire) => return wish("task", Wish::Resume { misfire: *misfire, by }),
            Act::ResumeWithScope(misfire) => {
                return wish("task", Wish::ResumeWithScope { misfire: *misfire, by });
            }
            Act::Disable => return wish("task", Wish::Disable { reason, by }),
            Act::CorrectClock => return wish("task", Wish::CorrectClock),
            Act::RunNow => return wish("task", Wish::RunNow { by }),
            Act::Retry => return wish("task", Wish::Retry { by }),
            Act::Progress(done) => {
                let headway = Headway { done: Share::of(*done), note: Note::default() };
                return wish("task", Wish::ReportProgress { execution: execution(holder), headway });
            }
            Act::Checkpoint(byte) => {
                let checkpoint = Payload::new(vec![*byte]);
                return wish("task", Wish::SaveCheckpoint { execution: execution(holder), checkpoint });
            }
            Act::Again(on_conflict) => return schedule("task", first.clone(), *on_conflict),
            Act::Other(other, on_conflict) => return schedule("task", *other.clone(), *on_conflict),
        };
        let number = if matches!(self, Act::Late) { holder.wrapping_add(77) } else { holder };
        complete("task", number, report, now)
    }
}

impl Act {
    fn ends_an_execution(&self) -> bool {
        match self {
            Act::Succeed | Act::Fail(_) | Act::TimeOut | Act::Snooze { .. } | Act::Abandon { .. } => true,
            Act::Claim
            | Act::Late
            | Act::Cancel
            | Act::Pause
            | Act::Resume(_)
            | Act::ResumeWithScope(_)
            | Act::Disable
            | Act::CorrectClock
            | Act::RunNow
            | Act::Retry
            | Act::Progress(_)
            | Act::Checkpoint(_)
            | Act::Again(_)
            | Act::Other(..) => false,
        }
    }
}

fn schedule(task: &str, definition: TaskDefinition, on_conflict: OnConflict) -> TaskCommand {
    wish(task, Wish::Schedule(NewTask::new(definition, Payload::empty(), on_conflict)))
}

/// A task with any schedule and policies, and up to 60 things that happen to it.
pub(crate) fn histories() -> BoxedStrategy<History> {
    (definitions(), vec(steps(), 0..60)).prop_map(|(definition, steps)| History { definition, steps }).boxed()
}

fn steps() -> BoxedStrategy<Step> {
    let clocks = prop_oneof![
        3 => Just(Clock::By { ms: 0 }),
        4 => (0..90_000i64).prop_map(|ms| Clock::By { ms }),
        1 => (-600_000..0i64).prop_map(|ms| Clock::By { ms }),
        4 => Just(Clock::Due { late_ms: 0 }),
        2 => (0..100_000i64).prop_map(|late_ms| Clock::Due { late_ms }),
        1 => (0..1_200_000i64).prop_map(|late_ms| Clock::Due { late_ms }),
        // Far ahead, and back.
        1 => select(&[-30_000_000i64, -11_000_000, 11_000_000, 20_000_000][..]).prop_map(|ms| Clock::By { ms }),
    ];
    (clocks, acts()).prop_map(|(clock, act)| Step { clock, act }).boxed()
}

fn acts() -> BoxedStrategy<Act> {
    let classes = prop_oneof![
        3 => Just(FailureClass::Retryable),
        1 => (0..200_000u64).prop_map(|delay_ms| FailureClass::RetryAfter { delay_ms }),
        1 => Just(FailureClass::Permanent),
    ];
    let reasons =
        select(&[AbandonReason::WorkerLost, AbandonReason::ShutDown, AbandonReason::NotStarted][..]);
    prop_oneof![
        24 => Just(Act::Claim),
        20 => Just(Act::Succeed),
        12 => classes.prop_map(Act::Fail),
        3 => Just(Act::TimeOut),
        4 => (0..100_000u64).prop_map(|for_ms| Act::Snooze { for_ms }),
        1 => Just(Act::Late),
        10 => (reasons, 0..300_000i64).prop_map(|(why, silent_ms)| Act::Abandon { why, silent_ms }),
        1 => Just(Act::Cancel),
        4 => Just(Act::Pause),
        6 => policies().prop_map(Act::Resume),
        4 => policies().prop_map(Act::ResumeWithScope),
        1 => Just(Act::Disable),
        3 => Just(Act::CorrectClock),
        5 => Just(Act::RunNow),
        6 => Just(Act::Retry),
        3 => (0..3u8).prop_map(|part| Act::Progress(f64::from(part) / 2.0)),
        6 => (0..3u8).prop_map(Act::Checkpoint),
        2 => conflicts().prop_map(Act::Again),
        2 => (definitions(), conflicts()).prop_map(|(other, on_conflict)| Act::Other(Box::new(other), on_conflict)),
    ]
    .boxed()
}

fn conflicts() -> BoxedStrategy<OnConflict> {
    let all = [OnConflict::Redefine, OnConflict::Replace, OnConflict::Reject, OnConflict::Keep];
    select(all.to_vec()).boxed()
}

/// Definitions whose schedules ask for a run every few seconds up to every few minutes, or once.
pub(crate) fn definitions() -> BoxedStrategy<TaskDefinition> {
    (schedules(), retry_policies())
        .prop_map(|(schedule, retry)| TaskDefinition { retry, ..definition(schedule) })
        .boxed()
}

fn schedules() -> BoxedStrategy<Schedule> {
    let timings = prop_oneof![
        6 => (1u64..200, option::of(-500i64..500)).prop_map(|(seconds, anchor)| anchored(seconds, anchor)),
        2 => select(&["*/20 * * * * *", "0 * * * * *", "5,50 */2 * * * *"][..])
            .prop_map(|cron| Schedule::cron(cron).expect("the expression is good")),
        1 => (-100i64..400).prop_map(|seconds| Schedule::one_time(at(seconds))),
        1 => Just(Schedule::immediate()),
    ];
    let windows = (option::weighted(0.2, 0..300i64), option::weighted(0.2, 300..2_000i64));
    let limits = (option::weighted(0.2, 1u32..6), prop_oneof![Just(0u32), 0..1000u32]);
    let misfires = (policies(), prop_oneof![Just(0u64), Just(60_000), 0..200_000u64]);
    (timings, windows, limits, misfires, select(&[Overlap::Skip, Overlap::BufferOne][..]))
        .prop_map(
            |(schedule, (not_before, not_after), (max_runs, jitter_ms), (policy, grace_ms), overlap)| {
                Schedule {
                    not_before: not_before.map(at),
                    not_after: not_after.map(at),
                    max_runs: max_runs.and_then(NonZeroU32::new),
                    misfire: Misfire { policy, grace_ms },
                    overlap,
                    jitter_ms,
                    ..schedule
                }
            },
        )
        .boxed()
}

fn anchored(seconds: u64, anchor: Option<i64>) -> Schedule {
    let mut schedule = Schedule::interval_secs(seconds).expect("the period is good");
    if let azoth_scheduler_core::schedule::Timing::Interval { period_ms, anchor: kept } = &mut schedule.timing
    {
        *period_ms = NonZeroU64::new(seconds * 1000 + 7).expect("not zero");
        *kept = anchor.map(at);
    }
    schedule
}

fn policies() -> BoxedStrategy<MisfirePolicy> {
    prop_oneof![
        Just(MisfirePolicy::RunOnce),
        Just(MisfirePolicy::Skip),
        (1u32..6)
            .prop_map(|limit| MisfirePolicy::CatchUp { limit: NonZeroU32::new(limit).expect("not zero") }),
    ]
    .boxed()
}

fn retry_policies() -> BoxedStrategy<RetryPolicy> {
    let backoffs = (1u64..200_000, 1u32..4, 1u64..1_000_000, 0u8..=100);
    (0u32..4, backoffs, select(&[OnExhausted::Disable, OnExhausted::Continue][..]))
        .prop_map(|(max_retries, (base_ms, factor, cap_ms, jitter_percent), on_exhausted)| RetryPolicy {
            max_retries,
            backoff: Backoff {
                base_ms,
                factor: NonZeroU32::new(factor).expect("not zero"),
                cap_ms,
                jitter_percent,
            },
            on_exhausted,
        })
        .boxed()
}
