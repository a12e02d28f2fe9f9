//! Who works on the log, and who reads it: workers and consumers, as they are kept.

use std::collections::BTreeMap;

use crate::record::LogPosition;
use crate::store::{DeadLetter, WorkerRow};

/// A worker that was registered. It stays here when it has ended, since orphans tell when it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Worker {
    pub(super) row: WorkerRow,
    pub(super) ended: bool,
}

/// A consumer and what it could not handle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Consumer {
    pub(super) cursor: LogPosition,
    pub(super) dead_letters: BTreeMap<LogPosition, DeadLetter>,
    /// Those that are to be handled again.
    pub(super) requeued: BTreeMap<LogPosition, DeadLetter>,
}
