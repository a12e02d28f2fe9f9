//! Events of every shape, for property tests. Strategies are boxed: nested ones would not fit on a test's stack.

use std::num::{NonZeroU32, NonZeroU64, NonZeroU128};
use std::sync::Arc;

use azoth_scheduler_core::command::AbandonReason;
use azoth_scheduler_core::dependency::{After, DependencyEnd, OnDependencyFailure};
use azoth_scheduler_core::event::{Change, Event, MovedOn, Then};
use azoth_scheduler_core::execution::{Emitted, ErrorText, Failure, FailureClass, Outcome};
use azoth_scheduler_core::headway::{Headway, Note, Share};
use azoth_scheduler_core::id::{
    Actor, ConcurrencyKey, EventType, ExecutionId, GroupName, IdempotencyKey, TaskId, TaskType, WorkerId,
};
use azoth_scheduler_core::payload::PayloadDigest;
use azoth_scheduler_core::retention::Horizon;
use azoth_scheduler_core::retry::{Backoff, OnExhausted, RetryPolicy};
use azoth_scheduler_core::schedule::{
    Count, CronSpec, Fate, Misfire, MisfirePolicy, Miss, Overlap, Passed, Run, Schedule, Skip, Timing,
};
use azoth_scheduler_core::scope::{Limits, LimitsChange, RATE_PER_MS_MAX, Rate, Scope};
use azoth_scheduler_core::state::{Counts, DisabledReason, Progress, Work};
use azoth_scheduler_core::task::{Priority, TaskDefinition};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_core::trace::TraceParent;
use azoth_scheduler_core::unique::{Holds, Unique};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Any event, also those that no decision would lead to.
pub(crate) fn event() -> BoxedStrategy<Event> {
    prop_oneof![
        3 => scheduled(),
        2 => started(),
        3 => executed(),
        1 => (execution_id(), event_type(), digest()).prop_map(|(execution, event_type, payload)| {
            Event::TaskEventEmitted { execution, emitted: Emitted { event_type, payload } }
        }),
        2 => abandoned(),
        2 => (passed(), option::of(moved_on())).prop_map(|(passed, then)| Event::OccurrencesPassed { passed, then }),
        1 => (text(), actor(), option::of(execution_id()))
            .prop_map(|(reason, by, execution)| Event::TaskCancelled { reason, by, execution }),
        1 => (text(), actor(), option::of(timestamp()))
            .prop_map(|(reason, by, until)| Event::TaskPaused { reason, by, until }),
        1 => (scope(), limits_change(), actor())
            .prop_map(|(scope, change, by)| Event::LimitsChanged { scope, change, by }),
        1 => (scope(), text(), actor(), option::of(timestamp()))
            .prop_map(|(scope, reason, by, until)| Event::ScopePaused { scope, reason, by, until }),
        1 => (scope(), actor()).prop_map(|(scope, by)| Event::ScopeResumed { scope, by }),
        1 => (actor(), option::of(moved_on())).prop_map(|(by, then)| Event::TaskResumed { by, then }),
        1 => (text(), actor()).prop_map(|(reason, by)| Event::TaskDisabled { reason, by }),
        1 => ((timestamp(), timestamp()), option::of(then()), progress()).prop_map(
            |((ahead, defined_at), then, progress)| Event::ClockCorrected { ahead, defined_at, then, progress }
        ),
        1 => (option::of(timestamp()), option::of(timestamp()), proptest::collection::vec(task_id(), 0..5)).prop_map(
            |(finished, disabled, tasks)| Event::TasksForgotten {
                horizon: Horizon { finished, cancelled: None, disabled },
                tasks,
            }
        ),
        1 => any::<u64>().prop_map(|through| Event::PayloadsDropped { through }),
        1 => (any::<u64>(), any::<[u8; 32]>(), any::<[u8; 32]>())
            .prop_map(|(through, hash, snapshot)| Event::LogCut { through, hash, snapshot }),
        1 => (task_id(), dependency_end(), option::of(work()))
            .prop_map(|(dependency, end, then)| Event::DependencyEnded { dependency, end, then }),
        1 => (actor(), work(), any::<bool>())
            .prop_map(|(by, work, off_schedule)| Event::RunRequested { by, work, off_schedule }),
        1 => (actor(), moved_on()).prop_map(|(by, then)| Event::TaskRetried { by, then }),
        1 => (execution_id(), 0..=10_000u16, any::<String>())
            .prop_map(|(execution, done, note)| Event::ProgressReported {
                execution,
                headway: Headway {
                    done: Share::from_hundredths(done).unwrap_or_default(),
                    note: Note::new(note),
                },
            }),
        1 => (execution_id(), digest())
            .prop_map(|(execution, checkpoint)| Event::CheckpointSaved { execution, checkpoint }),
    ].boxed()
}

