//! Due tasks that are given to a worker.

use std::num::NonZeroU32;

use azoth_scheduler_core::command::OnConflict;
use azoth_scheduler_core::schedule::{Fate, Misfire, MisfirePolicy, Miss, Schedule};
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::testing::{at, succeeded, task_id, task_type, worker};
use azoth_scheduler_core::time::Timestamp;

use super::bench::{Bench, cancel, ends, every, some, want, want_bytes, want_with};
use crate::store::{Batch, CLAIM_BATCH_MAX, Claims};

pub(super) async fn a_due_task_is_claimed_once_with_all_that_its_handler_needs(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    bench.does(want_bytes("task", Schedule::one_time(at(60)), b"bytes"), at(0)).await;
    let early = bench.claim(owner, &["work"], 5, at(59)).await;
    assert!(early.claimed.is_empty() && early.next_due == Some(at(60)), "{early:?}");
    let claimed = bench.claim_one(owner, at(61)).await;
    assert_eq!((&claimed.task, &claimed.task_type), (&task_id("task"), &task_type("work")));
    assert_eq!((claimed.occurrence, claimed.attempt, claimed.claimed_at), (at(60), 1, at(61)));
    assert_eq!((claimed.timeout_ms.get(), &*claimed.payload), (300_000, &b"bytes"[..]));
    let state = bench.state("task").await;
    let running = some(state.running());
    assert_eq!((running.execution, running.worker, running.claimed_at), (claimed.execution, owner, at(61)));
    let again = bench.claim(owner, &["work"], 5, at(7_200)).await;
    assert!(again.claimed.is_empty() && again.next_due.is_none(), "I7, it still runs: {again:?}");
    assert_eq!(bench.story("task").await, ["TaskScheduled", "ExecutionStarted"], "I9");
}

pub(super) async fn only_due_tasks_of_the_offered_types_are_claimed(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    for (task, kind, second) in
        [("a", "mail", 10), ("d", "report", 35), ("b", "report", 5), ("c", "mail", 30)]
    {
        let new = want_with(task, Schedule::one_time(at(second)), OnConflict::Redefine, |new| {
            new.task_type = task_type(kind);
        });
        bench.does(new, at(0)).await;
    }
    let claims = bench.claim(owner, &["mail", "other", "mail"], 10, at(20)).await;
    assert_eq!(names(&claims), ["a"], "I13");
    assert_eq!(claims.next_due, Some(at(30)), "of the offered types");
    let claims = bench.claim(owner, &[], 10, at(20)).await;
    assert!(claims.claimed.is_empty() && claims.next_due.is_none());
    let claims = bench.claim(owner, &["mail", "report"], 10, at(40)).await;
    assert_eq!(names(&claims), ["b", "c", "d"], "the one that is due for longest first, whatever its type");
}

pub(super) async fn levels_go_first_then_instants_then_age(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    let tasks = [
        ("low", Priority::Low, 1),
        ("normal-late", Priority::Normal, 9),
        ("normal-b", Priority::Normal, 5),
        ("normal-a", Priority::Normal, 5),
        ("critical", Priority::Critical, 9),
        ("critical-later", Priority::Critical, 99),
        ("high", Priority::High, 9),
    ];
    for (task, priority, second) in tasks {
        prioritised(bench, task, priority, at(second)).await;
    }
    let claims = bench.claim(owner, &["work"], 2, at(10)).await;
    assert_eq!(names(&claims), ["critical", "high"]);
    assert_eq!(claims.next_due, Some(at(1)), "what there was no room for is due already");
    let claims = bench.claim(owner, &["work"], 9, at(10)).await;
    assert_eq!(names(&claims), ["normal-b", "normal-a", "normal-late", "low"]);
    assert_eq!(claims.next_due, Some(at(99)));
}

