//! A scheduler whose process is killed while tasks run, and the next one on the same file.

use std::path::Path;

use azoth_scheduler::command::AbandonReason;
use azoth_scheduler::prelude::*;

use crate::child::{self, Child, tell};
use crate::support::assert_sound;

const TASKS: usize = 12;
const SLOTS: usize = 3;

/// Tells that it runs, and ends unless it is to wait for the end of its process.
struct Job {
    hangs: bool,
}

#[async_trait]
impl TaskHandler for Job {
    fn task_type(&self) -> &str {
        "job"
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        let left_by: Option<u32> = ctx.checkpoint()?;
        if self.hangs {
            ctx.save_checkpoint(&std::process::id()).await?;
            tell(format_args!("ran {}", ctx.task_id()));
            std::future::pending::<()>().await;
        }
        Ok(TaskEvent::json("done", &left_by)?)
    }
}

/// The lease is far longer than any test, so only the end of the process can tell that a worker is dead.
fn scheduler(file: &Path, hangs: bool) -> Scheduler {
    Scheduler::builder(SqliteStore::open(file).unwrap())
        .with_task_handler(Job { hangs })
        .with_max_concurrent_tasks(SLOTS)
        .with_lease(Duration::from_secs(3600))
        .build()
        .unwrap()
}

#[tokio::test]
async fn child_that_is_killed_while_its_tasks_run() {
    let Some(file) = child::file() else { return };
    let scheduler = scheduler(&file, true);
    let request = |number| ScheduleTaskRequest::builder(format!("job-{number}")).task_type("job").immediate();
    for number in 0..TASKS {
        scheduler.schedule_task(request(number).build().unwrap()).await.unwrap();
    }
    scheduler.run().await.unwrap();
}

/// Runs the child until its slots are full, and kills it. Gives its process id.
fn kill_one(file: &Path) -> u32 {
    let mut child = Child::start("killed::child_that_is_killed_while_its_tasks_run", file);
    for _ in 0..SLOTS {
        let told = child.hear();
        assert!(told.starts_with("ran job-"), "{told}");
    }
    child.process.kill().unwrap();
    child.process.wait().unwrap();
    child.process.id()
}

/// Wishes the same once, and tells which task it is.
#[tokio::test]
async fn child_that_wishes_what_others_wish_too() {
    let Some(file) = child::file() else { return };
    let client = Scheduler::builder(SqliteStore::open(file).unwrap()).build().unwrap();
    let wish = ScheduleTaskRequest::unnamed().task_type("job").one_time(4_000_000_000);
    let outcome =
        client.schedule_task(wish.unique_while_pending("invoice-7").build().unwrap()).await.unwrap();
    tell(format_args!("{} {}", outcome.task, outcome.is_created()));
}

/// I26.
#[tokio::test]
async fn same_wish_of_several_processes_is_one_task() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scheduler.db");
    let client = Scheduler::builder(SqliteStore::open(&file).unwrap()).build().unwrap();
    let child = || Child::start("killed::child_that_wishes_what_others_wish_too", &file);
    let children = [child(), child(), child()];
    let mut wished = Vec::new();
    for mut child in children {
        let told = child.hear();
        let (task, created) = told.split_once(' ').unwrap();
        wished.push((task.to_owned(), created == "true"));
        assert!(child.wait().success());
    }
    assert_eq!(wished.iter().filter(|(_, created)| *created).count(), 1, "{wished:?}");
    let tasks = client.list_tasks(&TaskFilter::new()).await.unwrap();
    assert_eq!(tasks.len(), 1);
    assert!(wished.iter().all(|(task, _)| *task == tasks[0].id.as_str()), "{wished:?}");
    assert_sound(&client).await;
}

#[tokio::test]
async fn tasks_of_a_killed_process_are_taken_over_at_once_and_recorded_once() {
    // I1, I9: the claims of the dead process are known, and count.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scheduler.db");
    let killed = kill_one(&file);
    let scheduler = scheduler(&file, false);
    let running = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });
    let idle = tokio::time::timeout(Duration::from_secs(60), scheduler.wait_until_idle());
    idle.await.expect("the tasks of a process that is gone need not wait for its lease").unwrap();
    let mut taken_over = 0;
    for task in scheduler.list_tasks(&TaskFilter::new()).await.unwrap() {
        assert_eq!(task.phase, PhaseKind::Finished, "{}", task.id);
        let history = scheduler.task_history(&task.id).await.unwrap();
        let count = |wanted: fn(&Event) -> bool| history.iter().filter(|it| wanted(&it.event)).count();
        assert_eq!(count(|event| matches!(event, Event::TaskExecuted { .. })), 1, "{}", task.id);
        assert_eq!(count(|event| matches!(event, Event::TaskEventEmitted { .. })), 1, "{}", task.id);
        let lost =
            |event: &Event| matches!(event, Event::ExecutionAbandoned { why: AbandonReason::WorkerLost, .. });
        let abandoned = count(lost);
        assert_eq!(count(|event| matches!(event, Event::ExecutionStarted { .. })), 1 + abandoned);
        taken_over += abandoned;
        let value = scheduler.handle(&task.id).unwrap().wait::<Option<u32>>().await.unwrap().value();
        let left_by = if abandoned > 0 { Some(killed) } else { None };
        assert_eq!(value, Some(left_by), "{}: what was saved outlives the process", task.id);
    }
    assert_eq!(taken_over, SLOTS);
    scheduler.shutdown().await;
    running.await.unwrap().unwrap();
    assert_sound(&scheduler).await;
}
