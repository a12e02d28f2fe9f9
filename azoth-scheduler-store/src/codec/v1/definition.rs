//! A task's definition as it is stored.

use std::num::{NonZeroU32, NonZeroU64};

use azoth_scheduler_core::dependency;
use azoth_scheduler_core::id::{ConcurrencyKey, GroupName, IdempotencyKey, TaskType};
use azoth_scheduler_core::payload::PayloadDigest;
use azoth_scheduler_core::retry;
use azoth_scheduler_core::schedule::{self, CronSpec};
use azoth_scheduler_core::task::{self, TaskDefinition};
use azoth_scheduler_core::unique::{self, Holds};
use bincode::Options;
use serde::{Deserialize, Serialize};

use super::stored::{Invalid, Stored, named, names, stored_words};
use crate::codec::bytes::{Bytes, Nested};
use crate::codec::encoding::options;
use crate::codec::recent::Recent;

/// The common part is written as a byte string, and read as one: by its bytes a decoder knows that it has met it before.
#[derive(Serialize, Deserialize)]
pub(super) struct Definition<'a, C> {
    common: C,
    payload: Digest,
    #[serde(borrow)]
    timing: Timing<'a>,
    not_before: Option<i64>,
    not_after: Option<i64>,
    concurrency_key: Option<&'a str>,
    #[serde(borrow)]
    after: Option<After<'a>>,
    #[serde(borrow)]
    unique: Option<Unique<'a>>,
}

/// What many definitions have in common, as they come from few handlers: a type and its policies.
#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct Common<'a> {
    task_type: &'a str,
    group: Option<&'a str>,
    max_runs: Option<NonZeroU32>,
    misfire: Misfire,
    overlap: Overlap,
    jitter_ms: u32,
    retry: RetryPolicy,
    timeout_ms: NonZeroU64,
    priority: Priority,
}

/// The same as core has it.
#[derive(Clone, Debug)]
pub(in crate::codec) struct CommonPart {
    task_type: TaskType,
    group: Option<GroupName>,
    max_runs: Option<NonZeroU32>,
    misfire: schedule::Misfire,
    overlap: schedule::Overlap,
    jitter_ms: u32,
    retry: retry::RetryPolicy,
    timeout_ms: NonZeroU64,
    priority: task::Priority,
}

#[derive(Serialize, Deserialize)]
struct After<'a> {
    #[serde(borrow)]
    tasks: Vec<&'a str>,
    on_failure: OnDependencyFailure,
}

#[derive(Serialize, Deserialize)]
struct Unique<'a> {
    key: &'a str,
    /// Milliseconds; none: while it is pending.
    for_ms: Option<NonZeroU64>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Digest {
    bytes: u64,
    blake3: Bytes<32>,
}

#[derive(Serialize, Deserialize)]
enum Timing<'a> {
    Cron { expression: &'a str, zone: &'a str },
    Interval { period_ms: NonZeroU64, anchor: Option<i64> },
    OneTime { at: i64 },
    Immediate,
}

#[derive(Serialize, Deserialize)]
struct Misfire {
    policy: MisfirePolicy,
    grace_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) enum MisfirePolicy {
    RunOnce,
    Skip,
    CatchUp { limit: NonZeroU32 },
}

#[derive(Serialize, Deserialize)]
struct RetryPolicy {
    max_retries: u32,
    backoff: Backoff,
    on_exhausted: OnExhausted,
}

#[derive(Serialize, Deserialize)]
struct Backoff {
    base_ms: u64,
    factor: NonZeroU32,
    cap_ms: u64,
    jitter_percent: u8,
}

stored_words! {
    Overlap = schedule::Overlap { Skip, BufferOne }
    OnExhausted = retry::OnExhausted { Disable, Continue }
    Priority = task::Priority { Critical, High, Normal, Low }
    OnDependencyFailure = dependency::OnDependencyFailure { Cancel, RunAnyway }
}

impl<'a> Definition<'a, Nested<Common<'a>>> {
    /// Its stored form.
    pub(super) fn of(core: &'a TaskDefinition) -> Self {
        Self {
            common: Nested(Common::of(core)),
            payload: Digest::store(&core.payload),
            timing: Timing::store(&core.schedule.timing),
            not_before: Option::store(&core.schedule.not_before),
            not_after: Option::store(&core.schedule.not_after),
            concurrency_key: core.concurrency_key.as_ref().map(ConcurrencyKey::as_str),
            after: Option::store(&core.after),
            unique: Option::store(&core.unique),
        }
    }
}

impl Definition<'_, &[u8]> {
    /// The definition that was stored, if it can be one.
    pub(super) fn restore(self, met: &mut Recent<CommonPart>) -> Result<TaskDefinition, Invalid> {
        let common = met.get(self.common, || Common::restore(self.common))?;
        let CommonPart {
            task_type,
            group,
            max_runs,
            misfire,
            overlap,
            jitter_ms,
            retry,
            timeout_ms,
            priority,
        } = common;
        let schedule = schedule::Schedule {
            timing: self.timing.restore()?,
            not_before: self.not_before.restore()?,
            not_after: self.not_after.restore()?,
            max_runs,
            misfire,
            overlap,
            jitter_ms,
        };
        Ok(TaskDefinition {
            task_type,
            payload: self.payload.restore()?,
            schedule,
            retry,
            timeout_ms,
            priority,
            group,
            concurrency_key: self.concurrency_key.map(ConcurrencyKey::new).transpose()?,
            after: self.after.restore()?,
            unique: self.unique.restore()?,
        })
    }
}

