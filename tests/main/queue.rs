//! Two schedulers in two processes of their own share one queue.

use std::collections::BTreeSet;
use std::path::Path;

use azoth_scheduler::prelude::*;

use crate::child::{self, Child};
use crate::support::{Work, assert_sound, store_in, work};

const TASKS: u64 = 10_000;
/// Scheduled, started, executed, emitted.
const EVENTS: u64 = 4 * TASKS;
/// So long that nothing is noticed by polling.
const POLL: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_works_until_its_input_ends() {
    let Some(file) = child::file() else { return };
    let scheduler = Scheduler::builder(SqliteStore::open(file).unwrap())
        .with_task_handler(Work::default())
        .with_max_concurrent_tasks(100)
        .with_poll_interval(POLL)
        .build()
        .unwrap();
    let input_ends = async {
        scheduler.wait_until_idle().await.unwrap();
        child::tell("ready");
        tokio::task::spawn_blocking(child::input_ends).await.unwrap();
        scheduler.shutdown().await;
    };
    let (ran, ()) = tokio::join!(scheduler.run(), input_ends);
    ran.unwrap();
}

/// Starts a child, and returns once it waits for work.
fn start_child(file: &Path) -> Child {
    let mut child = Child::start("queue::child_that_works_until_its_input_ends", file);
    assert_eq!(child.hear(), "ready");
    child
}

#[tokio::test]
async fn two_processes_share_a_queue_and_run_each_task_once() {
    let folder = tempfile::tempdir().unwrap();
    let client = Scheduler::builder(store_in(&folder)).build().unwrap();
    let file = folder.path().join("scheduler.db");
    let children = [start_child(&file), start_child(&file)];
    let mut head = client.store().watch_head();
    for batch in (0..TASKS).collect::<Vec<_>>().chunks(500) {
        let requests =
            batch.iter().map(|number| work(&format!("task-{number}")).immediate().build().unwrap());
        client.schedule_tasks(requests.collect()).await.unwrap();
    }
    let done = head.wait_for(|head| head.number() >= EVENTS);
    tokio::time::timeout(Duration::from_secs(300), done).await.expect("the queue is worked off").unwrap();
    for child in children {
        assert!(child.wait().success(), "no error reached it");
    }
    let mut starts = 0;
    let (mut started, mut workers) = (BTreeSet::new(), BTreeSet::new());
    let mut reader = client.subscribe(StartFrom::Beginning).await.unwrap();
    for _ in 0..EVENTS {
        let recorded = reader.next().await.unwrap();
        if let Event::ExecutionStarted { worker, .. } = &recorded.event {
            starts += 1;
            started.insert(format!("{:?}", recorded.subject));
            workers.insert(*worker);
        }
    }
    assert_eq!((starts, started.len() as u64, workers.len()), (TASKS, TASKS, 2), "I7, and both had a share");
    assert_eq!(
        client.stats().await.unwrap().store.head.number(),
        EVENTS,
        "nothing was given back or repeated"
    );
    assert_sound(&client).await;
}