pub(super) async fn every_sixteenth_claim_goes_to_the_oldest_task(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    prioritised(bench, "starving", Priority::Low, at(1)).await;
    prioritised(bench, "starving-too", Priority::Normal, at(2)).await;
    for number in 0..40 {
        prioritised(bench, &format!("urgent-{number:02}"), Priority::Critical, at(10 + number)).await;
    }
    let mut claimed = Vec::new();
    // Turns are counted over offers, since most have fewer slots than that.
    for slots in [15, 1, 6, 10] {
        let claims = bench.claim(owner, &["work"], slots, at(100)).await;
        assert_eq!(claims.claimed.len(), slots);
        claimed.extend(names(&claims));
    }
    let places = ["starving", "starving-too"].map(|task| claimed.iter().position(|claimed| claimed == task));
    assert_eq!(places, [Some(15), Some(31)], "{claimed:?}");
}

pub(super) async fn an_offer_is_answered_with_no_more_claims_than_it_has_ids(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    let all = ["a", "b", "c", "d", "e"];
    bench.say_all(all.map(|task| want(task, Schedule::immediate())).to_vec(), at(0)).await;
    let none = bench.claim(owner, &["work"], 0, at(0)).await;
    assert!(none.claimed.is_empty() && none.next_due == Some(at(0)), "{none:?}");
    let offer = bench.offer(owner, &["work"], 2);
    let ids = offer.executions.clone();
    let applied = bench.apply(Batch::claiming(offer, at(0))).await;
    let claims = some(applied.claims);
    let used: Vec<_> = claims.claimed.iter().map(|claimed| claimed.execution).collect();
    assert_eq!((names(&claims), used), (vec!["a".to_owned(), "b".to_owned()], ids));
    assert_eq!(names(&bench.claim(owner, &["work"], 9, at(0)).await), ["c", "d", "e"]);
}

pub(super) async fn no_offer_is_answered_with_more_than_the_limit(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    let tasks = (0..=CLAIM_BATCH_MAX).map(|number| want(&format!("task-{number}"), Schedule::immediate()));
    bench.say_all(tasks.collect(), at(0)).await;
    let claims = bench.claim(owner, &["work"], CLAIM_BATCH_MAX + 10, at(0)).await;
    assert_eq!((claims.claimed.len(), claims.next_due), (CLAIM_BATCH_MAX, Some(at(0))));
}

pub(super) async fn what_a_batch_schedules_it_also_claims(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    let offer = bench.offer(owner, &["work"], 5);
    let commands = vec![want("a", Schedule::immediate()), want("b", Schedule::one_time(at(9)))];
    let applied = bench.apply(Batch::new(commands, at(0)).and_claim(offer)).await;
    let claims = some(applied.claims);
    assert_eq!((names(&claims), claims.next_due), (vec!["a".to_owned()], Some(at(9))));
    let claimed = some(claims.claimed.first().cloned());
    let offer = bench.offer(owner, &["work"], 5);
    let commands = vec![ends(&claimed, succeeded()), want("a", Schedule::immediate())];
    let applied = bench.apply(Batch::new(commands, at(3)).and_claim(offer)).await;
    assert_eq!(names(&some(applied.claims)), ["a"], "it has ended and starts anew, all in one transaction");
}

/// What a store remembers of one claim must not outlive what happens to the tasks.
pub(super) async fn the_next_instant_follows_what_happens_between_two_claims(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    let one = |task: &str, second| want(task, Schedule::one_time(at(second)));
    for (task, second) in [("first", 60), ("second", 90)] {
        bench.does(one(task, second), at(0)).await;
    }
    for (happens, next) in [
        (None, Some(60)),
        (Some(cancel("first")), Some(90)),
        (Some(one("sooner", 70)), Some(70)),
        (Some(one("sooner", 80)), Some(80)),
        (Some(one("later", 99)), Some(80)),
        (Some(cancel("sooner")), Some(90)),
        (Some(cancel("later")), Some(90)),
        (Some(cancel("second")), None),
    ] {
        if let Some(command) = happens {
            bench.does(command, at(1)).await;
        }
        let claims = bench.claim(owner, &["work"], 5, at(1)).await;
        assert_eq!((names(&claims), claims.next_due), (Vec::new(), next.map(at)));
    }
    bench.does(one("due", 2), at(1)).await;
    assert_eq!(names(&bench.claim(owner, &["work"], 5, at(2)).await), ["due"]);
}

