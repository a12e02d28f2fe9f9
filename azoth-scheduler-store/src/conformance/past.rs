//! The tasks as they were.

use azoth_scheduler_core::command::Wish;
use azoth_scheduler_core::dependency::OnDependencyFailure;
use azoth_scheduler_core::execution::FailureClass;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::testing::{actor, at, failed, succeeded, task_id, text, wish};

use super::bench::{Bench, cancel, every, ok, want, want_bytes};
use super::composing::after;
use crate::error::StoreError;
use crate::filter::TaskFilter;
use crate::record::LogPosition;
use crate::report::TaskCount;
use crate::store::{AsOf, StoredTask};

/// What the store says at one moment.
struct Moment {
    head: LogPosition,
    tasks: Vec<StoredTask>,
    counts: Vec<TaskCount>,
}

impl Moment {
    async fn of(bench: &Bench) -> Self {
        let store = bench.store();
        let mut tasks = Vec::new();
        for state in ok(store.tasks(&TaskFilter::new()).await) {
            tasks.extend(ok(store.task(&state.id).await));
        }
        let counts = ok(store.stats(at(0)).await).tasks;
        Self { head: ok(store.head().await), tasks, counts }
    }
}

pub(super) async fn every_moment_is_answered_as_it_was(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let (reason, by) = (text("why"), actor("ops"));
    let mut moments = vec![Moment::of(bench).await];
    bench.does(want_bytes("often", every(60), b"first"), at(0)).await;
    moments.push(Moment::of(bench).await);
    bench.run(worker, failed(FailureClass::Retryable), at(60)).await;
    moments.push(Moment::of(bench).await);
    bench.does(want("once", Schedule::immediate()), at(61)).await;
    bench.does(after("gathers", &["once"], OnDependencyFailure::Cancel), at(61)).await;
    bench.does(wish("often", Wish::Pause { reason, by, until: None }), at(62)).await;
    moments.push(Moment::of(bench).await);
    bench.run(worker, succeeded(), at(63)).await;
    bench.does(want_bytes("often", every(90), b"second"), at(64)).await;
    moments.push(Moment::of(bench).await);
    bench.does(cancel("often"), at(65)).await;
    moments.push(Moment::of(bench).await);

    // I21
    for moment in &moments {
        let (store, then) = (bench.store(), AsOf::Position(moment.head));
        let past = ok(store.as_of(then).await);
        assert_eq!(past.position(), moment.head);
        let listed = ok(past.tasks(&TaskFilter::new()).await);
        assert!(listed.iter().eq(moment.tasks.iter().map(|task| &task.state)), "at {}", moment.head);
        assert_eq!(ok(past.stats(at(0)).await).tasks, moment.counts, "at {}", moment.head);
        for id in ["often", "once", "gathers", "never"].map(task_id) {
            let expected = moment.tasks.iter().find(|task| task.state.id == id).cloned();
            assert_eq!(past.task(&id).await, Ok(expected.clone()), "{id} at {}", moment.head);
            assert_eq!(store.task_as_of(&id, then).await, Ok(expected), "{id} at {}", moment.head);
        }
    }
    let filter = TaskFilter::new().enabled(true).limit(1);
    let first = ok(bench.store().as_of(AsOf::Position(LogPosition::from_number(1))).await);
    bench.does(want("often", every(60)), at(70)).await;
    assert_eq!(ok(first.tasks(&filter).await).len(), 1, "what is written meanwhile changes nothing");
    assert_eq!(
        ok(first.task(&task_id("often")).await).map(|task| task.payload),
        moments.get(1).and_then(|moment| moment.tasks.first()).map(|task| task.payload.clone())
    );
}

pub(super) async fn an_instant_is_its_last_event_though_clocks_go_back(bench: &mut Bench) {
    for (task, second) in [("a", 10), ("b", 20), ("c", 15), ("d", 30)] {
        bench.does(want(task, every(60)), at(second)).await;
    }
    let known = async |second| {
        let past = ok(bench.store().as_of(AsOf::Instant(at(second))).await);
        (past.position().number(), ok(past.tasks(&TaskFilter::new()).await).len())
    };
    assert_eq!(known(9).await, (0, 0));
    assert_eq!(known(10).await, (1, 1));
    assert_eq!(known(19).await, (1, 1), "c was scheduled after b, whatever its clock said");
    assert_eq!(known(20).await, (3, 3));
    assert_eq!(known(3_000).await, (4, 4));
}

pub(super) async fn what_has_not_happened_yet_is_refused(bench: &mut Bench) {
    bench.does(want("a", every(60)), at(0)).await;
    let (position, head) = (LogPosition::from_number(2), LogPosition::from_number(1));
    let refused = StoreError::NoSuchPosition { position, head };
    let past = bench.store().as_of(AsOf::Position(position)).await;
    assert_eq!(past.err(), Some(refused.clone()));
    assert_eq!(bench.store().task_as_of(&task_id("a"), AsOf::Position(position)).await, Err(refused));
}
