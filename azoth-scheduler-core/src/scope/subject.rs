//! Which tasks a scope means.

use core::fmt;

use crate::id::{ConcurrencyKey, NameError, TaskType};
use crate::task::TaskDefinition;

/// Which tasks are meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All of them.
    Everything,
    /// Those of a type.
    TaskType(TaskType),
    /// Those with a concurrency key, of whatever type.
    Key(ConcurrencyKey),
}

impl Scope {
    /// The tasks of this type.
    ///
    /// # Errors
    /// [`NameError`] for a name that breaks a rule.
    pub fn task_type(name: impl AsRef<str>) -> Result<Self, NameError> {
        TaskType::new(name).map(Scope::TaskType)
    }

    /// The tasks with this concurrency key.
    ///
    /// # Errors
    /// [`NameError`] for a name that breaks a rule.
    pub fn key(name: impl AsRef<str>) -> Result<Self, NameError> {
        ConcurrencyKey::new(name).map(Scope::Key)
    }

    /// The scopes that a task of this definition is in.
    pub fn all_of(definition: &TaskDefinition) -> impl Iterator<Item = Scope> + '_ {
        let key = definition.concurrency_key.clone().map(Scope::Key);
        [Scope::Everything, Scope::TaskType(definition.task_type.clone())].into_iter().chain(key)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Everything => f.write_str("everything"),
            Scope::TaskType(name) => write!(f, "task type {name:?}"),
            Scope::Key(key) => write!(f, "concurrency key {key:?}"),
        }
    }
}
