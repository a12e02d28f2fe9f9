//! The tasks as they were: the fold of a beginning of the log.

use async_trait::async_trait;
use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::time::Timestamp;

use super::projection::Projection;
use super::tables::{Tables, damaged};
use crate::error::StoreError;
use crate::filter::TaskFilter;
use crate::record::LogPosition;
use crate::report::StoreStats;
use crate::store::{AsOf, Past, StoredTask};

/// What a beginning of the log adds up to.
pub(super) struct MemoryPast {
    pub(super) projection: Projection,
    position: LogPosition,
}

impl Tables {
    pub(super) fn as_of(&self, then: AsOf) -> Result<MemoryPast, StoreError> {
        let position = match then {
            AsOf::Position(position) => self.known(position)?,
            AsOf::Instant(instant) => {
                let happened = self.log.partition_point(|event| event.ordered_at <= instant) as u64;
                let cut = self.cut_through().number();
                // Nobody knows any more when what was cut had happened.
                let happened = if happened < cut { cut - 1 } else { happened };
                LogPosition::from_number(happened)
            }
        };
        self.holds_behind(position)?;
        let events = self.log.partition_point(|event| event.position <= position);
        let log = self.log.get(..events).unwrap_or_default();
        let projection = Projection::replay(log).map_err(|(_, error)| damaged(&error))?;
        Ok(MemoryPast { projection, position })
    }
}

#[async_trait]
impl Past for MemoryPast {
    fn position(&self) -> LogPosition {
        self.position
    }

    async fn task(&self, id: &TaskId) -> Result<Option<StoredTask>, StoreError> {
        Ok(self.projection.task(id))
    }

    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskState>, StoreError> {
        Ok(self.projection.tasks(filter))
    }

    async fn stats(&self, now: Timestamp) -> Result<StoreStats, StoreError> {
        Ok(StoreStats {
            head: self.position,
            tasks: self.projection.indexes.counts(),
            oldest_due: self.projection.indexes.due.earliest().filter(|run_at| *run_at <= now),
            ..StoreStats::default()
        })
    }
}
