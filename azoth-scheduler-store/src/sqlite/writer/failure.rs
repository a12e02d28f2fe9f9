//! What is done about an error or a panic: with the jobs, with the offers that stand, and with the connection.

use std::any::Any;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::error::StoreError;
use crate::sqlite::claim::Standing;
use crate::standing::OfferInHand;

/// Why a transaction came to nothing, or may have.
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// One of the jobs is to blame, so the others may be done again.
    pub(super) by_a_job: bool,
}

impl Failure {
    pub(super) fn of_all(error: StoreError) -> Self {
        Self { error, by_a_job: false }
    }
}

/// Offers for which a failed commit may have claimed are answered by its error; all others stand again.
pub(super) fn put_down(offers: Vec<(OfferInHand, Standing)>, error: &StoreError) {
    for (in_hand, standing) in offers {
        if error.is_unknown() && matches!(standing, Standing::Brought(_)) {
            in_hand.fail(error.clone());
        }
    }
}

/// The connection after its transaction was rolled back; `None` where that cannot be said.
pub(super) fn rolled_back(conn: Connection) -> Option<Connection> {
    let undone = conn.is_autocommit() || conn.execute_batch("ROLLBACK").is_ok();
    if undone && conn.is_autocommit() {
        return Some(conn);
    }
    give_up(conn);
    None
}

/// Closes a connection that is not to be trusted, and has it touch nothing: the last one to close would copy the
/// write-ahead log into the file, and sync once more what could not be synced.
pub(super) fn give_up(conn: Connection) {
    let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    drop(conn);
}

/// The connection, unless the error says that it is not to be trusted any more.
pub(super) fn kept_after(conn: Connection, error: &StoreError) -> Option<Connection> {
    let doubtful =
        matches!(error, StoreError::Io { .. } | StoreError::CannotOpen { .. } | StoreError::Unknown { .. });
    if doubtful {
        give_up(conn);
        return None;
    }
    Some(conn)
}

/// Whether another job of the same transaction may succeed where this one failed.
pub(super) fn is_of_a_job(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Corrupt { .. }
            | StoreError::Undecodable { .. }
            | StoreError::TooLarge { .. }
            | StoreError::CursorMoved { .. }
            | StoreError::Engine { .. }
            | StoreError::Defect { .. }
    )
}

/// The message of a panic.
pub(in crate::sqlite) fn message_of(panic: &(dyn Any + Send)) -> &str {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    message.unwrap_or("a panic without a message")
}

pub(super) fn defect(panic: &(dyn Any + Send)) -> StoreError {
    let detail = message_of(panic).to_owned();
    tracing::error!(detail, "the writer panicked; its transaction was rolled back");
    StoreError::Defect { detail }
}
