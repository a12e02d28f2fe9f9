//! Idempotency keys: the same wish again is answered with the task that the first one made.

use core::num::NonZeroU64;

use crate::id::IdempotencyKey;

/// A caller's name for a wish, and how long it stands for the task that the wish made.
///
/// Keys are shared by all task types of a store. They are promised as long as the task is there: retention takes a key
/// with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// The name.
    pub key: IdempotencyKey,
    /// How long it stands.
    pub holds: Holds,
}

/// How long an idempotency key stands for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Until the task has ended.
    WhilePending,
    /// For so many milliseconds since the task was last defined, whether or not it has ended.
    For {
        /// How long.
        ms: NonZeroU64,
    },
}