fn trace() -> BoxedStrategy<TraceParent> {
    (any::<NonZeroU128>(), any::<NonZeroU64>(), any::<u8>())
        .prop_map(|(trace_id, span_id, flags)| TraceParent::new(trace_id, span_id, flags))
        .boxed()
}

fn scheduled() -> BoxedStrategy<Event> {
    let change = select(&[Change::Created, Change::Redefined, Change::Anew][..]);
    (task_id(), change, definition(), work(), progress(), vec(task_id(), 0..4), option::of(trace()))
        .prop_map(|(task, change, definition, work, progress, waits_for, trace)| Event::TaskScheduled {
            task,
            change,
            definition: Arc::new(definition),
            work,
            progress,
            waits_for,
            trace,
        })
        .boxed()
}

fn started() -> BoxedStrategy<Event> {
    let numbers = (non_zero_u32(), any::<u32>(), any::<bool>());
    (execution_id(), any::<u128>(), timestamp(), numbers, progress())
        .prop_map(|(execution, worker, occurrence, (attempt, run, off_schedule), progress)| {
            let worker = WorkerId::from_u128(worker);
            Event::ExecutionStarted { execution, worker, occurrence, attempt, run, off_schedule, progress }
        })
        .boxed()
}

fn executed() -> BoxedStrategy<Event> {
    (execution_id(), outcome(), timestamp(), then(), progress())
        .prop_map(|(execution, outcome, started_at, then, progress)| Event::TaskExecuted {
            execution,
            outcome,
            started_at,
            then,
            progress,
        })
        .boxed()
}

fn abandoned() -> BoxedStrategy<Event> {
    let why = select(&[AbandonReason::WorkerLost, AbandonReason::ShutDown, AbandonReason::NotStarted][..]);
    (execution_id(), why, then(), progress())
        .prop_map(|(execution, why, then, progress)| Event::ExecutionAbandoned {
            execution,
            why,
            then,
            progress,
        })
        .boxed()
}

fn definition() -> BoxedStrategy<TaskDefinition> {
    let timeout_ms = any::<NonZeroU64>();
    let group = option::of(name().prop_map(|name| parsed(GroupName::new(name))));
    let key = option::of(name().prop_map(|name| parsed(ConcurrencyKey::new(name))));
    let others = (option::of(after()), option::of(unique()));
    let names = (name(), group, key);
    (names, digest(), schedule(), retry_policy(), timeout_ms, select(&Priority::ALL[..]), others)
        .prop_map(
            |(
                (task_type, group, concurrency_key),
                payload,
                schedule,
                retry,
                timeout_ms,
                priority,
                (after, unique),
            )| {
                TaskDefinition {
                    task_type: parsed(TaskType::new(task_type)),
                    payload,
                    schedule,
                    retry,
                    timeout_ms,
                    priority,
                    group,
                    concurrency_key,
                    after,
                    unique,
                }
            },
        )
        .boxed()
}

fn after() -> BoxedStrategy<After> {
    let on_failure = select(&[OnDependencyFailure::Cancel, OnDependencyFailure::RunAnyway][..]);
    (vec(task_id(), 1..5), on_failure)
        .prop_map(|(tasks, on_failure)| parsed(After::new(tasks, on_failure)))
        .boxed()
}

fn unique() -> BoxedStrategy<Unique> {
    let holds = prop_oneof![Just(Holds::WhilePending), any::<NonZeroU64>().prop_map(|ms| Holds::For { ms })];
    (name(), holds).prop_map(|(key, holds)| Unique { key: parsed(IdempotencyKey::new(key)), holds }).boxed()
}

fn dependency_end() -> BoxedStrategy<DependencyEnd> {
    select(&[DependencyEnd::Succeeded, DependencyEnd::Failed, DependencyEnd::Cancelled][..]).boxed()
}

