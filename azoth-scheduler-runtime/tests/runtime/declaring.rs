//! Declaring groups: what is added, changed, left alone and cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use azoth_scheduler_core::command::OnConflict;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::{GroupName, TaskId};
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_runtime::{
    Declared, RequestError, ScheduleTaskRequest, Scheduler, SchedulerError, TaskInfo,
};
use azoth_scheduler_store::store::BATCH_COMMANDS_MAX;
use azoth_scheduler_store::{LogPosition, Store, TaskFilter};

use crate::support::{FaultyStore, Fixture, Gate, MINUTE, clock, done, handler, immediate, within};

/// A scheduler that only schedules, and its store.
fn client() -> (Scheduler, FaultyStore) {
    let store = FaultyStore::default();
    (Scheduler::builder(store.clone()).with_clock(clock()).build().unwrap(), store)
}

fn every(id: &str, seconds: u64) -> ScheduleTaskRequest {
    ScheduleTaskRequest::builder(id).task_type("work").interval(seconds).build().unwrap()
}

async fn declare(
    scheduler: &Scheduler,
    group: &str,
    requests: impl IntoIterator<Item = ScheduleTaskRequest>,
) -> Declared {
    within(scheduler.declare(group, requests.into_iter().collect())).await.unwrap()
}

/// Created, redefined, unchanged, cancelled.
fn names(declared: &Declared) -> [Vec<&str>; 4] {
    [&declared.created, &declared.redefined, &declared.unchanged, &declared.cancelled]
        .map(|tasks| tasks.iter().map(TaskId::as_str).collect())
}

