//! A page of a lane, read from the due index: the tasks alone, or with all that a claim needs to know of them.

use std::sync::{Arc, LazyLock};

use azoth_scheduler_core::event::Event;
use rusqlite::{Connection, Row, params};

use super::cell;
use super::due_task::Due;
use super::entry::Entry;
use super::front::Front;
use super::memory::{Memory, PAYLOAD_BYTES_MAX};
use super::outlook::LaneKey;
use super::task_row::{COLUMNS, Cells, IdText, WIDTH};
use crate::codec::Decoder;
use crate::error::StoreError;

/// One seek in `azoth_p_due`, read no further than to the first task that is not due yet.
pub(super) const DUE: &str = "SELECT ready_ms, key, id, losses, concurrency_key IS NOT NULL
    FROM azoth_p_tasks INDEXED BY azoth_p_due
    WHERE ready_ms IS NOT NULL AND losses < 2 AND type = ?1 AND priority = ?2 AND (ready_ms, key) > (?3, ?4)
    ORDER BY ready_ms, key LIMIT ?5";
/// The same, and for each task a seek for the event that defines it and one for its bytes, where they are few.
static WHOLE: LazyLock<String> = LazyLock::new(|| {
    let columns: Vec<String> = COLUMNS.split(", ").map(|name| format!("task.{}", name.trim())).collect();
    format!(
        "SELECT {}, event.kind, event.record, CASE WHEN length(payload.bytes) <= ?6 THEN payload.bytes END
    FROM azoth_p_tasks AS task INDEXED BY azoth_p_due
    LEFT JOIN azoth_log AS event ON event.position = task.defined
    LEFT JOIN azoth_payloads AS payload ON payload.position = task.defined
    WHERE ready_ms IS NOT NULL AND losses < 2 AND type = ?1 AND priority = ?2 AND (ready_ms, key) > (?3, ?4)
    ORDER BY ready_ms, key LIMIT ?5",
        columns.join(", ")
    )
});

pub(super) fn whole_sql() -> &'static str {
    &WHOLE
}

/// Reads on along a lane: so many tasks at most, and no further than they are due.
pub(super) fn read(
    conn: &Connection,
    lane: LaneKey,
    size: usize,
    now: i64,
    front: &mut Front,
) -> Result<(), StoreError> {
    let (ready, key) = front.through();
    let mut statement = conn.prepare_cached(DUE)?;
    let mut rows = statement.query(params![lane.0, lane.1, ready, key, cell::int(size as u64)])?;
    for _ in 0..size {
        let Some(row) = rows.next()? else {
            front.read_to(None);
            break;
        };
        let ready = row.get(0)?;
        if ready > now {
            front.read_to(Some(ready));
            break;
        }
        let id = row.get::<_, IdText>(2)?.into_id();
        front.read(Due { ready, key: row.get(1)?, id, losses: row.get(3)?, has_key: row.get(4)? });
    }
    Ok(())
}

/// The same, and brings the tasks into memory.
pub(super) fn read_whole(
    conn: &Connection,
    lane: LaneKey,
    size: usize,
    now: i64,
    front: &mut Front,
    memory: &mut Memory,
) -> Result<(), StoreError> {
    let (ready, key) = front.through();
    let mut statement = conn.prepare_cached(whole_sql())?;
    let few = cell::int(PAYLOAD_BYTES_MAX as u64);
    let mut rows = statement.query(params![lane.0, lane.1, ready, key, cell::int(size as u64), few])?;
    let (mut read, mut known) = (0_usize, 0_usize);
    while read < size {
        let Some(row) = rows.next()? else {
            front.read_to(None);
            break;
        };
        let cells = Cells::read(row)?;
        let Some(due) = Due::of(&cells) else { continue };
        if due.ready > now {
            front.read_to(Some(due.ready));
            break;
        }
        if memory.remembers(&due.id) {
            known += 1;
        } else if let Some((entry, bytes)) = task(conn, &cells, row, &mut memory.decoder) {
            memory.bring_read(entry, bytes);
        }
        front.read(due);
        read += 1;
    }
    front.is_strange = known * 2 <= read;
    Ok(())
}

/// The task of a row, and its bytes where they were read. What does not fit together, or stands elsewhere since the log was
/// cut, is left to whoever claims the task: the others of its page are not to suffer from it.
fn task(
    conn: &Connection,
    cells: &Cells,
    row: &Row<'_>,
    decoder: &mut Decoder,
) -> Option<(Entry, Option<Arc<[u8]>>)> {
    let kind = u8::try_from(row.get::<_, Option<i64>>(WIDTH).ok()??).ok()?;
    let record = row.get_ref(WIDTH + 1).ok()?.as_blob().ok()?;
    let Event::TaskScheduled { definition, trace, .. } = decoder.decode(kind, record).ok()? else {
        return None;
    };
    let entry = cells.defined_as((definition, trace), conn).ok()?;
    let bytes = row.get_ref(WIDTH + 2).ok()?.as_blob_or_null().ok()?.map(Arc::from);
    Some((entry, bytes))
}
