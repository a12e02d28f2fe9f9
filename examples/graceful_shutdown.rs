//! A graceful shutdown: short tasks may end within the grace; a long one is given back, and the next scheduler takes it
//! over at once.
//!
//! `cargo run --example graceful_shutdown`. In a program, `tokio::signal::ctrl_c()` takes the place of the channel here.

use std::path::Path;

use anyhow::Context as _;
use azoth_scheduler::command::AbandonReason;
use azoth_scheduler::prelude::*;
use tokio::sync::mpsc;

/// Tells the main function that a task has started.
type Started = mpsc::UnboundedSender<String>;

/// A fifth of a second: it ends within the grace.
#[task_handler]
async fn short(ctx: &TaskContext, started: State<Started>) -> anyhow::Result<()> {
    started.send(ctx.task_id().to_string())?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    println!("  {} has ended", ctx.task_id());
    Ok(())
}

/// Ten minutes at the first attempt: longer than anybody waits for a deploy. The second one is quick, for the example.
#[task_handler(timeout = "1h")]
async fn long(ctx: &TaskContext, started: State<Started>) -> anyhow::Result<()> {
    started.send(ctx.task_id().to_string())?;
    if ctx.attempt() == 1 {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    println!("  {} has ended (attempt {})", ctx.task_id(), ctx.attempt());
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("scheduler.db");

    println!("the old release:");
    let (old, mut started) = scheduler(&file)?;
    old.schedule_task(Short::request("short")?.immediate().build()?).await?;
    old.schedule_task(Long::request("long")?.immediate().build()?).await?;
    let running = tokio::spawn({
        let old = old.clone();
        async move { old.run().await }
    });
    for _ in 0..2 {
        println!("  {} runs", started.recv().await.context("the scheduler has ended")?);
    }
    println!("  shutdown, with a second of grace");
    old.shutdown().await;
    running.await??;

    println!("the new release:");
    let (new, _started) = scheduler(&file)?;
    let stop_when_idle = async { new.wait_until_idle().await.map(|()| new.shutdown()) };
    tokio::try_join!(new.run(), stop_when_idle)?;

    let mut given_back = Vec::new();
    for id in ["short", "long"] {
        println!("history of {id}:");
        for recorded in new.task_history(id).await? {
            println!("  {}  {}", recorded.at, recorded.event.name());
            if let Event::ExecutionAbandoned { why: AbandonReason::ShutDown, .. } = recorded.event {
                given_back.push(id);
            }
        }
        let task = new.get_task(id).await?;
        assert_eq!(task.map(|task| task.phase), Some(PhaseKind::Finished));
    }
    assert_eq!(given_back, ["long"], "given back, and not counted as a failure");
    anyhow::ensure!(new.verify().await?.is_sound(), "the log is damaged");
    Ok(())
}

fn scheduler(file: &Path) -> anyhow::Result<(Scheduler, mpsc::UnboundedReceiver<String>)> {
    let (sender, started) = mpsc::unbounded_channel();
    let scheduler = Scheduler::builder(SqliteStore::open(file)?)
        .with_state::<Started>(sender)
        .with_task_handlers(task_handlers![Short, Long])
        .with_shutdown_grace(Duration::from_secs(1))
        .build()?;
    Ok((scheduler, started))
}
