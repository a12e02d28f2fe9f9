//! An async event handler: told of every event at least once behind a durable cursor, with a dead letter for what it
//! cannot handle.
//!
//! `cargo run --example event_handler`

use std::sync::{Arc, Mutex};

use azoth_scheduler::prelude::*;

/// Gives its payload back as an event.
#[task_handler(event = "order_placed")]
fn place_order(order: String) -> String {
    order
}

/// Tells a warehouse of each order. It could as well call another service: it is async, and may be slow.
struct Warehouse {
    told: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl EventHandler for Warehouse {
    fn name(&self) -> &str {
        "warehouse"
    }

    fn wants(&self, event: &RecordedEvent) -> bool {
        matches!(&event.event, Event::TaskEventEmitted { emitted, .. } if emitted.event_type == "order_placed")
    }

    async fn handle(&self, event: &RecordedEvent) -> Result<(), TaskError> {
        let order: String = serde_json::from_slice(event.payload.bytes().ok_or("its payload was dropped")?)?;
        println!("  event {}: {order}", event.position);
        if order == "a unicorn" {
            // Any other error would be tried again, by default five times in all.
            return Err(Permanent::new("nobody stocks unicorns").into());
        }
        self.told.lock().map_err(|_| "poisoned")?.push(order);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("orders.db");
    let told = Arc::new(Mutex::new(Vec::new()));

    println!("the first start:");
    serve(&file, &told, &["a lamp", "a unicorn", "a chair"]).await?;
    println!("after a restart, with the cursor where it was:");
    let scheduler = serve(&file, &told, &["a table"]).await?;

    let letters = scheduler.dead_letters("warehouse", 10).await?;
    for letter in &letters {
        println!(
            "dead letter: event {} after {} attempts: {}",
            letter.position, letter.attempts, letter.error
        );
    }
    let told = told.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
    assert_eq!(*told, ["a lamp", "a chair", "a table"], "in order, and none again after the restart");
    assert_eq!(letters.len(), 1);
    Ok(())
}

/// One life of the program: it takes the orders, handles their events, and ends.
async fn serve(
    file: &std::path::Path,
    told: &Arc<Mutex<Vec<String>>>,
    orders: &[&str],
) -> anyhow::Result<Scheduler> {
    let scheduler = Scheduler::builder(SqliteStore::open(file)?)
        .with_task_handler(PlaceOrder)
        .with_event_handler(Warehouse { told: Arc::clone(told) })
        .with_max_concurrent_tasks(1) // one after the other, so that the orders keep their order
        .build()?;
    for order in orders {
        let id = format!("order of {order}");
        scheduler.schedule_task(PlaceOrder::request(id, &(*order).into())?.immediate().build()?).await?;
    }
    // Idle means that the event handlers have caught up too.
    scheduler.run_until_idle().await?;
    anyhow::ensure!(scheduler.verify().await?.is_sound(), "the log is damaged");
    Ok(scheduler)
}
