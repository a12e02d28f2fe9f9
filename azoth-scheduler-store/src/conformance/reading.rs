//! Questions, and answers in pages.

use std::time::Duration;

use azoth_scheduler_core::command::OnConflict;
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::dependency::{After, OnDependencyFailure};
use azoth_scheduler_core::payload::PayloadDigest;
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::testing::{at, group, succeeded, task_id, task_type};

use tokio::sync::watch;

use super::bench::{Bench, cancel, ends, every, ok, some, want, want_bytes, want_with};
use crate::filter::TaskFilter;
use crate::record::{LogPosition, RecordedPayload, Subject};
use crate::store::EVENTS_PAGE_MAX;

pub(super) async fn events_come_in_pages_without_gap_or_overlap(bench: &mut Bench) {
    let tasks = (0..25).map(|number| want(&format!("task-{number}"), Schedule::immediate()));
    bench.say_all(tasks.collect(), at(0)).await;
    let mut after = LogPosition::START;
    for expected in [10, 10, 5, 0] {
        let page = ok(bench.store().events(after, 10).await);
        assert_eq!(page.len(), expected);
        let numbers = page.iter().map(|event| event.position.number());
        assert!(numbers.eq((after.number() + 1..).take(expected)), "oldest first, behind the position");
        after = page.last().map_or(after, |event| event.position);
    }
    assert_eq!(bench.store().head().await, Ok(after));
    assert_eq!(bench.store().events(LogPosition::from_number(1_000), 10).await, Ok(Vec::new()));
    assert_eq!(bench.store().events(LogPosition::START, 0).await, Ok(Vec::new()));
    let many = (0..EVENTS_PAGE_MAX).map(|number| want(&format!("more-{number}"), Schedule::immediate()));
    bench.say_all(many.collect(), at(0)).await;
    let page = ok(bench.store().events(LogPosition::START, usize::MAX).await);
    assert_eq!(page.len(), EVENTS_PAGE_MAX, "no page is larger");
}

pub(super) async fn a_history_comes_newest_first_in_pages(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", every(60)), at(0)).await;
    bench.does(want("other", Schedule::one_time(at(100_000))), at(0)).await;
    for number in 1..=4 {
        bench.run(worker, succeeded(), at(number * 60)).await;
    }
    let (id, all) = (task_id("task"), bench.history("task").await);
    assert_eq!(all.len(), 1 + 4 * 3);
    let newest = ok(bench.store().history(&id, None, 5).await);
    assert!(newest.iter().eq(all.iter().rev().take(5)));
    let before = newest.last().map(|event| event.position);
    let older = ok(bench.store().history(&id, before, 100).await);
    assert!(older.iter().eq(all.iter().rev().skip(5)));
    assert_eq!(bench.store().history(&id, Some(LogPosition::START), 9).await, Ok(Vec::new()));
    // A position between two events of the task belongs to another one.
    let between = bench.history("other").await.first().map(|event| event.position);
    let created = ok(bench.store().history(&id, between, 9).await);
    assert!(created.iter().eq(all.iter().take(1)), "{created:?}");
    assert!(all.iter().all(|event| event.subject == Subject::Task(id.clone())));
}

pub(super) async fn tasks_are_listed_in_the_order_of_their_creation_by_phase_and_type(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    for (number, task) in ["zeta", "alpha", "mid", "beta", "last"].into_iter().enumerate() {
        let kind = if number % 2 == 0 { "even" } else { "odd" };
        let new = want_with(task, Schedule::one_time(at(60)), OnConflict::Redefine, |new| {
            new.task_type = task_type(kind);
        });
        bench.does(new, at(0)).await;
    }
    bench.does(cancel("mid"), at(1)).await;
    bench.claim(worker, &["odd"], 1, at(60)).await;
    let listed = async |filter: TaskFilter| -> Vec<String> {
        let tasks = ok(bench.store().tasks(&filter).await);
        tasks.iter().map(|state| state.id.as_str().to_owned()).collect()
    };
    let all = TaskFilter::new;
    assert_eq!(listed(all()).await, ["zeta", "alpha", "mid", "beta", "last"]);
    assert_eq!(listed(all().limit(2)).await, ["zeta", "alpha"]);
    assert_eq!(listed(all().limit(2).after(task_id("alpha"))).await, ["mid", "beta"]);
    assert_eq!(listed(all().after(task_id("last"))).await, [""; 0]);
    assert_eq!(listed(all().limit(0)).await, [""; 0]);
    assert_eq!(listed(all().enabled(false)).await, ["mid"]);
    assert_eq!(listed(all().enabled(true)).await, ["zeta", "alpha", "beta", "last"]);
    assert_eq!(listed(all().phase(PhaseKind::Running)).await, ["alpha"]);
    assert_eq!(listed(all().phase(PhaseKind::Running).enabled(false)).await, [""; 0]);
    assert_eq!(listed(all().task_type(task_type("odd"))).await, ["alpha", "beta"]);
    assert_eq!(listed(all().task_type(task_type("even")).enabled(true)).await, ["zeta", "last"]);
    assert_eq!(listed(all().task_type(task_type("neither"))).await, [""; 0]);
    assert_eq!(listed(all().task_type(task_type("odd")).after(task_id("zeta")).limit(1)).await, ["alpha"]);
}

