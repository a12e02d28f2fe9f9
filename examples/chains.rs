//! Tasks that come of each other: one fans out into several, and another gathers what they found once all of them have
//! succeeded.
//!
//! `cargo run --example chains`.

use azoth_scheduler::prelude::*;

/// Fans out. What it schedules is recorded in the transaction of its success, or not at all: were it to fail at the last
/// page, no page would be counted, and its next attempt would start from nothing.
#[task_handler]
async fn split(ctx: &TaskContext, pages: Vec<String>) -> anyhow::Result<usize> {
    let mut counts = Vec::new();
    for (number, page) in (1..).zip(&pages) {
        let count = CountWords::request(format!("count-{number}"), page)?.immediate();
        counts.push(ctx.schedule(count.build()?)?.to_string());
    }
    let sum = Sum::request("sum", &counts)?.immediate();
    ctx.schedule(sum.after(&counts).build()?)?;
    Ok(counts.len())
}

#[task_handler]
async fn count_words(page: String) -> usize {
    page.split_whitespace().count()
}

/// Fans in: it runs once all that it waits for have succeeded, so their values are there.
#[task_handler]
async fn sum(counts: Vec<String>, tasks: State<Scheduler>) -> anyhow::Result<usize> {
    let mut words = 0;
    for count in counts {
        words += tasks.handle(count)?.wait::<usize>().await?.value().unwrap_or(0);
    }
    Ok(words)
}

/// Runs whatever became of the others, to clean up behind them.
#[task_handler]
async fn clean_up() {
    println!("clean");
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("words.db"))?;
    // A scheduler without handlers is a client of the same store.
    let client = Scheduler::builder(store.clone()).build()?;
    let scheduler = Scheduler::builder(store)
        .with_state(client)
        .with_task_handlers(task_handlers![Split, CountWords, Sum, CleanUp])
        .build()?;
    let running = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });

    let pages = vec!["a page of five words".to_owned(), "and one of four".to_owned()];
    scheduler.schedule_task(Split::request("split", &pages)?.immediate().build()?).await?;
    let clean_up = CleanUp::request("clean-up")?.immediate();
    let clean_up = clean_up.after_with(["split"], OnDependencyFailure::RunAnyway);
    scheduler.schedule_task(clean_up.build()?).await?;

    let parts: TaskOutcome<usize> = scheduler.handle("split")?.wait().await?;
    let words: TaskOutcome<usize> = scheduler.handle("sum")?.wait().await?;
    println!("{parts:?}, {words:?}");
    assert_eq!((parts.value(), words.value()), (Some(2), Some(9)));

    scheduler.wait_until_idle().await?;
    for id in ["split", "count-1", "count-2", "sum", "clean-up"] {
        let history = scheduler.task_history(id).await?;
        let names: Vec<_> = history.iter().map(|recorded| recorded.event.name()).collect();
        println!("{id}: {}", names.join(", "));
    }
    scheduler.shutdown().await;
    running.await??;
    anyhow::ensure!(scheduler.verify().await?.is_sound(), "the log is damaged");
    Ok(())
}
