//! What comes next and what is decided, as it is stored.

use std::num::NonZeroU32;

use azoth_scheduler_core::id::Actor;
use azoth_scheduler_core::{command, dependency, event, schedule, state};
use serde::{Deserialize, Serialize};

use super::stored::{Invalid, Stored, stored_words};

#[derive(Serialize, Deserialize)]
pub(super) struct Work {
    occurrence: i64,
    attempt: NonZeroU32,
    run_at: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Progress {
    decided_through: i64,
    backlog: Option<Run>,
    buffered: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct Run {
    next: i64,
    through: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Counts {
    failures: u32,
    losses: u32,
}

#[derive(Serialize, Deserialize)]
pub(super) struct MovedOn<'a> {
    #[serde(borrow)]
    then: Then<'a>,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
pub(super) enum Then<'a> {
    Retry { work: Work, counts: Counts },
    Next(Work),
    Finish,
    Disable(#[serde(borrow)] DisabledReason<'a>),
}

#[derive(Serialize, Deserialize)]
pub(super) enum DisabledReason<'a> {
    Exhausted { failures: u32 },
    Permanent,
    Losses { losses: u32 },
    Schedule { error: &'a str },
    Said { by: &'a str, reason: &'a str },
}

#[derive(Serialize, Deserialize)]
pub(super) struct Passed {
    from: i64,
    to: i64,
    count: u64,
    exact: bool,
    fate: Fate,
}

#[derive(Serialize, Deserialize)]
enum Fate {
    Missed(Miss),
    Merged { into: i64 },
    Skipped(Skip),
}

stored_words! {
    Miss = schedule::Miss { Late, Paused, OverLimit, Redefined, Ended, Withdrawn }
    Skip = schedule::Skip { Overlap }
    AbandonReason = command::AbandonReason { WorkerLost, ShutDown, NotStarted }
    Change = event::Change { Created, Redefined, Anew }
    DependencyEnd = dependency::DependencyEnd { Succeeded, Failed, Cancelled }
}

impl Stored<'_> for Work {
    type Core = state::Work;

    fn store(core: &state::Work) -> Self {
        Self {
            occurrence: i64::store(&core.occurrence),
            attempt: core.attempt,
            run_at: i64::store(&core.run_at),
        }
    }

    fn restore(self) -> Result<state::Work, Invalid> {
        Ok(state::Work {
            occurrence: self.occurrence.restore()?,
            attempt: self.attempt,
            run_at: self.run_at.restore()?,
        })
    }
}

impl Stored<'_> for Progress {
    type Core = state::Progress;

    fn store(core: &state::Progress) -> Self {
        Self {
            decided_through: i64::store(&core.decided_through),
            backlog: Option::store(&core.backlog),
            buffered: Option::store(&core.buffered),
        }
    }

    fn restore(self) -> Result<state::Progress, Invalid> {
        Ok(state::Progress {
            decided_through: self.decided_through.restore()?,
            backlog: self.backlog.restore()?,
            buffered: self.buffered.restore()?,
        })
    }
}

impl Stored<'_> for Run {
    type Core = schedule::Run;

    fn store(core: &schedule::Run) -> Self {
        Self { next: i64::store(&core.next), through: i64::store(&core.through) }
    }

    fn restore(self) -> Result<schedule::Run, Invalid> {
        Ok(schedule::Run { next: self.next.restore()?, through: self.through.restore()? })
    }
}

impl<'a> Stored<'a> for MovedOn<'a> {
    type Core = event::MovedOn;

    fn store(core: &'a event::MovedOn) -> Self {
        Self { then: Then::store(&core.then), progress: Progress::store(&core.progress) }
    }

    fn restore(self) -> Result<event::MovedOn, Invalid> {
        Ok(event::MovedOn { then: self.then.restore()?, progress: self.progress.restore()? })
    }
}

impl<'a> Stored<'a> for Then<'a> {
    type Core = event::Then;

    fn store(core: &'a event::Then) -> Self {
        match core {
            event::Then::Retry { work, counts: state::Counts { failures, losses } } => Self::Retry {
                work: Work::store(work),
                counts: Counts { failures: *failures, losses: *losses },
            },
            event::Then::Next(work) => Self::Next(Work::store(work)),
            event::Then::Finish => Self::Finish,
            event::Then::Disable(because) => Self::Disable(DisabledReason::store(because)),
        }
    }

    fn restore(self) -> Result<event::Then, Invalid> {
        Ok(match self {
            Self::Retry { work, counts: Counts { failures, losses } } => {
                event::Then::Retry { work: work.restore()?, counts: state::Counts { failures, losses } }
            }
            Self::Next(work) => event::Then::Next(work.restore()?),
            Self::Finish => event::Then::Finish,
            Self::Disable(because) => event::Then::Disable(because.restore()?),
        })
    }
}

impl<'a> Stored<'a> for DisabledReason<'a> {
    type Core = state::DisabledReason;

    fn store(core: &'a state::DisabledReason) -> Self {
        match core {
            state::DisabledReason::Exhausted { failures } => Self::Exhausted { failures: *failures },
            state::DisabledReason::Permanent => Self::Permanent,
            state::DisabledReason::Losses { losses } => Self::Losses { losses: *losses },
            state::DisabledReason::Schedule { error } => Self::Schedule { error: <&str>::store(error) },
            state::DisabledReason::Said { by, reason } => {
                Self::Said { by: by.as_str(), reason: <&str>::store(reason) }
            }
        }
    }

    fn restore(self) -> Result<state::DisabledReason, Invalid> {
        Ok(match self {
            Self::Exhausted { failures } => state::DisabledReason::Exhausted { failures },
            Self::Permanent => state::DisabledReason::Permanent,
            Self::Losses { losses } => state::DisabledReason::Losses { losses },
            Self::Schedule { error } => state::DisabledReason::Schedule { error: error.restore()? },
            Self::Said { by, reason } => {
                state::DisabledReason::Said { by: Actor::new(by)?, reason: reason.restore()? }
            }
        })
    }
}

impl Stored<'_> for Passed {
    type Core = schedule::Passed;

    fn store(core: &schedule::Passed) -> Self {
        let fate = match &core.fate {
            schedule::Fate::Missed(miss) => Fate::Missed(Miss::store(miss)),
            schedule::Fate::Merged { into } => Fate::Merged { into: i64::store(into) },
            schedule::Fate::Skipped(skip) => Fate::Skipped(Skip::store(skip)),
        };
        let schedule::Count { number, exact } = core.count;
        Self { from: i64::store(&core.from), to: i64::store(&core.to), count: number, exact, fate }
    }

    fn restore(self) -> Result<schedule::Passed, Invalid> {
        let fate = match self.fate {
            Fate::Missed(miss) => schedule::Fate::Missed(miss.restore()?),
            Fate::Merged { into } => schedule::Fate::Merged { into: into.restore()? },
            Fate::Skipped(skip) => schedule::Fate::Skipped(skip.restore()?),
        };
        let count = schedule::Count { number: self.count, exact: self.exact };
        Ok(schedule::Passed { from: self.from.restore()?, to: self.to.restore()?, count, fate })
    }
}
