//! What is measured reaches the program's recorder, under the documented names.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its failure")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_runtime::testing::Simulator;
use azoth_scheduler_runtime::{
    Clock, ManualClock, ScheduleTaskRequest, TaskContext, TaskEvent, TaskHandler, TaskResult,
};
use azoth_scheduler_store::SqliteStore;
use azoth_scheduler_store::sqlite::SqliteOptions;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// Every value that was told, by name and labels.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<BTreeMap<String, Vec<f64>>>>);

struct Note {
    notes: Notes,
    name: String,
}

impl Note {
    fn take(&self, value: f64) {
        self.notes.0.lock().unwrap().entry(self.name.clone()).or_default().push(value);
    }
}

impl CounterFn for Note {
    fn increment(&self, value: u64) {
        (0..value).for_each(|_| self.take(1.0));
    }

    fn absolute(&self, _value: u64) {}
}

impl GaugeFn for Note {
    fn increment(&self, _value: f64) {}

    fn decrement(&self, _value: f64) {}

    fn set(&self, value: f64) {
        self.take(value);
    }
}

impl HistogramFn for Note {
    fn record(&self, value: f64) {
        self.take(value);
    }
}

impl Notes {
    fn note(&self, key: &Key) -> Arc<Note> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Note { notes: self.clone(), name: format!("{} {}", key.name(), labels.join(" ")) })
    }

    fn of(&self, name: &str) -> Vec<f64> {
        self.0.lock().unwrap().get(name).cloned().unwrap_or_default()
    }
}

impl Recorder for Notes {
    fn describe_counter(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn describe_gauge(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn describe_histogram(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.note(key))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.note(key))
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.note(key))
    }
}

/// Takes ten seconds, and fails when it is told so.
struct Slow(ManualClock);

#[async_trait]
impl TaskHandler for Slow {
    fn task_type(&self) -> &str {
        "slow"
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        self.0.sleep(Duration::from_secs(10)).await;
        if ctx.task_id().as_str() == "fails" {
            Err("hunter2")?;
        }
        Ok(TaskEvent::new("done", [])?)
    }
}

/// Three tasks in one transaction are one commit; the store in memory has none.
fn commits_of_the_store_are_told(notes: &Notes) {
    assert!(notes.of("azoth_store_commit_events ").is_empty());
    let folder = tempfile::tempdir().unwrap();
    let allow = std::env::var_os("AZOTH_ALLOW_OLD_SQLITE_IN_TESTS").is_some();
    let options = SqliteOptions::new().allow_old_sqlite(allow);
    let store = SqliteStore::open_with(folder.path().join("measured.db"), options).unwrap();
    let world = Simulator::of_seed(1).on_store(store);
    let client = world.start(|builder| builder).unwrap();
    let request =
        |id: &str| ScheduleTaskRequest::builder(id).task_type("slow").payload("hunter2").immediate();
    let requests = ["a", "b", "c"].map(|id| request(id).build().unwrap());
    world.block_on(client.schedule_tasks(requests.to_vec())).unwrap();
    assert_eq!(notes.of("azoth_store_commit_events "), [3.0]);
    let took = notes.of("azoth_store_commit_seconds ");
    assert!(took.len() == 1 && took[0] > 0.0, "{took:?}");
}

#[test]
fn latency_duration_outcome_slots_and_commits_are_told_under_their_names() {
    let notes = Notes::default();
    metrics::set_global_recorder(notes.clone()).unwrap();
    let world = Simulator::of_seed(1);
    let slow = Slow(world.clock().clone());
    let scheduler = world
        .start(|builder| {
            builder.with_task_handler(slow).with_max_concurrent_tasks(1).with_default_max_retries(0)
        })
        .unwrap();
    for (id, second) in [("works", 100), ("fails", 105)] {
        let at = world.now().saturating_add_ms(second * 1_000);
        let request = ScheduleTaskRequest::builder(id).task_type("slow").payload("hunter2").at(at.into());
        world.block_on(scheduler.schedule_task(request.build().unwrap())).unwrap();
    }
    world.run_for(Duration::from_secs(300)).unwrap();

    assert_eq!(notes.of("azoth_due_to_start_seconds task_type=slow"), [0.0, 5.0], "the second one waited");
    assert_eq!(notes.of("azoth_run_seconds task_type=slow"), [10.0, 10.0]);
    assert_eq!(notes.of("azoth_executions_total task_type=slow outcome=succeeded"), [1.0]);
    assert_eq!(notes.of("azoth_executions_total task_type=slow outcome=failed"), [1.0]);
    let busy = notes.of("azoth_busy_slots ");
    assert!(busy.contains(&1.0) && busy.last() == Some(&0.0), "{busy:?}");
    assert_eq!(notes.of("azoth_slots ").last(), Some(&1.0));
    assert_eq!(notes.of("azoth_oldest_due_seconds ").last(), Some(&0.0));
    let commits = notes.of("azoth_commit_seconds ").len();
    assert!(commits >= 2, "{commits}");
    assert_eq!(notes.of("azoth_commit_commands ").len(), commits);
    assert_eq!(notes.of("azoth_commit_claims ").iter().sum::<f64>(), 2.0, "two tasks were claimed");
    commits_of_the_store_are_told(&notes);
    let names = format!("{:?}", notes.0.lock().unwrap().keys());
    assert!(!names.contains("hunter2"), "a payload is told: {names}");
}
