//! Clocks that stood far ahead and were set right.

use azoth_scheduler_core::command::Wish;
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::testing::{at, succeeded, task_id, wish};
use azoth_scheduler_core::time::Timestamp;

use super::bench::{Bench, assert_sound, cancel, ends, every, ok, want};
use super::pausing::pause;
use crate::filter::TaskFilter;

/// Ten days ahead.
const AHEAD: i64 = 864_000;

pub(super) async fn tasks_that_a_clock_far_ahead_has_decided_are_found_in_pages(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("far", Schedule::one_time(at(AHEAD * 2))), at(0)).await;
    assert_eq!(ahead_of(bench, at(1), None, 10).await, Vec::<String>::new(), "no clock was beyond that");
    for task in ["ended", "late", "running", "waiting"] {
        bench.does(want(task, every(60)), at(0)).await;
    }
    let run = bench.claim(worker, &["work"], 10, at(AHEAD)).await.claimed;
    for claimed in run.iter().filter(|claimed| claimed.task.as_str() != "running") {
        bench.does(ends(claimed, succeeded()), at(AHEAD + 1)).await;
    }
    bench.does(cancel("ended"), at(AHEAD + 2)).await;
    bench.does(want("new", every(60)), at(AHEAD + 3)).await;
    bench.does(want("right", every(60)), at(130)).await;

    assert_eq!(ahead_of(bench, at(200), None, 2).await, ["late", "running"]);
    assert_eq!(ahead_of(bench, at(200), Some("running"), 2).await, ["waiting", "new"]);
    assert_eq!(ahead_of(bench, at(200), Some("new"), 2).await, Vec::<String>::new());
    assert_eq!(ahead_of(bench, at(AHEAD + 3), None, 10).await, Vec::<String>::new());
}

pub(super) async fn a_corrected_clock_touches_only_what_was_decided_beyond_it(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    for task in ["astray", "kept"] {
        bench.does(want(task, every(60)), at(0)).await;
    }
    bench.does(pause("kept"), at(1)).await;
    bench.run(worker, succeeded(), at(AHEAD)).await;
    assert!(bench.run_at("astray").await >= at(AHEAD));
    let kept = bench.story("kept").await;

    let correct = |task| wish(task, Wish::CorrectClock);
    let answers = bench.say_all(vec![correct("astray"), correct("kept")], at(130)).await;
    assert_eq!(answers, [Ok(Answer::Recorded), Ok(Answer::Unchanged(PhaseKind::Paused))]);
    assert_eq!(bench.run_at("astray").await, at(180));
    assert_eq!(bench.story("kept").await, kept);
    assert_eq!(bench.newest("astray").await.name(), "ClockCorrected");
    assert_eq!(ahead_of(bench, at(130), None, 10).await, Vec::<String>::new());
    assert_sound(bench.store()).await;
    let claimed = bench.run(worker, succeeded(), at(180)).await;
    assert_eq!(claimed.occurrence, at(180));
}

async fn ahead_of(bench: &Bench, instant: Timestamp, after: Option<&str>, limit: usize) -> Vec<String> {
    let filter = TaskFilter::new().ahead_of(instant).limit(limit);
    let filter = match after {
        Some(task) => filter.after(task_id(task)),
        None => filter,
    };
    let tasks = ok(bench.store().tasks(&filter).await);
    tasks.iter().map(|state| state.id.as_str().to_owned()).collect()
}
