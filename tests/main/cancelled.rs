//! Running tasks that are cancelled by another process.

use azoth_scheduler::prelude::*;

use crate::child::{self, Child};
use crate::support::assert_sound;

fn tell(what: &str, task: &TaskId) {
    child::tell(format_args!("{what} {task}"));
}

/// Tells when its handler is dropped.
struct Dropped(TaskId);

impl Drop for Dropped {
    fn drop(&mut self) {
        tell("stopped", &self.0);
    }
}

/// Runs until it is stopped.
struct Waits;

#[async_trait]
impl TaskHandler for Waits {
    fn task_type(&self) -> &str {
        "waits"
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        let _dropped = Dropped(ctx.task_id().clone());
        tell("ran", ctx.task_id());
        std::future::pending().await
    }
}

/// Runs until its token tells it to stop, and then says that it has succeeded.
struct Blocks;

impl BlockingTaskHandler for Blocks {
    fn task_type(&self) -> &str {
        "blocks"
    }

    fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> Result<TaskEvent> {
        tell("ran", ctx.task_id());
        while !ctx.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        tell("stopped", ctx.task_id());
        TaskEvent::new("done", [])
    }
}

/// Goes on, once the others were stopped, until its input ends.
#[tokio::test]
async fn child_whose_tasks_are_cancelled() {
    let Some(file) = child::file() else { return };
    let builder = Scheduler::builder(SqliteStore::open(file).unwrap());
    let scheduler = builder.with_task_handler(Waits).with_task_handler(Blocks).build().unwrap();
    let ended = scheduler.clone();
    std::thread::spawn(move || {
        child::input_ends();
        drop(ended.shutdown());
    });
    scheduler.run().await.unwrap();
}

#[tokio::test]
async fn running_tasks_that_another_process_cancels_are_stopped_and_their_late_results_refused() {
    // I8
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scheduler.db");
    let builder = Scheduler::builder(SqliteStore::open(&file).unwrap()).with_actor("operator");
    let client = builder.build().unwrap();
    for kind in ["waits", "blocks"] {
        let request = ScheduleTaskRequest::builder(kind).task_type(kind).immediate();
        client.schedule_task(request.build().unwrap()).await.unwrap();
    }
    let mut child = Child::start("cancelled::child_whose_tasks_are_cancelled", &file);
    let next_two = |child: &mut Child| {
        let mut two = [child.hear(), child.hear()];
        two.sort();
        two
    };
    assert_eq!(next_two(&mut child), ["ran blocks", "ran waits"]);
    for kind in ["waits", "blocks"] {
        assert_eq!(client.cancel_task(kind, "enough").await.unwrap(), Said::Recorded);
    }
    assert_eq!(next_two(&mut child), ["stopped blocks", "stopped waits"]);
    assert!(child.wait().success(), "the process goes on, and ends as it is told");
    for kind in ["waits", "blocks"] {
        let history = client.task_history(kind).await.unwrap();
        let names: Vec<_> = history.iter().map(|recorded| recorded.event.name()).collect();
        assert_eq!(names, ["TaskScheduled", "ExecutionStarted", "TaskCancelled"], "{kind}");
        let Event::TaskCancelled { by, .. } = &history[2].event else { panic!("it was cancelled") };
        assert_eq!(by.as_str(), "operator");
    }
    assert_sound(&client).await;
}
