//! A log whose oldest part was cut.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use azoth_scheduler_core::command::{TaskCommand, Wish};
use azoth_scheduler_core::dependency::{After, OnDependencyFailure};
use azoth_scheduler_core::execution::ErrorText;
use azoth_scheduler_core::id::ConsumerName;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_store::sqlite::CutOptions;
use azoth_scheduler_store::{AsOf, LogPosition, SqliteStore, StartFrom, Store, StoreError, StoredTask};

use crate::support::*;

fn position(number: u64) -> LogPosition {
    LogPosition::from_number(number)
}

fn beside(path: &Path, name: &str) -> PathBuf {
    path.with_file_name(name)
}

fn every(seconds: u64) -> Schedule {
    Schedule::interval_secs(seconds).unwrap()
}

fn pause(name: &str) -> TaskCommand {
    let wish = Wish::Pause { reason: ErrorText::new("night"), by: actor(), until: None };
    TaskCommand { task: id(name), wish }
}

/// Tasks in many phases: defined twice, paused with words, running, finished.
async fn busy(folder: &Folder) -> SqliteStore {
    let store = folder.open();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    apply(&store, at(0), [schedule("twice", definition(every(60)), b"first"), job("done"), job("runs")])
        .await;
    apply(&store, at(1), [schedule("twice", definition(every(90)), b"second")]).await;
    apply(&store, at(1), [schedule("rests", definition(every(60)), b"rests"), pause("rests")]).await;
    let claimed = claim(&store, at(2), offer(1, [7, 8])).await;
    assert_eq!(claimed.len(), 2);
    apply(&store, at(3), [succeed(claimed[0].task.as_str(), claimed[0].execution, b"result", at(2))]).await;
    store
}

async fn tasks(store: &SqliteStore) -> Vec<StoredTask> {
    let mut tasks = Vec::new();
    for state in store.tasks(&Default::default()).await.unwrap() {
        tasks.push(store.task(&state.id).await.unwrap().unwrap());
    }
    tasks
}

#[tokio::test]
async fn tasks_stay_as_they_are_and_what_was_cut_is_named() {
    let folder = Folder::new();
    let store = busy(&folder).await;
    let (before, head) = (tasks(&store).await, store.head().await.unwrap());
    let archive = beside(&folder.path(), "1.jsonl");
    let report = store.cut_log(CutOptions::archive_to(&archive), at(9)).await.unwrap();
    assert_eq!((report.through, report.events), (head, head.number()));
    assert_eq!(report.archive.as_deref(), Some(&*archive));
    assert_eq!(tasks(&store).await, before);
    assert_eq!(store.stats(at(9)).await.unwrap().cut, head);
    assert_sound(&store).await;
    let count = "SELECT count(*) FROM azoth_log";
    assert_eq!(folder.raw().query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 1, "the cut itself");

    let cut = |asked| StoreError::LogCut { asked: position(asked), cut: head };
    assert_eq!(store.events(LogPosition::START, 10).await, Err(cut(0)));
    assert_eq!(store.events(head, 10).await.unwrap().len(), 1);
    assert!(matches!(store.history(&id("twice"), None, 10).await, Err(StoreError::LogCut { .. })));
    let name = ConsumerName::new("mail").unwrap();
    assert_eq!(store.cursor(&name, StartFrom::Beginning).await, Err(cut(0)));
    assert_eq!(store.requeue(&name, position(3)).await, Err(cut(2)));
    assert_eq!(store.as_of(AsOf::Position(position(2))).await.err(), Some(cut(2)));
    assert!(matches!(store.as_of(AsOf::Instant(at(1))).await.err(), Some(StoreError::LogCut { .. })));
    assert_eq!(store.task_as_of(&id("twice"), AsOf::Position(head)).await.unwrap().as_ref(), before.first());

    // It goes on: the running execution ends, the waiting task is redefined, the projection is made anew.
    let running = before.iter().find_map(|task| task.state.running()).unwrap().execution;
    let runs = before.iter().find(|task| task.state.running().is_some()).unwrap().state.id.clone();
    apply(&store, at(10), [succeed(runs.as_str(), running, b"", at(2))]).await;
    apply(&store, at(10), [schedule("twice", definition(every(30)), b"third")]).await;
    let rows = folder.projection();
    store.rebuild_projection().await.unwrap();
    assert_eq!(folder.projection(), rows);
    let history = store.history(&id("twice"), None, 10).await.unwrap();
    assert_eq!(history.len(), 1, "what is there is given");
    let further = store.history(&id("twice"), Some(history[0].position), 10).await;
    assert!(matches!(further, Err(StoreError::LogCut { .. })), "{further:?}");
    assert_sound(&store).await;
    drop(store);
    assert_sound(&folder.open()).await;
}

