//! The tasks as they were: the log up to there, folded into a scratch; or the own events of one task.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::time::Timestamp;
use rusqlite::Connection;

use super::base::Base;
use super::entry::{Entry, Place as EventPlace};
use super::head::Head;
use super::place::Place;
use super::scratch::Scratch;
use super::upkeep::{Upkeep, Work, in_background};
use super::{cell, due, log, read, schema, stats, task_row, type_row};
use crate::error::StoreError;
use crate::filter::TaskFilter;
use crate::record::LogPosition;
use crate::report::StoreStats;
use crate::store::{AsOf, Past, StoredTask};

/// A scratch that holds what the log adds up to at one of its events.
pub(super) struct SqlitePast {
    folded: Arc<Folded>,
    position: u64,
}

struct Folded {
    scratch: Mutex<Scratch>,
    /// What the scratch refers to in the log stays there.
    _shared: Upkeep,
}

impl SqlitePast {
    /// Folds the log up to then.
    pub(super) fn open(place: &Place, then: AsOf) -> Result<Self, StoreError> {
        let shared = Upkeep::take(place, Work::Past)?;
        let scratch = Scratch::open(place)?;
        let position = scratch.within(|conn| position_of(conn, then))?;
        scratch.fold(position)?;
        scratch.within(schema::create_for_reading)?;
        Ok(Self { folded: Arc::new(Folded { scratch: Mutex::new(scratch), _shared: shared }), position })
    }

    async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let folded = Arc::clone(&self.folded);
        in_background("past", move || {
            folded.scratch.lock().unwrap_or_else(PoisonError::into_inner).within(read)
        })
        .await
    }
}

impl fmt::Debug for SqlitePast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlitePast").field("position", &self.position).finish_non_exhaustive()
    }
}

#[async_trait]
impl Past for SqlitePast {
    fn position(&self) -> LogPosition {
        LogPosition::from_number(self.position)
    }

    async fn task(&self, id: &TaskId) -> Result<Option<StoredTask>, StoreError> {
        let id = id.clone();
        self.read(move |conn| read::task(conn, &id)).await
    }

    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskState>, StoreError> {
        let filter = filter.clone();
        self.read(move |conn| read::tasks(conn, &filter)).await
    }

    async fn stats(&self, now: Timestamp) -> Result<StoreStats, StoreError> {
        let head = self.position();
        self.read(move |conn| {
            let types: Vec<u64> = type_row::all(conn)?.into_iter().map(|(key, _)| key).collect();
            Ok(StoreStats {
                head,
                tasks: stats::counts(conn)?,
                oldest_due: due::oldest(conn, &types)?.filter(|due| *due <= now),
                ..StoreStats::default()
            })
        })
        .await
    }
}

/// What came of walking back a task's own events.
pub(super) enum Walked {
    /// The task as it was, `None` before it was.
    Found(Option<Box<StoredTask>>),
    /// The task that has this name now is another one, or none: what it was then only the whole log tells.
    NotWalkable,
}

/// One task as it was: its own events, back from the newest and forth again.
pub(super) fn task(conn: &Connection, id: &TaskId, then: AsOf) -> Result<Walked, StoreError> {
    let through = position_of(conn, then)?;
    let Some((key, last)) = task_row::place_of(conn, id)?.filter(|(key, _)| *key <= through) else {
        return Ok(Walked::NotWalkable);
    };
    let base = Base::read(conn)?.position;
    let mut positions = Vec::new();
    let mut next = Some(last);
    while let Some(position) = next.filter(|position| *position > base) {
        let row = log::row_known_at(conn, position)?;
        if row.subject != key || row.previous.is_some_and(|previous| previous >= position) {
            return Err(cell::corrupt(format!("event {position} does not belong to task {id:?}")));
        }
        next = row.previous;
        if position <= through {
            positions.push(position);
        }
    }
    // What was cut of its events is in the snapshot.
    let mut entry = if key <= base { task_row::in_snapshot(conn, key)? } else { None };
    for position in positions.into_iter().rev() {
        entry = Some(folded(conn, entry, position)?);
    }
    let Some(entry) = entry else { return Ok(Walked::Found(None)) };
    let payload = read::held(conn, entry.defined, Some(entry.state.definition.payload))?;
    Ok(Walked::Found(Some(Box::new(StoredTask { state: entry.state, payload }))))
}

fn folded(conn: &Connection, entry: Option<Entry>, position: u64) -> Result<Entry, StoreError> {
    let row = log::row_known_at(conn, position)?;
    let event: Event = row.event()?;
    // The key of its type is of no account here.
    let place = EventPlace { position, at: row.at, type_key: 0 };
    Entry::after(entry, &event, place).map_err(|error| cell::corrupt(format!("event {position}: {error}")))
}

/// The last event that had happened by then.
fn position_of(conn: &Connection, then: AsOf) -> Result<u64, StoreError> {
    let (head, base) = (Head::read(conn)?.position, Base::read(conn)?);
    let position = match then {
        AsOf::Position(position) if position.number() > head => {
            Err(StoreError::NoSuchPosition { position, head: LogPosition::from_number(head) })
        }
        AsOf::Position(position) => Ok(position.number()),
        AsOf::Instant(instant) if instant < base.ordered_at => Ok(base.position.saturating_sub(1)),
        AsOf::Instant(instant) => newest_at(conn, instant, base.position, head),
    }?;
    base.holds_behind(position)?;
    Ok(position)
}

/// The last event before an instant, by the ordered instant.
pub(super) fn newest_before(conn: &Connection, instant: Timestamp) -> Result<u64, StoreError> {
    let base = Base::read(conn)?.position;
    newest_at(conn, instant.saturating_add_ms(-1), base, Head::read(conn)?.position)
}

/// By halves: the ordered instant never goes back.
fn newest_at(conn: &Connection, instant: Timestamp, base: u64, head: u64) -> Result<u64, StoreError> {
    let (mut happened, mut after) = (base, head.saturating_add(1));
    while after - happened > 1 {
        let middle = happened + (after - happened) / 2;
        if log::row_known_at(conn, middle)?.ordered_at <= instant {
            happened = middle;
        } else {
            after = middle;
        }
    }
    Ok(happened)
}
