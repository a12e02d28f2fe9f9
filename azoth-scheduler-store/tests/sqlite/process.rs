//! A process that is forked, or stands still.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use azoth_scheduler_core::command::{AbandonReason, TaskCommand, Wish};
use azoth_scheduler_faults::process::{in_a_fork, resume, stop};
use azoth_scheduler_store::sqlite::rusqlite::{Connection, Transaction};
use azoth_scheduler_store::sqlite::{CutOptions, HandlerError, TransactionalEventHandler};
use azoth_scheduler_store::{
    AsOf, Batch, LogPosition, RecordedEvent, Renewal, SqliteStore, Store, StoreError,
};

use crate::support::*;

const CHILD_FILE: &str = "AZOTH_TEST_PAUSED_CHILD_FILE";

/// A handler that has nothing to do.
struct Idler;

impl TransactionalEventHandler for Idler {
    fn name(&self) -> &str {
        "idler"
    }

    fn handle(&self, _: &Transaction<'_>, _: &[RecordedEvent]) -> Result<(), HandlerError> {
        Ok(())
    }
}

#[test]
fn forked_process_is_refused_the_handle_and_harms_nobody() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let folder = Folder::new();
    let store = folder.open();
    runtime().block_on(apply(&store, at(0), [job("a")]));
    // Its threads are the parent's too.
    let watching = store.watch_head();
    let copy = store.clone();
    let refused = in_a_fork(move || {
        let is_forked = |error: StoreError| matches!(error, StoreError::Forked { .. });
        runtime().block_on(async {
            let batch = Batch { commands: vec![job("b").into()], now: at(1), offer: None };
            let write = copy.apply(batch).await.is_err_and(is_forked);
            let read = copy.head().await.is_err_and(is_forked);
            let handler = copy.add_event_handler(Idler).is_err_and(is_forked);
            write && read && handler && copy.verify().await.is_err_and(is_forked)
        })
    });
    assert!(refused);
    drop(watching);
    runtime().block_on(async {
        apply(&store, at(1), [job("b")]).await;
        assert_eq!(store.head().await.unwrap().number(), 2);
        assert_sound(&store).await;
    });
}

