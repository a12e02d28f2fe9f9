//! An order and the task that ships it, in one transaction of the application's own: both are there, or neither.
//!
//! `cargo run --example transactional_enqueue`.

use azoth_scheduler::prelude::*;
use azoth_scheduler::sqlite::rusqlite::{Connection, Transaction, TransactionBehavior};

#[task_handler(event = "shipped")]
fn ship(order: u64) -> u64 {
    println!("order {order} is shipped");
    order
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("shop.db");
    let store = SqliteStore::open(&file)?;
    let scheduler = Scheduler::builder(store.clone()).with_task_handler(Ship).build()?;

    // The application's own table, in the same file.
    let mut conn = Connection::open(&file)?;
    conn.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL) STRICT")?;

    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    place_order(&tx, &store, &scheduler, 1, "lamp")?;
    tx.commit()?;

    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    place_order(&tx, &store, &scheduler, 2, "unicorn")?;
    println!("no unicorns in stock: order 2 is rolled back");
    tx.rollback()?;

    scheduler.run_until_idle().await?;
    let orders: i64 = conn.query_row("SELECT count(*) FROM orders", [], |row| row.get(0))?;
    let shipped = scheduler.get_task("ship-1").await?.map(|task| task.phase);
    assert_eq!((orders, shipped), (1, Some(PhaseKind::Finished)));
    assert!(scheduler.get_task("ship-2").await?.is_none(), "no order, no shipping");
    anyhow::ensure!(scheduler.verify().await?.is_sound(), "the log is damaged");
    Ok(())
}

/// Writes the row and the task. Which of them commits, and whether, is the caller's affair.
fn place_order(
    tx: &Transaction<'_>,
    store: &SqliteStore,
    scheduler: &Scheduler,
    order: u64,
    item: &str,
) -> anyhow::Result<()> {
    tx.execute("INSERT INTO orders VALUES (?1, ?2)", (i64::try_from(order)?, item))?;
    let request = Ship::request(format!("ship-{order}"), &order)?.immediate().build()?;
    for answer in store.schedule_in(tx, &scheduler.prepare(&[request])?)? {
        answer?;
    }
    Ok(())
}
