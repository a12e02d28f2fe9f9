//! Reading the log back: why did a task run, run late, or not run?
//!
//! `cargo run --example audit` makes a short past under a clock that is moved by hand, and then asks the log about it.

use std::path::Path;

use azoth_scheduler::prelude::*;
use azoth_scheduler::schedule::{Fate, Miss, Skip};
use azoth_scheduler::{Clock, ManualClock, Timestamp};

/// A short task.
#[task_handler]
async fn report() {}

/// A task that takes longer than its period: two and a half minutes.
#[task_handler]
async fn slow(clock: State<ManualClock>) {
    clock.sleep(Duration::from_secs(150)).await;
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("scheduler.db");
    // 2027-01-15T08:00:00Z
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000)?);

    let scheduler = scheduler(&file, &clock)?;
    let hour = Duration::from_secs(3600);
    let minute = Duration::from_secs(60);
    scheduler.schedule_task(Report::request("hourly, latest only")?.every(hour).build()?).await?;
    let strict = Report::request("hourly, on time or not at all")?.every(hour).misfire(MisfirePolicy::Skip);
    scheduler.schedule_task(strict.build()?).await?;
    scheduler.schedule_task(Slow::request("each minute")?.every(minute).max_runs(2).build()?).await?;
    scheduler.schedule_task(Report::request("newsletter")?.every(hour * 100).build()?).await?;
    run_for(&scheduler, &clock, 10 * minute).await?;

    // Nobody is there for five and a half hours; then the program starts again.
    clock.advance(5 * hour + 30 * minute);
    let scheduler = self::scheduler(&file, &clock)?;
    scheduler.cancel_task("newsletter", "the editor is on leave").await?;
    run_for(&scheduler, &clock, 50 * minute).await?;

    let mut said = Vec::new();
    for task in scheduler.list_tasks(&TaskFilter::new()).await? {
        println!("{}:", task.id);
        for recorded in scheduler.task_history(&task.id).await? {
            if let Some(why) = explain(&recorded) {
                println!("  {}  {why}", recorded.at);
                said.push(why);
            }
        }
    }
    let times = |text: &str| said.iter().filter(|why| why.contains(text)).count();
    assert!(times("ran late") >= 1, "the newest of the missed hours is made up for");
    assert!(times("merged") >= 1, "and stands for those before it");
    assert!(times("too late") >= 1, "where this is not wanted they are missed, and the log says so");
    assert!(times("still running") >= 1, "the slow task skips the minutes in which it runs");
    assert_eq!(times("cancelled by program: the editor is on leave"), 1);
    anyhow::ensure!(scheduler.verify().await?.is_sound(), "the log is damaged");
    Ok(())
}

/// An event of the log as an answer to "why".
fn explain(recorded: &RecordedEvent) -> Option<String> {
    match &recorded.event {
        Event::ExecutionStarted { occurrence, attempt, .. } => {
            let late = recorded.at.ms_since(*occurrence) / 1000;
            let how = if late > 60 { format!("ran late by {late} s") } else { "ran in time".into() };
            Some(format!("{how}: attempt {attempt} for {occurrence}"))
        }
        Event::OccurrencesPassed { passed, .. } => {
            let why = match passed.fate {
                Fate::Merged { into } => format!("merged into that of {into}"),
                Fate::Missed(Miss::Late) => "too late, and not to be made up for".into(),
                Fate::Missed(Miss::Ended) => "the task had ended".into(),
                Fate::Missed(other) => format!("missed: {other:?}"),
                Fate::Skipped(Skip::Overlap) => "the one before was still running".into(),
            };
            let (from, to, count) = (passed.from, passed.to, passed.count.number);
            Some(format!("did not run: {count} from {from} to {to}: {why}"))
        }
        Event::TaskCancelled { reason, by, .. } => Some(format!("cancelled by {by}: {reason}")),
        _ => None,
    }
}

fn scheduler(file: &Path, clock: &ManualClock) -> anyhow::Result<Scheduler> {
    Ok(Scheduler::builder(SqliteStore::open(file)?)
        .with_task_handlers(task_handlers![Report, Slow])
        .with_state(clock.clone())
        .with_clock(clock.clone())
        .with_lease(Duration::from_secs(3600)) // the clock is moved faster than a disk can renew a lease
        .build()?)
}

/// Runs the scheduler while its clock moves on by this span, and further until nothing runs any more.
async fn run_for(scheduler: &Scheduler, clock: &ManualClock, span: Duration) -> anyhow::Result<()> {
    let running = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });
    let end = clock.elapsed() + span;
    loop {
        // While a task runs that waits for the clock, the scheduler is never idle: then time goes on all the same.
        let idle = tokio::time::timeout(Duration::from_millis(20), scheduler.wait_until_idle()).await;
        if idle.is_ok() && clock.elapsed() >= end {
            break;
        }
        clock.advance(Duration::from_secs(30));
    }
    scheduler.shutdown().await;
    running.await??;
    Ok(())
}
