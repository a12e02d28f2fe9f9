//! How soon a due task starts, and at what price.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_runtime::{Clock, ManualClock, ScheduleTaskRequest, Sleep, SystemClock};
use azoth_scheduler_store::Store;
use tokio::sync::watch;

use crate::support::{
    Closure, FaultyStore, Fixture, Gate, SECOND, clock, done, due_in_a_second, handler, immediate, waits_at,
    within,
};

#[tokio::test]
async fn task_scheduled_on_an_idle_scheduler_starts_without_another_transaction() {
    let gate = Gate::new();
    let fixture = Fixture::with(waits_at(&gate));
    fixture.idle().await;
    let before = fixture.store.applies();
    fixture.schedule(immediate("a")).await;
    gate.wait_for(1).await;
    assert_eq!(fixture.store.applies() - before, 1, "the one that scheduled it");
    gate.open();
    fixture.idle().await;
    let expected = ["TaskScheduled", "ExecutionStarted", "TaskExecuted", "TaskEventEmitted"];
    assert_eq!(fixture.history("a").await, expected);
    fixture.end().await;
}

/// It made ready for the next task first, on the thread on which the handler was to start.
#[tokio::test]
async fn handler_starts_before_the_loop_makes_ready_for_the_next_task() {
    let (store, stands) = (FaultyStore::default(), watch::Sender::new(None));
    let (seen, tell) = (store.clone(), stands.clone());
    let fixture = Fixture::on(store, clock(), |builder| {
        builder.with_task_handler(handler(move |_, _| {
            tell.send_replace(Some(seen.stands()));
            async { done() }
        }))
    });
    fixture.idle().await;
    fixture.comes_to_rest().await;
    let before = fixture.store.stands();
    fixture.schedule(immediate("a")).await;
    let at_start = *within(stands.subscribe().wait_for(Option::is_some)).await.unwrap();
    assert_eq!(at_start, Some(before));
    fixture.idle().await;
    assert!(fixture.store.stands() > before, "it does so afterwards");
    fixture.end().await;
}

/// A handler that holds up its thread until that of a later task lets it go.
fn holds_up_its_thread(until: &Arc<Barrier>, begun: &watch::Sender<bool>) -> Closure {
    let (until, begun) = (Arc::clone(until), begun.clone());
    handler(move |ctx, _| {
        if ctx.task_id().as_str() == "rude" {
            begun.send_replace(true);
        }
        until.wait();
        async { done() }
    })
}

/// The loop gives way to the handler that it starts, and does not get its thread back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_scheduled_while_a_handler_holds_up_its_thread_starts_on_another() {
    let (until, begun) = (Arc::new(Barrier::new(2)), watch::Sender::new(false));
    let fixture = Fixture::with(holds_up_its_thread(&until, &begun));
    fixture.idle().await;
    fixture.schedule(immediate("rude")).await;
    within(begun.subscribe().wait_for(|begun| *begun)).await.unwrap();
    fixture.schedule(immediate("next")).await;
    fixture.idle().await;
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_that_comes_due_while_a_handler_holds_up_its_thread_starts_on_another() {
    let (until, begun) = (Arc::new(Barrier::new(2)), watch::Sender::new(false));
    let fixture = Fixture::with(holds_up_its_thread(&until, &begun));
    fixture.schedule(due_in_a_second("next")).await;
    fixture.idle().await;
    fixture.schedule(immediate("rude")).await;
    within(begun.subscribe().wait_for(|begun| *begun)).await.unwrap();
    fixture.pass(SECOND).await;
    fixture.end().await;
}

/// A clock that goes on between two looks at it, as that of a machine does.
struct Ticking {
    clock: ManualClock,
    looks: AtomicU64,
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        self.clock.elapsed() + Duration::from_nanos(looks)
    }

    fn sleep_until(&self, elapsed: Duration) -> Sleep {
        self.clock.sleep_until(elapsed)
    }
}

/// What was due by the look that worked it out was not due by the one before that. So the loop woke, found nothing to do,
/// and woke again, as fast as it could and for half a minute.
#[tokio::test]
async fn what_comes_due_is_started_although_the_clock_goes_on_between_two_looks() {
    let (gate, clock) = (Gate::new(), clock());
    let ticking = Ticking { clock: clock.clone(), looks: AtomicU64::new(0) };
    let fixture = Fixture::on(FaultyStore::default(), clock, |builder| {
        builder.with_task_handler(waits_at(&gate)).with_clock(ticking)
    });
    fixture.schedule(due_in_a_second("a")).await;
    fixture.idle().await;
    fixture.clock.advance(2 * SECOND);
    gate.wait_for(1).await;
    gate.open();
    fixture.idle().await;
    fixture.end().await;
}

/// A clock that comes to the instant that it is asked about right after it was asked first, once there is another transaction.
struct Crossing {
    clock: ManualClock,
    store: FaultyStore,
    /// So many transactions there were when it was set up.
    after: AtomicUsize,
}

impl Clock for Crossing {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep_until(&self, elapsed: Duration) -> Sleep {
        self.clock.sleep_until(elapsed)
    }

