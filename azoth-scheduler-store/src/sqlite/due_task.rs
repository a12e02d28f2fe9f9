//! A due task, as the indexes of due tasks have it.

use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::time::Timestamp;

use super::cell;
use crate::error::StoreError;

/// A due task. They compare by the instant from which they may be claimed, then by key.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub(super) ready: i64,
    pub(super) key: i64,
    pub(super) id: String,
    pub(super) losses: u32,
    pub(super) has_key: bool,
}

impl Due {
    pub(super) fn new(ready: i64, key: i64, id: String) -> Self {
        Self { ready, key, id, losses: 0, has_key: false }
    }

    /// One that was scheduled a moment ago, without a key and so without a loss.
    pub(super) fn fresh(ready: i64, key: u64, id: &TaskId) -> Self {
        Self::new(ready, cell::int(key), id.to_string())
    }

    pub(super) fn task(&self) -> Result<TaskId, StoreError> {
        TaskId::new(&self.id).map_err(|error| cell::corrupt(format!("azoth_p_tasks.id: {error}")))
    }

    pub(super) fn key(&self) -> Result<u64, StoreError> {
        cell::number(self.key, "azoth_p_tasks.key")
    }

    pub(super) fn instant(&self) -> Result<Timestamp, StoreError> {
        instant(self.ready)
    }

    /// What waits for a slot when its process dies has lost an attempt without having run, so none has lost one before;
    /// and it would hold up the others of its key.
    pub(super) fn may_wait(&self) -> bool {
        self.losses == 0 && !self.has_key
    }
}

/// An instant from which a task may be claimed.
pub(super) fn instant(ready: i64) -> Result<Timestamp, StoreError> {
    cell::instant(ready, "azoth_p_tasks.ready_ms")
}