#[tokio::test]
async fn blocked_task_waits_on_behind_a_cut_and_its_past_says_for_whom() {
    let folder = Folder::new();
    let store = folder.open();
    store.register_worker(worker_info(1), at(0)).await.unwrap();
    let after = After::new([id("first"), id("second")], OnDependencyFailure::Cancel).unwrap();
    let gathers = TaskDefinition { after: Some(after), ..definition(Schedule::immediate()) };
    apply(&store, at(0), [job("first"), job("second"), schedule("gathers", gathers, b"all")]).await;
    let (blocked, head) = (store.task(&id("gathers")).await.unwrap(), store.head().await.unwrap());
    store.cut_log(CutOptions::archive_to(beside(&folder.path(), "1.jsonl")), at(1)).await.unwrap();
    assert_sound(&store).await;
    assert_eq!(store.task(&id("gathers")).await.unwrap(), blocked);
    let claimed = claim(&store, at(2), offer(1, [7, 8])).await;
    for claimed in claimed {
        apply(&store, at(3), [succeed(claimed.task.as_str(), claimed.execution, b"", at(2))]).await;
    }
    let state = store.task(&id("gathers")).await.unwrap().unwrap().state;
    assert_eq!((state.phase.kind(), state.waits_for.len()), (PhaseKind::Waiting, 0));
    assert_eq!(store.task_as_of(&id("gathers"), AsOf::Position(head)).await.unwrap(), blocked);
    let past = store.as_of(AsOf::Position(head)).await.unwrap();
    assert_eq!(past.task(&id("gathers")).await.unwrap(), blocked);
    // Nobody makes the projection anew while somebody looks at the past.
    drop(past);
    let rows = folder.projection();
    store.rebuild_projection().await.unwrap();
    assert_eq!(folder.projection(), rows);
    assert_sound(&store).await;
}

#[tokio::test]
async fn archives_and_what_is_left_are_the_whole_log_again() {
    let folder = Folder::new();
    let store = busy(&folder).await;
    let path = |name: &str| beside(&folder.path(), name);
    store.cut_log(CutOptions::archive_to(path("1.jsonl")).through(position(5)), at(9)).await.unwrap();
    apply(&store, at(10), [job("between"), schedule("twice", definition(every(30)), b"third")]).await;
    store.cut_log(CutOptions::archive_to(path("2.jsonl")), at(11)).await.unwrap();
    apply(&store, at(12), [job("last")]).await;
    assert_sound(&store).await;
    store.export_to(path("3.jsonl")).await.unwrap();

    let parts = [path("1.jsonl"), path("2.jsonl"), path("3.jsonl")];
    let whole = SqliteStore::import(path("whole.db"), &parts, options()).await.unwrap();
    let (left, right) = (store.verify().await.unwrap(), whole.verify().await.unwrap());
    assert_eq!((left.head, left.head_hash), (right.head, right.head_hash));
    assert_eq!(whole.events(LogPosition::START, 1).await.unwrap().len(), 1);
    assert_eq!(tasks(&whole).await, tasks(&store).await);
    let error = SqliteStore::import(path("part.db"), &parts[1..], options()).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::BadExport { line: 1, what, .. } if what.contains("before it first")),
        "{error}"
    );
}

#[tokio::test]
async fn nothing_is_cut_that_a_consumer_has_yet_to_handle_or_that_is_young() {
    let folder = Folder::new();
    let store = busy(&folder).await;
    let (name, path) = (ConsumerName::new("mail").unwrap(), |name: &str| beside(&folder.path(), name));
    store.cursor(&name, StartFrom::After(position(4))).await.unwrap();
    let report = store.cut_log(CutOptions::archive_to(path("1.jsonl")), at(9)).await.unwrap();
    assert_eq!(report.through, position(4), "I20: the end of the append before which it stands");
    let again = store.cut_log(CutOptions::archive_to(path("2.jsonl")), at(9)).await.unwrap();
    assert_eq!((again.through, again.events, again.archive), (position(4), 0, None));
    assert!(!path("2.jsonl").exists());
    store.move_cursor(&name, position(4), store.head().await.unwrap(), None).await.unwrap();
    let young = CutOptions::archive_to(path("2.jsonl")).keep_events_for(Duration::from_secs(8));
    assert_eq!(store.cut_log(young, at(9)).await.unwrap().through, position(6), "what is of second 1");
    assert_sound(&store).await;
}

