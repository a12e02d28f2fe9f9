//! What the store notices when its own maps are damaged, and what its due index is worth.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use azoth_scheduler_core::command::{OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::execution::ErrorText;
use azoth_scheduler_core::id::{Actor, ConcurrencyKey, IdempotencyKey, TaskType};
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::state::{Counts, TaskPhase};
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::testing::{at, claim, complete, schedule, succeeded, task_type, wish};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_core::unique::{Holds, Unique};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::due::{DueIndex, Order, Which};
use super::projection::{Projection, Row};
use super::tables::Tables;
use crate::record::{LogPosition, RecordedPayload};
use crate::store::Batch;

type Damage = fn(&mut Tables);

#[test]
fn damage_of_the_log_is_found_with_its_position() {
    let damages: [(&str, Damage); 5] = [
        ("position 9 stands in place 2", |tables| tables.log[1].position = LogPosition::from_number(9)),
        ("ordered instant", |tables| tables.log[1].ordered_at = Timestamp::MIN),
        ("payload is not the one", |tables| tables.log[1].payload = RecordedPayload::Held([1][..].into())),
        ("payload is not the one", |tables| tables.log[1].payload = RecordedPayload::Absent),
        ("TaskScheduled cannot follow", |tables| {
            tables.log[1] = {
                let mut twice = tables.log[0].clone();
                twice.position = LogPosition::from_number(2);
                twice
            }
        }),
    ];
    for (what, damage) in damages {
        let mut tables = three_tasks();
        assert!(tables.verify().is_sound());
        damage(&mut tables);
        let findings = tables.verify().findings;
        assert!(findings.iter().any(|finding| finding.what.contains(what)), "{what}: {findings:?}");
        let first = findings.first().and_then(|finding| finding.position).unwrap();
        assert!([2, 9].contains(&first.number()), "{findings:?}");
    }
}

/// I17
#[test]
fn log_that_loses_or_doubles_an_occurrence_is_found_with_its_position() {
    let mut tables = Tables::default();
    let every_minute = Schedule::cron("0 * * * * *").unwrap();
    for (command, now) in [
        (schedule("task", every_minute, OnConflict::Redefine), at(0)),
        (claim("task", 1), at(630)),
        (complete("task", 1, succeeded(), at(630)), at(670)),
    ] {
        tables.apply(&Batch { commands: vec![command.into()], now, offer: None }).unwrap();
    }
    assert_eq!(tables.verify().findings, []);
    let damages: [(u64, usize, bool); 4] = [(2, 1, false), (4, 5, false), (3, 1, true), (7, 5, true)];
    for (position, index, twice) in damages {
        let mut damaged = Tables::default();
        damaged.log.clone_from(&tables.log);
        let event = damaged.log.remove(index);
        assert_eq!(event.event.name(), "OccurrencesPassed");
        damaged.log.splice(index..index, std::iter::repeat_n(event, if twice { 2 } else { 0 }));
        for (event, number) in damaged.log.iter_mut().zip(1..) {
            event.position = LogPosition::from_number(number);
        }
        damaged.rebuild_projection().unwrap();
        let findings = damaged.verify().findings;
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].position, Some(LogPosition::from_number(position)), "{findings:?}");
    }
}

/// I5: whatever is wrong with the projection is found, and a rebuild puts it right.
#[test]
fn damage_of_the_projection_is_found_and_rebuilt() {
    let damages: [Damage; 5] = [
        |tables| state_of(tables).counts = Counts { failures: 1, losses: 0 },
        |tables| state_of(tables).phase = TaskPhase::Finished { at: at(0) },
        |tables| drop(tables.projection.rows.pop_first()),
        |tables| drop(tables.projection.keys.pop_first()),
        |tables| tables.projection.indexes.due = DueIndex::default(),
    ];
    for damage in damages {
        let mut tables = three_tasks();
        let before = tables.projection.task(&"task-0".parse().unwrap());
        damage(&mut tables);
        assert!(!tables.verify().is_sound());
        tables.rebuild_projection().unwrap();
        assert_eq!(tables.verify().findings, []);
        assert_eq!(tables.projection.task(&"task-0".parse().unwrap()), before);
    }
}

proptest! {
    /// The index gives what a look at every task would give.
    #[test]
    fn the_first_due_task_is_the_least_of_all(
        tasks in vec((select(&["a", "b", "c"][..]), select(&Priority::ALL[..]), 0..6i64), 0..20),
        types in subsequence(vec!["a", "b", "c"], 0..=3),
        now in 0..6i64,
    ) {
        let mut tables = Tables::default();
        let command = |(number, (kind, priority, second)): (usize, &(&str, Priority, i64))| {
            let mut command = schedule(&format!("task-{number}"), Schedule::one_time(at(*second)), OnConflict::Redefine);
            change(&mut command, |new| (new.task_type, new.priority) = (task_type(kind), *priority));
            command
        };
        let commands = tasks.iter().enumerate().map(command);
        tables.apply(&Batch::new(commands, at(-1))).unwrap();
        let wanted: BTreeSet<TaskType> = types.iter().map(|kind| task_type(kind)).collect();
        let due = || tasks.iter().zip(1..).filter(|((kind, _, second), _)| types.contains(kind) && *second <= now);
        let by_priority = due().min_by_key(|((_, priority, second), key)| (*priority, *second, *key));
        let oldest = due().min_by_key(|((_, _, second), key)| (*second, *key));
        for (order, expected) in [(Order::ByPriority, by_priority), (Order::OldestFirst, oldest)] {
            let expected = expected.map(|(_, key)| LogPosition::from_number(key));
            prop_assert_eq!(tables.projection.indexes.due.first(&wanted, Which::Any, order, at(now)), expected);
        }
    }
}

