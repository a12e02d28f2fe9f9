//! Logs that somebody made up, with hashes that are right: only what they say can tell (I17).

use azoth_scheduler_core::command::OnConflict;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::testing::{at, claim, complete, given_nothing, schedule, succeeded};
use azoth_scheduler_core::time::Timestamp;
use rusqlite::Connection;

use super::chain;
use super::head::Head;
use super::log::{self, LogRow};
use super::{SqliteOptions, SqliteStore};
use crate::codec::{self, EventKind};
use crate::error::StoreError;
use crate::filter::TaskFilter;
use crate::record::LogPosition;
use crate::store::Store;

type Told = Vec<(Timestamp, Event)>;

/// A task of every minute: an outage merges nine occurrences into one, and another one is skipped while that runs.
/// Scheduled 1, passed 2, started 3, executed 4, emitted 5, passed 6, started 7.
fn told() -> Told {
    let given = given_nothing()
        .and(schedule("task", Schedule::cron("0 * * * * *").unwrap(), OnConflict::Redefine), at(0))
        .and(claim("task", 1), at(630))
        .and(complete("task", 1, succeeded(), at(630)), at(670))
        .and(claim("task", 2), at(720));
    given.events().to_vec()
}

/// The first thing that a verification finds in a file with these events.
async fn first_finding(events: &Told) -> Option<(Option<u64>, String)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scheduler.db");
    let open = || SqliteStore::open_with(&path, SqliteOptions::new().allow_old_sqlite(true)).unwrap();
    drop(open());
    append(&Connection::open(&path).unwrap(), events);
    let store = open();
    store.rebuild_projection().await.unwrap();
    let report = store.verify().await.unwrap();
    let first = report.findings.into_iter().next()?;
    Some((first.position.map(|position| position.number()), first.what))
}

/// Writes the events of one task into an empty log, each with its link.
fn append(conn: &Connection, events: &Told) {
    append_as(conn, events, |position| (1, position.checked_sub(1).filter(|previous| *previous > 0)));
}

/// The same for events of any tasks: by their positions, of which they are and what comes before them.
fn append_as(conn: &Connection, events: &Told, place: impl Fn(u64) -> (u64, Option<u64>)) {
    let mut head = Head::read(conn).unwrap();
    for (at, event) in events {
        let mut record = Vec::new();
        codec::encode(event, &mut record).unwrap();
        head.position += 1;
        head.ordered_at = head.ordered_at.max(*at);
        let (subject, previous) = place(head.position);
        let mut row = LogRow {
            position: head.position,
            at: *at,
            ordered_at: head.ordered_at,
            subject,
            previous,
            kind: EventKind::of(event).code(),
            record,
            link: None,
        };
        head.hash = chain::link(&head.hash, &head.database, std::slice::from_ref(&row));
        row.link = Some(head.hash);
        log::append(conn, [&row]).unwrap();
    }
    head.write(conn).unwrap();
}

#[tokio::test]
async fn two_tasks_of_one_name_are_found_and_no_projection_is_made_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scheduler.db");
    let open = || SqliteStore::open_with(&path, SqliteOptions::new().allow_old_sqlite(true)).unwrap();
    drop(open());
    let created = told().remove(0);
    append_as(&Connection::open(&path).unwrap(), &vec![created.clone(), created], |position| {
        (position, None)
    });
    let store = open();
    let error = store.rebuild_projection().await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { what } if what.contains("a second time")), "{error}");
    assert_eq!(store.tasks(&TaskFilter::default()).await.unwrap(), [], "the tables in use stay as they were");
    let findings = store.verify().await.unwrap().findings;
    let second = findings.iter().find(|finding| finding.what.contains("a second time"));
    assert_eq!(second.and_then(|finding| finding.position).map(LogPosition::number), Some(2), "{findings:?}");
}

#[tokio::test]
async fn log_that_accounts_for_everything_is_sound() {
    let told = told();
    let names: Vec<_> = told.iter().map(|(_, event)| event.name()).collect();
    assert_eq!((names[1], names[5]), ("OccurrencesPassed", "OccurrencesPassed"), "{names:?}");
    assert_eq!(first_finding(&told).await, None);
}

#[tokio::test]
async fn log_that_loses_an_occurrence_is_found_where_it_was_decided() {
    let mut merged = told();
    merged.remove(1);
    let what = "nothing says what became of 2025-01-01T00:01:00Z, which was to come";
    assert_eq!(first_finding(&merged).await, Some((Some(2), what.to_owned())));
    let mut skipped = told();
    skipped.remove(5);
    let what = "nothing says what became of 2025-01-01T00:11:00Z";
    assert_eq!(first_finding(&skipped).await, Some((Some(4), what.to_owned())));
}

#[tokio::test]
async fn log_that_tells_an_occurrence_twice_is_found_where_it_does() {
    for place in [1, 5] {
        let mut twice = told();
        let again = twice[place].clone();
        twice.insert(place, again);
        let (position, what) = first_finding(&twice).await.unwrap();
        assert_eq!(position, Some(place as u64 + 2), "{what}");
        assert!(what.ends_with("is accounted for twice"), "{what}");
    }
}

#[tokio::test]
async fn log_that_runs_an_occurrence_twice_is_found_where_it_starts() {
    let mut twice = told();
    let Some((_, Event::ExecutionStarted { occurrence, .. })) = twice.last_mut() else {
        panic!("it started")
    };
    *occurrence = at(600);
    let what = "2025-01-01T00:10:00Z is to run, and was decided before";
    assert_eq!(first_finding(&twice).await, Some((Some(7), what.to_owned())));
}

#[tokio::test]
async fn log_that_says_falsely_that_a_run_was_asked_for_is_found_where_it_does() {
    let mut asked = told();
    let Some((_, Event::ExecutionStarted { off_schedule, .. })) = asked.last_mut() else {
        panic!("it started")
    };
    *off_schedule = true;
    let what = "off its schedule: true, and what it was to run says otherwise";
    assert_eq!(first_finding(&asked).await, Some((Some(7), what.to_owned())));
}

#[tokio::test]
async fn log_that_takes_a_decision_back_is_found_where_it_does() {
    let mut back = told();
    let Some((_, Event::ExecutionStarted { progress, .. })) = back.last_mut() else { panic!("it started") };
    progress.decided_through = at(60);
    assert_eq!(first_finding(&back).await.unwrap().0, Some(7));
}

/// They are written together with others, whose names are their own.
#[tokio::test]
async fn of_many_new_tasks_the_one_whose_name_is_taken_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scheduler.db");
    let open = || SqliteStore::open_with(&path, SqliteOptions::new().allow_old_sqlite(true)).unwrap();
    drop(open());
    let created = |name: &str| {
        let wish = schedule(name, Schedule::immediate(), OnConflict::Redefine);
        given_nothing().and(wish, at(0)).events().to_vec().remove(0)
    };
    let mut events: Told = (0..40).map(|number| created(&format!("task-{number}"))).collect();
    events[29] = created("task-3");
    append_as(&Connection::open(&path).unwrap(), &events, |position| (position, None));
    let error = open().rebuild_projection().await.unwrap_err();
    let told = "event 30 creates task \"task-3\" a second time";
    assert!(matches!(&error, StoreError::Corrupt { what } if what == told), "{error}");
}
