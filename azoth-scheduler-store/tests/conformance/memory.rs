//! The store in memory.

use std::sync::Arc;

use azoth_scheduler_store::conformance::StoreFactory;
use azoth_scheduler_store::{MemoryStore, Store, conformance_tests};

struct InMemory(MemoryStore);

#[async_trait::async_trait]
impl StoreFactory for InMemory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }
}

conformance_tests!(InMemory(MemoryStore::new()));
