//! Making the projection anew from the log, into fresh tables, in one transaction.
//!
//! It holds the write lock from beginning to end, and all tasks in memory.

use rusqlite::{Connection, params};

use super::cell;
use super::fold::{Fold, REPLAY_PAGE_EVENTS};
use super::task_row::Cells;
use super::{log, schema, type_row};
use crate::error::StoreError;
use crate::report::RebuildReport;

/// Folds the log into fresh derived tables. Inside a write transaction; what anybody remembers of the old tables is
/// void when it commits, which the epoch in the head tells.
pub(super) fn rebuild(conn: &Connection) -> Result<RebuildReport, StoreError> {
    let mut fold = Fold::default();
    let mut events = 0;
    loop {
        let page = log::page(conn, events, REPLAY_PAGE_EVENTS)?;
        for row in &page {
            let broken = |what: String| cell::corrupt(format!("event {}: {what}", row.position));
            events += 1;
            if row.position != events {
                return Err(broken(format!("event {events} is missing before it")));
            }
            fold.add(row, &row.event()?).map_err(broken)?;
        }
        if page.len() < REPLAY_PAGE_EVENTS {
            break;
        }
    }
    schema::renew_derived(conn)?;
    write(conn, &fold)?;
    let sql = "UPDATE azoth_head SET epoch = epoch + 1, projection_layout = ?1";
    let rows = conn.execute(sql, params![schema::PROJECTION_LAYOUT])?;
    assert_eq!(rows, 1, "the head is one row");
    Ok(RebuildReport { events, tasks: fold.tasks.len() as u64 })
}

fn write(conn: &Connection, fold: &Fold) -> Result<(), StoreError> {
    for (key, name) in fold.types() {
        type_row::add(conn, key, name.as_str())?;
    }
    for entry in fold.tasks.values() {
        Cells::of(entry).write(conn)?;
    }
    Ok(())
}
