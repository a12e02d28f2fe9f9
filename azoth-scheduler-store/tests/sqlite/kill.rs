//! A process that is killed at any moment. The child is this test binary itself.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_store::{Batch, LogPosition, SqliteStore, Store};

use crate::support::*;

const CHILD_FILE: &str = "AZOTH_TEST_KILLED_CHILD_FILE";
const CHILD_ROUND: &str = "AZOTH_TEST_KILLED_CHILD_ROUND";
const CALLERS: u128 = 4;

/// What the child does until it is killed. Without its variables this is no test.
#[test]
fn child_that_is_killed() {
    let Some(path) = std::env::var_os(CHILD_FILE).map(PathBuf::from) else { return };
    let round: u128 = std::env::var(CHILD_ROUND).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = open(&path);
        let callers = (0..CALLERS).map(|caller| tokio::spawn(work(store.clone(), round * CALLERS + caller)));
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
    });
}

/// Schedules, claims and completes, and says so after each answer.
pub(crate) async fn work(store: SqliteStore, caller: u128) {
    let by = caller + 1;
    store.register_worker(worker_info(by), at(0)).await.unwrap();
    for number in 0_u128.. {
        let name = format!("task-{caller}-{number}");
        apply(&store, at(0), [job(&name)]).await;
        acknowledge("scheduled", &name);
        let batch = Batch::claiming(offer(by, [(caller << 64) + number]), at(1));
        for claim in store.apply(batch).await.unwrap().claims.unwrap().claimed {
            acknowledge("claimed", &format!("{} {}", claim.task, claim.execution));
            let done = succeed(claim.task.as_str(), claim.execution, b"result", at(1));
            assert_eq!(apply(&store, at(2), [done]).await.answers, [Ok(Answer::Recorded)]);
            acknowledge("completed", &format!("{} {}", claim.task, claim.execution));
        }
    }
}

fn acknowledge(what: &str, of: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {what} {of}").unwrap();
    out.flush().unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_and_nothing_is_recorded_twice() {
    let folder = Folder::new();
    let mut acknowledged = BTreeSet::new();
    for (round, lines) in [1, 40, 111, 200, 333].into_iter().enumerate() {
        acknowledged.extend(killed_after(&folder, round, lines));
        let store = folder.open();
        // I2: wherever it was killed, log and projection agree.
        assert_sound(&store).await;
        let events = store.events(LogPosition::START, 1_000).await.unwrap();
        assert!(!events.is_empty());
        for line in &acknowledged {
            assert_kept(&store, line).await;
        }
    }
    assert!(acknowledged.len() >= 685);
}

/// Runs the child, kills it once it has said so many lines, and gives back all that it has said.
fn killed_after(folder: &Folder, round: usize, lines: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(CHILD_FILE, folder.path())
        .env(CHILD_ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said =
        said.map(Result::unwrap).filter_map(|line| line.split_once("ack ").map(|(_, ack)| ack.to_owned()));
    let mut acknowledged: Vec<_> = said.by_ref().take(lines).collect();
    child.kill().unwrap();
    acknowledged.extend(said);
    let status = child.wait().unwrap();
    assert!(!status.success(), "it was killed, it never ends by itself");
    assert!(acknowledged.len() >= lines);
    acknowledged
}

pub(crate) async fn assert_kept(store: &SqliteStore, line: &str) {
    let mut words = line.split(' ');
    let (what, task) = (words.next().unwrap(), words.next().unwrap());
    let stored = store.task(&id(task)).await.unwrap().unwrap_or_else(|| panic!("lost: {line}"));
    assert_eq!(stored.payload.bytes(), Some(task.as_bytes()));
    let history = store.history(&id(task), None, 100).await.unwrap();
    let count = |wanted: &dyn Fn(&Event) -> bool| history.iter().filter(|event| wanted(&event.event)).count();
    let of_it =
        |execution: &dyn std::fmt::Display| Some(execution.to_string().as_str()) == line.split(' ').nth(2);
    if what == "claimed" {
        let starts =
            |event: &Event| matches!(event, Event::ExecutionStarted { execution, .. } if of_it(execution));
        assert_eq!(count(&starts), 1, "{line}");
    }
    if what == "completed" {
        let ends = |event: &Event| matches!(event, Event::TaskExecuted { execution, .. } if of_it(execution));
        assert_eq!(count(&ends), 1, "{line}");
        assert_eq!(stored.state.phase.kind(), PhaseKind::Finished, "{line}");
    }
}
