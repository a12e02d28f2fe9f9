//! How an execution ended, as it is stored.

use azoth_scheduler_core::execution;
use serde::{Deserialize, Serialize};

use super::stored::{Invalid, Stored};

#[derive(Serialize, Deserialize)]
pub(super) enum Outcome<'a> {
    Succeeded,
    Failed(#[serde(borrow)] Failure<'a>),
    TimedOut { timeout_ms: u64 },
    Panicked { message: &'a str },
    Snoozed { for_ms: u64 },
}

#[derive(Serialize, Deserialize)]
pub(super) struct Failure<'a> {
    class: FailureClass,
    message: &'a str,
    #[serde(borrow)]
    sources: Vec<&'a str>,
}

#[derive(Serialize, Deserialize)]
enum FailureClass {
    Retryable,
    RetryAfter { delay_ms: u64 },
    Permanent,
}

impl<'a> Stored<'a> for Outcome<'a> {
    type Core = execution::Outcome;

    fn store(core: &'a execution::Outcome) -> Self {
        match core {
            execution::Outcome::Succeeded(()) => Self::Succeeded,
            execution::Outcome::Failed(failure) => Self::Failed(Failure::store(failure)),
            execution::Outcome::TimedOut { timeout_ms } => Self::TimedOut { timeout_ms: *timeout_ms },
            execution::Outcome::Panicked { message } => Self::Panicked { message: <&str>::store(message) },
            execution::Outcome::Snoozed { for_ms } => Self::Snoozed { for_ms: *for_ms },
        }
    }

    fn restore(self) -> Result<execution::Outcome, Invalid> {
        Ok(match self {
            Self::Succeeded => execution::Outcome::Succeeded(()),
            Self::Failed(failure) => execution::Outcome::Failed(failure.restore()?),
            Self::TimedOut { timeout_ms } => execution::Outcome::TimedOut { timeout_ms },
            Self::Panicked { message } => execution::Outcome::Panicked { message: message.restore()? },
            Self::Snoozed { for_ms } => execution::Outcome::Snoozed { for_ms },
        })
    }
}

impl<'a> Stored<'a> for Failure<'a> {
    type Core = execution::Failure;

    fn store(core: &'a execution::Failure) -> Self {
        let class = match core.class {
            execution::FailureClass::Retryable => FailureClass::Retryable,
            execution::FailureClass::RetryAfter { delay_ms } => FailureClass::RetryAfter { delay_ms },
            execution::FailureClass::Permanent => FailureClass::Permanent,
        };
        Self { class, message: <&str>::store(&core.message), sources: Vec::store(&core.sources) }
    }

    fn restore(self) -> Result<execution::Failure, Invalid> {
        let class = match self.class {
            FailureClass::Retryable => execution::FailureClass::Retryable,
            FailureClass::RetryAfter { delay_ms } => execution::FailureClass::RetryAfter { delay_ms },
            FailureClass::Permanent => execution::FailureClass::Permanent,
        };
        let message = self.message.restore()?;
        Ok(execution::Failure { class, message, sources: self.sources.restore()? })
    }
}
