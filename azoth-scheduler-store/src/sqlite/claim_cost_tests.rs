//! What a claim costs while others are held back, counted in steps of the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use azoth_scheduler_core::command::{
    Command, NewTask, OnConflict, ScopeCommand, ScopeWish, TaskCommand, Wish,
};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::scope::{Limits, LimitsChange, Scope};
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::testing::{actor, at, definition, execution, task_id, task_type, text, worker};
use rusqlite::Connection;

use super::group::Group;
use super::head::Head;
use super::memory::Memory;
use super::task_row::COLUMNS;
use super::{schema, worker as workers};
use crate::store::{Batch, ClaimOffer, ProcessIdentity, Suspects, WorkerInfo};

/// I23.
#[test]
fn claim_reads_no_more_while_a_hundred_thousand_tasks_are_held_back() {
    let limit = |scope: Scope| {
        let limits = Limits { max_running: std::num::NonZeroU32::new(1), ..Limits::default() };
        ScopeWish::ChangeLimits { change: LimitsChange::Set(limits), by: actor("ops") }.of(scope)
    };
    let pause =
        |scope: Scope| ScopeWish::Pause { reason: text("why"), by: actor("ops"), until: None }.of(scope);
    let noisy = || Scope::TaskType(task_type("noisy"));
    let key = || Scope::key("noisy").unwrap();
    for said in [limit(noisy()), pause(noisy()), limit(key()), pause(key())] {
        let (few, many) = (steps_of_a_claim(&said, 10), steps_of_a_claim(&said, 100_000));
        // Indexes of more rows are a few levels deeper.
        assert!(many <= few + few / 4, "{said:?}: {few} steps with ten held back, {many} with 100,000");
    }
}

/// The steps of a claim that takes the only task that nothing holds back.
fn steps_of_a_claim(said: &ScopeCommand, blocked: u32) -> u64 {
    let conn = Connection::open_in_memory().unwrap();
    schema::create(&conn).unwrap();
    let process = ProcessIdentity { pid: 1, started: 0, boot_id: String::new() };
    let lease_ms = std::num::NonZeroU64::new(15_000).unwrap();
    workers::register(
        &conn,
        &WorkerInfo { worker: worker(1), process, lease_ms, task_types: [].into() },
        at(0),
    )
    .unwrap();
    let keyed = matches!(said.scope, Scope::Key(_));
    let noisy = |name: &str| task(name, if keyed { "work" } else { "noisy" }, keyed);
    let first = Wish::Claim { execution: execution(1), worker: worker(1) };
    let first: Command = TaskCommand { task: task_id("runs"), wish: first }.into();
    let commands = [noisy("runs"), noisy("waits"), first, said.clone().into(), task("free", "work", false)];
    within(&conn, |group| drop(group.apply(&Batch::new(commands, at(0))).unwrap()));
    let others = COLUMNS.strip_prefix("key, id, ").unwrap();
    // Their positions are those of events that are not there: to read one of these tasks is an error.
    let copied = others.replace(", defined, last_position,", ", 1000 + i, 1000 + i,");
    let copy = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {blocked})
         INSERT INTO azoth_p_tasks (key, id, {others}) SELECT 1000 + i, 'waits-' || i, {copied}
         FROM azoth_p_tasks, n WHERE id = 'waits'"
    );
    assert_eq!(conn.execute(&copy, []).unwrap(), blocked as usize);

    let steps = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&steps);
    let count = move || {
        counting.fetch_add(1, Ordering::Relaxed);
        false
    };
    // The oldest driver of the range answers nothing.
    let _ = conn.progress_handler(1, Some(count));
    let task_types = Arc::from([task_type("noisy"), task_type("work")]);
    let offer = ClaimOffer::new(worker(1), task_types, (10..20).map(execution).collect());
    let offer = ClaimOffer { suspects: Suspects::IfNothingElse, ..offer };
    within(&conn, |group| {
        let claims = group.apply(&Batch::claiming(offer, at(1))).unwrap().claims.unwrap();
        let names: Vec<_> = claims.claimed.iter().map(|claim| claim.task.as_str()).collect();
        assert_eq!((names, claims.next_due), (vec!["free"], None));
    });
    steps.load(Ordering::Relaxed)
}

fn within(conn: &Connection, work: impl FnOnce(&mut Group<'_>)) {
    conn.execute_batch("BEGIN").unwrap();
    let mut memory = Memory::default();
    let mut group = Group::new(conn, &mut memory, Head::read(conn).unwrap()).unwrap();
    work(&mut group);
    group.finish().unwrap();
    conn.execute_batch("COMMIT").unwrap();
}

fn task(name: &str, kind: &str, keyed: bool) -> Command {
    let mut definition = definition(Schedule::immediate());
    definition.task_type = task_type(kind);
    definition.concurrency_key = Some("noisy".parse().unwrap()).filter(|_| keyed);
    definition.priority = if name == "free" { Priority::Low } else { Priority::Critical };
    let wish = Wish::Schedule(NewTask::new(definition, Payload::empty(), OnConflict::Redefine));
    TaskCommand { task: task_id(name), wish }.into()
}

trait Of {
    fn of(self, scope: Scope) -> ScopeCommand;
}

impl Of for ScopeWish {
    fn of(self, scope: Scope) -> ScopeCommand {
        ScopeCommand { scope, wish: self }
    }
}
