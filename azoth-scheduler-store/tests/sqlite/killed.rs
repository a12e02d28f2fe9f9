//! Processes that die without a word, and processes that share a file.
//!
//! The other process is this test binary itself: it runs one of the tests named `child_..` with a path in its
//! environment, without which those do nothing.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use azoth_scheduler_core::command::{AbandonReason, TaskCommand, Wish};
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_store::{LogPosition, RecordedEvent, SqliteStore, Store, Subject};

use crate::support::{Folder, apply, assert_sound, at, claim, id, job, offer, open, succeed, worker_info};

const FILE: &str = "AZOTH_TEST_CHILD_FILE";
const NUMBER: &str = "AZOTH_TEST_CHILD_NUMBER";

/// Starts the test of this name in a process of its own.
fn spawn_child(test: &str, folder: &Folder, number: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(FILE, folder.path())
        .env(NUMBER, number.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// File and number of this process, if it is such a child.
fn child() -> Option<(PathBuf, u32)> {
    let file = std::env::var_os(FILE)?;
    Some((file.into(), std::env::var(NUMBER).unwrap().parse().unwrap()))
}

/// The `ack` lines of a child, until it ends or so many have come.
fn acknowledged(child: &mut Child, most: usize) -> Vec<(String, String)> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let words = lines.map_while(Result::ok).filter_map(|line| {
        let (_, rest) = line.split_once("ack ")?;
        let (what, task) = rest.split_once(' ')?;
        Some((what.to_owned(), task.to_owned()))
    });
    words.take(most).collect()
}

fn acknowledge(what: &str, task: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {what} {task}").unwrap();
    out.flush().unwrap();
}

#[tokio::test]
async fn child_that_schedules_and_runs_until_it_is_killed() {
    let Some((file, round)) = child() else { return };
    let store = open(&file);
    let worker = u128::from(round) + 1;
    store.register_worker(worker_info(worker), at(0)).await.unwrap();
    for number in 0.. {
        let name = format!("task-{round}-{number}");
        apply(&store, at(0), [job(&name)]).await;
        acknowledge("scheduled", &name);
        let execution = worker * 1_000_000 + number;
        for claimed in claim(&store, at(1), offer(worker, [execution])).await {
            let name = claimed.task.as_str();
            acknowledge("claimed", name);
            let applied =
                apply(&store, at(2), [succeed(name, claimed.execution, name.as_bytes(), at(1))]).await;
            assert!(applied.answers[0].is_ok(), "{applied:?}");
            acknowledge("recorded", name);
        }
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_recorded_twice_when_a_process_is_killed() {
    // I1, I9: what was answered with `Ok` is in the file, a claim included.
    let folder = Folder::new();
    let mut acks = BTreeSet::new();
    for round in 0..8_u32 {
        let mut child =
            spawn_child("killed::child_that_schedules_and_runs_until_it_is_killed", &folder, round);
        // Every round ends after another number of answers, so within another of the three steps.
        acks.extend(acknowledged(&mut child, 20 + 7 * round as usize));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = folder.open();
        assert_sound(&store).await;
        for (what, task) in &acks {
            check_acknowledged(&store, what, task).await;
        }
    }
    assert!(acks.len() > 8 * 20, "{} answers", acks.len());
    take_over(&folder.open()).await;
}

async fn check_acknowledged(store: &SqliteStore, what: &str, task: &str) {
    let history = store.history(&id(task), None, 100).await.unwrap();
    let count =
        |wanted: fn(&Event) -> bool| history.iter().filter(|recorded| wanted(&recorded.event)).count();
    assert_eq!(count(|event| matches!(event, Event::TaskScheduled { .. })), 1, "{task}");
    let started = count(|event| matches!(event, Event::ExecutionStarted { .. }));
    let recorded = count(|event| matches!(event, Event::TaskExecuted { .. }));
    assert!(recorded <= 1, "{task} was recorded {recorded} times");
    assert_eq!(recorded, count(|event| matches!(event, Event::TaskEventEmitted { .. })), "{task}");
    match what {
        "scheduled" => {}
        "claimed" => assert!(started >= 1, "the claim of {task} was lost"),
        "recorded" => assert_eq!(recorded, 1, "the result of {task} was lost"),
        other => panic!("{other}"),
    }
}

/// The dead workers' executions come back as a further attempt, and everything ends.
async fn take_over(store: &SqliteStore) {
    for dead in store.workers().await.unwrap() {
        store.end_worker(dead.info.worker).await.unwrap();
    }
    let orphans = store.orphans(100).await.unwrap();
    let abandon = |orphan: &azoth_scheduler_store::Orphan| TaskCommand {
        task: orphan.task.clone(),
        wish: Wish::Abandon {
            execution: orphan.execution,
            why: AbandonReason::WorkerLost,
            last_seen: orphan.last_seen,
        },
    };
    apply(store, at(100), orphans.iter().map(abandon)).await;
    assert!(store.orphans(100).await.unwrap().is_empty());
    store.register_worker(worker_info(99), at(100)).await.unwrap();
    let claimed = claim(store, at(101), offer(99, 1..1000)).await;
    for orphan in &orphans {
        let again = claimed.iter().find(|claimed| claimed.task == orphan.task).unwrap();
        assert_eq!(again.attempt, 2, "{:?}", again.task);
        // I8: the dead worker's own result comes too late.
        let late = succeed(orphan.task.as_str(), orphan.execution, b"", at(1));
        assert!(apply(store, at(102), [late]).await.answers[0].is_err());
    }
    let reports =
        claimed.iter().map(|claimed| succeed(claimed.task.as_str(), claimed.execution, b"", at(102)));
    apply(store, at(103), reports.collect::<Vec<_>>()).await;
    let tasks = store.tasks(&azoth_scheduler_store::TaskFilter::new().limit(10_000)).await.unwrap();
    assert!(tasks.iter().all(|task| task.phase.kind() == PhaseKind::Finished));
    assert_sound(store).await;
}

#[tokio::test]
async fn child_that_drains_the_queue() {
    let Some((file, number)) = child() else { return };
    let store = open(&file);
    let worker = u128::from(number) + 1;
    store.register_worker(worker_info(worker), at(0)).await.unwrap();
    acknowledge("opened", "-");
    let mut next = worker * 1_000_000;
    loop {
        let claimed = claim(&store, at(1), offer(worker, next..next + 25)).await;
        next += 25;
        if claimed.is_empty() {
            return;
        }
        let reports =
            claimed.iter().map(|claimed| succeed(claimed.task.as_str(), claimed.execution, b"", at(1)));
        let applied = apply(&store, at(2), reports.collect::<Vec<_>>()).await;
        assert!(applied.answers.iter().all(Result::is_ok), "{applied:?}");
    }
}

#[tokio::test]
async fn several_processes_on_one_file_run_each_task_once() {
    // I7, I13: a claim by one process is seen by all.
    const TASKS: usize = 2_000;
    let folder = Folder::new();
    let store = folder.open();
    apply(&store, at(0), (0..TASKS).map(|number| job(&format!("task-{number}"))).collect::<Vec<_>>()).await;
    let mut children =
        [0, 1, 2].map(|number| spawn_child("killed::child_that_drains_the_queue", &folder, number));
    for child in &mut children {
        let opened = acknowledged(child, 10);
        assert_eq!(opened.len(), 1);
        assert!(child.wait().unwrap().success());
    }
    let mut started = BTreeSet::new();
    for recorded in all_events(&store).await {
        let Subject::Task(task) = recorded.subject else { panic!("{:?}", recorded.subject) };
        if let Event::ExecutionStarted { .. } = recorded.event {
            assert!(started.insert(task.clone()), "{task} was started twice");
        }
    }
    assert_eq!(started.len(), TASKS);
    assert_eq!(store.head().await.unwrap().number() as usize, 4 * TASKS);
    assert_sound(&store).await;
}

#[tokio::test]
async fn child_that_opens_a_new_file() {
    let Some((file, number)) = child() else { return };
    apply(&open(&file), at(0), [job(&format!("task-{number}"))]).await;
    acknowledge("scheduled", &format!("task-{number}"));
}

#[tokio::test]
async fn several_processes_may_make_one_new_file_at_once() {
    let folder = Folder::new();
    let children =
        [0, 1, 2, 3].map(|number| spawn_child("killed::child_that_opens_a_new_file", &folder, number));
    for mut child in children {
        assert_eq!(acknowledged(&mut child, 10).len(), 1);
        assert!(child.wait().unwrap().success());
    }
    let store = folder.open();
    assert_eq!(store.tasks(&Default::default()).await.unwrap().len(), 4);
    assert_sound(&store).await;
}

async fn all_events(store: &SqliteStore) -> Vec<RecordedEvent> {
    let (mut all, mut after) = (Vec::new(), LogPosition::START);
    loop {
        let page = store.events(after, 1_000).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = last.position;
        all.extend(page);
    }
}
