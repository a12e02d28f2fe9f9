//! Testing with the virtual clock: a month of a cron schedule, run in milliseconds, with assertions on what ran.
//!
//! `cargo run --example virtual_time`; the same body serves in a `#[tokio::test]`.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use azoth_scheduler::prelude::*;
use azoth_scheduler::{ManualClock, Timestamp};

/// Which instants the handler was run for.
#[derive(Default)]
struct Ran {
    at: Mutex<Vec<Timestamp>>,
}

#[task_handler]
fn bell(ctx: &TaskContext, ran: State<Arc<Ran>>) -> anyhow::Result<()> {
    let mut at = ran.at.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
    at.push(Timestamp::try_from(ctx.scheduled_at())?);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    let ran = Arc::new(Ran::default());
    // 2026-03-01T00:00:00Z, a Sunday. In Berlin the clocks go forward on the 29th.
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_772_323_200)?);
    let scheduler = Scheduler::builder(MemoryStore::new())
        .with_state(Arc::clone(&ran))
        .with_task_handler(Bell)
        .with_clock(clock.clone())
        .build()?;
    let workdays = Bell::request("workdays")?.cron("0 0 9 * * 1-5").time_zone("Europe/Berlin");
    scheduler.schedule_task(workdays.build()?).await?;

    let running = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });
    // Hour by hour. Time stands still until all that is due has run, so nothing here depends on the machine.
    for _ in 0..31 * 24 {
        scheduler.wait_until_idle().await?;
        clock.advance(Duration::from_secs(3600));
    }
    scheduler.wait_until_idle().await?;
    scheduler.shutdown().await;
    running.await??;

    let at = ran.at.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
    for instant in at.iter() {
        println!("  ran for {instant}");
    }
    println!("a month in {:?}", started.elapsed());
    assert_eq!(at.len(), 22, "March 2026 has 22 workdays");
    assert_eq!(at.first().map(ToString::to_string).as_deref(), Some("2026-03-02T08:00:00Z"));
    assert_eq!(at.last().map(ToString::to_string).as_deref(), Some("2026-03-31T07:00:00Z"), "summer time");
    Ok(())
}
