//! An async handler that blocks the runtime is named in a warning, once.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its failure")]

use std::fmt::Write as _;
use std::sync::{Condvar, LazyLock, Mutex, Once};
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_runtime::{
    ManualClock, ScheduleTaskRequest, Scheduler, TaskContext, TaskEvent, TaskHandler, TaskResult,
};
use azoth_scheduler_store::MemoryStore;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Every warning so far.
#[derive(Default)]
struct Warnings {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

static WARNINGS: LazyLock<Warnings> = LazyLock::new(Warnings::default);

impl Warnings {
    fn about(&self, task: &str) -> Vec<String> {
        let of_task = |line: &&String| line.contains("blocks the async runtime") && line.contains(task);
        self.lines.lock().unwrap().iter().filter(of_task).cloned().collect()
    }

    /// Blocks this thread until there is one about the task. A test that hangs fails, instead of holding up the gate.
    fn wait_for(&self, task: &str) {
        let missing = |lines: &mut Vec<String>| !lines.iter().any(|line| line.contains(task));
        let lines = self.lines.lock().unwrap();
        let (_lines, waited) = self.more.wait_timeout_while(lines, Duration::from_secs(20), missing).unwrap();
        assert!(!waited.timed_out(), "nobody warns");
    }
}

struct Listener;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        WARNINGS.lines.lock().unwrap().push(line.0);
        WARNINGS.more.notify_all();
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// Blocks for some time of the virtual clock, and then until it was noticed if it is told to.
struct Rude {
    clock: ManualClock,
    blocks: Duration,
    until_noticed: bool,
}

#[async_trait]
impl TaskHandler for Rude {
    fn task_type(&self) -> &str {
        "rude"
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        for _ in 0..3 {
            self.clock.advance(self.blocks);
            if self.until_noticed {
                WARNINGS.wait_for(ctx.task_id().as_str());
            }
            tokio::task::yield_now().await;
        }
        Ok(TaskEvent::new("done", [])?)
    }
}

/// Runs one task of this handler to its end, and gives the warnings about it.
async fn warnings_of(task: &str, blocks: Duration, until_noticed: bool) -> Vec<String> {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| tracing::subscriber::set_global_default(Listener).unwrap());
    let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_700_000_000).unwrap());
    let rude = Rude { clock: clock.clone(), blocks, until_noticed };
    let scheduler =
        Scheduler::builder(MemoryStore::new()).with_clock(clock).with_task_handler(rude).build().unwrap();
    let request = ScheduleTaskRequest::builder(task).task_type("rude").immediate().build().unwrap();
    scheduler.schedule_task(request).await.unwrap();
    scheduler.run_until_idle().await.unwrap();
    WARNINGS.about(task)
}

#[tokio::test]
async fn handler_whose_polls_take_too_long_is_named_once() {
    let warnings = warnings_of("slow-poll", Duration::from_secs(2), false).await;
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    for part in ["task=\"slow-poll\"", "task_type=\"rude\"", "execution=", "took=2s"] {
        assert!(warning.contains(part), "{part} is missing in {warning}");
    }
}

#[tokio::test]
async fn handler_that_never_returns_from_a_poll_is_named_while_it_blocks() {
    let warnings = warnings_of("stuck-poll", Duration::from_secs(6), true).await;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[tokio::test]
async fn handler_with_short_polls_is_not_named() {
    let warnings = warnings_of("polite", Duration::from_millis(300), false).await;
    assert!(warnings.is_empty(), "{warnings:?}");
}