pub(super) async fn occurrences_that_all_passed_use_up_no_execution(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    let misfire = Misfire { policy: MisfirePolicy::Skip, grace_ms: 0 };
    for task in ["a", "b"] {
        bench.does(want(task, Schedule { misfire, ..every(60) }), at(0)).await;
    }
    bench.does(want("c", Schedule::one_time(at(300))), at(0)).await;
    let claims = bench.claim(owner, &["work"], 1, at(630)).await;
    assert_eq!((names(&claims), claims.next_due), (vec!["c".to_owned()], Some(at(660))));
    for task in ["a", "b"] {
        assert_eq!(bench.story(task).await, ["TaskScheduled", "OccurrencesPassed"]);
        assert_eq!(bench.passed(task).await, [(at(60), at(600), 10, Fate::Missed(Miss::Late))]);
        assert_eq!(bench.run_at(task).await, at(660));
    }
}

pub(super) async fn an_unregistered_or_ended_worker_claims_nothing(bench: &mut Bench) {
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    let unknown = bench.claim(worker(4_711), &["work"], 5, at(0)).await;
    assert!(unknown.worker_ended && unknown.claimed.is_empty(), "I13: {unknown:?}");
    let owner = bench.worker(at(0)).await;
    assert_eq!(bench.store().end_worker(owner).await, Ok(()));
    let ended = bench.claim(owner, &["work"], 5, at(0)).await;
    assert!(ended.worker_ended && ended.claimed.is_empty(), "I13: {ended:?}");
    assert_eq!(bench.phase("task").await, PhaseKind::Waiting);
    let other = bench.worker(at(0)).await;
    let claims = bench.claim(other, &["work"], 5, at(0)).await;
    assert!(!claims.worker_ended && claims.claimed.len() == 1, "{claims:?}");
}

pub(super) async fn one_run_stands_for_all_that_an_outage_missed(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    bench.does(want("task", every(60)), at(0)).await;
    let claimed = bench.claim_one(owner, at(605)).await;
    assert_eq!((claimed.occurrence, claimed.attempt), (at(600), 1));
    assert_eq!(bench.passed("task").await, [(at(60), at(540), 9, Fate::Merged { into: at(600) })]);
    bench.does(ends(&claimed, succeeded()), at(606)).await;
    assert_eq!(bench.run_at("task").await, at(660));
}

pub(super) async fn catching_up_runs_the_newest_one_by_one(bench: &mut Bench) {
    let owner = bench.worker(at(0)).await;
    let policy = MisfirePolicy::CatchUp { limit: NonZeroU32::MIN.saturating_add(2) };
    let misfire = Misfire { policy, grace_ms: 0 };
    bench.does(want("task", Schedule { misfire, ..every(60) }), at(0)).await;
    for (second, now) in [(480, 610), (540, 620), (600, 630)] {
        let claimed = bench.run(owner, succeeded(), at(now)).await;
        assert_eq!((claimed.occurrence, claimed.attempt), (at(second), 1));
    }
    assert_eq!(bench.passed("task").await, [(at(60), at(420), 7, Fate::Missed(Miss::OverLimit))]);
    assert_eq!(bench.run_at("task").await, at(660));
}

async fn prioritised(bench: &Bench, task: &str, priority: Priority, run_at: Timestamp) {
    let new =
        want_with(task, Schedule::one_time(run_at), OnConflict::Redefine, |new| new.priority = priority);
    bench.does(new, at(0)).await;
}

pub(super) fn names(claims: &Claims) -> Vec<String> {
    claims.claimed.iter().map(|claimed| claimed.task.as_str().to_owned()).collect()
}
