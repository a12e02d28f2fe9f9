//! A task that kills its process each time that it runs, and its neighbours, which do nothing wrong.

use std::path::Path;

use azoth_scheduler::prelude::*;
use azoth_scheduler::state::DisabledReason;

use crate::child::{self, Child};
use crate::support::assert_sound;

const INNOCENTS: usize = 5;

/// Takes the process down, or waits for that, or ends.
struct Job;

#[async_trait]
impl TaskHandler for Job {
    fn task_type(&self) -> &str {
        "job"
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        if ctx.task_id().as_str() == "poison" {
            std::process::abort();
        }
        // Under way as the process dies, as long as the poisonous task is run beside it.
        if ctx.attempt() <= 2 {
            std::future::pending::<()>().await;
        }
        Ok(TaskEvent::new("done", [])?)
    }
}

/// The lease is far longer than any test, so only the end of the process can tell that a worker is dead.
fn scheduler(file: &Path) -> Scheduler {
    Scheduler::builder(SqliteStore::open(file).unwrap())
        .with_task_handler(Job)
        .with_lease(Duration::from_secs(3600))
        .build()
        .unwrap()
}

#[tokio::test]
async fn child_that_runs_until_idle_or_dies() {
    let Some(file) = child::file() else { return };
    scheduler(&file).run_until_idle().await.unwrap();
}

/// Whether the child came to its end.
fn run_child(file: &Path) -> bool {
    Child::start("poison::child_that_runs_until_idle_or_dies", file).wait().success()
}

#[tokio::test]
async fn task_that_kills_its_process_names_itself_and_its_neighbours_all_finish() {
    // I9
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scheduler.db");
    let client = Scheduler::builder(SqliteStore::open(&file).unwrap()).build().unwrap();
    let innocents = (0..INNOCENTS).map(|number| format!("innocent-{number}"));
    for task in innocents.chain(["poison".to_owned()]) {
        let request = ScheduleTaskRequest::builder(task).task_type("job").immediate().build().unwrap();
        client.schedule_task(request).await.unwrap();
    }
    let deaths = (0..20).take_while(|_| !run_child(&file)).count();
    assert_eq!(deaths, 5, "as many as the poisonous task may have losses");
    for task in client.list_tasks(&TaskFilter::new()).await.unwrap() {
        let history = client.task_history(&task.id).await.unwrap();
        let claims = history.iter().filter(|it| matches!(it.event, Event::ExecutionStarted { .. })).count();
        if task.id.as_str() == "poison" {
            let because = match history.last().map(|it| &it.event) {
                Some(Event::ExecutionAbandoned { then, .. }) => then.clone(),
                other => panic!("{other:?}"),
            };
            let losses = DisabledReason::Losses { losses: 5 };
            assert_eq!(because, azoth_scheduler::event::Then::Disable(losses));
            assert_eq!((task.phase, claims), (PhaseKind::Disabled, 5), "and never one claim more");
        } else {
            assert_eq!((task.phase, claims), (PhaseKind::Finished, 3), "{}: lost twice beside it", task.id);
        }
    }
    assert_sound(&client).await;
}