#[tokio::test]
async fn cut_beside_a_view_of_the_past_says_who_holds_the_file_and_what_to_do() {
    let folder = Folder::new();
    let store = busy(&folder).await;
    let impatient = SqliteStore::open_with(folder.path(), options().busy_wait(Duration::ZERO)).unwrap();
    let past = store.as_of(AsOf::Position(position(3))).await.unwrap();
    let cut =
        async || impatient.cut_log(CutOptions::archive_to(beside(&folder.path(), "1.jsonl")), at(9)).await;
    let error = cut().await.unwrap_err();
    assert!(error.is_passing(), "{error}");
    let said = error.to_string();
    assert!(
        said.contains("this process looks at its past") && said.contains("drop what `as_of` gave"),
        "{said}"
    );
    let error = impatient.rebuild_projection().await.unwrap_err();
    assert_eq!(error.to_string(), said);
    assert_sound(&impatient).await;
    drop(past);
    cut().await.unwrap();
}

#[tokio::test]
async fn what_is_left_cannot_be_deleted_and_an_edited_snapshot_is_found() {
    for edit in [
        "UPDATE azoth_s_tasks SET runs = 9",
        "DELETE FROM azoth_s_kept WHERE position = (SELECT max(position) FROM azoth_s_kept)",
        "UPDATE azoth_base SET position = position + 1",
    ] {
        let folder = Folder::new();
        let store = busy(&folder).await;
        store.cut_log(CutOptions::archive_to(beside(&folder.path(), "1.jsonl")), at(9)).await.unwrap();
        for refused in
            ["DELETE FROM azoth_log", "UPDATE azoth_base SET position = 0", "DELETE FROM azoth_base"]
        {
            assert!(folder.raw().execute_batch(refused).is_err(), "{refused}");
        }
        assert_sound(&store).await;
        folder.raw().execute_batch(edit).unwrap();
        assert!(!store.verify().await.unwrap().is_sound(), "{edit}");
        let error = store.cut_log(CutOptions::archive_to(beside(&folder.path(), "2.jsonl")), at(10)).await;
        assert!(error.is_err() || error.unwrap().events == 0, "{edit}: nothing is cut from damage");
    }
}

const CHILD_FILE: &str = "AZOTH_TEST_CUTTING_CHILD_FILE";

/// What the child does until it is killed. Without its variable this is no test.
#[tokio::test]
async fn child_that_is_killed() {
    let Some(path) = std::env::var_os(CHILD_FILE).map(PathBuf::from) else { return };
    let store = open(&path);
    for number in 0_u32.. {
        let name = format!("task-{}-{number}", std::process::id());
        apply(&store, at(i64::from(number)), [job(&name)]).await;
        let archive = beside(&path, &format!("{:020}.jsonl", store.head().await.unwrap().number()));
        say(&name);
        store.cut_log(CutOptions::archive_to(archive), at(i64::from(number))).await.unwrap();
        say("cut");
    }
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {what}").unwrap();
    out.flush().unwrap();
}

#[tokio::test]
async fn process_that_is_killed_while_it_cuts_loses_nothing() {
    let folder = Folder::new();
    let mut acknowledged = Vec::new();
    for lines in [2, 5, 8] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cutting::child_that_is_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD_FILE, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = said
            .map(Result::unwrap)
            .filter_map(|line| line.split_once("ack ").map(|(_, ack)| ack.to_owned()));
        acknowledged.extend(said.by_ref().take(lines));
        child.kill().unwrap();
        acknowledged.extend(said);
        child.wait().unwrap();
        let store = folder.open();
        assert_sound(&store).await;
        for task in acknowledged.iter().filter(|ack| *ack != "cut") {
            let stored = store.task(&id(task)).await.unwrap().expect("it was acknowledged");
            assert_eq!(stored.payload.bytes(), Some(task.as_bytes()));
        }
        // What was left undone is done by the next call.
        store
            .cut_log(
                CutOptions::archive_to(beside(&folder.path(), &format!("rest-{lines}.jsonl"))),
                at(1_000),
            )
            .await
            .unwrap();
        let left: i64 =
            folder.raw().query_row("SELECT count(*) FROM azoth_log", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 1);
        assert_sound(&store).await;
    }
    assert!(acknowledged.len() >= 15);
}
