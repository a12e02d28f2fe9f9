//! The store in an SQLite file, alone and beside the one in memory.

use std::path::Path;
use std::sync::Arc;

use azoth_scheduler_store::conformance::{StoreFactory, random_walk, random_walk_reopening};
use azoth_scheduler_store::sqlite::{SqliteOptions, Synchronous};
use azoth_scheduler_store::{MemoryStore, SqliteStore, Store, conformance_tests};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::memory::InMemory;
use crate::walk::{cases, wait_for};

/// A file in a folder that goes with the test.
struct InFile(TempDir);

impl InFile {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("the test may write to the folder for temporary files"))
    }
}

#[async_trait::async_trait]
impl StoreFactory for InFile {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(open(self.0.path(), Synchronous::Full))
    }
}

conformance_tests!(InFile::new());

proptest! {
    #![proptest_config(cases(12))]

    /// I5: whatever the reference answers, the file answers too.
    #[test]
    fn a_file_answers_like_the_reference(seed in any::<u64>(), steps in 1..250usize) {
        let folder = InFile::new();
        let file = open(folder.0.path(), Synchronous::Normal);
        wait_for(random_walk(&MemoryStore::new(), &file, seed, steps));
    }

    /// I1: nor does it forget anything when it is closed and opened again.
    #[test]
    fn a_file_that_is_opened_again_answers_like_the_reference(seed in any::<u64>(), steps in 1..150usize) {
        let reference = InMemory(MemoryStore::new());
        wait_for(random_walk_reopening(&reference, &InFile::new(), seed, steps));
    }
}

fn open(folder: &Path, synchronous: Synchronous) -> SqliteStore {
    let old = std::env::var_os("AZOTH_ALLOW_OLD_SQLITE_IN_TESTS").is_some_and(|value| value == "1");
    let options = SqliteOptions::new().synchronous(synchronous).allow_old_sqlite(old);
    SqliteStore::open_with(folder.join("scheduler.db"), options).expect("the file can be opened")
}
