//! The head row: where the log ends, and what a writer needs to go on from there.

use azoth_scheduler_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::hash::{GENESIS, Hash};
use super::{cell, log};
use crate::error::StoreError;

/// Where the log ends. Read in every write transaction, right after its begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The database's own id, made when the file was.
    pub(super) database: [u8; 16],
    /// The layout of the file.
    pub(super) layout: u32,
    /// The layout of its derived tables.
    pub(super) projection_layout: u32,
    /// Position of the newest event; 0 before the first.
    pub(super) position: u64,
    /// The chain's hash at that event; all zero before the first.
    pub(super) hash: Hash,
    /// The greatest instant of any event.
    pub(super) ordered_at: Timestamp,
    /// Counts rebuilds of the projection: whoever remembers rows of an older one forgets them.
    pub(super) epoch: u64,
    /// How many claims offers have brought, over all processes: says whose turn the next one is.
    pub(super) claims: u64,
}

const READ: &str = "SELECT database, layout, position, hash, ordered_at_ms, epoch, claims, projection_layout
     FROM azoth_head WHERE one = 1";
const WRITE: &str = "UPDATE azoth_head SET position = ?1, hash = ?2, ordered_at_ms = ?3, epoch = ?4, claims = ?5 WHERE one = 1";
const TOUCH: &str = "UPDATE azoth_head SET epoch = epoch WHERE one = 1";

impl Head {
    pub(super) fn read(conn: &Connection) -> Result<Self, StoreError> {
        type Cells = ([u8; 16], i64, i64, Hash, i64, i64, i64, i64);
        let (database, layout, position, hash, ordered_at, epoch, claims, projection): Cells =
            conn.prepare_cached(READ)?.query_row([], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?,
                    row.get(7)?,
                ))
            })?;
        Ok(Self {
            database,
            layout: cell::small(layout, "azoth_head.layout")?,
            projection_layout: cell::small(projection, "azoth_head.projection_layout")?,
            position: cell::number(position, "azoth_head.position")?,
            hash,
            ordered_at: cell::instant(ordered_at, "azoth_head.ordered_at_ms")?,
            epoch: cell::number(epoch, "azoth_head.epoch")?,
            claims: cell::number(claims, "azoth_head.claims")?,
        })
    }

    /// Whether the log ends where the head says, with the link that it holds. The row behind it needs no look: no other
    /// than the next one can be appended.
    pub(super) fn check_log(&self, conn: &Connection) -> Result<(), StoreError> {
        let link = match self.position {
            0 => Some(GENESIS),
            newest => log::row_known_at(conn, newest)?.link,
        };
        if link == Some(self.hash) {
            return Ok(());
        }
        Err(cell::corrupt(format!("the head does not hold the hash of event {}", self.position)))
    }

    /// Writes all but what never changes.
    pub(super) fn write(&self, conn: &Connection) -> Result<(), StoreError> {
        let cells = params![
            cell::int(self.position),
            self.hash,
            self.ordered_at.unix_ms(),
            cell::int(self.epoch),
            cell::int(self.claims)
        ];
        let rows = conn.prepare_cached(WRITE)?.execute(cells)?;
        assert_eq!(rows, 1, "the head is one row");
        Ok(())
    }

    /// Writes the row as it is, so that a commit has something to sync.
    pub(super) fn touch(conn: &Connection) -> Result<(), StoreError> {
        let rows = conn.prepare_cached(TOUCH)?.execute([])?;
        assert_eq!(rows, 1, "the head is one row");
        Ok(())
    }
}