/// Each index gives what a look at every task gives, in whatever phases they are.
#[test]
fn what_is_looked_up_is_what_a_look_at_every_task_finds() {
    let mut tables = Tables::default();
    let does = |tables: &mut Tables, commands: Vec<TaskCommand>, now| {
        let applied = tables.apply(&Batch::new(commands, now)).unwrap();
        assert!(applied.answers.iter().all(Result::is_ok), "{:?}", applied.answers);
    };
    let key = |number: u64| IdempotencyKey::new(format!("key-{}", number % 3)).unwrap();
    let tasks = (0..12).map(|number| {
        let mut command =
            schedule(&format!("task-{number}"), Schedule::interval_secs(60).unwrap(), OnConflict::Replace);
        change(&mut command, |new| {
            // Long over when the next one of its key comes.
            new.unique = Some(Unique { key: key(number), holds: Holds::For { ms: NonZeroU64::MIN } });
            new.task_type = task_type(["a", "b"][number as usize % 2]);
            new.concurrency_key = (number % 4 == 0).then(|| ConcurrencyKey::new("tenant").unwrap());
        });
        command
    });
    for (command, second) in tasks.clone().zip(0..) {
        does(&mut tables, vec![command], at(second));
    }
    // The oldest is defined again: it is the newest of its key then.
    does(&mut tables, tasks.take(1).collect(), at(20));
    let started = ["task-1", "task-2", "task-4"].into_iter().zip(1..).map(|(task, id)| claim(task, id));
    does(&mut tables, started.collect(), at(100));
    let by = Actor::new("operator").unwrap();
    let pause = |task: &str, until: i64| {
        let (reason, until) = (ErrorText::new("night"), Some(at(until)));
        wish(task, Wish::Pause { reason, by: by.clone(), until })
    };
    does(&mut tables, vec![pause("task-5", 500), pause("task-6", 400), pause("task-4", 600)], at(101));
    let cancel = Wish::Cancel { reason: ErrorText::new("enough"), by: by.clone() };
    does(&mut tables, vec![wish("task-7", cancel), complete("task-1", 1, succeeded(), at(100))], at(102));

    let Projection { rows, indexes, .. } = &tables.projection;
    for number in 0..3 {
        let of_key =
            |row: &&Row| row.state.definition.unique.as_ref().is_some_and(|unique| unique.key == key(number));
        let newest = rows.iter().filter(|(_, row)| of_key(row)).max_by_key(|(_, row)| row.defined);
        assert_eq!(indexes.newest_with_key(&key(number)), newest.map(|(key, _)| *key));
    }
    assert_eq!(indexes.newest_with_key(&key(0)), Some(LogPosition::from_number(1)), "it was defined again");
    let runs = |row: &&Row| row.state.running().is_some();
    let running: Vec<_> = rows.iter().filter(|(_, row)| runs(row)).map(|(key, _)| *key).collect();
    assert_eq!(indexes.running().collect::<Vec<_>>(), running);
    for kind in ["a", "b"].map(task_type) {
        let of_type = rows.values().filter(runs).filter(|row| row.state.definition.task_type == kind);
        assert_eq!(indexes.count_running(Some(&kind)), of_type.count() as u64);
    }
    assert_eq!(indexes.next_end_of_pause(), Some(at(400)));
    let over: Vec<_> = indexes.pauses_over(at(500)).map(|key| rows[&key].state.id.to_string()).collect();
    assert_eq!(over, ["task-6", "task-5"]);
    let counts: u64 = indexes.counts().iter().map(|count| count.tasks).sum();
    assert_eq!(counts, 12);
    for count in indexes.counts() {
        let of = |row: &&Row| {
            row.state.definition.task_type == count.task_type && row.state.phase.kind() == count.phase
        };
        assert_eq!(rows.values().filter(of).count() as u64, count.tasks, "{count:?}");
    }
    assert_eq!(tables.verify().findings, []);
}

/// Three tasks that wait, created by the events 1 to 3.
fn three_tasks() -> Tables {
    let mut tables = Tables::default();
    let task = |number| schedule(&format!("task-{number}"), Schedule::one_time(at(60)), OnConflict::Redefine);
    let commands = (0..3).map(task);
    tables.apply(&Batch::new(commands, at(0))).unwrap();
    tables
}

fn state_of(tables: &mut Tables) -> &mut azoth_scheduler_core::state::TaskState {
    &mut tables.projection.rows.first_entry().unwrap().into_mut().state
}

fn change(
    command: &mut azoth_scheduler_core::command::TaskCommand,
    how: impl FnOnce(&mut azoth_scheduler_core::task::TaskDefinition),
) {
    use azoth_scheduler_core::command::{NewTask, Wish};
    if let Wish::Schedule(new) = &command.wish {
        let mut definition = new.definition().clone();
        how(&mut definition);
        command.wish = Wish::Schedule(NewTask::new(definition, new.payload().clone(), new.on_conflict()));
    }
}
