//! A due task, as the indexes of due tasks have it.

use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::time::Timestamp;

use super::cell;
use super::task_row::Cells;
use crate::error::StoreError;

/// Where a task stands in its lane: the instant from which it may be claimed, then its key.
pub(super) type Spot = (i64, i64);

/// A due task. They compare by the instant from which they may be claimed, then by key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub(super) ready: i64,
    pub(super) key: i64,
    pub(super) id: TaskId,
    pub(super) losses: i64,
    pub(super) has_key: bool,
}

impl Due {
    pub(super) fn new(ready: i64, key: i64, id: TaskId) -> Self {
        Self { ready, key, id, losses: 0, has_key: false }
    }

    /// One that was scheduled a moment ago, without a key and so without a loss.
    pub(super) fn fresh(ready: i64, key: u64, id: &TaskId) -> Self {
        Self::new(ready, cell::int(key), id.clone())
    }

    /// As its row says; `None` where that has it wait for something else than its turn.
    pub(super) fn of(cells: &Cells) -> Option<Self> {
        let (key, id, losses) = (cells.key, cells.id.id().clone(), cells.losses);
        let has_key = cells.concurrency_key.is_some();
        cells.ready.map(|ready| Self { ready, key, id, losses, has_key })
    }

    pub(super) fn spot(&self) -> Spot {
        (self.ready, self.key)
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
