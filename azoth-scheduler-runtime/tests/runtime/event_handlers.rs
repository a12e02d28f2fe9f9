//! Event handlers: at least once, in order, and never stuck.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::retry::Backoff;
use azoth_scheduler_runtime::{EventHandler, Permanent, Scheduler, SchedulerError, TaskError, TaskEvent};
use azoth_scheduler_store::{MemoryStore, RecordedEvent, StartFrom};

use crate::support::{Fixture, SECOND, handler, immediate};

type Seen = Arc<Mutex<Vec<String>>>;

/// Writes down which of the handlers' events it was given, and fails as their payload says.
struct Notes {
    name: &'static str,
    seen: Seen,
    start: StartFrom,
}

impl Notes {
    fn new(name: &'static str) -> (Self, Seen) {
        let seen = Seen::default();
        (Self { name, seen: Arc::clone(&seen), start: StartFrom::Beginning }, seen)
    }
}

#[async_trait]
impl EventHandler for Notes {
    fn name(&self) -> &str {
        self.name
    }

    fn wants(&self, event: &RecordedEvent) -> bool {
        matches!(&event.event, Event::TaskEventEmitted { emitted, .. } if emitted.event_type == "noted")
    }

    fn start_from(&self) -> StartFrom {
        self.start
    }

    fn max_attempts(&self) -> u32 {
        3
    }

    async fn handle(&self, event: &RecordedEvent) -> Result<(), TaskError> {
        let text = std::str::from_utf8(event.payload.bytes().unwrap())?.to_owned();
        self.seen.lock().unwrap().push(text.clone());
        match text.as_str() {
            "fails" => Err("the read model is away")?,
            "hopeless" => Err(Permanent::new("no such column"))?,
            "panics" => panic!("boom in an event handler"),
            _ => Ok(()),
        }
    }
}

fn noting() -> impl azoth_scheduler_runtime::TaskHandler {
    handler(|_, payload| async move { Ok(TaskEvent::new("noted", payload)?) })
}

async fn emit(fixture: &Fixture, texts: &[&str]) {
    for text in texts {
        fixture.schedule(immediate(text).payload(*text)).await;
        fixture.idle().await;
    }
}

#[tokio::test]
async fn events_come_in_order_and_only_those_that_are_wanted() {
    let (notes, seen) = Notes::new("notes");
    let fixture = Fixture::building(|builder| builder.with_task_handler(noting()).with_event_handler(notes));
    emit(&fixture, &["one", "two", "three"]).await;
    assert_eq!(*seen.lock().unwrap(), ["one", "two", "three"]);
    fixture.end().await;
}

#[tokio::test]
async fn event_handler_goes_on_where_it_was_after_a_restart() {
    let (notes, seen) = Notes::new("notes");
    let fixture = Fixture::building(|builder| builder.with_task_handler(noting()).with_event_handler(notes));
    emit(&fixture, &["one"]).await;
    let (store, clock) = (fixture.store.clone(), fixture.clock.clone());
    fixture.end().await;
    let (again, seen_again) = Notes::new("notes");
    let (late, seen_late) = Notes::new("late");
    let late = Notes { start: StartFrom::Now, ..late };
    let fixture = Fixture::on(store, clock, |builder| {
        builder.with_task_handler(noting()).with_event_handler(again).with_event_handler(late)
    });
    fixture.idle().await;
    emit(&fixture, &["two"]).await;
    assert_eq!(*seen.lock().unwrap(), ["one"]);
    assert_eq!(*seen_again.lock().unwrap(), ["two"]);
    assert_eq!(*seen_late.lock().unwrap(), ["two"]);
    fixture.end().await;
}

#[tokio::test]
async fn event_that_cannot_be_handled_is_tried_again_and_then_given_up() {
    let (notes, seen) = Notes::new("notes");
    let fixture = Fixture::building(|builder| builder.with_task_handler(noting()).with_event_handler(notes));
    emit(&fixture, &["fails", "good"]).await;
    assert_eq!(*seen.lock().unwrap(), ["fails"]);
    fixture.pass(SECOND).await;
    fixture.pass(SECOND).await;
    assert_eq!(*seen.lock().unwrap(), ["fails", "fails"], "the second wait is twice as long");
    fixture.pass(SECOND).await;
    assert_eq!(*seen.lock().unwrap(), ["fails", "fails", "fails", "good"]);
    let letters = fixture.scheduler.dead_letters("notes", 10).await.unwrap();
    let [letter] = letters.as_slice() else { panic!("one dead letter, not {letters:?}") };
    assert_eq!((letter.attempts, letter.error.as_str()), (3, "the read model is away"));
    fixture.end().await;
}

