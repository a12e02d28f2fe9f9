//! What is let go, and what never is.

use std::time::Duration;

use azoth_scheduler_core::command::Wish;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::ConsumerName;
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::testing::{actor, at, succeeded, task_id, text, wish};

use super::bench::{Bench, all_tasks, assert_sound, cancel, every, ok, some, want, want_bytes};
use crate::record::{LogPosition, Subject};
use crate::report::RetentionReport;
use crate::store::{AsOf, StartFrom};

async fn names(bench: &Bench) -> Vec<String> {
    all_tasks(bench.store()).await.into_iter().map(|state| state.id.as_str().to_owned()).collect()
}

/// One task in each way of having ended, at second 10, and one that lives.
async fn ended(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let (reason, by) = (text("why"), actor("ops"));
    bench.does(want("finished", Schedule::immediate()), at(0)).await;
    bench.run(worker, succeeded(), at(9)).await;
    bench.does(want("cancelled", every(60)), at(0)).await;
    bench.does(cancel("cancelled"), at(10)).await;
    bench.does(want("disabled", every(60)), at(0)).await;
    bench.does(wish("disabled", Wish::Disable { reason, by }), at(10)).await;
    bench.does(want("lives", every(3_600)), at(0)).await;
}

pub(super) async fn nothing_is_let_go_without_a_policy_that_says_so(bench: &mut Bench) {
    ended(bench).await;
    let head = ok(bench.store().head().await);
    let report = ok(bench.store().retain(&RetentionPolicy::new(), at(1_000_000)).await);
    assert_eq!(report, RetentionReport::default());
    assert_eq!(ok(bench.store().head().await), head);
}

pub(super) async fn tasks_leave_by_the_way_they_ended_and_not_before_their_time(bench: &mut Bench) {
    ended(bench).await;
    let seconds = Duration::from_secs;
    let policy = RetentionPolicy::new().keep_finished_for(seconds(60)).keep_cancelled_for(seconds(120));
    let retain = async |bench: &Bench, second| ok(bench.store().retain(&policy, at(second)).await).tasks;
    assert_eq!(retain(bench, 70).await, 0, "it ended 60 seconds before, not longer");
    assert_eq!(retain(bench, 71).await, 1);
    assert_eq!(names(bench).await, ["cancelled", "disabled", "lives"]);
    let moment = ok(bench.store().head().await);
    assert_eq!(retain(bench, 1_000).await, 1);
    assert_eq!(retain(bench, 1_000).await, 0, "there is nothing left to go");
    assert_eq!(names(bench).await, ["disabled", "lives"]);
    assert_sound(bench.store()).await;

    // I20: it is an event, with the horizon and the names.
    let events = ok(bench.store().events(moment, 10).await);
    let newest = some(events.last());
    assert_eq!((events.len(), &newest.subject), (1, &Subject::Log));
    let Event::TasksForgotten { horizon, tasks } = &newest.event else { panic!("{newest:?}") };
    assert_eq!((tasks.as_slice(), horizon.cancelled), (&[task_id("cancelled")][..], Some(at(880))));
    assert_eq!(ok(bench.store().task(&task_id("cancelled")).await), None);
    assert!(ok(bench.store().history(&task_id("cancelled"), None, 10).await).is_empty());
    let before = ok(bench.store().task_as_of(&task_id("cancelled"), AsOf::Position(moment)).await);
    assert!(before.is_some(), "the log still knows it");
}

pub(super) async fn an_id_that_left_is_a_new_task_when_it_is_scheduled_again(bench: &mut Bench) {
    ended(bench).await;
    let policy = RetentionPolicy::new().keep_cancelled_for(Duration::ZERO);
    assert_eq!(ok(bench.store().retain(&policy, at(11)).await).tasks, 1);
    bench.does(want("cancelled", every(90)), at(20)).await;
    assert_eq!(bench.state("cancelled").await.created_at, at(20));
    assert_eq!(bench.story("cancelled").await, ["TaskScheduled"]);
    assert_eq!(
        names(bench).await,
        ["finished", "disabled", "lives", "cancelled"],
        "in the order of creation"
    );
    assert_sound(bench.store()).await;
}

pub(super) async fn many_tasks_leave_in_several_steps(bench: &mut Bench) {
    let tasks = (0..1_100).map(|number| want(&format!("task-{number}"), every(60)));
    bench.say_all(tasks.collect(), at(0)).await;
    bench.say_all((0..1_100).map(|number| cancel(&format!("task-{number}"))).collect(), at(1)).await;
    let before = ok(bench.store().head().await);
    let policy = RetentionPolicy::new().keep_cancelled_for(Duration::ZERO);
    assert_eq!(ok(bench.store().retain(&policy, at(2)).await).tasks, 1_100);
    assert_eq!(ok(bench.store().head().await).number(), before.number() + 3, "500 at a time");
    assert!(names(bench).await.is_empty());
}

pub(super) async fn old_payloads_are_dropped_and_those_that_are_needed_stay(bench: &mut Bench) {
    bench.does(want_bytes("task", every(60), b"old"), at(0)).await;
    bench.does(want_bytes("task", every(60), b"needed"), at(10)).await;
    bench.does(want_bytes("other", every(60), b"young"), at(500)).await;
    let policy = RetentionPolicy::new().keep_payloads_for(Duration::from_secs(100));
    let report = ok(bench.store().retain(&policy, at(550)).await);
    assert_eq!(report.payloads, 1);
    assert_eq!(ok(bench.store().retain(&policy, at(550)).await).payloads, 0);
    let events = ok(bench.store().events(LogPosition::START, 10).await);
    let held: Vec<_> = events.iter().map(|event| event.payload.bytes()).collect();
    assert_eq!(held, [None, Some(&b"needed"[..]), Some(&b"young"[..]), None]);
    assert_eq!(some(events.last()).event, Event::PayloadsDropped { through: 2 });
    assert_eq!(bench.task("task").await.payload.bytes(), Some(&b"needed"[..]));
    assert_sound(bench.store()).await;
}

pub(super) async fn what_a_consumer_has_yet_to_handle_stays_whole(bench: &mut Bench) {
    for (number, bytes) in [b"a", b"b", b"c"].into_iter().enumerate() {
        bench.does(want_bytes("task", every(60 + number as u64), bytes), at(0)).await;
    }
    let (name, position) = (ConsumerName::new("mail"), LogPosition::from_number);
    let name = ok(name);
    ok(bench.store().cursor(&name, StartFrom::After(position(1))).await);
    let policy = RetentionPolicy::new().keep_payloads_for(Duration::ZERO);
    assert_eq!(ok(bench.store().retain(&policy, at(100)).await).payloads, 1, "behind it nothing goes");
    ok(bench.store().move_cursor(&name, position(1), position(3), None).await);
    assert_eq!(ok(bench.store().retain(&policy, at(100)).await).payloads, 1);
    assert_sound(bench.store()).await;
}
