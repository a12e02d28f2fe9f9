//! Several cron tasks in several time zones, with their next runs printed before they start.
//!
//! `cargo run --example cron_tasks [--for SECONDS]` runs until Ctrl-C, or for so many seconds.
// gate: --for 3

use anyhow::{Context as _, bail};
use azoth_scheduler::prelude::*;
use azoth_scheduler::schedule::Schedule;
use azoth_scheduler::{Clock, SystemClock};

struct Job;

#[async_trait]
impl TaskHandler for Job {
    fn task_type(&self) -> &str {
        "job"
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        println!("{} runs for {}", ctx.task_id(), ctx.scheduled_at());
        Ok(TaskEvent::new("done", [])?)
    }
}

/// Name, expression (second minute hour day-of-month month day-of-week; 1-5 is Monday to Friday) and zone.
const TASKS: [(&str, &str, &str); 5] = [
    ("every-second", "* * * * * *", "UTC"),
    ("every-quarter", "0 */15 * * * *", "UTC"),
    ("office-hours", "0 0 9-17 * * 1-5", "Europe/Berlin"),
    ("last-workday", "0 30 18 LW * *", "America/New_York"),
    ("second-sunday", "0 30 2 * * SUN#2", "Australia/Lord_Howe"),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let seconds = seconds_to_run(std::env::args().skip(1))?;
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("scheduler.db"))?;
    let scheduler = Scheduler::builder(store).with_task_handler(Job).build()?;

    for (id, expression, zone) in TASKS {
        let request =
            ScheduleTaskRequest::builder(id).task_type("job").cron(expression).time_zone(zone).build()?;
        scheduler.schedule_task(request).await?;
        let schedule = Schedule::cron_in(expression, zone)?;
        println!("{id}: {}", schedule.describe());
        for next in schedule.upcoming(SystemClock::new().now(), 3)? {
            println!("    {next}");
        }
    }

    let stopper = scheduler.clone();
    tokio::spawn(async move {
        match seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => tokio::signal::ctrl_c().await.unwrap_or_default(),
        }
        stopper.shutdown().await;
    });
    scheduler.run().await?;
    println!("stopped");
    Ok(())
}

fn seconds_to_run(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Option<u64>> {
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok(None),
        (Some("--for"), Some(seconds)) => {
            let seconds =
                seconds.parse().with_context(|| format!("--for takes whole seconds, not {seconds:?}"))?;
            Ok(Some(seconds))
        }
        (Some(other), _) => {
            bail!("unknown argument {other:?}: use `--for SECONDS`, or none to run until Ctrl-C")
        }
    }
}
