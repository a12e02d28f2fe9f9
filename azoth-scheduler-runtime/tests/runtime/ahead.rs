//! Claims beyond the free slots, for types whose runs take hardly any time: what keeps them within bounds.

use azoth_scheduler_core::command::AbandonReason;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::Outcome;
use azoth_scheduler_core::scope::Scope;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_runtime::{Limits, Scheduler, TaskHandler};
use azoth_scheduler_store::Store;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Fixture, Gate, SECOND, done, handler, immediate, within};

/// Those named `warm-..` run at once, and no time passes meanwhile. All others wait at the gate, and note when they start.
fn quick_but_for(gate: &Gate, started: &Arc<Mutex<Vec<String>>>) -> impl TaskHandler {
    let (gate, started) = (gate.clone(), Arc::clone(started));
    handler(move |ctx, _| {
        let (gate, started) = (gate.clone(), Arc::clone(&started));
        async move {
            let task = ctx.task_id().to_string();
            if !task.starts_with("warm") {
                started.lock().unwrap().push(task);
                gate.pass().await;
            }
            done()
        }
    })
}

/// A scheduler with one slot, whose only type has shown that it is quick.
struct Warm {
    fixture: Fixture,
    gate: Gate,
    started: Arc<Mutex<Vec<String>>>,
}

impl Warm {
    async fn up(runs: usize) -> Self {
        let (gate, started) = (Gate::new(), Arc::default());
        let handler = quick_but_for(&gate, &started);
        let fixture =
            Fixture::building(|builder| builder.with_task_handler(handler).with_max_concurrent_tasks(1));
        for number in 0..runs {
            fixture.schedule(immediate(&format!("warm-{number}"))).await;
            fixture.idle().await;
        }
        Self { fixture, gate, started }
    }

    /// One task runs and waits at the gate, the others of these are due; then the loop looks again.
    async fn busy_with(&self, others: &[&str]) {
        self.fixture.schedule(immediate("first")).await;
        self.gate.wait_for(1).await;
        for task in others {
            self.fixture.schedule(immediate(task)).await;
        }
        self.look_again().await;
    }

    /// The poll interval passes, and what is asked of the store then.
    async fn look_again(&self) {
        self.fixture.clock.advance(SECOND);
        self.settle().await;
    }

