//! What an operator says, and how it stands in the log: by whom, and why.

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::scope::Scope;
use azoth_scheduler_runtime::{BulkAction, BulkMode, Limits, Permanent, ScheduleTaskRequest};
use azoth_scheduler_store::{LogPosition, TaskFilter};

use crate::support::{Fixture, handler, immediate, within};

/// Who said what an event records, and why, where a reason is given.
fn said(event: &Event) -> Option<(&'static str, String, Option<String>)> {
    let (by, reason) = match event {
        Event::TaskPaused { by, reason, .. }
        | Event::TaskCancelled { by, reason, .. }
        | Event::TaskDisabled { by, reason }
        | Event::ScopePaused { by, reason, .. } => (by, Some(reason.to_string())),
        Event::TaskResumed { by, .. }
        | Event::RunRequested { by, .. }
        | Event::TaskRetried { by, .. }
        | Event::ScopeResumed { by, .. } => (by, None),
        Event::LimitsChanged { by, .. } => (by, None),
        _ => return None,
    };
    Some((event.name(), by.to_string(), reason))
}

#[tokio::test]
async fn each_act_of_an_operator_is_recorded_with_who_and_why() {
    let fixture = Fixture::building(|builder| {
        let fails = handler(|_, _| async { Err(Permanent::new("no such thing"))? });
        builder.with_task_handler(fails).with_actor("ada")
    });
    let scheduler = &fixture.scheduler;
    let hourly = |id: &str| ScheduleTaskRequest::builder(id).task_type("work").interval(3_600);
    fixture.schedule(hourly("a")).await;
    fixture.schedule(hourly("b")).await;
    fixture.schedule(immediate("c")).await;
    fixture.idle().await;
    let before = within(scheduler.store().head()).await.unwrap();

    within(scheduler.pause_task("a", "a deploy").into_future()).await.unwrap();
    within(scheduler.resume_task("a")).await.unwrap();
    within(scheduler.retry_task("c")).await.unwrap();
    fixture.idle().await;
    within(scheduler.disable_task("a", "it costs too much")).await.unwrap();
    within(scheduler.retry_task("a")).await.unwrap();
    within(scheduler.run_now("a")).await.unwrap();
    fixture.idle().await;
    let everything = || Scope::Everything;
    within(scheduler.pause(everything(), "the night").into_future()).await.unwrap();
    within(scheduler.resume(everything())).await.unwrap();
    within(scheduler.set_limits(everything(), Limits::new().max_running(4))).await.unwrap();
    let (filter, cancel) = (TaskFilter::new().enabled(true), BulkAction::Cancel("the end".to_owned()));
    let dry = within(scheduler.bulk(&filter, &cancel, BulkMode::DryRun)).await.unwrap();
    let head = within(scheduler.store().head()).await.unwrap();
    let done = within(scheduler.bulk(&filter, &cancel, BulkMode::Apply)).await.unwrap();
    assert_eq!((dry.changed, done.changed), (2, 2));

    let events = within(scheduler.events(before, 100)).await.unwrap();
    let told: Vec<_> = events.iter().filter_map(|recorded| said(&recorded.event)).collect();
    assert!(told.iter().all(|(_, by, _)| by == "ada"), "{told:?}");
    let told: Vec<_> = told.iter().map(|(name, _, why)| (*name, why.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("TaskPaused", Some("a deploy")),
            ("TaskResumed", None),
            ("TaskRetried", None),
            ("TaskDisabled", Some("it costs too much")),
            ("TaskRetried", None),
            ("RunRequested", None),
            ("ScopePaused", Some("the night")),
            ("ScopeResumed", None),
            ("LimitsChanged", None),
            ("TaskCancelled", Some("the end")),
            ("TaskCancelled", Some("the end")),
        ]
    );
    let by_the_dry_run = within(scheduler.events(LogPosition::START, 1_000)).await.unwrap();
    let by_the_dry_run = by_the_dry_run.iter().filter(|recorded| recorded.position <= head);
    let cancelled = by_the_dry_run.filter(|recorded| matches!(recorded.event, Event::TaskCancelled { .. }));
    assert_eq!(cancelled.count(), 0, "a dry run writes nothing");
    fixture.end().await;
}
