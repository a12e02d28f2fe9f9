//! A scheduler whose process stands still for longer than its lease, as on a machine that was suspended.
#![cfg(unix)]

use std::time::SystemTime;

use azoth_scheduler::prelude::*;
use azoth_scheduler::{ManualClock, Timestamp};
use azoth_scheduler_faults::process::{resume, stop};

use crate::child::{self, Child, tell};
use crate::support::assert_sound;

/// In the child it runs until it is cancelled; elsewhere it ends at once.
struct Job {
    waits: bool,
}

#[async_trait]
impl TaskHandler for Job {
    fn task_type(&self) -> &str {
        "job"
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        if self.waits {
            tell(format_args!("ran {}", ctx.task_id()));
            if ctx.task_id().as_str() == "first" {
                ctx.cancelled().await;
                tell("cancelled");
            }
        }
        Ok(TaskEvent::new("done", [])?)
    }
}

#[tokio::test]
async fn child_that_stands_still_while_its_task_runs() {
    let Some(file) = child::file() else { return };
    let scheduler = Scheduler::builder(SqliteStore::open(file).unwrap())
        .with_task_handler(Job { waits: true })
        .with_lease(Duration::from_secs(1))
        .build()
        .unwrap();
    let first = ScheduleTaskRequest::builder("first").task_type("job").immediate();
    scheduler.schedule_task(first.build().unwrap()).await.unwrap();
    scheduler.run().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_that_stood_still_beyond_its_lease_is_cancelled_and_goes_on_with_other_work() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scheduler.db");
    let mut paused = Child::start("paused::child_that_stands_still_while_its_task_runs", &file);
    assert_eq!(paused.hear(), "ran first");
    stop(&paused.process);

    // Only the clock of the one who watches says that a lease has passed: the other process is not gone.
    // It is an hour slow, so that whatever it schedules is due for the other one too.
    let store = SqliteStore::open(&file).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let hour_ago = i64::try_from(now).unwrap() - 3_600;
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(hour_ago).unwrap());
    let client = Scheduler::builder(store.clone()).with_clock(clock.clone()).build().unwrap();
    let scheduler = Scheduler::builder(store)
        .with_clock(clock.clone())
        .with_task_handler(Job { waits: false })
        .build()
        .unwrap();
    let running = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });
    let taken_over = async {
        while client.get_task("first").await.unwrap().unwrap().phase != PhaseKind::Finished {
            clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), taken_over).await.expect("its task is taken over");
    let history = client.task_history("first").await.unwrap();
    scheduler.shutdown().await;
    running.await.unwrap().unwrap();

    resume(&paused.process);
    let mut paused = tokio::task::spawn_blocking(move || {
        assert_eq!(paused.hear(), "cancelled");
        paused
    })
    .await
    .unwrap();
    let second = ScheduleTaskRequest::builder("second").task_type("job").immediate();
    client.schedule_task(second.build().unwrap()).await.unwrap();
    let paused = tokio::task::spawn_blocking(move || {
        assert_eq!(paused.hear(), "ran second");
        paused
    });
    drop(paused.await.unwrap());
    // I8: what it had to say of the first one was refused.
    assert_eq!(client.task_history("first").await.unwrap(), history);
    assert_sound(&client).await;
}
