//! Jobs that fail or panic, commits that fail, and a file that was replaced.

use super::*;
use crate::sqlite::{SqliteOptions, SqliteStore, head};
use crate::store::Store;

fn store(folder: &tempfile::TempDir) -> SqliteStore {
    let options = SqliteOptions::new().allow_old_sqlite(true);
    SqliteStore::open_with(folder.path().join("scheduler.db"), options).unwrap()
}

type Work<T> = Box<dyn FnMut(&mut Group<'_>) -> Result<T, StoreError> + Send>;

/// Has each of these done in one transaction: the first of them is only done once all of them wait.
async fn together<T: Send + 'static>(store: &SqliteStore, works: Vec<Work<T>>) -> Vec<Result<T, StoreError>> {
    let lock = Connection::open(store.path()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let callers = works.into_iter().map(|work| {
        let store = store.clone();
        tokio::spawn(async move { store.write(work).await })
    });
    let callers: Vec<_> = callers.collect();
    for _ in 0..callers.len() {
        tokio::task::yield_now().await;
    }
    lock.execute_batch("COMMIT").unwrap();
    let mut answers = Vec::new();
    for caller in callers {
        answers.push(caller.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn job_that_panics_or_fails_takes_nobody_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let answers = together::<u64>(
        &store,
        vec![
            Box::new(|group| Ok(group.head().position)),
            Box::new(|_| panic!("a defect")),
            Box::new(|_| Err(cell::corrupt("a damaged task"))),
            Box::new(|group| Ok(group.head().position)),
        ],
    )
    .await;
    let defect = StoreError::Defect { detail: "a defect".into() };
    assert_eq!(answers, [Ok(0), Err(defect), Err(cell::corrupt("a damaged task")), Ok(0)]);
    assert!(store.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn commit_that_fails_is_unknown_to_all_and_the_writer_goes_on_with_a_new_connection() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let veto = |group: &mut Group<'_>| -> Result<u64, StoreError> {
        let _ = group.conn().commit_hook(Some(|| true));
        head::Head::touch(group.conn())?;
        Ok(1)
    };
    let answers = together(&store, vec![Box::new(veto), Box::new(|_| Ok(2))]).await;
    for answer in answers {
        let error = answer.unwrap_err();
        assert!(matches!(error, StoreError::Unknown { .. }) && error.is_unknown(), "{error}");
    }
    assert_eq!(store.write(|_| Ok(3)).await, Ok(3));
    assert!(store.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn another_database_in_the_place_of_the_opened_one_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let others = tempfile::tempdir().unwrap();
    let (ours, theirs) = (store(&folder), store(&others));
    let theirs = {
        let path = theirs.path().to_owned();
        drop(theirs);
        path
    };
    let veto = |group: &mut Group<'_>| {
        let _ = group.conn().commit_hook(Some(|| true));
        head::Head::touch(group.conn())
    };
    std::fs::rename(&theirs, ours.path()).unwrap();
    for ending in ["-wal", "-shm"] {
        let mut name = ours.path().as_os_str().to_owned();
        name.push(ending);
        std::fs::remove_file(name).unwrap();
    }
    for _ in 0..2 {
        let error = ours.write(veto).await.unwrap_err();
        assert!(matches!(error, StoreError::Replaced { .. }), "{error}");
    }
}

/// A job of which nobody hears again.
struct Bomb;

impl Job for Bomb {
    fn is_abandoned(&self) -> bool {
        false
    }

    fn run(&mut self, _group: &mut Group<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn answer(self: Box<Self>, _outcome: Result<(), StoreError>) {
        panic!("outside of every transaction");
    }
}

#[tokio::test]
async fn writer_that_panics_outside_of_a_transaction_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    store.shared.writer.mailbox.as_ref().unwrap().put(Box::new(Bomb)).await.unwrap();
    let answer = store.write(|group| Ok(group.head().position)).await;
    // It may have shared the transaction, and then it is not known what became of it.
    assert!(matches!(&answer, Ok(0) | Err(StoreError::Closed { .. })), "{answer:?}");
    assert_eq!(store.write(|group| Ok(group.head().position)).await, Ok(0));
    assert!(store.verify().await.unwrap().is_sound());
}
