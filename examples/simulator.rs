//! Testing with the simulator: a month of schedules in milliseconds, and a crash in the middle of it, without a runtime,
//! a thread or a wait. The same seed gives the same run.
//!
//! `cargo run --example simulator --features testing`; the same body serves in a plain `#[test]`.

use std::time::Instant;

use azoth_scheduler::prelude::*;
use azoth_scheduler::testing::Simulator;
use azoth_scheduler::{Clock, ManualClock};

/// Takes ten minutes, by the clock of the world that it lives in.
#[task_handler]
async fn report(clock: State<ManualClock>) -> anyhow::Result<()> {
    clock.sleep(Duration::from_secs(600)).await;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    // 2026-01-01T00:00:00Z, a Thursday.
    let world = Simulator::of_seed(7);
    let start = || world.start(|builder| builder.with_state(world.clock().clone()).with_task_handler(Report));
    let scheduler = start()?;
    let daily = Report::request("daily")?.cron("0 0 6 * * *").timeout(Duration::from_secs(3600));
    world.block_on(scheduler.schedule_task(daily.build()?))?;

    // To the first run, and then the process dies while the handler is at work. Another one takes over.
    let first = world.run_to_next()?;
    world.kill(&scheduler, false);
    start()?;
    world.run_for(Duration::from_secs(30 * 86_400 + 3 * 3600))?;

    let runs = world.runs()?;
    for run in &runs {
        println!("  {}: attempt {}, {:?}", run.scheduled_at, run.attempt, run.ended);
    }
    println!("a month in {:?}", started.elapsed());
    assert_eq!(first, Some(runs[0].scheduled_at));
    assert_eq!(runs.iter().filter(|run| run.succeeded()).count(), 31, "each day once");
    assert_eq!((runs.len(), runs[1].attempt), (32, 2), "the first day took two attempts");
    Ok(())
}