impl<'a> Common<'a> {
    fn of(core: &'a TaskDefinition) -> Self {
        Self {
            task_type: core.task_type.as_str(),
            group: core.group.as_ref().map(GroupName::as_str),
            max_runs: core.schedule.max_runs,
            misfire: Misfire::store(&core.schedule.misfire),
            overlap: Overlap::store(&core.schedule.overlap),
            jitter_ms: core.schedule.jitter_ms,
            retry: RetryPolicy::store(&core.retry),
            timeout_ms: core.timeout_ms,
            priority: Priority::store(&core.priority),
        }
    }

    fn restore(bytes: &'a [u8]) -> Result<CommonPart, Invalid> {
        let stored: Self = options().deserialize(bytes)?;
        Ok(CommonPart {
            task_type: TaskType::new(stored.task_type)?,
            group: stored.group.map(GroupName::new).transpose()?,
            max_runs: stored.max_runs,
            misfire: stored.misfire.restore()?,
            overlap: stored.overlap.restore()?,
            jitter_ms: stored.jitter_ms,
            retry: stored.retry.restore()?,
            timeout_ms: stored.timeout_ms,
            priority: stored.priority.restore()?,
        })
    }
}

impl<'a> Stored<'a> for After<'a> {
    type Core = dependency::After;

    fn store(core: &'a dependency::After) -> Self {
        let on_failure = OnDependencyFailure::store(&core.on_failure());
        Self { tasks: names(core.tasks()), on_failure }
    }

    fn restore(self) -> Result<dependency::After, Invalid> {
        Ok(dependency::After::new(named(self.tasks)?, self.on_failure.restore()?)?)
    }
}

impl<'a> Stored<'a> for Unique<'a> {
    type Core = unique::Unique;

    fn store(core: &'a unique::Unique) -> Self {
        let for_ms = match core.holds {
            Holds::WhilePending => None,
            Holds::For { ms } => Some(ms),
        };
        Self { key: core.key.as_str(), for_ms }
    }

    fn restore(self) -> Result<unique::Unique, Invalid> {
        let holds = self.for_ms.map_or(Holds::WhilePending, |ms| Holds::For { ms });
        Ok(unique::Unique { key: IdempotencyKey::new(self.key)?, holds })
    }
}

impl Stored<'_> for Digest {
    type Core = PayloadDigest;

    fn store(core: &PayloadDigest) -> Self {
        Self { bytes: core.bytes, blake3: Bytes(core.blake3) }
    }

    fn restore(self) -> Result<PayloadDigest, Invalid> {
        Ok(PayloadDigest { bytes: self.bytes, blake3: self.blake3.0 })
    }
}

impl<'a> Stored<'a> for Timing<'a> {
    type Core = schedule::Timing;

    fn store(core: &'a schedule::Timing) -> Self {
        match core {
            schedule::Timing::Cron(cron) => Self::Cron { expression: cron.expression(), zone: cron.zone() },
            schedule::Timing::Interval { period_ms, anchor } => {
                Self::Interval { period_ms: *period_ms, anchor: Option::store(anchor) }
            }
            schedule::Timing::OneTime { at } => Self::OneTime { at: i64::store(at) },
            schedule::Timing::Immediate => Self::Immediate,
        }
    }

    fn restore(self) -> Result<schedule::Timing, Invalid> {
        Ok(match self {
            // Not parsed: a replay must read what an older library understood and this one may not.
            Self::Cron { expression, zone } => {
                schedule::Timing::Cron(CronSpec::from_stored(expression, zone))
            }
            Self::Interval { period_ms, anchor } => {
                schedule::Timing::Interval { period_ms, anchor: anchor.restore()? }
            }
            Self::OneTime { at } => schedule::Timing::OneTime { at: at.restore()? },
            Self::Immediate => schedule::Timing::Immediate,
        })
    }
}

impl Stored<'_> for Misfire {
    type Core = schedule::Misfire;

    fn store(core: &schedule::Misfire) -> Self {
        Self { policy: MisfirePolicy::store(&core.policy), grace_ms: core.grace_ms }
    }

    fn restore(self) -> Result<schedule::Misfire, Invalid> {
        Ok(schedule::Misfire { policy: self.policy.restore()?, grace_ms: self.grace_ms })
    }
}

impl Stored<'_> for MisfirePolicy {
    type Core = schedule::MisfirePolicy;

    fn store(core: &schedule::MisfirePolicy) -> Self {
        match *core {
            schedule::MisfirePolicy::RunOnce => MisfirePolicy::RunOnce,
            schedule::MisfirePolicy::Skip => MisfirePolicy::Skip,
            schedule::MisfirePolicy::CatchUp { limit } => MisfirePolicy::CatchUp { limit },
        }
    }

    fn restore(self) -> Result<schedule::MisfirePolicy, Invalid> {
        Ok(match self {
            MisfirePolicy::RunOnce => schedule::MisfirePolicy::RunOnce,
            MisfirePolicy::Skip => schedule::MisfirePolicy::Skip,
            MisfirePolicy::CatchUp { limit } => schedule::MisfirePolicy::CatchUp { limit },
        })
    }
}

impl Stored<'_> for RetryPolicy {
    type Core = retry::RetryPolicy;

    fn store(core: &retry::RetryPolicy) -> Self {
        let retry::Backoff { base_ms, factor, cap_ms, jitter_percent } = core.backoff;
        Self {
            max_retries: core.max_retries,
            backoff: Backoff { base_ms, factor, cap_ms, jitter_percent },
            on_exhausted: OnExhausted::store(&core.on_exhausted),
        }
    }

    fn restore(self) -> Result<retry::RetryPolicy, Invalid> {
        let Backoff { base_ms, factor, cap_ms, jitter_percent } = self.backoff;
        Ok(retry::RetryPolicy {
            max_retries: self.max_retries,
            backoff: retry::Backoff { base_ms, factor, cap_ms, jitter_percent },
            on_exhausted: self.on_exhausted.restore()?,
        })
    }
}
