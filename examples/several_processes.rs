//! Several processes on one file: they share the work, and each task runs once.
//!
//! `cargo run --example several_processes` starts two more copies of itself, `several_processes work FILE`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use azoth_scheduler::prelude::*;

const TASKS: usize = 300;

/// Long enough that one process alone is no match for the pile.
#[task_handler(event = "done_by")]
async fn work() -> u32 {
    tokio::time::sleep(Duration::from_millis(10)).await;
    std::process::id()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(_), Some(file)) => run_tasks(Path::new(&file)).await,
        _ => start_and_check().await,
    }
}

/// A child: runs what there is until all tasks have ended.
async fn run_tasks(file: &Path) -> anyhow::Result<()> {
    let scheduler = Scheduler::builder(SqliteStore::open(file)?)
        .with_task_handler(Work)
        .with_max_concurrent_tasks(4)
        .with_poll_interval(Duration::from_millis(50))
        .build()?;
    let stop_when_done = async {
        while !scheduler.list_tasks(&TaskFilter::new().enabled(true).limit(1)).await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        scheduler.shutdown();
        Ok(())
    };
    tokio::try_join!(scheduler.run(), stop_when_done)?;
    Ok(())
}

/// The parent: schedules, lets two children work, and reads in the log what they did. It runs nothing itself.
async fn start_and_check() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("shared.db");
    let scheduler = Scheduler::builder(SqliteStore::open(&file)?).build()?;
    let requests = (0..TASKS).map(|number| Work::request(format!("task-{number}"))?.immediate().build());
    let scheduled = scheduler.schedule_tasks(requests.collect::<Result<Vec<_>>>()?).await?;
    ensure!(scheduled.iter().all(|outcome| outcome.is_ok()), "a task was refused");

    let program = std::env::current_exe()?;
    let started = Instant::now();
    let child = |_| Command::new(&program).arg("work").arg(&file).spawn().context("starting a copy");
    let children = (0..2).map(child).collect::<anyhow::Result<Vec<Child>>>()?;
    for mut child in children {
        let ended = tokio::task::spawn_blocking(move || child.wait()).await??;
        ensure!(ended.success(), "a child ended with {ended}");
    }
    println!("{TASKS} tasks in {:?}", started.elapsed());

    let (mut runs, mut shares) = (HashMap::new(), BTreeMap::new());
    let mut after = LogPosition::START;
    loop {
        let page = scheduler.events(after, 1000).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for recorded in &page {
            match &recorded.event {
                Event::ExecutionStarted { worker, .. } => *shares.entry(*worker).or_insert(0) += 1,
                Event::TaskEventEmitted { .. } => *runs.entry(recorded.subject.clone()).or_insert(0) += 1,
                _ => {}
            }
        }
    }
    for (worker, share) in &shares {
        println!("  worker {worker} ran {share}");
    }
    assert_eq!(runs.len(), TASKS, "every task ran");
    assert!(runs.values().all(|times| *times == 1), "and none twice");
    assert_eq!(shares.values().sum::<usize>(), TASKS, "nor was one started in vain");
    ensure!(scheduler.verify().await?.is_sound(), "the log is damaged");
    Ok(())
}
