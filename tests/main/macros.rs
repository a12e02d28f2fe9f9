//! What the handlers that `#[task_handler]` makes do, in a scheduler on a store in memory under a clock that is moved by
//! hand.

use std::time::Duration;

use azoth_scheduler::{
    ManualClock, Permanent, Result, ScheduleTaskRequest, Scheduler, SchedulerError, Snooze, State, StateMap,
    TaskContext, TaskError, TaskEvent, TaskHandler, TaskInfo, TaskResult, task_handler, task_handlers,
};
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::{FailureClass, Outcome};
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::{MemoryStore, RecordedEvent};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Email {
    to: String,
}

#[derive(Debug, PartialEq, Serialize)]
struct Sent {
    text: String,
    attempt: u32,
}

#[derive(Clone)]
struct Mailer {
    from: &'static str,
}

#[task_handler(
    task_type = "mail",
    aliases = ["email", "post"],
    event = "email_sent",
    timeout = "1m30s",
    max_retries = 5,
    backoff = "10s..1h",
    priority = "high"
)]
async fn send_email(email: Email, ctx: &TaskContext, mailer: State<Mailer>) -> anyhow::Result<Sent> {
    anyhow::ensure!(email.to.contains('@'), "no address");
    Ok(Sent { text: format!("{} to {}", mailer.from, email.to), attempt: ctx.attempt() })
}

/// Blocking on a thread of the async runtime would panic.
#[task_handler]
fn on_a_thread(mailer: State<Mailer>, ctx: &TaskContext) -> String {
    let runtime = tokio::runtime::Handle::current();
    runtime.block_on(async { format!("{} {}", mailer.from, ctx.task_id()) })
}

#[task_handler]
async fn nothing_to_tell() {}

#[task_handler]
async fn nothing_or_failure(fails: bool) -> Result<(), String> {
    if fails { Err("as asked".to_owned()) } else { Ok(()) }
}

#[task_handler(event = "unused")]
async fn own_event(bytes: &[u8]) -> TaskEvent {
    TaskEvent::new("mirrored", bytes).expect("the name is good")
}

#[task_handler]
fn owned_bytes(mut bytes: Vec<u8>) -> Result<TaskEvent, SchedulerError> {
    bytes.reverse();
    TaskEvent::new("reversed", bytes)
}

#[task_handler]
async fn gives_up() -> TaskResult {
    Err(TaskError::from(Permanent::new("no such thing")))
}

#[task_handler]
async fn not_now(ctx: &TaskContext) -> anyhow::Result<Option<u8>> {
    if ctx.scheduled_at().unix_timestamp() == 0 {
        Ok(None)
    } else {
        Err(Snooze::new(Duration::from_secs(60)).into())
    }
}

#[task_handler]
fn panics() -> u8 {
    panic!("so it goes")
}

#[task_handler(cron = "0 30 9 * * *", time_zone = "Europe/Berlin", max_retries = 0)]
async fn every_morning(ctx: &TaskContext) -> String {
    ctx.scheduled_at().to_string()
}

/// Schedules what comes after it, and waits until that has been there.
#[task_handler]
async fn parent(ctx: &TaskContext, children: u32) -> anyhow::Result<u32> {
    for number in 0..children {
        ctx.schedule(Child::request(format!("child-{number}"), &number)?.immediate().build()?)?;
    }
    anyhow::ensure!(ctx.attempt() > 1 || children > 1, "an only child waits for the next attempt");
    Ok(children)
}

/// The same on a thread of its own.
#[task_handler]
fn blocking_parent(ctx: &TaskContext) -> anyhow::Result<()> {
    ctx.schedule(Child::request("child-of-a-thread", &7)?.immediate().build()?)?;
    ctx.progress(0.5, "half of it");
    ctx.save_checkpoint_blocking(&ctx.attempt())?;
    Ok(())
}

#[task_handler]
async fn child(number: u32, ctx: &TaskContext) -> anyhow::Result<Option<u32>> {
    let before = ctx.checkpoint()?;
    ctx.save_checkpoint(&number).await?;
    anyhow::ensure!(before.is_some(), "the first attempt only saves");
    Ok(before)
}

#[derive(Deserialize)]
struct OrderV1 {
    sku: String,
}

#[derive(Deserialize)]
struct OrderV2 {
    skus: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Order {
    skus: Vec<String>,
    gift: bool,
}

fn several(order: OrderV1) -> OrderV2 {
    OrderV2 { skus: vec![order.sku] }
}

fn no_gift(order: OrderV2) -> std::result::Result<Order, &'static str> {
    if order.skus.is_empty() {
        return Err("an order of nothing");
    }
    Ok(Order { skus: order.skus, gift: false })
}

