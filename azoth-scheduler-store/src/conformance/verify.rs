//! Whether the projection is what the log adds up to, and can be made anew.

use std::collections::BTreeSet;

use azoth_scheduler_core::command::{AbandonReason, Wish};
use azoth_scheduler_core::dependency::OnDependencyFailure;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::FailureClass;
use azoth_scheduler_core::schedule::{MisfirePolicy, Schedule};
use azoth_scheduler_core::testing::{actor, at, failed, succeeded, task_id, text, wish};

use super::bench::{Answers, Bench, assert_sound, cancel, every, ok, want};
use super::composing::after;
use super::fencing::taken;
use super::noting::{checkpoint, progress};
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::report::Health;
use crate::store::{AsOf, BATCH_COMMANDS_MAX, Batch};

pub(super) async fn an_empty_store_is_sound(bench: &mut Bench) {
    let report = ok(bench.store().verify().await);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.events, report.tasks, report.head), (0, 0, LogPosition::START));
    let rebuilt = ok(bench.store().rebuild_projection().await);
    assert_eq!((rebuilt.events, rebuilt.tasks), (0, 0));
}

pub(super) async fn every_kind_of_event_replays(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let (reason, by) = (text("why"), actor("ops"));
    bench.does(want("often", every(60)), at(0)).await;
    bench.run(worker, failed(FailureClass::Retryable), at(600)).await;
    let lost = bench.claim_one(worker, at(700)).await;
    bench.does(progress(&lost, 0.4, "two of five"), at(700)).await;
    bench.does(checkpoint(&lost, b"two"), at(700)).await;
    bench.does(taken(&lost, AbandonReason::WorkerLost, at(701)), at(900)).await;
    bench.run(worker, succeeded(), at(900)).await;
    bench
        .does(wish("often", Wish::Pause { reason: reason.clone(), by: by.clone(), until: None }), at(910))
        .await;
    assert_sound(bench.store()).await;
    bench.does(wish("often", Wish::Resume { misfire: MisfirePolicy::Skip, by: by.clone() }), at(911)).await;
    bench.does(want("often", every(90)), at(912)).await;
    bench.does(cancel("often"), at(913)).await;
    bench.does(want("once", Schedule::immediate()), at(914)).await;
    bench.does(want("astray", every(60)), at(100_000)).await;
    bench.does(wish("astray", Wish::CorrectClock), at(916)).await;
    bench.does(after("later", &["once"], OnDependencyFailure::RunAnyway), at(914)).await;
    bench.does(wish("once", Wish::Disable { reason, by: by.clone() }), at(915)).await;
    bench.does(wish("once", Wish::Retry { by: by.clone() }), at(916)).await;
    bench.does(want("once", every(60)), at(917)).await;
    bench.does(wish("once", Wish::RunNow { by }), at(918)).await;
    assert_sound(bench.store()).await;

    let events = ok(bench.store().events(LogPosition::START, 100).await);
    let kinds: BTreeSet<_> = events.iter().map(|event| Event::name(&event.event)).collect();
    assert_eq!(kinds.len(), 16, "one of every kind: {kinds:?}");
    let before = Answers::of(bench.store()).await;
    let report = ok(bench.store().rebuild_projection().await);
    assert_eq!((report.events, report.tasks), (events.len() as u64, 4));
    assert_eq!(Answers::of(bench.store()).await, before, "I5");
}

pub(super) async fn a_rebuild_counts_what_it_read(bench: &mut Bench) {
    let tasks = (0..30).map(|number| want(&format!("task-{number}"), every(60)));
    bench.say_all(tasks.collect(), at(0)).await;
    let report = ok(bench.store().verify().await);
    assert_eq!((report.events, report.tasks), (30, 30));
    let rebuilt = ok(bench.store().rebuild_projection().await);
    assert_eq!((rebuilt.events, rebuilt.tasks), (30, 30));
    let worker = bench.worker(at(0)).await;
    assert_eq!(bench.claim(worker, &["work"], 100, at(60)).await.claimed.len(), 30, "it is of use at once");
}

pub(super) async fn a_store_that_refuses_something_is_in_good_health(bench: &mut Bench) {
    assert_eq!(bench.store().health(), Health::Working, "it has just been opened");
    assert!(bench.say(cancel("nobody"), at(0)).await.is_err());
    let too_many = Batch::new((0..=BATCH_COMMANDS_MAX).map(|_| want("task", every(60))), at(0));
    let refused = bench.store().apply(too_many).await;
    assert!(matches!(refused, Err(StoreError::BatchTooLarge { .. })), "{refused:?}");
    let nowhere =
        bench.store().task_as_of(&task_id("task"), AsOf::Position(LogPosition::from_number(9))).await;
    assert!(matches!(nowhere, Err(StoreError::NoSuchPosition { .. })), "{nowhere:?}");
    assert_eq!(bench.store().health(), Health::Working, "a refusal is no failure of the store");
    bench.does(want("task", every(60)), at(0)).await;
    ok(bench.store().rebuild_projection().await);
    bench.reopen().await;
    assert_eq!(bench.store().health(), Health::Working);
}
