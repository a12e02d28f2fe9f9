//! The main job, from request to recorded result: an immediate task, one that fails once, and an interval, in one file.
//!
//! `cargo run --example basic_scheduler [FOLDER]` keeps the file in FOLDER (run it twice and it goes on where it stopped);
//! without one it uses a temporary folder. It ends by itself, or cleanly on Ctrl-C.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use azoth_scheduler::execution::Outcome;
use azoth_scheduler::prelude::*;
use tokio::sync::mpsc;

/// Says hello, and tells the main function that it did.
struct Hello {
    done: mpsc::UnboundedSender<String>,
}

#[async_trait]
impl TaskHandler for Hello {
    fn task_type(&self) -> &str {
        "hello"
    }

    async fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
        let whom = std::str::from_utf8(payload)?;
        println!("  {} says hello to {whom} (attempt {})", ctx.task_id(), ctx.attempt());
        self.done.send(ctx.task_id().to_string())?;
        Ok(TaskEvent::new("greeted", payload)?)
    }
}

/// Fails the first time, as networks do, and is tried again half a second later.
struct Flaky {
    calls: AtomicU32,
    done: mpsc::UnboundedSender<String>,
}

#[async_trait]
impl TaskHandler for Flaky {
    fn task_type(&self) -> &str {
        "flaky"
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        println!("  {} runs (attempt {})", ctx.task_id(), ctx.attempt());
        if self.calls.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(RetryAfter::new(Duration::from_millis(500), "the line was busy").into());
        }
        self.done.send(ctx.task_id().to_string())?;
        Ok(TaskEvent::new("connected", [])?)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args_os().nth(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let file = folder.join("scheduler.db");
    println!("the scheduler keeps its log in {}", file.display());

    let (done, mut runs) = mpsc::unbounded_channel();
    let scheduler = Scheduler::builder(SqliteStore::open(&file)?)
        .with_task_handler(Hello { done: done.clone() })
        .with_task_handler(Flaky { calls: AtomicU32::new(0), done })
        .with_poll_interval(Duration::from_secs(1))
        .with_max_concurrent_tasks(10)
        .with_default_max_retries(3)
        .with_default_timeout_secs(300)
        .build()?;
    schedule(&scheduler).await?;

    println!("running until the immediate tasks are done and the interval has come twice:");
    let running = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });
    tokio::select! {
        () = all_done(&mut runs) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.context("listening for Ctrl-C")?,
    }
    scheduler.shutdown().await;
    running.await??;

    print_histories(&scheduler).await?;
    let report = scheduler.verify().await?;
    println!("verified {} events: {} findings", report.events, report.findings.len());
    anyhow::ensure!(report.is_sound(), "the log is damaged: {:?}", report.findings);
    Ok(())
}

async fn schedule(scheduler: &Scheduler) -> anyhow::Result<()> {
    let requests = [
        ScheduleTaskRequest::builder("now").task_type("hello").payload("the world").immediate(),
        ScheduleTaskRequest::builder("unlucky").task_type("flaky").immediate(),
        ScheduleTaskRequest::builder("every-second").task_type("hello").payload("each second").interval(1),
    ];
    for request in requests {
        let scheduled = scheduler.schedule_task(request.build()?).await?;
        println!("  scheduled {}: {:?}", scheduled.task, scheduled.change);
    }
    Ok(())
}

/// Waits until each immediate task has succeeded and the interval has run twice.
async fn all_done(runs: &mut mpsc::UnboundedReceiver<String>) {
    let mut seen = Vec::new();
    let count = |seen: &[String], id: &str| seen.iter().filter(|task| *task == id).count();
    while count(&seen, "now") < 1 || count(&seen, "unlucky") < 1 || count(&seen, "every-second") < 2 {
        match runs.recv().await {
            Some(task) => seen.push(task),
            None => return,
        }
    }
}

async fn print_histories(scheduler: &Scheduler) -> anyhow::Result<()> {
    for task in scheduler.list_tasks(&TaskFilter::new()).await? {
        println!("history of {} ({}):", task.id, task.phase);
        for recorded in scheduler.task_history(&task.id).await? {
            println!(
                "  {:>4}  {}  {}",
                recorded.position.to_string(),
                recorded.at,
                describe(&recorded.event)
            );
        }
    }
    Ok(())
}

fn describe(event: &Event) -> String {
    match event {
        Event::ExecutionStarted { occurrence, attempt, .. } => {
            format!("ExecutionStarted   attempt {attempt} of the occurrence {occurrence}")
        }
        Event::TaskExecuted { outcome: Outcome::Failed(failure), .. } => {
            format!("TaskExecuted       failed: {}", failure.message)
        }
        Event::TaskExecuted { outcome: Outcome::Succeeded(()), .. } => "TaskExecuted       succeeded".into(),
        Event::TaskEventEmitted { emitted, .. } => format!("TaskEventEmitted   {}", emitted.event_type),
        Event::TaskCancelled { reason, .. } => format!("TaskCancelled      {reason}"),
        other => other.name().into(),
    }
}