#[tokio::test]
async fn hopeless_event_is_given_up_at_once() {
    let (notes, seen) = Notes::new("notes");
    let fixture = Fixture::building(|builder| builder.with_task_handler(noting()).with_event_handler(notes));
    emit(&fixture, &["hopeless", "good"]).await;
    assert_eq!(*seen.lock().unwrap(), ["hopeless", "good"]);
    assert_eq!(fixture.scheduler.dead_letters("notes", 10).await.unwrap().len(), 1);
    fixture.end().await;
}

#[tokio::test]
async fn requeued_event_is_tried_again_after_everything_new() {
    let (notes, seen) = Notes::new("notes");
    let fixture = Fixture::building(|builder| builder.with_task_handler(noting()).with_event_handler(notes));
    emit(&fixture, &["hopeless", "good"]).await;
    let letter = fixture.scheduler.dead_letters("notes", 10).await.unwrap().remove(0);
    assert!(fixture.scheduler.requeue("notes", letter.position).await.unwrap());
    fixture.pass(SECOND).await;
    assert_eq!(*seen.lock().unwrap(), ["hopeless", "good", "hopeless"]);
    let again = fixture.scheduler.dead_letters("notes", 10).await.unwrap().remove(0);
    assert_eq!((again.position, again.attempts), (letter.position, letter.attempts + 1));
    assert!(!fixture.scheduler.requeue("notes", azoth_scheduler_store::LogPosition::START).await.unwrap());
    fixture.end().await;
}

#[tokio::test]
async fn panic_of_an_event_handler_is_a_failed_attempt() {
    let (notes, seen) = Notes::new("notes");
    let fixture = Fixture::building(|builder| builder.with_task_handler(noting()).with_event_handler(notes));
    emit(&fixture, &["panics", "good"]).await;
    fixture.pass(SECOND).await;
    fixture.pass(SECOND * 2).await;
    assert_eq!(*seen.lock().unwrap(), ["panics", "panics", "panics", "good"]);
    let letters = fixture.scheduler.dead_letters("notes", 10).await.unwrap();
    assert!(letters[0].error.starts_with("boom in an event handler, at "), "{}", letters[0].error);
    fixture.end().await;
}

#[tokio::test]
async fn shutdown_leaves_an_event_that_fails_to_the_next_process() {
    let (notes, _) = Notes::new("notes");
    let fixture = Fixture::building(|builder| builder.with_task_handler(noting()).with_event_handler(notes));
    emit(&fixture, &["fine", "fails"]).await;
    let (store, clock) = (fixture.store.clone(), fixture.clock.clone());
    fixture.end().await;
    let (again, seen) = Notes::new("notes");
    let fixture = Fixture::on(store, clock, |builder| builder.with_event_handler(again));
    fixture.idle().await;
    assert_eq!(*seen.lock().unwrap(), ["fails"]);
    fixture.end().await;
}

struct Patient(Seen);

#[async_trait]
impl EventHandler for Patient {
    fn name(&self) -> &str {
        "patient"
    }

    fn max_attempts(&self) -> u32 {
        0
    }

    fn backoff(&self) -> Backoff {
        Backoff { base_ms: 10, ..Backoff::default() }
    }

    async fn handle(&self, event: &RecordedEvent) -> Result<(), TaskError> {
        self.0.lock().unwrap().push(event.event.name().to_owned());
        if self.0.lock().unwrap().len() < 4 {
            return Err(TaskError::snooze(Duration::from_secs(1)));
        }
        Ok(())
    }
}

#[tokio::test]
async fn snoozing_uses_up_no_attempt() {
    let seen = Seen::default();
    let fixture = Fixture::building(|builder| {
        builder.with_remote_task_types(["work"]).with_event_handler(Patient(Arc::clone(&seen)))
    });
    fixture.schedule(immediate("a")).await;
    fixture.idle().await;
    for _ in 0..3 {
        fixture.pass(SECOND).await;
    }
    assert_eq!(*seen.lock().unwrap(), ["TaskScheduled"; 4]);
    assert!(fixture.scheduler.dead_letters("patient", 10).await.unwrap().is_empty());
    fixture.end().await;
}

#[test]
fn two_event_handlers_of_one_name_are_refused() {
    let built = Scheduler::builder(MemoryStore::new())
        .with_event_handler(Notes::new("notes").0)
        .with_event_handler(Notes::new("notes").0)
        .build();
    assert!(matches!(built, Err(SchedulerError::DuplicateEventHandler { name }) if name == "notes"));
}
