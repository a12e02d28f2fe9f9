//! Consumers' cursors and what they could not handle.

use azoth_scheduler_core::id::ConsumerName;
use rusqlite::{Connection, OptionalExtension, params};

use super::base::Base;
use super::cell;
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::report::ConsumerLag;
use crate::store::{DeadLetter, StartFrom};

/// Where a consumer stands, by the primary key.
pub(super) fn find(conn: &Connection, name: &ConsumerName) -> Result<Option<LogPosition>, StoreError> {
    let sql = "SELECT cursor FROM azoth_o_consumers WHERE name = ?1";
    let cell = conn.prepare_cached(sql)?.query_row([name.as_str()], |row| row.get(0)).optional()?;
    cell.map(|cell| Ok(LogPosition::from_number(cell::number(cell, "azoth_o_consumers.cursor")?))).transpose()
}

/// Where a consumer stands; it is made where there is none of this name. `head` is the newest event's position.
pub(super) fn find_or_make(
    conn: &Connection,
    name: &ConsumerName,
    start: StartFrom,
    head: LogPosition,
) -> Result<LogPosition, StoreError> {
    if let Some(cursor) = find(conn, name)? {
        return Ok(cursor);
    }
    let cursor = match start {
        StartFrom::Beginning => LogPosition::START,
        StartFrom::Now => head,
        StartFrom::After(position) if position > head => {
            return Err(StoreError::NoSuchPosition { position, head });
        }
        StartFrom::After(position) => position,
    };
    Base::read(conn)?.holds_behind(cursor.number())?;
    let sql = "INSERT INTO azoth_o_consumers (name, cursor) VALUES (?1, ?2)";
    conn.prepare_cached(sql)?.execute(params![name.as_str(), cell::int(cursor.number())])?;
    Ok(cursor)
}

/// Moves a cursor from where it was found, with what was given up on the way.
pub(super) fn advance(
    conn: &Connection,
    name: &ConsumerName,
    from: LogPosition,
    to: LogPosition,
    dead: Option<&DeadLetter>,
) -> Result<(), StoreError> {
    let sql = "UPDATE azoth_o_consumers SET cursor = ?3 WHERE name = ?1 AND cursor = ?2";
    let cells = params![name.as_str(), cell::int(from.number()), cell::int(to.number())];
    if conn.prepare_cached(sql)?.execute(cells)? == 0 {
        let found = find(conn, name)?.unwrap_or(LogPosition::START);
        return Err(StoreError::CursorMoved { consumer: name.clone(), expected: from, found });
    }
    dead.map_or(Ok(()), |dead| bury(conn, name, dead))
}

fn bury(conn: &Connection, name: &ConsumerName, dead: &DeadLetter) -> Result<(), StoreError> {
    let sql = "INSERT INTO azoth_o_dead_letters (consumer, position, attempts, error, at_ms, requeued)
               VALUES (?1, ?2, ?3, ?4, ?5, 0)
               ON CONFLICT (consumer, position) DO UPDATE SET attempts = ?3, error = ?4, at_ms = ?5, requeued = 0";
    let position = cell::int(dead.position.number());
    let cells = params![name.as_str(), position, dead.attempts, dead.error, dead.at.unix_ms()];
    conn.prepare_cached(sql)?.execute(cells)?;
    Ok(())
}

/// What a consumer could not handle, or is to handle again: oldest first, by the unique index.
pub(super) fn dead_letters(
    conn: &Connection,
    name: &ConsumerName,
    requeued: bool,
    limit: usize,
) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = "SELECT position, attempts, error, at_ms FROM azoth_o_dead_letters
               WHERE consumer = ?1 AND requeued = ?2 ORDER BY position LIMIT ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![name.as_str(), requeued, cell::int(limit as u64)], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    rows.map(|row| {
        let (position, attempts, error, at) = row?;
        Ok(DeadLetter {
            position: LogPosition::from_number(cell::number(position, "azoth_o_dead_letters.position")?),
            attempts: cell::small(attempts, "azoth_o_dead_letters.attempts")?,
            error,
            at: cell::instant(at, "azoth_o_dead_letters.at_ms")?,
        })
    })
    .collect()
}