    /// Lets everything happen that needs no time.
    async fn settle(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    async fn held(&self) -> usize {
        let worker = self.fixture.store.workers().await.unwrap()[0].info.worker;
        self.fixture.store.held_by(worker).await.unwrap().len()
    }

    fn started(&self) -> Vec<String> {
        self.started.lock().unwrap().clone()
    }

    async fn why_abandoned(&self, task: &str) -> Vec<AbandonReason> {
        let why = |event| if let Event::ExecutionAbandoned { why, .. } = event { Some(why) } else { None };
        self.fixture.events(task).await.into_iter().filter_map(why).collect()
    }
}

#[tokio::test]
async fn quick_type_is_claimed_beyond_the_free_slots_and_still_runs_within_them() {
    // I27
    let warm = Warm::up(16).await;
    warm.busy_with(&["a", "b", "c"]).await;
    assert_eq!((warm.held().await, warm.started()), (4, vec!["first".to_owned()]));
    assert_eq!(warm.fixture.scheduler.stats().await.unwrap().slots_taken, 1);
    warm.gate.open();
    warm.fixture.idle().await;
    assert_eq!(warm.started(), ["first", "a", "b", "c"]);
    warm.fixture.end().await;
}

#[tokio::test]
async fn type_that_has_not_shown_that_it_is_quick_is_claimed_for_free_slots_only() {
    // I27
    let warm = Warm::up(15).await;
    warm.busy_with(&["a", "b"]).await;
    assert_eq!(warm.held().await, 1);
    warm.gate.open();
    warm.fixture.end().await;
}

#[tokio::test]
async fn shutdown_gives_back_what_has_not_started_and_that_is_no_failure_and_no_loss() {
    // I27, T9
    let warm = Warm::up(16).await;
    warm.busy_with(&["a", "b"]).await;
    assert_eq!(warm.held().await, 3);
    let ended = warm.fixture.scheduler.shutdown();
    warm.settle().await;
    // At once, not after the grace: another process may take them while the first one still runs here.
    for task in ["a", "b"] {
        assert_eq!(warm.why_abandoned(task).await, [AbandonReason::NotStarted]);
        let view = warm.fixture.scheduler.get_task(task).await.unwrap().unwrap();
        assert_eq!((view.phase, view.losses, view.failures), (PhaseKind::Waiting, 0, 0));
    }
    warm.gate.open();
    within(ended).await;
    assert_eq!(warm.started(), ["first"]);
    warm.fixture.end().await;
}

#[tokio::test]
async fn what_has_waited_for_a_second_is_given_back_and_not_claimed_ahead_again() {
    // I27
    let warm = Warm::up(16).await;
    warm.busy_with(&["a"]).await;
    assert_eq!(warm.held().await, 2);
    warm.look_again().await;
    assert_eq!(warm.why_abandoned("a").await, [AbandonReason::NotStarted]);
    for _ in 0..3 {
        warm.look_again().await;
    }
    assert_eq!((warm.held().await, warm.why_abandoned("a").await.len()), (1, 1));
    let (gate, elsewhere) = (Gate::new(), Arc::default());
    gate.open();
    let handler = quick_but_for(&gate, &elsewhere);
    let other = Fixture::on(warm.fixture.store.clone(), warm.fixture.clock.clone(), |builder| {
        builder.with_task_handler(handler)
    });
    gate.wait_for(1).await;
    assert_eq!(*elsewhere.lock().unwrap(), ["a"]);
    other.idle().await;
    other.end().await;
    warm.gate.open();
    warm.fixture.end().await;
}

#[tokio::test]
async fn what_waits_is_given_back_at_once_when_its_type_is_paused_or_given_a_limit() {
    // I22, I27
    let work = || Scope::task_type("work").unwrap();
    for number in 0..3 {
        let warm = Warm::up(16).await;
        warm.busy_with(&["a", "b"]).await;
        assert_eq!(warm.held().await, 3);
        // By somebody else, and no time passes.
        let other = Scheduler::builder(warm.fixture.store.clone()).with_clock(warm.fixture.clock.clone());
        let other = other.build().unwrap();
        match number {
            0 => drop(within(other.pause(work(), "repair").into_future()).await.unwrap()),
            1 => drop(within(other.pause(Scope::Everything, "repair").into_future()).await.unwrap()),
            _ => drop(within(other.set_limits(work(), Limits::new().max_running(2))).await.unwrap()),
        }
        warm.settle().await;
        assert_eq!(warm.held().await, 1, "case {number}");
        for task in ["a", "b"] {
            assert_eq!(warm.why_abandoned(task).await, [AbandonReason::NotStarted], "case {number}");
        }
        warm.gate.open();
        within(other.resume(work())).await.unwrap();
        within(other.resume(Scope::Everything)).await.unwrap();
        warm.fixture.idle().await;
        assert_eq!(warm.started().len(), 3, "case {number}");
        warm.fixture.end().await;
    }
}

#[tokio::test]
async fn timeout_counts_from_the_start_of_the_handler() {
    let warm = Warm::up(16).await;
    warm.fixture.schedule(immediate("first")).await;
    warm.gate.wait_for(1).await;
    warm.fixture.schedule(immediate("second").timeout(Duration::from_millis(300))).await;
    warm.look_again().await;
    assert_eq!(warm.held().await, 2);
    warm.fixture.clock.advance(Duration::from_millis(500));
    warm.settle().await;
    warm.gate.open();
    warm.fixture.idle().await;
    let outcome = warm.fixture.events("second").await.into_iter().find_map(|event| match event {
        Event::TaskExecuted { outcome, .. } => Some(outcome),
        _ => None,
    });
    assert_eq!(outcome, Some(Outcome::Succeeded(())));
    warm.fixture.end().await;
}

#[tokio::test]
async fn task_that_is_cancelled_while_it_waits_for_a_slot_never_starts() {
    let warm = Warm::up(16).await;
    warm.busy_with(&["a", "b"]).await;
    warm.fixture.scheduler.cancel_task("a", "not needed").await.unwrap();
    warm.gate.open();
    warm.fixture.idle().await;
    assert_eq!(warm.started(), ["first", "b"]);
    assert_eq!(warm.fixture.history("a").await, ["TaskScheduled", "ExecutionStarted", "TaskCancelled"]);
    warm.fixture.end().await;
}

#[tokio::test]
async fn urgent_task_overtakes_those_that_were_claimed_ahead_of_it() {
    let warm = Warm::up(16).await;
    warm.fixture.schedule(immediate("first")).await;
    warm.gate.wait_for(1).await;
    for task in ["low-1", "low-2"] {
        warm.fixture.schedule(immediate(task).priority(Priority::Low)).await;
    }
    // Half of the second that they may wait.
    warm.fixture.clock.advance(Duration::from_millis(500));
    warm.look_again().await;
    assert_eq!(warm.held().await, 3);
    warm.fixture.schedule(immediate("urgent").priority(Priority::Critical)).await;
    warm.gate.open();
    warm.fixture.idle().await;
    assert_eq!(warm.started(), ["first", "urgent", "low-1", "low-2"]);
    warm.fixture.end().await;
}

#[tokio::test]
async fn run_that_is_dropped_loses_none_of_what_it_had_claimed_ahead() {
    let warm = Warm::up(16).await;
    warm.busy_with(&["a"]).await;
    warm.fixture.running.abort();
    let store = warm.fixture.store.clone();
    let worker = store.workers().await.unwrap()[0].info.worker;
    store.end_worker(worker).await.unwrap();
    let (gate, elsewhere) = (Gate::new(), Arc::default());
    gate.open();
    let handler = quick_but_for(&gate, &elsewhere);
    let other = Fixture::on(store, warm.fixture.clock.clone(), |builder| builder.with_task_handler(handler));
    other.idle().await;
    for task in ["first", "a"] {
        let view = other.scheduler.get_task(task).await.unwrap().unwrap();
        assert_eq!(view.phase, PhaseKind::Finished);
        assert_eq!(
            warm.why_abandoned(task).await,
            [AbandonReason::WorkerLost],
            "a claim counts, started or not"
        );
    }
    other.end().await;
}
