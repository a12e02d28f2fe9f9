//! Scheduling: what is accepted, what is refused, and what the answer says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_core::command::OnConflict;
use azoth_scheduler_core::retry::Backoff;
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_runtime::{
    MissingState, RequestError, Result, ScheduleChange, ScheduleTaskRequest, Scheduler, SchedulerError,
    State, StateMap, TaskContext, TaskHandler, TaskOptions, TaskResult,
};
use azoth_scheduler_store::{MemoryStore, TaskFilter};

use crate::support::{FaultyStore, Fixture, clock, done, handler, immediate, within};

/// A handler with a word on everything.
struct Careful;

#[async_trait]
impl TaskHandler for Careful {
    fn task_type(&self) -> &str {
        "careful"
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        let greeting: State<String> = ctx.state()?;
        assert_eq!(*greeting, "hello");
        done()
    }

    fn validate(&self, payload: &[u8]) -> Result<()> {
        serde_json::from_slice::<Vec<u32>>(payload)?;
        Ok(())
    }

    fn aliases(&self) -> &[&str] {
        &["cautious"]
    }

    fn options(&self) -> TaskOptions {
        let (base, cap) = (Duration::from_secs(10), Duration::from_secs(3600));
        TaskOptions::new().max_retries(7).timeout(Duration::from_secs(30)).backoff(base, cap)
    }

    fn schedules(&self) -> Result<Vec<ScheduleTaskRequest>> {
        let nightly = ScheduleTaskRequest::builder("nightly").task_type("careful");
        Ok(vec![nightly.cron("0 0 3 * * *").payload("[]").build()?])
    }

    fn check_state(&self, states: &StateMap) -> Result<(), MissingState> {
        states.require::<String>()?;
        Ok(())
    }
}

fn careful() -> Fixture {
    Fixture::building(|builder| builder.with_state("hello".to_owned()).with_task_handler(Careful))
}

