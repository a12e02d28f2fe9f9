//! The store in memory.

use std::sync::Arc;

use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::conformance::{CutsItsLog, StoreFactory, cases, run_all};
use azoth_scheduler_store::{CutReport, LogPosition, MemoryStore, Store, StoreError, conformance_tests};

pub(crate) struct InMemory(pub(crate) MemoryStore);

#[async_trait::async_trait]
impl StoreFactory for InMemory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }
}

#[async_trait::async_trait]
impl CutsItsLog for InMemory {
    async fn cut(&self, through: LogPosition, now: Timestamp) -> Result<CutReport, StoreError> {
        self.0.cut_log(through, now).await
    }
}

conformance_tests!(InMemory(MemoryStore::new()));

#[tokio::test]
async fn the_suite_can_be_run_at_once_and_no_case_is_listed_twice() {
    run_all(|| InMemory(MemoryStore::new())).await;
    let mut names: Vec<String> = cases().iter().map(|case| format!("{case:?}")).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}