/// A child that is told what to do line by line, and tells when it has done it.
struct Puppet {
    child: Child,
    said: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Puppet {
    fn start(folder: &Folder, test: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(CHILD_FILE, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    /// What it says next.
    fn hear(&mut self) -> String {
        let said = self.said.by_ref().map(Result::unwrap);
        said.filter_map(|line| line.split_once("say ").map(|(_, said)| said.to_owned())).next().unwrap()
    }

    fn tell_to_go_on(&mut self) {
        writeln!(self.child.stdin.as_mut().unwrap()).unwrap();
    }

    fn end(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

fn say(what: &str) {
    println!("say {what}");
    std::io::stdout().flush().unwrap();
}

fn wait_to_be_told() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

fn child_file() -> Option<PathBuf> {
    std::env::var_os(CHILD_FILE).map(PathBuf::from)
}

/// Claims, and completes when it is told. Without its variable this is no test.
#[tokio::test]
async fn child_that_is_paused_beyond_its_lease() {
    let Some(path) = child_file() else { return };
    let store = open(&path);
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    assert_eq!(claim(&store, at(1), offer(1, [7])).await.len(), 1);
    say("claimed");
    wait_to_be_told();
    let late = apply(&store, at(100), [succeed("a", execution(7), b"late", at(1))]).await;
    assert!(late.answers[0].is_err(), "the result of an execution that was abandoned");
    assert_eq!(store.renew_worker(worker(1), at(100)).await.unwrap(), Renewal::Ended);
    // It goes on as another worker.
    store.register_worker(worker_info(2), at(100)).await.unwrap();
    assert_eq!(claim(&store, at(100), offer(2, [8])).await.len(), 1);
    say("went on");
}

#[tokio::test]
async fn process_that_is_paused_beyond_its_lease_does_no_harm_when_it_goes_on() {
    let folder = Folder::new();
    let store = folder.open();
    apply(&store, at(0), [job("a"), job("b")]).await;
    let mut puppet = Puppet::start(&folder, "process::child_that_is_paused_beyond_its_lease");
    assert_eq!(puppet.hear(), "claimed");
    stop(&puppet.child);
    // Somebody whose clock has seen a whole lease pass without a sign of life.
    store.end_worker(worker(1)).await.unwrap();
    let orphans = store.orphans(10).await.unwrap();
    assert_eq!(orphans.len(), 1);
    let wish = Wish::Abandon { execution: execution(7), why: AbandonReason::WorkerLost, last_seen: at(1) };
    apply(&store, at(50), [TaskCommand { task: id("a"), wish }]).await;
    store.register_worker(worker_info(9), at(50)).await.unwrap();
    let again = claim(&store, at(50), offer(9, [70])).await;
    assert_eq!(again.len(), 1);
    let done = succeed(again[0].task.as_str(), execution(70), b"in time", at(50));
    apply(&store, at(51), [done]).await;

    resume(&puppet.child);
    puppet.tell_to_go_on();
    assert_eq!(puppet.hear(), "went on");
    puppet.end();
    // I8: one result of each execution, and none of the one that was abandoned.
    let events = store.events(azoth_scheduler_store::LogPosition::START, 100).await.unwrap();
    let results = events.iter().filter(|recorded| recorded.event.name() == "TaskExecuted").count();
    assert_eq!(results, 1);
    assert_sound(&store).await;
}

/// Takes the write lock and keeps it until it is told. Without its variable this is no test.
#[test]
fn child_that_is_paused_with_the_write_lock() {
    let Some(path) = child_file() else { return };
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    say("locked");
    wait_to_be_told();
    conn.execute_batch("COMMIT").unwrap();
    say("unlocked");
}

#[tokio::test]
async fn process_that_is_paused_with_the_write_lock_makes_others_wait_and_no_one_give_up() {
    let folder = Folder::new();
    let store = SqliteStore::open_with(folder.path(), options().busy_wait(Duration::ZERO)).unwrap();
    let patient = folder.open();
    apply(&store, at(0), [job("a")]).await;
    let mut puppet = Puppet::start(&folder, "process::child_that_is_paused_with_the_write_lock");
    assert_eq!(puppet.hear(), "locked");
    stop(&puppet.child);
    let batch = |name| Batch { commands: vec![job(name).into()], now: at(1), offer: None };
    for name in ["b", "c"] {
        let error = store.apply(batch(name)).await.unwrap_err();
        assert!(matches!(error, StoreError::Busy { .. }) && error.is_passing(), "{error}");
        assert_eq!(store.head().await.unwrap().number(), 1, "reads wait for nobody");
    }
    // A store that has the patience waits for as long as it takes.
    let waiting = tokio::spawn({
        let (store, batch) = (patient.clone(), batch("d"));
        async move { store.apply(batch).await }
    });
    resume(&puppet.child);
    puppet.tell_to_go_on();
    assert_eq!(puppet.hear(), "unlocked");
    puppet.end();
    waiting.await.unwrap().unwrap();
    store.apply(batch("b")).await.unwrap();
    assert_eq!(store.head().await.unwrap().number(), 3);
    assert_sound(&store).await;
}

/// Looks at the past until it is told. Without its variable this is no test.
#[tokio::test]
async fn child_that_looks_at_the_past() {
    let Some(path) = child_file() else { return };
    let store = open(&path);
    let past = store.as_of(AsOf::Position(LogPosition::START)).await.unwrap();
    say("looks");
    wait_to_be_told();
    drop(past);
    say("has looked");
}

#[tokio::test]
async fn cut_beside_another_process_that_looks_at_the_past_says_so() {
    let folder = Folder::new();
    let store = SqliteStore::open_with(folder.path(), options().busy_wait(Duration::ZERO)).unwrap();
    apply(&store, at(0), [job("a")]).await;
    let mut puppet = Puppet::start(&folder, "process::child_that_looks_at_the_past");
    assert_eq!(puppet.hear(), "looks");
    let cut = async || store.cut_log(CutOptions::archive_to(folder.path().with_extension("1")), at(9)).await;
    let refused = cut().await.unwrap_err();
    let StoreError::InUse { by, .. } = &refused else { panic!("{refused}") };
    assert!(by.starts_with("another process"), "{by}");
    puppet.tell_to_go_on();
    assert_eq!(puppet.hear(), "has looked");
    puppet.end();
    assert_eq!(cut().await.unwrap().through.number(), 1);
}