/// Has a dead letter handled again; whether there is one.
pub(super) fn requeue(
    conn: &Connection,
    name: &ConsumerName,
    position: LogPosition,
) -> Result<bool, StoreError> {
    Base::read(conn)?.holds_behind(position.number().saturating_sub(1))?;
    let sql =
        "UPDATE azoth_o_dead_letters SET requeued = 1 WHERE consumer = ?1 AND position = ?2 AND requeued = 0";
    let cells = params![name.as_str(), cell::int(position.number())];
    Ok(conn.prepare_cached(sql)?.execute(cells)? > 0)
}

/// What came of a letter that was handled again; whether it still was to be.
pub(super) fn settle_requeued(
    conn: &Connection,
    name: &ConsumerName,
    position: LogPosition,
    dead: Option<&DeadLetter>,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM azoth_o_dead_letters WHERE consumer = ?1 AND position = ?2 AND requeued = 1";
    let cells = params![name.as_str(), cell::int(position.number())];
    let found = conn.prepare_cached(sql)?.execute(cells)? > 0;
    if let Some(dead) = dead.filter(|_| found) {
        bury(conn, name, dead)?;
    }
    Ok(found)
}

/// Up to here every consumer has handled all events; `None` where there is no consumer.
pub(super) fn confirmed(conn: &Connection) -> Result<Option<u64>, StoreError> {
    let sql = "SELECT min(handled) FROM (SELECT cursor AS handled FROM azoth_o_consumers
               UNION ALL SELECT position - 1 FROM azoth_o_dead_letters WHERE requeued = 1)";
    let cell: Option<i64> = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    cell.map(|cell| cell::number(cell, "azoth_o_consumers.cursor")).transpose()
}

/// All consumers and how far they are behind.
pub(super) fn lags(conn: &Connection, head: LogPosition) -> Result<Vec<ConsumerLag>, StoreError> {
    let sql = "SELECT name, cursor,
                      (SELECT count(*) FROM azoth_o_dead_letters
                       WHERE consumer = azoth_o_consumers.name AND requeued = 0)
               FROM azoth_o_consumers ORDER BY name";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)))?;
    rows.map(|row| {
        let (name, cursor, dead_letters) = row?;
        let cursor = cell::number(cursor, "azoth_o_consumers.cursor")?;
        let consumer = ConsumerName::new(name);
        Ok(ConsumerLag {
            consumer: consumer.map_err(|error| cell::corrupt(format!("azoth_o_consumers.name: {error}")))?,
            cursor: LogPosition::from_number(cursor),
            events_behind: head.number().saturating_sub(cursor),
            dead_letters: cell::number(dead_letters, "a count")?,
        })
    })
    .collect()
}

/// What the tables of consumers say that cannot be so.
pub(super) fn unlawful(conn: &Connection, head: u64) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT format('consumer \"%w\" stands at %d, behind the newest event', name, cursor)
               FROM azoth_o_consumers WHERE cursor > ?1
               UNION ALL
               SELECT format('a dead letter of \"%w\" is event %d, which is not there', consumer, position)
               FROM azoth_o_dead_letters WHERE position > ?1
               UNION ALL
               SELECT format('a dead letter is of consumer \"%w\", which is not there', consumer)
               FROM azoth_o_dead_letters AS letter
               WHERE NOT EXISTS (SELECT 1 FROM azoth_o_consumers WHERE name = letter.consumer)";
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map([cell::int(head)], |row| row.get(0))?;
    Ok(rows.take(crate::report::VerifyReport::FINDINGS_MAX).collect::<Result<_, _>>()?)
}
