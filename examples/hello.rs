//! The hello world: thirteen lines of code, and four names of the prelude (`task_handler`, `Scheduler`,
//! `MemoryStore`, `Result`).
//!
//! `cargo run --example hello`. Give `SqliteStore::open("hello.db")?` instead of the store, and the task outlives the
//! program.

use azoth_scheduler::prelude::*;

#[task_handler]
fn greet(name: String) {
    println!("hello, {name}");
}

#[tokio::main]
async fn main() -> Result<()> {
    let scheduler = Scheduler::builder(MemoryStore::new()).with_task_handler(Greet).build()?;
    scheduler.schedule_task(Greet::request("hello", &"world".into())?.immediate().build()?).await?;
    scheduler.run_until_idle().await?;
    assert_eq!(scheduler.task_history("hello").await?.len(), 4); // scheduled, started, executed, emitted
    Ok(())
}
