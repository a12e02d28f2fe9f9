//! What a request refuses, and how it says so.

use super::*;
use crate::error::SchedulerError;

fn refused(builder: ScheduleTaskRequestBuilder) -> String {
    match builder.build().unwrap_err() {
        SchedulerError::InvalidTask(error) => error.to_string(),
        other => panic!("an invalid task was expected, not {other}"),
    }
}

fn report() -> ScheduleTaskRequestBuilder {
    ScheduleTaskRequest::builder("report").task_type("generate")
}

#[test]
fn what_is_missing_is_named() {
    assert!(refused(report()).contains("no schedule: give one of `.cron(..)`"));
    assert!(refused(ScheduleTaskRequest::builder("x").immediate()).contains("no type"));
    assert!(
        refused(ScheduleTaskRequest::builder(" ").task_type("x").immediate()).contains("task id is empty")
    );
    assert!(refused(ScheduleTaskRequest::builder("x").task_type("a\0").immediate()).contains("U+0000"));
}

#[test]
fn two_schedules_are_refused_and_both_named() {
    let text = refused(report().cron("0 0 0 * * *").immediate());
    assert!(text.contains("two schedules, cron and immediate"), "{text}");
}

#[test]
fn option_of_another_schedule_is_refused_rather_than_ignored() {
    let now = OffsetDateTime::UNIX_EPOCH;
    assert!(refused(report().immediate().time_zone("UTC")).contains("`.time_zone(..)` belongs to cron"));
    assert!(refused(report().cron("0 0 0 * * *").anchored_at(now)).contains("belongs to interval"));
    assert!(refused(report().at(now).max_runs(2)).contains("`.max_runs(..)`"));
}

#[test]
fn numbers_outside_their_range_are_refused() {
    assert!(refused(report().interval(0)).contains("interval of 0 ms"));
    assert!(refused(report().interval(1).max_runs(0)).contains("max_runs of 0"));
    assert!(refused(report().immediate().timeout(Duration::ZERO)).contains("1 ms to 365 days"));
    assert!(refused(report().one_time(i64::MAX)).contains("9223372036854775807 seconds"));
    assert!(refused(report().interval(1).jitter(Duration::MAX)).contains("0 to 24 hours"));
}

#[test]
fn debug_shows_no_byte_of_the_payload() {
    let request = report().immediate().payload(*b"hunter2");
    assert!(!format!("{request:?} {:?}", request.clone().build()).contains("hunter2"));
}
