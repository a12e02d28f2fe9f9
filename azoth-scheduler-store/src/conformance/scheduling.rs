//! Tasks that are created, redefined, scheduled anew, or left as they are.

use azoth_scheduler_core::command::{NewTask, OnConflict, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::event::{Change, Event};
use azoth_scheduler_core::execution::{ErrorText, Failure, FailureClass, Outcome};
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::state::{Counts, PhaseKind, TaskPhase};
use azoth_scheduler_core::task::{Priority, TaskDefinition};
use azoth_scheduler_core::testing::{actor, at, claim, complete, schedule, succeeded, task_id, text, wish};

use super::bench::{Bench, ends, every, some, want, want_bytes, want_with};
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::store::{BATCH_COMMANDS_MAX, Batch};

pub(super) async fn a_new_task_waits_for_its_first_occurrence(bench: &mut Bench) {
    let wanted = Schedule::one_time(at(60));
    assert_eq!(bench.does(want("once", wanted.clone()), at(0)).await, Answer::Created);
    let state = bench.state("once").await;
    assert_eq!((&state.id, &state.definition.schedule), (&task_id("once"), &wanted));
    assert_eq!((state.created_at, state.defined_at, state.runs), (at(0), at(0), 0));
    assert_eq!(state.counts, Counts::default());
    let work = *some(state.waiting());
    assert_eq!((work.occurrence, work.run_at, work.attempt.get()), (at(60), at(60), 1));
    let Event::TaskScheduled { task, change, .. } = bench.newest("once").await else {
        panic!("it was scheduled");
    };
    assert_eq!((task, change), (task_id("once"), Change::Created));
}

pub(super) async fn the_same_wish_again_changes_nothing_while_the_task_lives(bench: &mut Bench) {
    for phase in PHASES.into_iter().filter(|phase| phase.is_live()) {
        for (kind, wanted) in [("once", Schedule::one_time(at(10))), ("often", every(60))] {
            let task = format!("{kind}-{phase}");
            bring(bench, &task, wanted.clone(), phase).await;
            let events = bench.history(&task).await.len();
            assert_eq!(bench.does(want(&task, wanted), at(300)).await, Answer::Unchanged(phase), "{task}");
            assert_eq!(bench.history(&task).await.len(), events, "{task}");
        }
    }
}

/// The trace is kept with the scheduling, also where the projection is made anew, and is no part of the definition.
pub(super) async fn the_trace_of_its_scheduling_comes_with_the_claim_of_a_task(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    let traced = |task: &str, span: u64| {
        let mut command = want(task, Schedule::immediate());
        if let Wish::Schedule(new) = &mut command.wish {
            let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span:016x}-01");
            *new = new.clone().traced(text.parse().ok());
        }
        command
    };
    assert_eq!(bench.does(traced("task", 1), at(0)).await, Answer::Created);
    let again = bench.does(traced("task", 2), at(1)).await;
    assert_eq!(again, Answer::Unchanged(PhaseKind::Waiting), "the same wish from another span");
    let claimed = bench.claim_one(worker, at(2)).await;
    let trace = some(claimed.trace).to_string();
    assert_eq!(trace, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-01");
    assert_eq!(bench.state("task").await.trace, claimed.trace);
    let mut other = traced("task", 3);
    if let Wish::Schedule(new) = &mut other.wish {
        let definition = TaskDefinition { priority: Priority::High, ..new.definition().clone() };
        *new = NewTask::new(definition, new.payload().clone(), new.on_conflict()).traced(new.trace());
    }
    assert_eq!(bench.does(other, at(3)).await, Answer::Redefined);
    let trace = some(bench.state("task").await.trace).to_string();
    assert_eq!(trace, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000003-01", "of the newest definition");
}

pub(super) async fn another_definition_redefines_a_task_that_lives(bench: &mut Bench) {
    for phase in PHASES.into_iter().filter(|phase| phase.is_live()) {
        let task = phase.as_str();
        bring(bench, task, every(60), phase).await;
        assert_eq!(bench.does(want(task, every(3600)), at(300)).await, Answer::Redefined);
        let state = bench.state(task).await;
        assert_eq!(state.phase.kind(), phase, "a paused task stays paused, a running one runs on");
        assert_eq!((&state.definition.schedule, state.defined_at), (&every(3600), at(300)));
        assert_eq!(state.created_at, at(0), "it is still the same task");
    }
    let payload = want_bytes("waiting", every(3600), b"other");
    assert_eq!(bench.does(payload, at(301)).await, Answer::Redefined, "other bytes are another definition");
    let policy = want_with("waiting", every(3600), OnConflict::Redefine, |new| new.retry.max_retries = 9);
    assert_eq!(bench.does(policy, at(302)).await, Answer::Redefined, "another policy is another definition");
}

pub(super) async fn a_running_execution_ends_under_the_old_definition(bench: &mut Bench) {
    bring(bench, "task", every(60), PhaseKind::Running).await;
    bench.does(want("task", every(3600)), at(300)).await;
    let execution = some(bench.state("task").await.held_by());
    let late = complete("task", execution.as_u128(), succeeded(), at(200));
    assert_eq!(bench.does(late, at(310)).await, Answer::Recorded);
    assert_eq!(bench.run_at("task").await, at(300 + 3600), "the new definition goes on");
}

pub(super) async fn what_has_ended_is_scheduled_anew_unless_it_recurs_unchanged(bench: &mut Bench) {
    for phase in PHASES.into_iter().filter(|phase| !phase.is_live()) {
        let (once, often) = (format!("once-{phase}"), format!("often-{phase}"));
        bring(bench, &once, Schedule::one_time(at(10)), phase).await;
        assert_eq!(bench.does(want(&once, Schedule::one_time(at(10))), at(900)).await, Answer::Created);
        assert_eq!(bench.phase(&once).await, PhaseKind::Waiting, "a one-shot starts anew");

        bring(bench, &often, finite(), phase).await;
        assert_eq!(bench.does(want(&often, finite()), at(900)).await, Answer::Unchanged(phase));
        assert_eq!(bench.phase(&often).await, phase, "nobody revives what an operator ended");
        assert_eq!(bench.does(want(&often, every(3600)), at(901)).await, Answer::Created);
        assert_eq!(bench.phase(&often).await, PhaseKind::Waiting);
        assert_eq!(bench.state(&often).await.created_at, at(0), "it is still the same task");
    }
}

pub(super) async fn reject_keep_and_replace_do_so_in_every_phase(bench: &mut Bench) {
    for phase in PHASES {
        let task = phase.as_str();
        bring(bench, task, finite(), phase).await;
        let exists = Rejection::AlreadyExists { task: task_id(task), phase };
        let reject = schedule(task, every(3600), OnConflict::Reject);
        assert_eq!(bench.say(reject, at(900)).await, Err(exists));
        let keep = schedule(task, every(3600), OnConflict::Keep);
        assert_eq!(bench.does(keep, at(900)).await, Answer::Unchanged(phase));
        assert_eq!(bench.phase(task).await, phase);
        let replace = schedule(task, finite_from(900), OnConflict::Replace);
        let answer = if phase.is_live() { Answer::Redefined } else { Answer::Created };
        assert_eq!(bench.does(replace, at(900)).await, answer, "{phase}");
        assert_eq!(bench.state(task).await.defined_at, at(900));
    }
}

pub(super) async fn an_instant_in_the_past_is_due_at_once(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("past", Schedule::one_time(at(-86_400))), at(0)).await;
    assert_eq!(bench.run(worker, succeeded(), at(0)).await.occurrence, at(-86_400));
    bench.does(want("now", Schedule::immediate()), at(5)).await;
    assert_eq!(bench.run(worker, succeeded(), at(5)).await.occurrence, at(5));
}

pub(super) async fn a_schedule_without_an_occurrence_is_refused_and_nothing_is_written(bench: &mut Bench) {
    let never = Schedule { not_after: Some(at(1)), ..every(60) };
    let refused = bench.say(want("never", never), at(0)).await;
    assert!(
        matches!(&refused, Err(Rejection::Schedule { task, .. }) if *task == task_id("never")),
        "{refused:?}"
    );
    assert_eq!(bench.store().head().await, Ok(LogPosition::START), "I15");
    assert_eq!(bench.store().task(&task_id("never")).await, Ok(None));
}

pub(super) async fn commands_of_a_batch_see_what_came_before_them(bench: &mut Bench) {
    let (reason, by) = (text("changed my mind"), actor("ops"));
    let batch = vec![
        want("a", Schedule::immediate()),
        want("a", Schedule::immediate()),
        claim("unknown", 1),
        wish("a", Wish::Cancel { reason, by }),
        want("b", Schedule::immediate()),
        want("a", Schedule::immediate()),
    ];
    let answers = bench.say_all(batch, at(0)).await;
    let unknown = Rejection::UnknownTask { task: task_id("unknown") };
    let expected = [
        Ok(Answer::Created),
        Ok(Answer::Unchanged(PhaseKind::Waiting)),
        Err(unknown),
        Ok(Answer::Recorded),
        Ok(Answer::Created),
        Ok(Answer::Created),
    ];
    assert_eq!(answers, expected, "a refused command does not hinder the others");
    assert_eq!(bench.story("a").await, ["TaskScheduled", "TaskCancelled", "TaskScheduled"]);
}

pub(super) async fn a_batch_over_the_limit_changes_nothing(bench: &mut Bench) {
    let commands = vec![want("task", Schedule::immediate()); BATCH_COMMANDS_MAX + 1];
    let batch = Batch::new(commands, at(0));
    let error = bench.store().apply(batch).await.map(drop);
    let (commands, limit) = (BATCH_COMMANDS_MAX + 1, BATCH_COMMANDS_MAX);
    assert_eq!(error, Err(StoreError::BatchTooLarge { commands, limit }));
    assert_eq!(bench.store().head().await, Ok(LogPosition::START));
    let commands = vec![want("task", Schedule::immediate()); BATCH_COMMANDS_MAX];
    let answers = bench.say_all(commands, at(0)).await;
    assert_eq!(answers.first(), Some(&Ok(Answer::Created)));
    assert!(answers.iter().skip(1).all(|answer| *answer == Ok(Answer::Unchanged(PhaseKind::Waiting))));
}

pub(super) async fn a_record_over_the_limit_undoes_the_whole_batch(bench: &mut Bench) {
    let worker = bench.worker(at(0)).await;
    bench.does(want("task", Schedule::immediate()), at(0)).await;
    let claimed = bench.claim_one(worker, at(0)).await;
    let before = bench.store().head().await;
    let message = ErrorText::new("x".repeat(ErrorText::BYTES_MAX));
    let sources = vec![message.clone(); 1_000];
    let report = Outcome::Failed(Failure { class: FailureClass::Retryable, message, sources });
    let commands = vec![want("other", Schedule::immediate()), ends(&claimed, report)];
    let error = bench.store().apply(Batch::new(commands, at(1))).await.map(drop);
    assert!(matches!(error, Err(StoreError::TooLarge { bytes: 4_000_000.., .. })), "{error:?}");
    assert_eq!(bench.store().head().await, before);
    assert_eq!(bench.store().task(&task_id("other")).await, Ok(None), "all or nothing");
    assert_eq!(bench.phase("task").await, PhaseKind::Running);
}

pub(super) async fn hostile_names_are_kept_byte_for_byte(bench: &mut Bench) {
    let longest = "x".repeat(255);
    let names = [
        "'; DROP TABLE tasks; --",
        "../../etc/passwd",
        "<script>",
        "\u{202E}evil",
        " padded ",
        "名前",
        &longest,
    ];
    for name in names {
        assert_eq!(bench.does(want(name, Schedule::immediate()), at(0)).await, Answer::Created);
        assert_eq!(bench.state(name).await.id.as_str(), name);
    }
    let listed = super::bench::all_tasks(bench.store()).await;
    assert_eq!(listed.iter().map(|state| state.id.as_str()).collect::<Vec<_>>(), names);
}

/// The phases into which a task comes without others.
const PHASES: [PhaseKind; 6] = [
    PhaseKind::Waiting,
    PhaseKind::Running,
    PhaseKind::Paused,
    PhaseKind::Finished,
    PhaseKind::Disabled,
    PhaseKind::Cancelled,
];

/// Brings a new task into this phase. It is defined at 0 s; whatever happens to it has happened at 200 s.
async fn bring(bench: &mut Bench, task: &str, wanted: Schedule, phase: PhaseKind) {
    bench.does(want(task, wanted), at(0)).await;
    let (reason, by) = (text("said"), actor("ops"));
    let number = bench.mint();
    match phase {
        PhaseKind::Waiting => {}
        PhaseKind::Blocked => unreachable!("no task is blocked by itself"),
        PhaseKind::Running | PhaseKind::Finished => {
            bench.does(claim(task, number), at(100)).await;
        }
        PhaseKind::Paused => {
            bench.does(wish(task, Wish::Pause { reason, by, until: None }), at(100)).await;
        }
        PhaseKind::Disabled => {
            bench.does(wish(task, Wish::Disable { reason, by }), at(100)).await;
        }
        PhaseKind::Cancelled => {
            bench.does(wish(task, Wish::Cancel { reason, by }), at(100)).await;
        }
    }
    if phase == PhaseKind::Finished {
        bench.does(complete(task, number, succeeded(), at(100)), at(200)).await;
    }
    let state = bench.state(task).await;
    assert_eq!(state.phase.kind(), phase, "{task}");
    if let TaskPhase::Cancelled { at: since, reason, by } = &state.phase {
        assert_eq!((*since, reason.as_str(), by.as_str()), (at(100), "said", "ops"));
    }
}

/// Every minute of the first two.
fn finite() -> Schedule {
    Schedule { not_after: Some(at(121)), ..every(60) }
}

/// Every minute of an hour from this second on.
fn finite_from(second: i64) -> Schedule {
    Schedule { not_after: Some(at(second + 3600)), ..every(60) }
}
