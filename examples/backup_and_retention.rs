//! A file that is looked after: backed up while tasks go on, relieved of what is old, its log cut behind an archive, and read
//! back from archive and export.
//!
//! `cargo run --example backup_and_retention` lives through a month under a clock that is moved by hand.

use azoth_scheduler::prelude::*;
use azoth_scheduler::sqlite::{CutOptions, SqliteOptions};
use azoth_scheduler::{AsOf, Clock, ManualClock, Store, Timestamp};

const DAY: Duration = Duration::from_secs(86_400);

#[task_handler]
async fn invoice(number: u32) -> anyhow::Result<String> {
    Ok(format!("invoice {number} was sent"))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name);
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000)?);
    let store = SqliteStore::open(file("scheduler.db"))?;
    // Nothing is let go unless a policy says so. `with_retention` follows one in the background.
    let policy = RetentionPolicy::new().keep_finished_for(7 * DAY).keep_payloads_for(21 * DAY);
    let scheduler = Scheduler::builder(store.clone())
        .with_task_handler(Invoice)
        .with_retention(policy, DAY)
        .with_clock(clock.clone())
        .build()?;
    for number in 1..=3 {
        let request = Invoice::request(format!("invoice-{number}"), &number)?;
        scheduler.schedule_task(request.immediate().build()?).await?;
    }
    scheduler.run_until_idle().await?;

    // A backup is verified before it gets its name, and restored by opening it.
    let backup = store.backup_to(file("monday.db")).await?;
    println!("backed up {} bytes, up to event {}", backup.bytes, backup.head);
    let restored = SqliteStore::open(file("monday.db"))?;
    anyhow::ensure!(restored.verify().await?.head_hash == backup.head_hash, "the copy is another log");

    // A month later the invoices are gone from the listings; the log still knows them.
    let then = store.head().await?;
    clock.advance(30 * DAY);
    let gone = scheduler.retain(&policy).await?;
    println!("{} tasks have left, and {} old payloads", gone.tasks, gone.payloads);
    anyhow::ensure!(gone.tasks == 3 && scheduler.list_tasks(&TaskFilter::new()).await?.is_empty());
    let past = scheduler.as_of(AsOf::Position(then)).await?;
    anyhow::ensure!(past.tasks(&TaskFilter::new()).await?.len() == 3, "they were there");
    // As long as somebody looks at it, nothing of it is cut.
    drop(past);

    // The oldest part of the log goes to an archive, and what is left stays verifiable.
    let cut = CutOptions::archive_to(file("january.jsonl")).keep_events_for(14 * DAY);
    let cut = store.cut_log(cut, clock.now()).await?;
    println!("{} events are in the archive, the log begins behind event {}", cut.events, cut.through);
    anyhow::ensure!(scheduler.verify().await?.is_sound(), "the log is damaged");

    // Archive and export together are the whole log again: lines of JSON in, the same hash out.
    let left = store.export_to(file("february.jsonl")).await?;
    let parts = [file("january.jsonl"), file("february.jsonl")];
    let again = SqliteStore::import(file("again.db"), parts, SqliteOptions::new()).await?;
    println!("read back {} events", again.head().await?);
    anyhow::ensure!(again.verify().await?.head_hash == left.head_hash, "it is another log");
    Ok(())
}
