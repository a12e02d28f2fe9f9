//! Running tasks that are cancelled by another process.
//!
//! The process that runs them is this test binary itself, in the test named `child_..`, which does nothing without a file
//! in its environment.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use azoth_scheduler::prelude::*;

use crate::support::assert_sound;

const FILE: &str = "AZOTH_TEST_CANCELLED_FILE";

fn tell(what: &str, task: &TaskId) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {task}").unwrap();
    out.flush().unwrap();
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
    let Some(file) = std::env::var_os(FILE) else { return };
    let builder = Scheduler::builder(SqliteStore::open(file).unwrap());
    let scheduler = builder.with_task_handler(Waits).with_task_handler(Blocks).build().unwrap();
    let ended = scheduler.clone();
    std::thread::spawn(move || {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
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
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["cancelled::child_whose_tasks_are_cancelled", "--exact", "--nocapture"])
        .env(FILE, &file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = BufReader::new(child.stdout.take().unwrap()).lines().map_while(std::result::Result::ok);
    let mut told = told.filter_map(|line| {
        let at = ["ran ", "stopped "].iter().filter_map(|word| line.find(word)).min()?;
        Some(line[at..].to_owned())
    });
    let mut next_two = || {
        let mut two: Vec<String> = told.by_ref().take(2).collect();
        two.sort();
        two
    };
    assert_eq!(next_two(), ["ran blocks", "ran waits"]);
    for kind in ["waits", "blocks"] {
        assert_eq!(client.cancel_task(kind, "enough").await.unwrap(), Said::Recorded);
    }
    assert_eq!(next_two(), ["stopped blocks", "stopped waits"]);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success(), "the process goes on, and ends as it is told");
    for kind in ["waits", "blocks"] {
        let history = client.task_history(kind).await.unwrap();
        let names: Vec<_> = history.iter().map(|recorded| recorded.event.name()).collect();
        assert_eq!(names, ["TaskScheduled", "ExecutionStarted", "TaskCancelled"], "{kind}");
        let Event::TaskCancelled { by, .. } = &history[2].event else { panic!("it was cancelled") };
        assert_eq!(by.as_str(), "operator");
    }
    assert_sound(&client).await;
}