fn schedule() -> BoxedStrategy<Schedule> {
    let window = (option::of(timestamp()), option::of(timestamp()), option::of(non_zero_u32()));
    let policy = misfire_policy();
    let overlap = select(&[Overlap::Skip, Overlap::BufferOne][..]);
    (timing(), window, policy, any::<u64>(), overlap, any::<u32>())
        .prop_map(|(timing, (not_before, not_after, max_runs), policy, grace_ms, overlap, jitter_ms)| {
            Schedule {
                timing,
                not_before,
                not_after,
                max_runs,
                misfire: Misfire { policy, grace_ms },
                overlap,
                jitter_ms,
            }
        })
        .boxed()
}

fn misfire_policy() -> BoxedStrategy<MisfirePolicy> {
    prop_oneof![
        Just(MisfirePolicy::RunOnce),
        Just(MisfirePolicy::Skip),
        non_zero_u32().prop_map(|limit| MisfirePolicy::CatchUp { limit }),
    ]
    .boxed()
}

fn scope() -> BoxedStrategy<Scope> {
    prop_oneof![
        Just(Scope::Everything),
        name().prop_map(|name| Scope::TaskType(parsed(TaskType::new(name)))),
        name().prop_map(|name| Scope::Key(parsed(ConcurrencyKey::new(name)))),
    ]
    .boxed()
}

fn limits_change() -> BoxedStrategy<LimitsChange> {
    prop_oneof![
        limits().prop_map(LimitsChange::Declared),
        limits().prop_map(LimitsChange::Set),
        Just(LimitsChange::Cleared),
    ]
    .boxed()
}

fn limits() -> BoxedStrategy<Limits> {
    let rate = (non_zero_u32(), 1..=RATE_PER_MS_MAX, non_zero_u32());
    let rate = rate.prop_filter_map("a rate", |(count, per_ms, burst)| {
        Rate::new(count, NonZeroU64::new(per_ms)?, burst)
    });
    (option::of(non_zero_u32()), option::of(non_zero_u32()), option::of(rate))
        .prop_map(|(max_running, max_running_per_key, rate)| Limits {
            max_running,
            max_running_per_key,
            rate,
        })
        .boxed()
}

fn timing() -> BoxedStrategy<Timing> {
    prop_oneof![
        // Texts that this library cannot read must come back too.
        ("\\PC{0,40}", "\\PC{0,20}")
            .prop_map(|(expression, zone)| Timing::Cron(CronSpec::from_stored(&expression, &zone))),
        (any::<NonZeroU64>(), option::of(timestamp()))
            .prop_map(|(period_ms, anchor)| Timing::Interval { period_ms, anchor }),
        timestamp().prop_map(|at| Timing::OneTime { at }),
        Just(Timing::Immediate),
    ]
    .boxed()
}

fn retry_policy() -> BoxedStrategy<RetryPolicy> {
    let backoff = (any::<u64>(), non_zero_u32(), any::<u64>(), any::<u8>());
    let on_exhausted = select(&[OnExhausted::Disable, OnExhausted::Continue][..]);
    (any::<u32>(), backoff, on_exhausted)
        .prop_map(|(max_retries, (base_ms, factor, cap_ms, jitter_percent), on_exhausted)| RetryPolicy {
            max_retries,
            backoff: Backoff { base_ms, factor, cap_ms, jitter_percent },
            on_exhausted,
        })
        .boxed()
}

fn outcome() -> BoxedStrategy<Outcome> {
    let class = prop_oneof![
        Just(FailureClass::Retryable),
        any::<u64>().prop_map(|delay_ms| FailureClass::RetryAfter { delay_ms }),
        Just(FailureClass::Permanent),
    ];
    prop_oneof![
        Just(Outcome::Succeeded(())),
        (class, text(), vec(text(), 0..4)).prop_map(|(class, message, sources)| Outcome::Failed(Failure {
            class,
            message,
            sources
        })),
        any::<u64>().prop_map(|timeout_ms| Outcome::TimedOut { timeout_ms }),
        text().prop_map(|message| Outcome::Panicked { message }),
        any::<u64>().prop_map(|for_ms| Outcome::Snoozed { for_ms }),
    ]
    .boxed()
}

