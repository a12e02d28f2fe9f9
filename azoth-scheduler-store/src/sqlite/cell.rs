//! Numbers, instants and ids as the cells of a row hold them. What a cell holds is checked when it is read: a value that
//! this library never writes is damage, and is named.

use azoth_scheduler_core::id::{ExecutionId, WorkerId};
use azoth_scheduler_core::time::Timestamp;

use crate::error::StoreError;

/// 128 bits of an id, most significant byte first.
pub(super) type IdCell = [u8; 16];

/// The cell of a position or a count.
///
/// # Panics
/// Above 2^63: no log gets there.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).expect("positions and counts stay below 2^63")
}

pub(super) fn number(cell: i64, what: &'static str) -> Result<u64, StoreError> {
    u64::try_from(cell).map_err(|_| unlawful(what, cell))
}

pub(super) fn small(cell: i64, what: &'static str) -> Result<u32, StoreError> {
    u32::try_from(cell).map_err(|_| unlawful(what, cell))
}

pub(super) fn instant(cell: i64, what: &'static str) -> Result<Timestamp, StoreError> {
    Timestamp::from_unix_ms(cell).map_err(|_| unlawful(what, cell))
}

/// A cell that must be filled in this phase.
pub(super) fn filled<T>(cell: Option<T>, what: &'static str) -> Result<T, StoreError> {
    cell.ok_or_else(|| corrupt(format!("{what} is missing")))
}

pub(super) fn execution_cell(id: ExecutionId) -> IdCell {
    id.as_u128().to_be_bytes()
}

pub(super) fn execution(cell: IdCell) -> ExecutionId {
    ExecutionId::from_u128(u128::from_be_bytes(cell))
}

pub(super) fn worker_cell(id: WorkerId) -> IdCell {
    id.as_u128().to_be_bytes()
}

pub(super) fn worker(cell: IdCell) -> WorkerId {
    WorkerId::from_u128(u128::from_be_bytes(cell))
}

pub(super) fn unlawful(what: &'static str, cell: i64) -> StoreError {
    corrupt(format!("{what} holds {cell}, which is never written"))
}

pub(super) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into() }
}
