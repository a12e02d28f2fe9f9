//! The store in an SQLite file, alone and beside the one in memory.

use std::path::Path;
use std::sync::Arc;

use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::conformance::{
    CutsItsLog, StoreFactory, random_walk, random_walk_cutting, random_walk_reopening,
};
use azoth_scheduler_store::sqlite::{CutOptions, SqliteOptions, Synchronous};
use azoth_scheduler_store::{
    CutReport, LogPosition, MemoryStore, SqliteStore, Store, StoreError, conformance_tests,
};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::memory::InMemory;
use crate::walk::{cases, wait_for};

/// A file in a folder that goes with the test.
struct InFile(TempDir, Synchronous);

impl InFile {
    fn new() -> Self {
        Self::synced(Synchronous::Full)
    }

    fn synced(synchronous: Synchronous) -> Self {
        let folder = tempfile::tempdir().expect("the test may write to the folder for temporary files");
        Self(folder, synchronous)
    }
}

#[async_trait::async_trait]
impl StoreFactory for InFile {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(open(self.0.path(), self.1))
    }
}

/// Another handle cuts, as another process would.
#[async_trait::async_trait]
impl CutsItsLog for InFile {
    async fn cut(&self, through: LogPosition, now: Timestamp) -> Result<CutReport, StoreError> {
        let store = open(self.0.path(), self.1);
        let archive = self.0.path().join(format!("{:010}.jsonl", store.head().await?.number()));
        store.cut_log(CutOptions::archive_to(archive).through(through), now).await
    }
}

impl InFile {
    /// The archives of the cuts, and what is left, are the whole log.
    async fn is_whole_with_its_archives(&self) -> Result<(), Box<dyn std::error::Error>> {
        let store = open(self.0.path(), self.1);
        store.export_to(self.0.path().join("9999999999.jsonl")).await?;
        let mut parts = Vec::new();
        for entry in std::fs::read_dir(self.0.path())? {
            parts.push(entry?.path());
        }
        parts.retain(|path| path.extension() == Some("jsonl".as_ref()));
        parts.sort();
        let whole = self.0.path().join("whole.db");
        let whole = SqliteStore::import(whole, &parts, options(self.1)).await?;
        let (left, right) = (store.verify().await?, whole.verify().await?);
        assert_eq!((left.head, left.head_hash, left.tasks), (right.head, right.head_hash, right.tasks));
        assert_eq!(whole.stats(Timestamp::UNIX_EPOCH).await?.cut, LogPosition::START);
        Ok(())
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

    /// I20, I21: nor when the oldest part of its log is cut.
    #[test]
    fn a_file_whose_log_is_cut_answers_like_the_reference(seed in any::<u64>(), steps in 1..250usize) {
        let reference = InMemory(MemoryStore::new());
        let file = InFile::synced(Synchronous::Normal);
        wait_for(async {
            random_walk_cutting(&reference, &file, seed, steps).await;
            file.is_whole_with_its_archives().await.expect("they can be read and imported");
        });
    }
}

fn open(folder: &Path, synchronous: Synchronous) -> SqliteStore {
    let path = folder.join("scheduler.db");
    SqliteStore::open_with(path, options(synchronous)).expect("the file can be opened")
}

fn options(synchronous: Synchronous) -> SqliteOptions {
    let old = std::env::var_os("AZOTH_ALLOW_OLD_SQLITE_IN_TESTS").is_some_and(|value| value == "1");
    SqliteOptions::new().synchronous(synchronous).allow_old_sqlite(old)
}