async fn task(scheduler: &Scheduler, id: &str) -> TaskInfo {
    scheduler.get_task(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn group_becomes_what_is_declared() {
    let (scheduler, store) = client();
    scheduler.schedule_task(every("foreign", 60)).await.unwrap();
    declare(&scheduler, "other", [every("theirs", 60)]).await;
    let declared = declare(&scheduler, "ours", [every("a", 60), every("b", 60), every("c", 60)]).await;
    assert_eq!(names(&declared), [vec!["a", "b", "c"], vec![], vec![], vec![]]);

    let before = store.applies();
    let next = [every("new", 60), every("a", 60), every("b", 120)];
    let declared = declare(&scheduler, "ours", next).await;
    assert_eq!(names(&declared), [vec!["new"], vec!["b"], vec!["a"], vec!["c"]]);
    assert_eq!(store.applies(), before + 1, "all in one transaction");

    let vanished = task(&scheduler, "c").await;
    assert_eq!(vanished.phase, PhaseKind::Cancelled);
    assert_eq!(vanished.reason.as_deref(), Some(r#"no longer declared by group "ours""#));
    let ours = TaskFilter::new().group(GroupName::new("ours").unwrap()).enabled(true);
    let listed = scheduler.list_tasks(&ours).await.unwrap();
    assert_eq!(listed.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), ["a", "b", "new"]);
    for id in ["foreign", "theirs"] {
        assert!(task(&scheduler, id).await.enabled(), "{id} is none of ours");
    }
    assert!(scheduler.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn same_declaration_again_records_nothing() {
    let (scheduler, store) = client();
    let once =
        ScheduleTaskRequest::builder("once").task_type("work").one_time(1_900_000_000).build().unwrap();
    let requests = [every("a", 60), once];
    declare(&scheduler, "ours", requests.clone()).await;
    let (head, applies) = (store.head().await.unwrap(), store.applies());
    assert_eq!(head, LogPosition::from_number(2));
    let again = declare(&scheduler, "ours", requests.clone()).await;
    assert_eq!(names(&again), [vec![], vec![], vec!["a", "once"], vec![]]);
    assert!(again.is_unchanged());
    assert_eq!((store.head().await.unwrap(), store.applies()), (head, applies), "nothing was written");
    // A group without tasks is one that never was.
    assert!(declare(&scheduler, "nobody's", []).await.is_unchanged());
    let emptied = declare(&scheduler, "ours", []).await;
    assert_eq!(names(&emptied), [vec![], vec![], vec![], vec!["a", "once"]]);
    assert!(declare(&scheduler, "ours", []).await.is_unchanged(), "what has ended is not cancelled again");
    assert_eq!(store.applies(), applies + 1, "nor asked for");
}

#[tokio::test]
async fn what_an_operator_ended_stays_so_until_its_definition_changes() {
    let (scheduler, _) = client();
    let once =
        |second| ScheduleTaskRequest::builder("once").task_type("work").one_time(second).build().unwrap();
    let requests = || [every("recurring", 60), once(1_900_000_000)];
    declare(&scheduler, "ours", requests()).await;
    scheduler.cancel_task("recurring", "it spams").await.unwrap();
    scheduler.disable_task("once", "not now").await.unwrap();
    let again = declare(&scheduler, "ours", requests()).await;
    assert_eq!(names(&again), [vec![], vec![], vec!["recurring", "once"], vec![]]);
    assert_eq!(task(&scheduler, "recurring").await.phase, PhaseKind::Cancelled);
    assert_eq!(task(&scheduler, "once").await.phase, PhaseKind::Disabled);
    // Nor is it cancelled once more when it vanishes: the operator's word stays.
    assert!(declare(&scheduler, "ours", []).await.is_unchanged());
    assert_eq!(task(&scheduler, "recurring").await.reason.as_deref(), Some("it spams"));
    let changed = declare(&scheduler, "ours", [every("recurring", 120), once(1_900_000_001)]).await;
    assert_eq!(names(&changed), [vec!["recurring", "once"], vec![], vec![], vec![]]);
}

#[tokio::test]
async fn what_vanished_comes_back_when_it_is_declared_again() {
    let (scheduler, store) = client();
    let both = || [every("a", 60), every("b", 60)];
    declare(&scheduler, "ours", both()).await;
    declare(&scheduler, "ours", [every("a", 60)]).await;
    let back = declare(&scheduler, "ours", both()).await;
    assert_eq!(names(&back), [vec!["b"], vec![], vec!["a"], vec![]]);
    assert!(task(&scheduler, "b").await.enabled());
    let head = store.head().await.unwrap();
    assert!(declare(&scheduler, "ours", both()).await.is_unchanged());
    assert_eq!(store.head().await.unwrap(), head);
}

#[tokio::test]
async fn task_belongs_to_the_group_that_declared_it_last() {
    let (scheduler, _) = client();
    declare(&scheduler, "left", [every("a", 60), every("b", 60)]).await;
    assert_eq!(names(&declare(&scheduler, "right", [every("a", 60)]).await)[1], ["a"]);
    assert_eq!(task(&scheduler, "a").await.group, GroupName::new("right").ok());
    scheduler.schedule_task(every("b", 60)).await.unwrap();
    assert_eq!(task(&scheduler, "b").await.group, None);
    assert!(declare(&scheduler, "left", []).await.is_unchanged(), "both have left it");
    assert!(task(&scheduler, "a").await.enabled() && task(&scheduler, "b").await.enabled());
}

#[tokio::test]
async fn declaration_with_a_fault_changes_nothing() {
    let (scheduler, store) = client();
    declare(&scheduler, "ours", [every("a", 60)]).await;
    let (head, applies) = (store.head().await.unwrap(), store.applies());
    let unnamed = ScheduleTaskRequest::unnamed().task_type("work").interval(60).build().unwrap();
    let policy = immediate("c").on_conflict(OnConflict::Replace).build().unwrap();
    let past = time::OffsetDateTime::from_unix_timestamp(1_600_000_000).unwrap();
    let never = ScheduleTaskRequest::builder("c").task_type("work").interval(60).not_after(past).build();
    for (fault, text) in [
        (every("new", 1), r#"group "ours" declares task "new" twice"#),
        (unnamed, r#"declares a task of type "work" without an id"#),
        (policy, r#"declares task "c" with `.on_conflict(..)`"#),
        (never.unwrap(), "no occurrence"),
    ] {
        let refused = scheduler.declare("ours", vec![every("new", 60), fault]).await.unwrap_err();
        assert!(refused.to_string().contains(text), "{refused}");
        assert!(matches!(refused, SchedulerError::InvalidTask(_)), "{refused:?}");
    }
    let refused = scheduler.declare(" ", vec![]).await.unwrap_err();
    assert_eq!(refused.to_string(), "group name is empty: give 1 to 255 bytes of UTF-8");
    assert!(!matches!(refused, SchedulerError::InvalidTask(RequestError::Name(_))));
    assert_eq!((store.head().await.unwrap(), store.applies()), (head, applies));
}

#[tokio::test]
async fn one_time_task_runs_once_however_often_it_is_declared() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let fixture = Fixture::with(handler(move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { done() }
    }));
    for _ in 0..3 {
        declare(&fixture.scheduler, "ours", [immediate("once").build().unwrap()]).await;
        fixture.idle().await;
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    fixture.end().await;
}

#[tokio::test]
async fn running_task_that_vanishes_is_stopped() {
    let gate = Gate::new();
    let inside = gate.clone();
    let fixture = Fixture::with(handler(move |_, _| {
        let gate = inside.clone();
        async move {
            gate.pass().await;
            done()
        }
    }));
    declare(&fixture.scheduler, "ours", [every("a", 60)]).await;
    fixture.clock.advance(MINUTE);
    gate.wait_for(1).await;
    let declared = declare(&fixture.scheduler, "ours", []).await;
    assert_eq!(names(&declared)[3], ["a"]);
    fixture.idle().await;
    let events = fixture.events("a").await;
    assert!(matches!(events.last(), Some(Event::TaskCancelled { execution: Some(_), .. })), "{events:?}");
    fixture.end().await;
}

#[tokio::test]
async fn declaration_over_the_limit_of_a_batch_takes_two_and_is_found_again_whole() {
    let (scheduler, store) = client();
    let requests: Vec<_> = (0..=BATCH_COMMANDS_MAX).map(|number| every(&number.to_string(), 60)).collect();
    let declared = declare(&scheduler, "ours", requests.clone()).await;
    assert_eq!((declared.created.len(), store.applies()), (requests.len(), 2));
    // The members come in two pages as well; one that were missed would be declared anew or not cancelled.
    assert_eq!(declare(&scheduler, "ours", requests.clone()).await.unchanged.len(), requests.len());
    assert_eq!(store.applies(), 2);
    assert_eq!(declare(&scheduler, "ours", []).await.cancelled.len(), requests.len());
}

#[test]
fn blocking_threads_declare_too() {
    let (scheduler, _) = client();
    let declared = scheduler.blocking().declare("ours", vec![every("a", 60)]).unwrap();
    assert_eq!(names(&declared)[0], ["a"]);
}
