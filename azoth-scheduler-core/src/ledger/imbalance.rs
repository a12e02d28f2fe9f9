//! What a ledger finds wrong.

use alloc::string::String;

/// An occurrence that is lost or accounted for twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {position}: {what}")]
pub struct Imbalance {
    /// The event at which it shows, by the number under which it was entered.
    pub position: u64,
    /// What is wrong.
    pub what: String,
}
