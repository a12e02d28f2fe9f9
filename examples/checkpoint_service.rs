//! A periodic checkpoint service: an interval task that writes a summary of the program's data to a file, never two at
//! once, whatever one takes.
//!
//! `cargo run --example checkpoint_service [FOLDER]` keeps its files in FOLDER; without one it uses a temporary folder.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use azoth_scheduler::execution::Outcome;
use azoth_scheduler::prelude::*;
use azoth_scheduler::schedule::{Fate, Skip};
use serde::{Deserialize, Serialize};

/// What the program works on, and where it keeps its checkpoint.
struct Service {
    requests: AtomicU64,
    folder: PathBuf,
    /// Held while a checkpoint is written.
    writing: Mutex<()>,
}

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Summary {
    requests: u64,
    written_for: i64,
}

/// Writes beside the last checkpoint and then renames, so that a crash in between leaves the last one whole: this task
/// may run twice. It is a plain function, so it may block.
#[task_handler(event = "checkpoint_written", timeout = "30s")]
fn checkpoint(ctx: &TaskContext, service: State<Arc<Service>>) -> anyhow::Result<Summary> {
    let _alone = service.writing.try_lock().map_err(|_| anyhow::anyhow!("two checkpoints at once"))?;
    let requests = service.requests.load(Ordering::Relaxed);
    let summary = Summary { requests, written_for: ctx.scheduled_at().unix_timestamp() };
    let beside = service.folder.join("checkpoint.json.new");
    fs::write(&beside, serde_json::to_vec_pretty(&summary)?)?;
    std::thread::sleep(Duration::from_millis(350)); // a slow disk: longer than the period
    fs::rename(&beside, service.folder.join("checkpoint.json"))?;
    println!("  checkpoint of {} requests", summary.requests);
    Ok(summary)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args_os().nth(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let service = Arc::new(Service { requests: AtomicU64::new(0), folder, writing: Mutex::new(()) });
    let scheduler = Scheduler::builder(SqliteStore::open(service.folder.join("scheduler.db"))?)
        .with_state(Arc::clone(&service))
        .with_task_handler(Checkpoint)
        .build()?;
    let every = Checkpoint::request("checkpoint")?
        .every(Duration::from_millis(200))
        .overlap(Overlap::Skip) // the default; `BufferOne` runs one more as soon as a slow one has ended
        .misfire(MisfirePolicy::Skip) // a checkpoint of yesterday needs no making up for
        .on_exhausted(OnExhausted::Continue); // after its retries go on with the next one: never disable it
    scheduler.schedule_task(every.build()?).await?;

    let running = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });
    for _ in 0..200 {
        service.requests.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    scheduler.shutdown().await; // lets the last checkpoint end
    running.await??;

    let (mut written, mut skipped, mut failed) = (0, 0, 0);
    for recorded in scheduler.task_history("checkpoint").await? {
        match recorded.event {
            Event::TaskEventEmitted { .. } => written += 1,
            Event::TaskExecuted { outcome, .. } if outcome != Outcome::Succeeded(()) => {
                failed += 1;
            }
            Event::OccurrencesPassed { passed, .. } if passed.fate == Fate::Skipped(Skip::Overlap) => {
                skipped += passed.count.number;
            }
            _ => {}
        }
    }
    println!(
        "{written} checkpoints written, {skipped} skipped because one was being written, {failed} failed"
    );
    let kept = fs::read(service.folder.join("checkpoint.json")).context("no checkpoint was kept")?;
    let kept: Summary = serde_json::from_slice(&kept)?;
    println!("kept: {kept:?}");
    assert!(written >= 2 && skipped >= 1 && failed == 0 && kept.requests > 0);
    anyhow::ensure!(scheduler.verify().await?.is_sound(), "the log is damaged");
    Ok(())
}