#[tokio::test]
async fn payload_that_its_handler_refuses_is_not_scheduled() {
    let fixture = careful();
    fixture.idle().await;
    let before = fixture.store.applies();
    let request = immediate("bad").task_type("careful").payload(r#"["hunter2"]"#).build().unwrap();
    let refused = within(fixture.scheduler.schedule_task(request)).await.unwrap_err();
    assert!(matches!(refused, SchedulerError::InvalidTask(RequestError::Refused { .. })), "{refused}");
    assert_eq!(fixture.store.applies(), before, "the store was not asked");
    assert_eq!(fixture.scheduler.get_task("bad").await.unwrap(), None);
    fixture.end().await;
}

#[tokio::test]
async fn unknown_type_is_refused_with_the_types_that_are_known() {
    let fixture = Fixture::building(|builder| {
        builder.with_task_handler(handler(|_, _| async { done() })).with_remote_task_types(["elsewhere"])
    });
    let request = |task_type: &str| immediate("a").task_type(task_type).build().unwrap();
    let refused = fixture.scheduler.schedule_task(request("worj")).await.unwrap_err();
    assert!(refused.to_string().contains(r#""worj", known are ["work", "elsewhere"]"#), "{refused}");
    assert!(fixture.scheduler.schedule_task(request("elsewhere")).await.is_ok());
    fixture.end().await;
}

#[tokio::test]
async fn scheduler_without_handlers_is_a_client_and_schedules_any_type() {
    let store = FaultyStore::default();
    let client = Scheduler::builder(store.clone()).with_clock(clock()).build().unwrap();
    let outcome = client.schedule_task(immediate("a").build().unwrap()).await.unwrap();
    assert!(outcome.is_created());
    let fixture =
        Fixture::on(store, clock(), |builder| builder.with_task_handler(handler(|_, _| async { done() })));
    fixture.idle().await;
    assert!(!client.get_task("a").await.unwrap().unwrap().enabled(), "another one ran it");
    fixture.end().await;
}

#[tokio::test]
async fn payload_of_the_limit_is_taken_and_one_more_byte_is_refused_before_the_store_is_asked() {
    let store = FaultyStore::default();
    let scheduler = Scheduler::builder(store.clone()).build().unwrap();
    let of = |bytes: usize| immediate("a").payload(vec![0; bytes]).build().unwrap();
    let limit = 1024 * 1024;
    let refused = scheduler.schedule_task(of(limit + 1)).await.unwrap_err();
    assert!(refused.to_string().contains("1048577 bytes is over the limit of 1048576"), "{refused}");
    assert_eq!(store.applies(), 0);
    assert!(scheduler.schedule_task(of(limit)).await.is_ok());
    assert!(scheduler.schedule_task(immediate("empty").build().unwrap()).await.is_ok());
}

#[tokio::test]
async fn answer_says_what_changed_and_when_it_runs() {
    let scheduler = Scheduler::builder(MemoryStore::new()).with_clock(clock()).build().unwrap();
    let every =
        |seconds: u64| ScheduleTaskRequest::builder("a").task_type("work").interval(seconds).build().unwrap();
    let created = scheduler.schedule_task(every(60)).await.unwrap();
    assert_eq!(created.change, ScheduleChange::Created);
    assert_eq!(created.next_run_at.unwrap().unix_timestamp(), 1_700_000_060);
    let again = scheduler.schedule_task(every(60)).await.unwrap();
    assert!(matches!(again.change, ScheduleChange::Unchanged(_)));
    let redefined = scheduler.schedule_task(every(120)).await.unwrap();
    assert_eq!(redefined.change, ScheduleChange::Redefined);
    assert_eq!(redefined.next_run_at.unwrap().unix_timestamp(), 1_700_000_120);
}

#[tokio::test]
async fn several_are_scheduled_in_one_transaction_and_each_is_answered() {
    let store = FaultyStore::default();
    let scheduler = Scheduler::builder(store.clone()).with_clock(clock()).build().unwrap();
    let requests = ["a", "b", "a"].map(|id| immediate(id).on_conflict(OnConflict::Reject).build().unwrap());
    let outcomes = scheduler.schedule_tasks(requests.to_vec()).await.unwrap();
    let [Ok(_), Ok(_), Err(SchedulerError::Rejected(_))] = outcomes.as_slice() else {
        panic!("two and a refusal were expected, not {outcomes:?}");
    };
    assert_eq!(store.applies(), 1);
}

#[tokio::test]
async fn request_without_an_id_makes_a_new_task_each_time() {
    let scheduler = Scheduler::builder(MemoryStore::new()).with_clock(clock()).build().unwrap();
    let request = ScheduleTaskRequest::unnamed().task_type("work").immediate().build().unwrap();
    let first = scheduler.schedule_task(request.clone()).await.unwrap();
    let second = scheduler.schedule_task(request).await.unwrap();
    assert_ne!(first.task, second.task);
    assert!(first.task.as_str().starts_with("018bcfe5-"), "the instant leads: {}", first.task);
}

#[tokio::test]
async fn request_goes_before_the_handlers_options_and_those_before_the_defaults() {
    let fixture = careful();
    let request = |id: &str| immediate(id).task_type("cautious").payload("[1]");
    fixture.schedule(request("plain")).await;
    fixture.schedule(request("own").max_retries(1).priority(Priority::High)).await;
    let plain = fixture.scheduler.get_task("plain").await.unwrap().unwrap();
    assert_eq!((plain.retry.max_retries, plain.timeout), (7, Duration::from_secs(30)));
    assert_eq!(plain.retry.backoff, Backoff { base_ms: 10_000, cap_ms: 3_600_000, ..Backoff::default() });
    let own = fixture.scheduler.get_task("own").await.unwrap().unwrap();
    assert_eq!((own.retry.max_retries, own.timeout), (1, Duration::from_secs(30)));
    assert_eq!((plain.priority, own.priority), (Priority::Normal, Priority::High));
    fixture.idle().await;
    let left = fixture.scheduler.list_tasks(&TaskFilter::new().enabled(true)).await.unwrap();
    let left: Vec<_> = left.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(left, ["nightly"], "tasks under an alias were run");
    fixture.end().await;
}

#[tokio::test]
async fn declared_tasks_are_scheduled_when_the_scheduler_starts_and_only_once() {
    let fixture = careful();
    fixture.idle().await;
    let nightly = fixture.scheduler.get_task("nightly").await.unwrap().unwrap();
    assert_eq!(nightly.next_run_at.unwrap().to_string(), "2023-11-15 3:00:00.0 +00:00:00");
    let (store, clock) = (fixture.store.clone(), fixture.clock.clone());
    fixture.end().await;
    let again = Fixture::on(store, clock, |builder| {
        builder.with_state("hello".to_owned()).with_task_handler(Careful)
    });
    again.idle().await;
    assert_eq!(again.history("nightly").await, ["TaskScheduled"]);
    again.end().await;
}

#[test]
fn what_is_missing_or_double_is_an_error_of_build() {
    let builder = || Scheduler::builder(MemoryStore::new());
    let missing = builder().with_task_handler(Careful).with_state(7u32).build().unwrap_err().to_string();
    assert!(
        missing.contains(r#""careful" cannot run: no alloc::string::String was registered"#),
        "{missing}"
    );
    let state = || builder().with_state(String::new());
    let double = state().with_task_handler(Careful).with_task_handler(Careful).build();
    assert!(matches!(double, Err(SchedulerError::DuplicateHandler { .. })));
    let cautious = handler(|_, _| async { done() }).of_type("cautious");
    let alias = state().with_task_handler(Careful).with_task_handler(cautious).build();
    assert!(matches!(alias, Err(SchedulerError::DuplicateHandler { .. })));
}

#[test]
fn settings_outside_their_range_are_errors_of_build() {
    let builder = || Scheduler::builder(MemoryStore::new());
    let refused =
        |builder: azoth_scheduler_runtime::SchedulerBuilder| builder.build().unwrap_err().to_string();
    assert!(
        refused(builder().with_max_concurrent_tasks(0))
            .contains("with_max_concurrent_tasks is 0, allowed are 1")
    );
    assert!(refused(builder().with_poll_interval(Duration::ZERO)).contains("1 ms to 1 hour"));
    assert!(refused(builder().with_default_timeout_secs(0)).contains("1 s to 365 days"));
    assert!(refused(builder().with_lease(Duration::MAX)).contains("100 ms to 1 hour"));
    assert!(refused(builder().with_actor("")).contains("actor is empty"));
}

#[tokio::test]
async fn declared_task_that_its_own_handler_refuses_is_an_error_of_build() {
    struct Confused(AtomicBool);

    #[async_trait]
    impl TaskHandler for Confused {
        fn task_type(&self) -> &str {
            "confused"
        }

        async fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
            done()
        }

        fn validate(&self, _payload: &[u8]) -> Result<()> {
            self.0.store(true, Ordering::SeqCst);
            Err("never".into())
        }

        fn schedules(&self) -> Result<Vec<ScheduleTaskRequest>> {
            Ok(vec![ScheduleTaskRequest::builder("a").task_type("confused").immediate().build()?])
        }
    }

    let confused = Arc::new(Confused(AtomicBool::new(false)));
    let built = Scheduler::builder(MemoryStore::new()).with_task_handler(Arc::clone(&confused)).build();
    assert!(built.is_err() && confused.0.load(Ordering::SeqCst));
}

#[tokio::test]
async fn trace_goes_from_where_a_task_is_scheduled_to_where_it_runs() {
    let spans = Arc::new(Mutex::new(vec![
        Some("no traceparent".to_owned()),
        Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        None,
    ]));
    let (current, found) = (Arc::clone(&spans), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&found);
    let work = handler(move |ctx, _| {
        let seen = Arc::clone(&seen);
        async move {
            seen.lock()
                .unwrap()
                .push((ctx.task_id().to_string(), ctx.trace_parent().map(|parent| parent.to_string())));
            done()
        }
    });
    let fixture = Fixture::building(|builder| {
        builder.with_task_handler(work).with_trace_parent(move || current.lock().unwrap().pop().flatten())
    });
    for id in ["outside", "inside", "garbled"] {
        fixture.schedule(immediate(id)).await;
    }
    fixture.idle().await;
    let mut found = found.lock().unwrap().clone();
    found.sort();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
    let expected = [("garbled", None), ("inside", Some(parent)), ("outside", None)];
    assert_eq!(found, expected.map(|(id, parent)| (id.to_owned(), parent)));
    fixture.end().await;
}
