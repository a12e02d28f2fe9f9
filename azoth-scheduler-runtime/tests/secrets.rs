//! What handlers are given and what they say goes wrong may hold secrets: none of it is ever logged.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its failure")]

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_runtime::{
    EventHandler, ManualClock, Result, ScheduleTaskRequest, Scheduler, TaskContext, TaskError, TaskEvent,
    TaskHandler, TaskResult,
};
use azoth_scheduler_store::{MemoryStore, RecordedEvent};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const CANARY: &str = "hunter2";

/// Keeps every word that is told to `tracing`.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<String>>);

impl Visit for Everything {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0.lock().unwrap(), "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
        self.0.lock().unwrap().push('\n');
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

struct Careless;

#[async_trait::async_trait]
impl TaskHandler for Careless {
    fn task_type(&self) -> &str {
        "careless"
    }

    async fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
        let text = std::str::from_utf8(payload)?;
        match ctx.task_id().as_str() {
            "fails" => Err(format!("cannot log in with {text}"))?,
            "panics" => std::panic::panic_any(format!("cannot log in with {text}")),
            "misreads" => Ok(TaskEvent::json("read", &serde_json::from_slice::<u32>(payload)?)?),
            _ => Ok(TaskEvent::new("logged_in", payload)?),
        }
    }

    fn validate(&self, payload: &[u8]) -> Result<()> {
        if payload.len() > 100 { Err("too long".into()) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl EventHandler for Careless {
    fn name(&self) -> &str {
        "careless"
    }

    fn max_attempts(&self) -> u32 {
        1
    }

    async fn handle(&self, event: &RecordedEvent) -> std::result::Result<(), TaskError> {
        let payload = event.payload.bytes().unwrap_or_default();
        Err(format!("cannot keep {}", String::from_utf8_lossy(payload)))?
    }
}

#[tokio::test]
async fn no_payload_is_ever_logged_or_shown() {
    std::panic::set_hook(Box::new(|_| {}));
    let everything = Everything::default();
    tracing::subscriber::set_global_default(everything.clone()).unwrap();
    let scheduler = Scheduler::builder(MemoryStore::new())
        .with_clock(ManualClock::starting_at(Timestamp::from_unix_seconds(1_700_000_000).unwrap()))
        .with_task_handler(Careless)
        .with_event_handler(Careless)
        .build()
        .unwrap();
    let running = tokio::spawn({
        let scheduler = scheduler.clone();
        async move { scheduler.run().await }
    });
    let mut shown = String::new();
    for id in ["works", "fails", "panics", "misreads"] {
        let request = ScheduleTaskRequest::builder(id).task_type("careless").immediate().max_retries(0);
        let request = request.payload(format!("\"{CANARY}\"")).build().unwrap();
        write!(shown, "{request:?}").unwrap();
        write!(shown, "{:?}", scheduler.schedule_task(request).await.unwrap()).unwrap();
    }
    let long = ScheduleTaskRequest::builder("long").task_type("careless").immediate();
    let long = long.payload(CANARY.repeat(100)).build().unwrap();
    let refused = scheduler.schedule_task(long).await.unwrap_err();
    write!(shown, "{refused} {refused:?}").unwrap();
    scheduler.wait_until_idle().await.unwrap();
    for id in ["works", "misreads"] {
        write!(shown, "{:?}", scheduler.get_task(id).await.unwrap()).unwrap();
        write!(shown, "{:?}", scheduler.task_history(id).await.unwrap()).unwrap();
    }
    write!(shown, "{scheduler:?} {:?}", scheduler.stats().await.unwrap()).unwrap();
    scheduler.shutdown().await;
    running.await.unwrap().unwrap();

    let logged = everything.0.lock().unwrap().clone();
    for part in ["worker started", "execution ended", "event given up", "shut down", "\"panics\""] {
        assert!(logged.contains(part), "{part:?} is missing in:\n{logged}");
    }
    for text in [&logged, &shown] {
        assert!(!text.contains(CANARY), "a payload is shown:\n{text}");
    }
}