pub(super) async fn tasks_of_a_group_are_those_whose_last_definition_names_it(bench: &mut Bench) {
    let declared = |task: &str, name: Option<&str>| {
        want_with(task, every(60), OnConflict::Redefine, |new| new.group = name.map(group))
    };
    for (task, name) in
        [("a", Some("left")), ("b", None), ("c", Some("left")), ("d", Some("right")), ("e", Some("left"))]
    {
        assert_eq!(bench.does(declared(task, name), at(0)).await, Answer::Created);
    }
    let again = bench.does(declared("a", Some("left")), at(1)).await;
    assert_eq!(again, Answer::Unchanged(PhaseKind::Waiting), "the group is part of the wish");
    for (task, name) in [("c", None), ("d", Some("left")), ("b", Some("right"))] {
        assert_eq!(bench.does(declared(task, name), at(2)).await, Answer::Redefined, "{task}");
    }
    bench.does(cancel("e"), at(3)).await;
    bench.reopen().await;
    let listed = async |filter: TaskFilter| -> Vec<String> {
        let tasks = ok(bench.store().tasks(&filter).await);
        tasks.iter().map(|state| state.id.as_str().to_owned()).collect()
    };
    let of = |name: &str| TaskFilter::new().group(group(name));
    assert_eq!(listed(of("left")).await, ["a", "d", "e"]);
    assert_eq!(listed(of("left").enabled(true)).await, ["a", "d"]);
    assert_eq!(listed(of("left").after(task_id("a")).limit(1)).await, ["d"]);
    assert_eq!(listed(of("left").task_type(task_type("other"))).await, [""; 0]);
    assert_eq!(listed(of("right")).await, ["b"]);
    assert_eq!(listed(of("Left")).await, [""; 0]);
    assert_eq!(bench.state("d").await.definition.group, Some(group("left")));
}

pub(super) async fn payloads_are_kept_byte_for_byte(bench: &mut Bench) {
    let large = [0, 1, 255, 7].repeat(64 * 1024);
    let payloads: [(&str, &[u8]); 4] = [
        ("nothing", b""),
        ("nul", b"\0"),
        ("text", "naïve, \"quoted\"; DROP TABLE".as_bytes()),
        ("large", &large),
    ];
    for (task, bytes) in payloads {
        bench.does(want_bytes(task, Schedule::immediate(), bytes), at(0)).await;
    }
    bench.reopen().await;
    for (task, bytes) in payloads {
        let stored = bench.task(task).await;
        assert_eq!(stored.state.definition.payload, PayloadDigest::of(bytes));
        assert_eq!(stored.payload.bytes(), Some(bytes), "{task}");
        let recorded = some(bench.history(task).await.pop());
        assert_eq!(recorded.payload.bytes(), Some(bytes), "{task}");
        assert!(!format!("{:?}", (stored, recorded)).contains("DROP"), "I14");
    }
    bench.does(want_bytes("text", Schedule::immediate(), b"new"), at(1)).await;
    assert_eq!(bench.task("text").await.payload, RecordedPayload::Held(b"new"[..].into()));
    let first = some(bench.history("text").await.first().cloned());
    assert_eq!(
        first.payload.bytes(),
        payloads.get(2).map(|(_, bytes)| *bytes),
        "history keeps the old bytes"
    );
    bench.does(cancel("text"), at(2)).await;
    let cancelled = some(bench.history("text").await.pop());
    assert_eq!(cancelled.payload, RecordedPayload::Absent);
}

pub(super) async fn instants_are_kept_as_given_and_ordered_beside(bench: &mut Bench) {
    for (task, second) in [("a", 100), ("b", 40), ("c", 99), ("d", 101)] {
        bench.does(want(task, Schedule::immediate()), at(second)).await;
    }
    let events = ok(bench.store().events(LogPosition::START, 10).await);
    let instants: Vec<_> = events.iter().map(|event| (event.at, event.ordered_at)).collect();
    let expected =
        [(100, 100), (40, 100), (99, 100), (101, 101)].map(|(raw, ordered)| (at(raw), at(ordered)));
    assert_eq!(instants, expected);
}

