//! What follows a failure: backoff, `RetryAfter`, `Permanent` and `Snooze`, seen in the history of each task.
//!
//! `cargo run --example retries` takes no minutes: the scheduler's clock is moved by hand.

use azoth_scheduler::execution::Outcome;
use azoth_scheduler::prelude::*;
use azoth_scheduler::{ManualClock, Timestamp};

/// Fails twice; tried again after 10 s and then 20 s.
#[task_handler(max_retries = 3, backoff = "10s..1h")]
fn flaky(ctx: &TaskContext) -> anyhow::Result<()> {
    anyhow::ensure!(ctx.attempt() > 2, "connection reset");
    Ok(())
}

/// The other side says when to come back. It counts as one failure.
#[task_handler]
fn throttled(ctx: &TaskContext) -> anyhow::Result<()> {
    if ctx.attempt() == 1 {
        return Err(RetryAfter::new(Duration::from_secs(90), "429 Too Many Requests").into());
    }
    Ok(())
}

/// Trying again is of no use: the task is disabled at once, whatever retries it has.
#[task_handler(max_retries = 10)]
fn hopeless() -> anyhow::Result<()> {
    Err(Permanent::new("no such customer").into())
}

/// Not now. That is no failure, and uses up no retry.
#[task_handler(max_retries = 0)]
fn patient(ctx: &TaskContext) -> anyhow::Result<()> {
    if ctx.attempt() < 4 {
        return Err(Snooze::new(Duration::from_secs(60)).into());
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000)?);
    let scheduler = Scheduler::builder(MemoryStore::new())
        .with_task_handlers(task_handlers![Flaky, Throttled, Hopeless, Patient])
        .with_clock(clock.clone())
        .build()?;
    for request in [
        Flaky::request("flaky")?,
        Throttled::request("throttled")?,
        Hopeless::request("hopeless")?,
        Patient::request("patient")?,
    ] {
        scheduler.schedule_task(request.immediate().build()?).await?;
    }

    let running = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });
    for _ in 0..40 {
        scheduler.wait_until_idle().await?;
        clock.advance(Duration::from_secs(5));
    }
    scheduler.wait_until_idle().await?;
    scheduler.shutdown().await;
    running.await??;

    assert_eq!(attempts(&scheduler, "flaky").await?, [0, 10, 30]);
    assert_eq!(attempts(&scheduler, "throttled").await?, [0, 90]);
    assert_eq!(attempts(&scheduler, "hopeless").await?, [0]);
    assert_eq!(attempts(&scheduler, "patient").await?, [0, 60, 120, 180]);
    anyhow::ensure!(scheduler.verify().await?.is_sound(), "the log is damaged");
    let hopeless = scheduler.get_task("hopeless").await?.map(|task| task.phase);
    assert_eq!(hopeless, Some(PhaseKind::Disabled));
    Ok(())
}

/// Prints a task's attempts, and gives the second of each.
async fn attempts(scheduler: &Scheduler, id: &str) -> anyhow::Result<Vec<i64>> {
    println!("{id}:");
    let mut seconds = Vec::new();
    for recorded in scheduler.task_history(id).await? {
        let second = recorded.at.unix_seconds() - 1_800_000_000;
        match &recorded.event {
            Event::ExecutionStarted { attempt, .. } => {
                seconds.push(second);
                println!("  after {second:>3} s: attempt {attempt}");
            }
            Event::TaskExecuted { outcome, .. } => match outcome {
                Outcome::Succeeded(()) => println!("               succeeded"),
                Outcome::Failed(failure) => {
                    println!("               {:?}: {}", failure.class, failure.message)
                }
                Outcome::Snoozed { for_ms } => println!("               snoozed for {} s", for_ms / 1000),
                other => println!("               {other:?}"),
            },
            _ => {}
        }
    }
    Ok(seconds)
}
