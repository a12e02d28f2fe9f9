//! Reads: tasks, listings, pages of the log, the history of a task. Each in one snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::{GroupName, TaskId};
use azoth_scheduler_core::payload::PayloadDigest;
use azoth_scheduler_core::scope::ScopeState;
use azoth_scheduler_core::state::{PhaseKind, TaskState};
use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::base::Base;
use super::cell;
use super::head::Head;
use super::log::{self, LogRow};
use super::task_row::{self, COLUMNS, Cells, phase_code};
use super::{scope_row, type_row};
use crate::error::StoreError;
use crate::filter::TaskFilter;
use crate::record::{LogPosition, RecordedEvent, RecordedPayload, Subject};
use crate::store::{EVENTS_PAGE_MAX, StoredTask};

/// One task with its payload.
pub(super) fn task(conn: &Connection, id: &TaskId) -> Result<Option<StoredTask>, StoreError> {
    let Some(entry) = task_row::by_id(conn, id)? else { return Ok(None) };
    let payload = held(conn, entry.defined, Some(entry.state.definition.payload))?;
    Ok(Some(StoredTask { state: entry.state, payload }))
}

/// Tasks that match a filter, in the order of their keys: that in which they were created.
pub(super) fn tasks(conn: &Connection, filter: &TaskFilter) -> Result<Vec<TaskState>, StoreError> {
    let type_key = match filter.wanted_type() {
        None => None,
        Some(name) => match type_row::key_of(conn, name)? {
            None => return Ok(Vec::new()),
            key => key,
        },
    };
    let after = match filter.starts_after() {
        None => 0,
        Some(id) => match task_row::place_of(conn, id)? {
            None => return Ok(Vec::new()),
            Some((key, _)) => key,
        },
    };
    let ahead_of = filter.decided_beyond();
    if let Some(instant) = ahead_of
        && Head::read(conn)?.ordered_at <= instant
    {
        return Ok(Vec::new());
    }
    let phases = PhaseKind::ALL.into_iter().filter(|phase| filter.accepts_phase(*phase));
    let phases = phases.map(|phase| phase_code(phase).to_string()).collect::<Vec<_>>().join(", ");
    let group = filter.wanted_group().map(GroupName::as_str);
    let mut statement = conn.prepare_cached(&tasks_sql(&phases, group.is_some()))?;
    let limit = cell::int(filter.at_most() as u64);
    let ahead_of = ahead_of.map(Timestamp::unix_ms);
    let cells = params![cell::int(after), type_key.map(cell::int), limit, group, ahead_of];
    let rows = statement.query_map(cells, Cells::read)?;
    rows.map(|cells| Ok(cells?.entry(conn)?.state)).collect()
}

/// Whether a task was decided by a clock that was beyond `?5`: `TaskState::is_ahead_of` in columns.
const AHEAD: &str = "phase IN (0, 1, 2, 6) AND (decided_ms > ?5 OR (phase <> 1 AND moved_at_ms > ?5
    AND (attempt > 1 OR occurrence_ms <= decided_ms OR occurrence_ms = off_schedule_ms)))";
/// Every scope, in the order of kinds and names.
pub(super) fn scopes(conn: &Connection) -> Result<Vec<ScopeState>, StoreError> {
    scope_row::all(conn)?.into_iter().map(|cells| Ok(cells.entry()?.state)).collect()
}

/// The statement of a listing: along the keys, or along those of one group. Codes of ours are written into it, so that
/// each combination has a plan of its own.
pub(super) fn tasks_sql(phases: &str, of_a_group: bool) -> String {
    let (index, group) = match of_a_group {
        true => ("INDEXED BY azoth_p_group", "group_name = ?4"),
        false => ("", "?4 IS NULL"),
    };
    format!(
        "SELECT {COLUMNS} FROM azoth_p_tasks {index}
         WHERE key > ?1 AND phase IN ({phases}) AND (?2 IS NULL OR type = ?2) AND {group} AND (?5 IS NULL OR {AHEAD})
         ORDER BY key LIMIT ?3"
    )
}

