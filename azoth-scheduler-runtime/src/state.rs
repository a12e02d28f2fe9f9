//! Values that handlers share: connections, clients, configuration.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A value registered by `with_state`, as a handler gets it. Cheap to clone.
///
/// ```
/// use azoth_scheduler_runtime::{StateMap, State};
///
/// struct Mailer { from: String }
///
/// let mut states = StateMap::default();
/// states.insert(Mailer { from: "noreply@example.org".into() });
/// let mailer: State<Mailer> = states.require()?;
/// assert_eq!(mailer.from, "noreply@example.org");
/// # Ok::<(), azoth_scheduler_runtime::MissingState>(())
/// ```
pub struct State<T>(Arc<T>);

/// The values that were registered, one of each type.
#[derive(Clone, Default)]
pub struct StateMap {
    values: HashMap<TypeId, (&'static str, Arc<dyn Any + Send + Sync>)>,
}

/// A value that a handler needs and that was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {type_name} was registered, only {known:?}: add `.with_state(..)` with one to the builder")]
#[non_exhaustive]
pub struct MissingState {
    /// The type that is missing.
    pub type_name: &'static str,
    /// The types that were registered.
    pub known: Vec<&'static str>,
}

impl<T> State<T> {
    /// Wraps a value, for calling a function that takes a `State` in a test.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// The value, shared.
    pub fn into_arc(self) -> Arc<T> {
        self.0
    }
}

impl StateMap {
    /// Registers a value; an earlier one of the same type is replaced.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), (type_name::<T>(), Arc::new(value)));
    }

    /// The value of this type, if one was registered.
    pub fn find<T: Send + Sync + 'static>(&self) -> Option<State<T>> {
        let (_, value) = self.values.get(&TypeId::of::<T>())?;
        Arc::clone(value).downcast().ok().map(State)
    }

    /// The value of this type.
    ///
    /// # Errors
    /// [`MissingState`] when none was registered; it names the types that were.
    pub fn require<T: Send + Sync + 'static>(&self) -> Result<State<T>, MissingState> {
        self.find().ok_or_else(|| {
            let mut known: Vec<_> = self.values.values().map(|(name, _)| *name).collect();
            known.sort_unstable();
            MissingState { type_name: type_name::<T>(), known }
        })
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for State<T> {
    /// Names the type, never the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State<{}>", type_name::<T>())
    }
}

impl fmt::Debug for StateMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.values().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_value_is_named_with_those_that_are_there() {
        let mut states = StateMap::default();
        states.insert(7u32);
        let error = states.require::<String>().unwrap_err();
        assert_eq!((error.type_name, error.known.as_slice()), ("alloc::string::String", &["u32"][..]));
    }
}