#[task_handler(version = 3, upgrade = [several, no_gift])]
fn ship(order: Order) -> String {
    format!("{} {}", order.skus.join("+"), order.gift)
}

/// A scheduler that runs, with every handler above.
struct Fixture {
    scheduler: Scheduler,
    clock: ManualClock,
    running: JoinHandle<Result<()>>,
}

impl Fixture {
    fn new() -> Self {
        let start = Timestamp::from_unix_seconds(1_700_000_000).unwrap(); // 2023-11-14T22:13:20Z
        let clock = ManualClock::starting_at(start);
        let builder = Scheduler::builder(MemoryStore::new())
            .with_clock(clock.clone())
            .with_state(Mailer { from: "ada" });
        let scheduler = builder
            .with_task_handlers(task_handlers![
                SendEmail,
                OnAThread,
                NothingToTell,
                NothingOrFailure,
                OwnEvent
            ])
            .with_task_handlers(task_handlers![OwnedBytes, GivesUp, NotNow, Panics, EveryMorning])
            .with_task_handlers(task_handlers![Ship, Parent, BlockingParent, Child])
            .build()
            .unwrap();
        let runs = scheduler.clone();
        let running = tokio::spawn(async move { runs.run().await });
        Self { scheduler, clock, running }
    }

    /// Runs a task to its first end.
    async fn run(&self, request: ScheduleTaskRequest) {
        within(self.scheduler.schedule_task(request)).await.unwrap();
        within(self.scheduler.wait_until_idle()).await.unwrap();
    }

    async fn task(&self, id: &str) -> TaskInfo {
        within(self.scheduler.get_task(id)).await.unwrap().unwrap()
    }

    async fn history(&self, id: &str) -> Vec<RecordedEvent> {
        within(self.scheduler.task_history(id)).await.unwrap()
    }

    /// The type and the bytes of the last event that a task's handler gave back.
    async fn told(&self, id: &str) -> (String, String) {
        let history = self.history(id).await;
        let told = history.iter().rev().find_map(|recorded| match &recorded.event {
            Event::TaskEventEmitted { emitted, .. } => {
                Some((emitted.event_type.to_string(), recorded.payload.clone()))
            }
            _ => None,
        });
        let (event_type, payload) = told.expect("its handler gave an event back");
        (event_type, String::from_utf8(payload.bytes().unwrap_or_default().to_vec()).unwrap())
    }

    /// How the last attempt at a task failed.
    async fn failure(&self, id: &str) -> (FailureClass, String) {
        let history = self.history(id).await;
        let failure = history.iter().rev().find_map(|recorded| match &recorded.event {
            Event::TaskExecuted { outcome: Outcome::Failed(failure), .. } => Some(failure.clone()),
            _ => None,
        });
        let failure = failure.expect("an attempt failed");
        (failure.class, failure.message.as_str().to_owned())
    }

