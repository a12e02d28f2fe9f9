//! Executions that end by themselves, and what comes then.

use azoth_scheduler_core::command::{OnConflict, Wish};
use azoth_scheduler_core::event::{Event, Then};
use azoth_scheduler_core::execution::{Emitted, FailureClass, Outcome, Report};
use azoth_scheduler_core::payload::{Payload, PayloadDigest};
use azoth_scheduler_core::retry::OnExhausted;
use azoth_scheduler_core::schedule::{Fate, Overlap, Schedule, Skip};
use azoth_scheduler_core::state::{Counts, DisabledReason, PhaseKind, TaskPhase};
use azoth_scheduler_core::testing::{actor, at, failed, succeeded, text, wish};

use super::bench::{Bench, ends, every, ok, some, want, want_bytes, want_with};
use crate::record::RecordedPayload;

pub(super) async fn a_one_time_task_that_succeeds_finishes(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("once", Schedule::immediate()), at(0)).await;
    bench.does(want("other", Schedule::one_time(at(60))), at(0)).await;
    bench.run(worker, succeeded(), at(0)).await;
    assert_eq!(bench.state("once").await.phase, TaskPhase::Finished { at: at(1) });
    assert_eq!(
        bench.story("once").await,
        ["TaskScheduled", "ExecutionStarted", "TaskExecuted", "TaskEventEmitted"]
    );
    // Known from an earlier scheduler: the success of a one-time task jammed all that came after it.
    bench.run(worker, succeeded(), at(60)).await;
    assert_eq!(bench.phase("other").await, PhaseKind::Finished);
}

pub(super) async fn the_event_of_a_handler_keeps_its_type_and_its_bytes(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    for (task, bytes) in [("empty", &b""[..]), ("binary", &[0, 255, 0, 128][..]), ("text", b"{\"id\":7}")] {
        bench.does(want(task, Schedule::immediate()), at(0)).await;
        let claimed = bench.run(worker, emitting("email_sent", bytes), at(0)).await;
        let recorded = some(bench.history(task).await.pop());
        let Event::TaskEventEmitted { execution, emitted } = &recorded.event else {
            panic!("the handler's event is the newest: {recorded:?}");
        };
        assert_eq!((*execution, emitted.event_type.as_str()), (claimed.execution, "email_sent"));
        assert_eq!(emitted.payload, PayloadDigest::of(bytes));
        assert_eq!(recorded.payload, RecordedPayload::Held(bytes.into()));
    }
}

pub(super) async fn content_that_looks_like_a_record_is_never_applied(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    // Every record of this store's own kind of encoding that a cancellation could have, and the words of one.
    let forged: [&[u8]; 3] = [
        b"\x01\x01\x04boom\x03ops\x00",
        b"TaskCancelled",
        b"{\"TaskCancelled\":{\"reason\":\"boom\",\"by\":\"ops\",\"execution\":null}}",
    ];
    for (number, bytes) in forged.into_iter().enumerate() {
        let task = format!("task-{number}");
        bench.does(want_bytes(&task, every(60), bytes), at(0)).await;
        let claimed = some(bench.claim(worker, &["work"], 1, at(60)).await.claimed.pop());
        assert_eq!(&*claimed.payload, bytes);
        bench.does(ends(&claimed, emitting("TaskCancelled", bytes)), at(61)).await;
        assert_eq!(bench.phase(&task).await, PhaseKind::Waiting);
    }
    ok(bench.store().rebuild_projection().await);
    for number in 0..forged.len() {
        assert_eq!(bench.phase(&format!("task-{number}")).await, PhaseKind::Waiting, "nor by a replay");
    }
}

pub(super) async fn an_interval_goes_on_from_its_anchor(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", every(60)), at(0)).await;
    for number in 1..=3 {
        let claimed = bench.claim_one(worker, at(number * 60 + 7)).await;
        assert_eq!(claimed.occurrence, at(number * 60));
        bench.does(ends(&claimed, succeeded()), at(number * 60 + 31)).await;
        assert_eq!(bench.run_at("task").await, at(number * 60 + 60), "not a minute after the end of the run");
        assert_eq!(i64::from(bench.state("task").await.runs), number);
    }
}

