//! A first look at a file that is opened: whether the log can be what its head says.

use rusqlite::Connection;

use super::base::Base;
use super::chain;
use super::head::Head;
use super::log::{self, LogRow};
use crate::error::StoreError;

/// What is wrong with the file; `None` where nothing shows. A file that was closed properly is believed but for its
/// head; of another one the newest events, and the engine's structures if the file is small, are looked at.
///
/// # Errors
/// What is no damage, such as a disk that cannot be read.
pub(super) fn damage(conn: &Connection, head: &Head, unclean: bool) -> Result<Option<String>, StoreError> {
    let look = || {
        head.check_log(conn)?;
        if unclean {
            tail(conn, head)?;
            structures(conn)?;
        }
        Ok(())
    };
    match look() {
        Ok(()) => Ok(None),
        Err(StoreError::Corrupt { what }) => Ok(Some(what)),
        Err(error) => Err(error),
    }
}

/// The newest links of the chain.
fn tail(conn: &Connection, head: &Head) -> Result<(), StoreError> {
    let base = Base::read(conn)?;
    let after = head.position.saturating_sub(TAIL_EVENTS).max(base.position);
    let rows = log::page(conn, after, TAIL_EVENTS as usize)?;
    let mut known = (after == base.position).then_some(base.hash);
    let mut append: Vec<LogRow> = Vec::new();
    for (row, position) in rows.into_iter().zip(after.saturating_add(1)..) {
        if row.position != position {
            return Err(super::cell::corrupt(format!("event {position} is missing from the log")));
        }
        let link = row.link;
        append.push(row);
        let Some(link) = link else { continue };
        if known.is_some_and(|known| chain::link(&known, &head.database, &append) != link) {
            return Err(super::cell::corrupt(format!(
                "event {position} does not match its link of the chain"
            )));
        }
        known = Some(link);
        append.clear();
    }
    Ok(())
}

/// The engine's own check of pages and trees, which reads the whole file.
fn structures(conn: &Connection) -> Result<(), StoreError> {
    let number = |sql| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let bytes = number("PRAGMA page_count")?.saturating_mul(number("PRAGMA page_size")?);
    if bytes > CHECKED_BYTES_MAX {
        tracing::info!(
            bytes,
            "the file was not closed properly and is large: `verify` would look at all of it"
        );
        return Ok(());
    }
    let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(super::cell::corrupt(found)) }
}

/// So many of the newest events are held against the chain.
const TAIL_EVENTS: u64 = 1_000;
/// The structures of a longer file are not looked at.
const CHECKED_BYTES_MAX: i64 = 64 * 1024 * 1024;
