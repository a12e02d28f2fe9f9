//! How many tasks of a scope may run, and how often they may start.

use core::num::NonZeroU32;

use super::rate::Rate;
use super::subject::Scope;

/// Limits of a scope, the same for every process. A limit that is not given does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// At most so many of its tasks run at once.
    pub max_running: Option<NonZeroU32>,
    /// At most so many of its tasks run at once for each concurrency key that has no limit of its own.
    pub max_running_per_key: Option<NonZeroU32>,
    /// At most so many of its tasks start per span.
    pub rate: Option<Rate>,
}

/// How the limits of a scope change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitsChange {
    /// A program declares them; they hold until somebody sets others.
    Declared(Limits),
    /// Somebody sets them, whatever was declared.
    Set(Limits),
    /// Those that were set hold no longer, and those that were declared hold again.
    Cleared,
}

/// Limits that make no sense for their scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitsError {
    /// A limit per key was given for a key.
    #[error("a limit of {0} per key makes no sense for a single key: give it as the key's own `max_running`")]
    PerKeyOfAKey(NonZeroU32),
}

impl Limits {
    /// Whether they make sense for this scope.
    ///
    /// # Errors
    /// [`LimitsError`] says why they do not.
    pub fn check(&self, scope: &Scope) -> Result<(), LimitsError> {
        match (scope, self.max_running_per_key) {
            (Scope::Key(_), Some(limit)) => Err(LimitsError::PerKeyOfAKey(limit)),
            (Scope::Key(_) | Scope::TaskType(_) | Scope::Everything, _) => Ok(()),
        }
    }
}