pub(super) async fn three_retries_come_after_one_two_and_four_minutes(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    let mut now = at(0);
    for (attempt, minutes) in [(1, 1), (2, 2), (3, 4)] {
        let claimed = bench.run(worker, failed(FailureClass::Retryable), now).await;
        assert_eq!((claimed.attempt, claimed.occurrence), (attempt, at(0)));
        let state = bench.state("task").await;
        assert_eq!(state.counts, Counts { failures: attempt, losses: 0 });
        let run_at = some(state.waiting()).run_at;
        assert_eq!(run_at.ms_since(now), 1_000 + minutes * 60_000, "after failure {attempt}");
        now = run_at;
    }
    bench.run(worker, failed(FailureClass::Retryable), now).await;
    let (state, because) = (bench.state("task").await, DisabledReason::Exhausted { failures: 4 });
    let ended_at = now.saturating_add_ms(1_000);
    assert_eq!(state.phase, TaskPhase::Disabled { at: ended_at, because: because.clone() });
    let Event::TaskExecuted { then, outcome, .. } = bench.newest("task").await else {
        panic!("its history says why");
    };
    assert_eq!(then, Then::Disable(because));
    assert!(matches!(outcome, Outcome::Failed(failure) if failure.message.as_str() == "it went wrong"));
    let none = bench.claim(worker, &["work"], 1, at(1_000_000)).await;
    assert!(none.claimed.is_empty() && none.next_due.is_none(), "{none:?}");
}

pub(super) async fn an_exhausted_recurring_task_may_go_on(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let new = want_with("task", every(60), OnConflict::Redefine, |new| {
        new.retry.max_retries = 0;
        new.retry.on_exhausted = OnExhausted::Continue;
    });
    bench.does(new, at(0)).await;
    bench.run(worker, failed(FailureClass::Retryable), at(60)).await;
    assert_eq!(bench.run_at("task").await, at(120));
    bench.run(worker, failed(FailureClass::Permanent), at(120)).await;
    assert_eq!(bench.state("task").await.counts, Counts::default());
    let claimed = bench.run(worker, succeeded(), at(180)).await;
    assert_eq!((claimed.occurrence, claimed.attempt), (at(180), 1));
}

pub(super) async fn a_permanent_failure_disables_at_once(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", every(60)), at(0)).await;
    bench.run(worker, failed(FailureClass::Permanent), at(60)).await;
    let because = DisabledReason::Permanent;
    assert_eq!(bench.state("task").await.phase, TaskPhase::Disabled { at: at(61), because });
}

pub(super) async fn retry_after_and_snooze_wait_as_long_as_they_say(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    bench.run(worker, failed(FailureClass::RetryAfter { delay_ms: 7_000 }), at(0)).await;
    assert_eq!(bench.run_at("task").await, at(8));
    assert_eq!(bench.state("task").await.counts, Counts { failures: 1, losses: 0 }, "it is one failure");
    for attempt in 2..7 {
        let claimed = bench.run(worker, Outcome::Snoozed { for_ms: 9_000 }, at(8 + 10 * (attempt - 2))).await;
        assert_eq!(i64::from(claimed.attempt), attempt, "each claim counts");
        assert_eq!(bench.state("task").await.counts, Counts { failures: 1, losses: 0 }, "a snooze is none");
    }
    bench.run(worker, succeeded(), at(58)).await;
    assert_eq!(bench.phase("task").await, PhaseKind::Finished);
}

pub(super) async fn timeouts_and_panics_are_failures(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    bench.run(worker, Outcome::TimedOut { timeout_ms: 300_000 }, at(0)).await;
    assert_eq!(bench.run_at("task").await, at(61));
    bench.run(worker, Outcome::Panicked { message: text("index out of bounds") }, at(61)).await;
    assert_eq!(bench.run_at("task").await, at(62 + 120));
    assert_eq!(bench.state("task").await.counts, Counts { failures: 2, losses: 0 });
    bench.does(wish("task", Wish::Cancel { reason: text("enough"), by: actor("ops") }), at(70)).await;
}

pub(super) async fn what_comes_due_while_one_is_open_goes_to_the_overlap_policy(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("skips", every(60)), at(0)).await;
    let claimed = bench.claim_one(worker, at(60)).await;
    bench.does(ends(&claimed, succeeded()), at(200)).await;
    assert_eq!(bench.passed("skips").await, [(at(120), at(180), 2, Fate::Skipped(Skip::Overlap))]);
    bench.does(wish("skips", Wish::Cancel { reason: text("done"), by: actor("ops") }), at(200)).await;

    bench.does(want("buffers", Schedule { overlap: Overlap::BufferOne, ..every(60) }), at(200)).await;
    let claimed = bench.claim_one(worker, at(260)).await;
    bench.does(ends(&claimed, succeeded()), at(400)).await;
    assert_eq!(bench.passed("buffers").await, [(at(320), at(320), 1, Fate::Merged { into: at(380) })]);
    assert_eq!(bench.claim_one(worker, at(400)).await.occurrence, at(380));
}

fn emitting(event_type: &str, bytes: &[u8]) -> Report {
    let emitted = Emitted { event_type: ok(event_type.parse()), payload: Payload::new(bytes) };
    Outcome::Succeeded(emitted.into())
}