pub(super) async fn the_head_is_watched(bench: &mut Bench) {
    let mut watched = bench.store().watch_head();
    assert_eq!(*watched.borrow_and_update(), LogPosition::START);
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    let head = ok(bench.store().head().await);
    // It is a hint, so it may come a moment later, but come it must.
    assert_eq!(*ok(watched.wait_for(|seen| *seen >= head).await), head);
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    assert_eq!(*watched.borrow_and_update(), head, "nothing was recorded");
    assert_eq!(*bench.store().watch_head().borrow(), head, "whoever comes later sees it too");
}

pub(super) async fn whoever_waits_for_a_task_is_told_of_all_that_happens_to_it(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let mut waits = bench.store().watch_task(&task_id("task"));
    let mut waits_too = bench.store().watch_task(&task_id("child"));
    bench.does(want("task", every(60)), at(0)).await;
    is_told(bench, &mut waits).await;
    bench.does(want("task", Schedule::immediate()), at(1)).await;
    is_told(bench, &mut waits).await;
    let after = Some(ok(After::new([task_id("task")], OnDependencyFailure::Cancel)));
    let child = want_with("child", Schedule::immediate(), OnConflict::Redefine, |new| new.after = after);
    bench.does(child, at(1)).await;
    is_told(bench, &mut waits_too).await;
    let claimed = bench.claim_one(worker, at(2)).await;
    is_told(bench, &mut waits).await;
    bench.does(ends(&claimed, succeeded()), at(3)).await;
    is_told(bench, &mut waits).await;
    is_told(bench, &mut waits_too).await;
    bench.does(cancel("child"), at(3)).await;
    is_told(bench, &mut waits_too).await;
    let policy = RetentionPolicy::new().keep_finished_for(Duration::ZERO);
    assert_eq!(ok(bench.store().retain(&policy, at(10)).await).tasks, 1);
    is_told(bench, &mut waits).await;
}

/// What happened last is told, though it may come a moment later: it happened to the task.
async fn is_told(bench: &Bench, waits: &mut watch::Receiver<LogPosition>) {
    let head = ok(bench.store().head().await);
    assert_eq!(*ok(waits.wait_for(|told| *told >= head).await), head);
}

pub(super) async fn counts_are_those_of_the_tasks(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    for (task, second) in [("a", 5), ("b", 7), ("c", 100)] {
        bench.does(want(task, Schedule::one_time(at(second))), at(0)).await;
    }
    let stats = ok(bench.store().stats(at(6)).await);
    assert_eq!((stats.oldest_due, Ok(stats.head)), (Some(at(5)), bench.store().head().await));
    assert_eq!(ok(bench.store().stats(at(4)).await).oldest_due, None, "nothing is due yet");
    bench.claim(worker, &["work"], 1, at(6)).await;
    let mut counts = ok(bench.store().stats(at(50)).await).tasks;
    counts.sort_by_key(|count| count.phase);
    let counts: Vec<_> =
        counts.iter().map(|count| (count.task_type.as_str(), count.phase, count.tasks)).collect();
    assert_eq!(counts, [("work", PhaseKind::Waiting, 2), ("work", PhaseKind::Running, 1)]);
}

pub(super) async fn commits_and_their_sizes_are_counted(bench: &mut Bench) {
    let tasks = |names: &[&str]| names.iter().map(|name| want(name, every(60))).collect();
    bench.say_all(tasks(&["a", "b", "c"]), at(0)).await;
    bench.say_all(tasks(&["d"]), at(1)).await;
    bench.say_all(tasks(&["d"]), at(1)).await;
    let stats = ok(bench.store().stats(at(2)).await);
    assert_eq!((stats.commits, stats.events_committed, stats.largest_commit), (2, 4, 3));
    assert_eq!((stats.cut, stats.oldest_due), (LogPosition::START, None));
}

pub(super) async fn nothing_is_found_where_nothing_is(bench: &mut Bench) {
    let nobody = task_id("nobody");
    assert_eq!(bench.store().task(&nobody).await, Ok(None));
    assert_eq!(bench.store().history(&nobody, None, 10).await, Ok(Vec::new()));
    assert_eq!(bench.store().tasks(&TaskFilter::new()).await, Ok(Vec::new()));
    assert_eq!(bench.store().orphans(10).await, Ok(Vec::new()));
    assert_eq!(ok(bench.store().stats(at(0)).await).tasks, []);
}
