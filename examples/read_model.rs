//! A read model: events become rows of the application's own table, in the same SQLite file, each exactly once.
//!
//! `cargo run --example read_model [FOLDER]` keeps the file in FOLDER; without one it uses a temporary folder. The program
//! stops in between as a restart would, and the read model goes on where its cursor stands.

use std::path::{Path, PathBuf};

use azoth_scheduler::prelude::*;
use azoth_scheduler::sqlite::rusqlite::{Connection, Transaction};
use azoth_scheduler::sqlite::{HandlerError, TransactionalEventHandler};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Sale {
    shop: String,
    cents: i64,
}

/// What the task gives back is its event.
#[task_handler(event = "sold")]
fn sell(sale: Sale) -> Sale {
    sale
}

/// Adds up what each shop sold. Adding is not idempotent: an event that came twice would be seen in the sum.
struct Turnover;

impl TransactionalEventHandler for Turnover {
    fn name(&self) -> &str {
        "turnover"
    }

    fn handle(&self, tx: &Transaction<'_>, events: &[RecordedEvent]) -> Result<(), HandlerError> {
        for recorded in events {
            let Event::TaskEventEmitted { emitted, .. } = &recorded.event else { continue };
            let Some(bytes) = recorded.payload.bytes().filter(|_| emitted.event_type == "sold") else {
                continue;
            };
            let sale: Sale = serde_json::from_slice(bytes)?;
            tx.execute(
                "INSERT INTO turnover (shop, sales, cents) VALUES (?1, 1, ?2)
                 ON CONFLICT (shop) DO UPDATE SET sales = sales + 1, cents = cents + excluded.cents",
                (&sale.shop, sale.cents),
            )?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args_os().nth(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let file = folder.join("shop.db");
    drop(SqliteStore::open(&file)?);
    Connection::open(&file)?.execute_batch(
        "CREATE TABLE IF NOT EXISTS turnover (shop TEXT PRIMARY KEY, sales INTEGER, cents INTEGER) STRICT",
    )?;
    let before = turnover(&file)?;

    println!("the first start:");
    sell_some(&file, 0..30).await?;
    println!("after a restart:");
    let (sales, cents) = sell_some(&file, 30..60).await?;
    assert_eq!((sales - before.0, cents - before.1), (60, 60 * 250), "each event counts exactly once");
    Ok(())
}

/// One life of the program: it sells, its read model catches up, and it ends.
async fn sell_some(file: &Path, numbers: std::ops::Range<usize>) -> anyhow::Result<(i64, i64)> {
    let store = SqliteStore::open(file)?;
    let read_model = store.add_event_handler(Turnover)?;
    let scheduler = Scheduler::builder(store).with_task_handler(Sell).build()?;
    for number in numbers {
        let sale = Sale { shop: ["Riga", "Porto"][number % 2].into(), cents: 250 };
        let request = ScheduleTaskRequest::unnamed().task_type(Sell::TASK_TYPE).payload_json(&sale);
        scheduler.schedule_task(request.immediate().build()?).await?;
    }
    scheduler.run_until_idle().await?;

    // How far the log reaches, and so how far the read model has to come.
    let head = scheduler.store().head().await?;
    tokio::time::timeout(Duration::from_secs(10), read_model.watch_cursor().wait_for(|at| *at >= head))
        .await??;
    anyhow::ensure!(scheduler.verify().await?.is_sound(), "the log is damaged");
    turnover(file)
}

/// The table as anybody may read it: sales and cents of all shops.
fn turnover(file: &Path) -> anyhow::Result<(i64, i64)> {
    let connection = Connection::open(file)?;
    let mut statement = connection.prepare("SELECT shop, sales, cents FROM turnover ORDER BY shop")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)))?;
    let mut sum = (0, 0);
    for row in rows {
        let (shop, sales, cents): (String, i64, i64) = row?;
        println!("  {shop}: {sales} sales, {cents} cents");
        sum = (sum.0 + sales, sum.1 + cents);
    }
    Ok(sum)
}