    fn until(&self, instant: Timestamp) -> Duration {
        let left = self.clock.until(instant);
        if self.store.applies() > self.after.load(Ordering::Relaxed) {
            self.after.store(usize::MAX, Ordering::Relaxed);
            self.clock.advance(left);
        }
        left
    }
}

/// It was not due by the first look after the transaction, so it was not asked for; and due by the next one, so it was not waited
/// for. Only the poll interval was left.
#[tokio::test]
async fn what_comes_due_between_two_looks_behind_a_transaction_is_started() {
    let (gate, clock, store) = (Gate::new(), clock(), FaultyStore::default());
    let after = AtomicUsize::new(usize::MAX);
    let crossing = Arc::new(Crossing { clock: clock.clone(), store: store.clone(), after });
    let fixture = Fixture::on(store, clock, |builder| {
        builder.with_task_handler(waits_at(&gate)).with_clock(Arc::clone(&crossing))
    });
    fixture.schedule(due_in_a_second("a")).await;
    fixture.clock.advance(Duration::from_millis(990));
    fixture.idle().await;
    crossing.after.store(fixture.store.applies(), Ordering::Relaxed);
    fixture.scheduler.wake();
    gate.wait_for(1).await;
    gate.open();
    fixture.idle().await;
    fixture.end().await;
}

#[tokio::test]
async fn no_more_is_claimed_by_those_who_schedule_than_there_are_free_slots() {
    // I27
    let gate = Gate::new();
    let fixture =
        Fixture::building(|builder| builder.with_task_handler(waits_at(&gate)).with_max_concurrent_tasks(2));
    fixture.idle().await;
    let requests = (0..5).map(|number| immediate(&format!("task-{number}")).build().unwrap()).collect();
    within(fixture.scheduler.schedule_tasks(requests)).await.unwrap();
    gate.wait_for(2).await;
    fixture.comes_to_rest().await;
    let worker = fixture.store.workers().await.unwrap().remove(0).info.worker;
    assert_eq!(fixture.store.held_by(worker).await.unwrap().len(), 2);
    gate.open();
    fixture.idle().await;
    assert_eq!(gate.arrived(), 5);
    fixture.end().await;
}

#[tokio::test]
async fn nothing_is_claimed_once_the_end_was_asked_for() {
    // I27, T9
    let gate = Gate::new();
    let fixture = Fixture::with(waits_at(&gate));
    fixture.idle().await;
    let ended = fixture.scheduler.shutdown();
    // The loop has not heard of it yet.
    fixture.schedule(immediate("a")).await;
    within(ended).await;
    assert_eq!((fixture.history("a").await, gate.arrived()), (vec!["TaskScheduled"], 0));
    fixture.end().await;
}

#[tokio::test]
async fn task_that_is_due_sooner_than_all_others_is_waited_for() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    let at = |id: &str, second| ScheduleTaskRequest::builder(id).task_type("work").one_time(second);
    fixture.schedule(at("later", 1_700_000_900)).await;
    fixture.idle().await;
    let before = fixture.store.applies();
    fixture.schedule(at("sooner", 1_700_000_000 + 1)).await;
    fixture.idle().await;
    assert_eq!(fixture.history("sooner").await, ["TaskScheduled"]);
    fixture.pass(SECOND).await;
    assert_eq!(fixture.history("sooner").await.len(), 4);
    assert!(fixture.store.applies() - before <= 6, "{} transactions", fixture.store.applies() - before);
    fixture.end().await;
}

/// It was left for the next poll: due, but not given to us, it looked like one that somebody else holds up.
#[tokio::test]
async fn task_that_comes_due_while_a_transaction_looks_for_work_starts_at_once() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.schedule(due_in_a_second("a")).await;
    fixture.idle().await;
    let clock = fixture.clock.clone();
    fixture.store.meanwhile(move || clock.advance(SECOND));
    fixture.scheduler.wake();
    fixture.idle().await;
    assert_eq!(fixture.history("a").await.len(), 4);
    fixture.end().await;
}

/// The loop took it for heard, although the answer that came with it was older.
#[tokio::test]
async fn nudge_that_comes_in_the_same_moment_as_the_answer_of_a_transaction_has_the_store_asked_again() {
    let fixture = Fixture::with(handler(|_, _| async { done() }));
    fixture.idle().await;
    let before = fixture.store.applies();
    let scheduler = fixture.scheduler.clone();
    fixture.store.meanwhile(move || scheduler.wake());
    fixture.scheduler.wake();
    fixture.comes_to_rest().await;
    assert_eq!(fixture.store.applies() - before, 2);
    fixture.end().await;
}

#[tokio::test]
async fn machine_clock_wakes_at_the_instant_and_not_before() {
    let clock = SystemClock::new();
    for ms in [1, 2, 5, 10] {
        let at = clock.elapsed() + Duration::from_millis(ms);
        clock.wake_at(at).await;
        assert!(clock.elapsed() >= at);
    }
    let soon = clock.now().saturating_add_ms(20);
    clock.wake_at(clock.elapsed() + clock.until(soon)).await;
    assert!(clock.now() >= soon, "what is due then is due now");
    assert_eq!(clock.until(clock.now()), Duration::ZERO);
}