/// Events behind a position, oldest first; none further once their payloads hold `bytes_max` bytes.
pub(super) fn events(
    conn: &Connection,
    after: LogPosition,
    limit: usize,
    bytes_max: usize,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let rows = log::page(conn, after.number(), limit.min(EVENTS_PAGE_MAX))?;
    let mut names = Names::default();
    let mut events = Vec::with_capacity(rows.len());
    let mut bytes: usize = 0;
    for (row, expected) in rows.iter().zip(after.number().saturating_add(1)..) {
        if row.position != expected {
            Base::read(conn)?.holds_behind(after.number())?;
            return Err(cell::corrupt(format!("event {expected} is missing from the log")));
        }
        let event = recorded(conn, row, &mut names)?;
        bytes = event.payload.bytes().map_or(0, <[u8]>::len).saturating_add(bytes);
        events.push(event);
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(events)
}

/// Events of one task, newest first, along the positions that each holds of the one before it.
pub(super) fn history(
    conn: &Connection,
    id: &TaskId,
    before: Option<LogPosition>,
    limit: usize,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let Some((key, last)) = task_row::place_of(conn, id)? else { return Ok(Vec::new()) };
    let base = Base::read(conn)?;
    let mut next = newest_before(conn, key, last, before)?;
    let mut names = Names::default();
    let mut events = Vec::new();
    while let Some(position) = next.filter(|_| events.len() < limit.min(EVENTS_PAGE_MAX)) {
        if position <= base.position {
            // What is there is given; whoever asks for more is told.
            if events.is_empty() && limit > 0 {
                base.holds_behind(position.saturating_sub(1))?;
            }
            break;
        }
        let row = log::row_known_at(conn, position)?;
        if row.subject != key || row.previous.is_some_and(|previous| previous >= position) {
            return Err(cell::corrupt(format!("event {position} does not belong to task {id:?}")));
        }
        next = row.previous.filter(|_| position != key);
        if before.is_none_or(|before| position < before.number()) {
            events.push(recorded(conn, &row, &mut names)?);
        }
    }
    Ok(events)
}

/// Where the history before a position starts: with the event before it where that is one of the task's, as it is for
/// the next page; else with the newest.
fn newest_before(
    conn: &Connection,
    key: u64,
    last: u64,
    before: Option<LogPosition>,
) -> Result<Option<u64>, StoreError> {
    let Some(before) = before.filter(|before| before.number() <= last) else { return Ok(Some(last)) };
    match log::row_at(conn, before.number())? {
        Some(row) if row.subject == key => Ok(row.previous),
        Some(_) | None => Ok(Some(last)),
    }
}

/// A row in the form in which it is given out.
pub(super) fn recorded(
    conn: &Connection,
    row: &LogRow,
    names: &mut Names,
) -> Result<RecordedEvent, StoreError> {
    let event = row.event()?;
    let subject = match event.scope() {
        Some(scope) => Subject::Scope(scope.clone()),
        None if event.is_of_the_log() => Subject::Log,
        None => Subject::Task(names.of(conn, row, &event)?),
    };
    Ok(RecordedEvent {
        position: LogPosition::from_number(row.position),
        at: row.at,
        ordered_at: row.ordered_at,
        subject,
        payload: held(conn, row.position, event.payload())?,
        event,
    })
}

/// The names of subjects that were met so far. They are read from the log alone: a subject's key is the position of the
/// event that holds its name.
#[derive(Default)]
pub(super) struct Names {
    known: HashMap<u64, TaskId>,
}

impl Names {
    fn of(&mut self, conn: &Connection, row: &LogRow, event: &Event) -> Result<TaskId, StoreError> {
        if let Event::TaskScheduled { task, .. } = event {
            return Ok(task.clone());
        }
        if let Some(name) = self.known.get(&row.subject) {
            return Ok(name.clone());
        }
        let Event::TaskScheduled { task, .. } = log::row_known_at(conn, row.subject)?.event()? else {
            return Err(cell::corrupt(format!("event {} creates no task", row.subject)));
        };
        self.known.insert(row.subject, task.clone());
        Ok(task)
    }
}

pub(super) fn held(
    conn: &Connection,
    position: u64,
    digest: Option<PayloadDigest>,
) -> Result<RecordedPayload, StoreError> {
    let Some(digest) = digest else { return Ok(RecordedPayload::Absent) };
    if digest.bytes == 0 {
        return Ok(RecordedPayload::Held(Arc::from([])));
    }
    match log::payload(conn, position)? {
        None => Ok(RecordedPayload::Dropped(digest)),
        Some(bytes) if bytes.len() as u64 == digest.bytes => Ok(RecordedPayload::Held(bytes.into())),
        Some(_) => Err(cell::corrupt(format!("the payload of event {position} is not the one it refers to"))),
    }
}