    async fn end(self) {
        within(self.scheduler.shutdown()).await;
        within(self.running).await.unwrap().unwrap();
        assert!(within(self.scheduler.verify()).await.unwrap().is_sound());
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("the test hangs")
}

fn told(event_type: &str, payload: &str) -> (String, String) {
    (event_type.to_owned(), payload.to_owned())
}

#[tokio::test]
async fn function_can_still_be_called() {
    let mut states = StateMap::default();
    states.insert(Mailer { from: "ada" });
    let ctx = TaskContext::detached("task", "mail").unwrap().with_states(states);
    let mailer = State::new(Mailer { from: "bob" });
    let sent = send_email(Email { to: "c@d".into() }, &ctx, mailer).await.unwrap();
    assert_eq!(sent, Sent { text: "bob to c@d".into(), attempt: 1 });
    let event = SendEmail.execute(&ctx, br#"{"to":"c@d"}"#).await.unwrap();
    assert_eq!(event.payload(), br#"{"text":"ada to c@d","attempt":1}"#);
}

#[tokio::test]
async fn value_becomes_the_event_of_an_async_handler() {
    let fixture = Fixture::new();
    let request = SendEmail::request("welcome", &Email { to: "a@b".into() }).unwrap();
    fixture.run(request.immediate().build().unwrap()).await;
    assert_eq!(fixture.told("welcome").await, told("email_sent", r#"{"text":"ada to a@b","attempt":1}"#));
    fixture.end().await;
}

#[tokio::test]
async fn tasks_of_an_alias_are_run_too() {
    let fixture = Fixture::new();
    let request =
        ScheduleTaskRequest::builder("old").task_type("post").payload_json(&Email { to: "a@b".into() });
    fixture.run(request.immediate().build().unwrap()).await;
    assert_eq!(fixture.told("old").await.0, "email_sent");
    fixture.end().await;
}

#[tokio::test]
async fn sync_function_may_block() {
    let fixture = Fixture::new();
    fixture.run(OnAThread::request("t").unwrap().immediate().build().unwrap()).await;
    assert_eq!(fixture.told("t").await, told("on_a_thread.succeeded", "\"ada t\""));
    fixture.end().await;
}

#[tokio::test]
async fn unit_is_an_event_without_bytes() {
    let fixture = Fixture::new();
    fixture.run(NothingToTell::request("a").unwrap().immediate().build().unwrap()).await;
    assert_eq!(fixture.told("a").await, told("nothing_to_tell.succeeded", ""));
    fixture.run(NothingOrFailure::request("b", &false).unwrap().immediate().build().unwrap()).await;
    assert_eq!(fixture.told("b").await, told("nothing_or_failure.succeeded", ""));
    fixture.end().await;
}

#[tokio::test]
async fn event_of_ones_own_keeps_its_type_and_bytes() {
    let fixture = Fixture::new();
    fixture.run(OwnEvent::request("a", "raw").unwrap().immediate().build().unwrap()).await;
    assert_eq!(fixture.told("a").await, told("mirrored", "raw"));
    fixture.run(OwnedBytes::request("b", "raw").unwrap().immediate().build().unwrap()).await;
    assert_eq!(fixture.told("b").await, told("reversed", "war"));
    fixture.end().await;
}

#[tokio::test]
async fn failure_is_retried_and_a_permanent_one_is_not() {
    let fixture = Fixture::new();
    fixture.run(NothingOrFailure::request("a", &true).unwrap().immediate().build().unwrap()).await;
    assert_eq!(fixture.failure("a").await, (FailureClass::Retryable, "as asked".into()));
    assert_eq!(fixture.task("a").await.phase, PhaseKind::Waiting);
    fixture.run(GivesUp::request("b").unwrap().immediate().build().unwrap()).await;
    assert_eq!(fixture.failure("b").await, (FailureClass::Permanent, "no such thing".into()));
    assert_eq!(fixture.task("b").await.phase, PhaseKind::Disabled);
    fixture.end().await;
}

#[tokio::test]
async fn snooze_and_panic_come_through() {
    let fixture = Fixture::new();
    fixture.run(NotNow::request("a").unwrap().immediate().build().unwrap()).await;
    assert_eq!(fixture.task("a").await.failures, 0);
    assert_eq!(fixture.task("a").await.phase, PhaseKind::Waiting);
    fixture.run(Panics::request("b").unwrap().immediate().build().unwrap()).await;
    let history = fixture.history("b").await;
    let panicked = history.iter().any(|recorded| {
        matches!(&recorded.event, Event::TaskExecuted { outcome: Outcome::Panicked { message }, .. } if message.as_str().starts_with("so it goes, at "))
    });
    assert!(panicked, "{history:?}");
    fixture.end().await;
}

#[tokio::test]
async fn wrong_payload_is_refused_before_it_is_scheduled() {
    let fixture = Fixture::new();
    let wrong = |id: &str, task_type: &str, payload: &str| {
        ScheduleTaskRequest::builder(id).task_type(task_type).payload(payload).immediate().build().unwrap()
    };
    for (task_type, payload, problem) in [
        ("mail", r#"{"to":7}"#, "the payload cannot be read as main::macros::Email"),
        ("email", "", "EOF while parsing"),
        ("nothing_to_tell", "null", "takes no payload, 4 bytes were given"),
        ("ship", r#"v4:{}"#, "version 4"),
        ("ship", r#"v2:{"skus":[]}"#, "an order of nothing"),
    ] {
        let error =
            within(fixture.scheduler.schedule_task(wrong("a", task_type, payload))).await.unwrap_err();
        assert!(matches!(error, SchedulerError::InvalidTask(_)), "{error:?}");
        assert!(error.to_string().contains(problem), "{error}");
    }
    assert!(within(fixture.scheduler.get_task("a")).await.unwrap().is_none());
    fixture.end().await;
}

#[tokio::test]
async fn payload_that_went_bad_meanwhile_is_no_reason_to_retry() {
    let states = StateMap::default();
    let ctx = TaskContext::detached("task", "mail").unwrap().with_states(states);
    let error = SendEmail.execute(&ctx, b"{}").await.unwrap_err();
    assert!(error.is_permanent());
    assert!(error.to_string().ends_with("missing field `to` at line 1 column 2"), "{error}");
}

#[tokio::test]
async fn options_of_the_attribute_are_those_of_its_tasks() {
    let fixture = Fixture::new();
    let by_request = SendEmail::request("a", &Email { to: "a@b".into() }).unwrap();
    fixture.run(by_request.interval(60).build().unwrap()).await;
    let by_hand =
        ScheduleTaskRequest::builder("b").task_type("mail").payload(r#"{"to":"a@b"}"#).max_retries(9);
    fixture.run(by_hand.interval(60).build().unwrap()).await;
    for (id, retries) in [("a", 5), ("b", 9)] {
        let task = fixture.task(id).await;
        assert_eq!((task.timeout, task.priority), (Duration::from_secs(90), Priority::High), "{id}");
        assert_eq!((task.retry.backoff.base_ms, task.retry.backoff.cap_ms), (10_000, 3_600_000), "{id}");
        assert_eq!(task.retry.max_retries, retries, "{id}");
    }
    fixture.end().await;
}

#[test]
fn request_carries_the_options_to_a_scheduler_without_handlers() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let client = Scheduler::builder(MemoryStore::new()).build().unwrap();
    let request = SendEmail::request("a", &Email { to: "a@b".into() }).unwrap().immediate().max_retries(1);
    let task = runtime.block_on(async {
        client.schedule_task(request.build().unwrap()).await.unwrap();
        client.get_task("a").await.unwrap().unwrap()
    });
    assert_eq!((task.timeout, task.priority), (Duration::from_secs(90), Priority::High));
    assert_eq!(task.retry.max_retries, 1);
}

#[tokio::test]
async fn task_that_a_handler_declares_is_scheduled_by_itself() {
    let fixture = Fixture::new();
    within(fixture.scheduler.wait_until_idle()).await.unwrap();
    let task = fixture.task("every_morning").await;
    assert_eq!((task.phase, task.retry.max_retries), (PhaseKind::Waiting, 0));
    // 2023-11-15T08:30:00Z, half past nine in Berlin.
    assert_eq!(task.next_run_at.map(|at| at.unix_timestamp()), Some(1_700_037_000));
    fixture.clock.advance(Duration::from_secs(37_000));
    within(fixture.scheduler.wait_until_idle()).await.unwrap();
    let expected = told("every_morning.succeeded", "\"2023-11-15 8:30:00.0 +00:00:00\"");
    assert_eq!(fixture.told("every_morning").await, expected);
    fixture.end().await;
}

#[tokio::test]
async fn function_schedules_with_its_success_and_leaves_checkpoints() {
    let fixture = Fixture::new();
    let request = |id: &str, children| Parent::request(id, &children).unwrap().immediate().build().unwrap();
    fixture.run(request("two", 2)).await;
    fixture.run(BlockingParent::request("thread").unwrap().immediate().build().unwrap()).await;
    fixture.clock.advance(Duration::from_secs(60));
    within(fixture.scheduler.wait_until_idle()).await.unwrap();
    for (child, value) in [("child-0", "0"), ("child-1", "1"), ("child-of-a-thread", "7")] {
        assert_eq!(fixture.told(child).await, told("child.succeeded", value));
    }
    fixture.end().await;
}

#[tokio::test]
async fn function_that_fails_schedules_nothing() {
    let fixture = Fixture::new();
    let request = Parent::request("one", &1).unwrap().immediate().build().unwrap();
    fixture.run(request).await;
    assert!(fixture.scheduler.get_task("child-0").await.unwrap().is_none());
    fixture.clock.advance(Duration::from_secs(60));
    within(fixture.scheduler.wait_until_idle()).await.unwrap();
    assert!(fixture.scheduler.get_task("child-0").await.unwrap().is_some(), "its next attempt succeeds");
    fixture.end().await;
}

#[test]
fn missing_state_is_an_error_of_build() {
    let error = Scheduler::builder(MemoryStore::new()).with_task_handler(SendEmail).build().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("\"mail\"") && text.contains("Mailer"), "{text}");
    let error = Scheduler::builder(MemoryStore::new())
        .with_state(7)
        .with_task_handlers(task_handlers![OnAThread])
        .build();
    assert!(matches!(error, Err(SchedulerError::MissingState { .. })));
}

#[tokio::test]
async fn payloads_of_every_version_are_read() {
    let fixture = Fixture::new();
    let stored = |id: &str, payload: &str| {
        ScheduleTaskRequest::builder(id).task_type("ship").payload(payload).immediate().build().unwrap()
    };
    fixture.run(stored("v1", r#"{"sku":"tea"}"#)).await;
    assert_eq!(fixture.told("v1").await.1, "\"tea false\"");
    fixture.run(stored("v2", r#"v2:{"skus":["tea","pot"]}"#)).await;
    assert_eq!(fixture.told("v2").await.1, "\"tea+pot false\"");
    let now = Order { skus: vec!["tea".into()], gift: true };
    let request = Ship::request("v3", &now).unwrap().immediate().build().unwrap();
    assert_eq!(request.payload(), br#"v3:{"skus":["tea"],"gift":true}"#);
    fixture.run(request).await;
    assert_eq!(fixture.told("v3").await.1, "\"tea true\"");
    fixture.end().await;
}
