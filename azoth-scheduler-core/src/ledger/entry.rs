//! One line of a ledger.

use alloc::format;
use alloc::string::String;

use super::imbalance::Imbalance;
use crate::event::Event;
use crate::state::TaskState;
use crate::time::Timestamp;

/// What is entered.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) position: u64,
    pub(super) at: Timestamp,
    pub(super) before: Option<&'a TaskState>,
    pub(super) event: &'a Event,
    pub(super) after: &'a TaskState,
}

impl Entry<'_> {
    pub(super) fn wrong(&self, what: String) -> Imbalance {
        Imbalance { position: self.position, what }
    }

    /// I11: what is decided stays decided.
    pub(super) fn follows(&self, before: &TaskState) -> Result<(), Imbalance> {
        let (from, to) = (before.progress.decided_through, self.after.progress.decided_through);
        if to < from {
            return Err(self.wrong(format!("decided through {to}, and before it through {from}")));
        }
        Ok(())
    }
}
