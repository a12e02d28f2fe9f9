//! How the suite comes to a store.

use std::sync::Arc;

use async_trait::async_trait;
use azoth_scheduler_core::time::Timestamp;

use crate::error::StoreError;
use crate::record::LogPosition;
use crate::report::CutReport;
use crate::store::Store;

/// One place where a store is kept.
#[async_trait]
pub trait StoreFactory: Send + Sync {
    /// Opens the store: an empty one the first time, and what was left there every time after. Whoever held it before
    /// has let go of it. A store that keeps nothing gives out the same one again.
    async fn open(&self) -> Arc<dyn Store>;
}

/// One place where a store is kept that can cut the oldest part of its log.
#[async_trait]
pub trait CutsItsLog: StoreFactory {
    /// Cuts the log, at the end of a transaction and at `through` at the most, while the store is open.
    ///
    /// # Errors
    /// What the store says.
    async fn cut(&self, through: LogPosition, now: Timestamp) -> Result<CutReport, StoreError>;
}