fn then() -> BoxedStrategy<Then> {
    prop_oneof![
        (work(), any::<u32>(), any::<u32>())
            .prop_map(|(work, failures, losses)| Then::Retry { work, counts: Counts { failures, losses } }),
        work().prop_map(Then::Next),
        Just(Then::Finish),
        disabled_reason().prop_map(Then::Disable),
    ]
    .boxed()
}

fn disabled_reason() -> BoxedStrategy<DisabledReason> {
    prop_oneof![
        any::<u32>().prop_map(|failures| DisabledReason::Exhausted { failures }),
        Just(DisabledReason::Permanent),
        any::<u32>().prop_map(|losses| DisabledReason::Losses { losses }),
        text().prop_map(|error| DisabledReason::Schedule { error }),
        (actor(), text()).prop_map(|(by, reason)| DisabledReason::Said { by, reason }),
    ]
    .boxed()
}

fn moved_on() -> BoxedStrategy<MovedOn> {
    (then(), progress()).prop_map(|(then, progress)| MovedOn { then, progress }).boxed()
}

fn passed() -> BoxedStrategy<Passed> {
    let misses = [Miss::Late, Miss::Paused, Miss::OverLimit, Miss::Redefined, Miss::Ended, Miss::Withdrawn];
    let fate = prop_oneof![
        proptest::sample::select(misses.to_vec()).prop_map(Fate::Missed),
        timestamp().prop_map(|into| Fate::Merged { into }),
        Just(Fate::Skipped(Skip::Overlap)),
    ];
    (timestamp(), timestamp(), any::<u64>(), any::<bool>(), fate)
        .prop_map(|(from, to, number, exact, fate)| Passed { from, to, count: Count { number, exact }, fate })
        .boxed()
}

fn work() -> BoxedStrategy<Work> {
    (timestamp(), non_zero_u32(), timestamp())
        .prop_map(|(occurrence, attempt, run_at)| Work { occurrence, attempt, run_at })
        .boxed()
}

fn progress() -> BoxedStrategy<Progress> {
    let backlog = (timestamp(), timestamp()).prop_map(|(next, through)| Run { next, through });
    (timestamp(), option::of(backlog), option::of(timestamp()))
        .prop_map(|(decided_through, backlog, buffered)| Progress { decided_through, backlog, buffered })
        .boxed()
}

/// Any instant, its ends more often than chance would have them.
pub(crate) fn timestamp() -> BoxedStrategy<Timestamp> {
    prop_oneof![
        1 => Just(Timestamp::MIN),
        1 => Just(Timestamp::MAX),
        1 => Just(Timestamp::UNIX_EPOCH),
        8 => (Timestamp::MIN.unix_ms()..=Timestamp::MAX.unix_ms())
            .prop_map(|ms| parsed(Timestamp::from_unix_ms(ms))),
    ]
    .boxed()
}

fn digest() -> BoxedStrategy<PayloadDigest> {
    (any::<u64>(), any::<[u8; 32]>()).prop_map(|(bytes, blake3)| PayloadDigest { bytes, blake3 }).boxed()
}

/// Names that are allowed, hostile ones among them.
fn name() -> BoxedStrategy<String> {
    prop_oneof![
        4 => "[a-z][a-z0-9_-]{0,30}",
        1 => Just("x".repeat(255)),
        1 => Just("'; DROP TABLE azoth_log; --".to_owned()),
        2 => "[a-zäλ名\u{202E} ]{0,20}z",
    ]
    .boxed()
}

fn task_id() -> BoxedStrategy<TaskId> {
    name().prop_map(|name| parsed(TaskId::new(name))).boxed()
}

fn event_type() -> BoxedStrategy<EventType> {
    name().prop_map(|name| parsed(EventType::new(name))).boxed()
}

fn actor() -> BoxedStrategy<Actor> {
    name().prop_map(|name| parsed(Actor::new(name))).boxed()
}

fn execution_id() -> BoxedStrategy<ExecutionId> {
    any::<u128>().prop_map(ExecutionId::from_u128).boxed()
}

/// Any text, also one that had to be cut.
fn text() -> BoxedStrategy<ErrorText> {
    prop_oneof![
        8 => any::<String>().prop_map(ErrorText::new),
        1 => Just(ErrorText::new("ü".repeat(4000))),
    ]
    .boxed()
}

fn non_zero_u32() -> BoxedStrategy<NonZeroU32> {
    any::<NonZeroU32>().boxed()
}

fn parsed<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.expect("the strategy makes only what is allowed")
}
