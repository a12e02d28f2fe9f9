//! What a decoder remembers.

use azoth_scheduler_core::id::EventType;

use super::definition::CommonPart;
#[cfg(feature = "sqlite")]
use crate::codec::recent::RECENT_MAX;
use crate::codec::recent::Recent;

/// What a decoder remembers of the records that it has read. A log has many tasks and few sorts of them.
#[derive(Debug)]
pub(in crate::codec) struct Memory {
    pub(in crate::codec) common_parts: Recent<CommonPart>,
    pub(in crate::codec) event_types: Recent<EventType>,
}

impl Memory {
    /// For many records one after the other.
    #[cfg(feature = "sqlite")]
    pub(in crate::codec) fn of_many() -> Self {
        Self::of(RECENT_MAX)
    }

    /// For a single record: it remembers nothing.
    pub(in crate::codec) fn of_one() -> Self {
        Self::of(0)
    }

    fn of(most: usize) -> Self {
        Self { common_parts: Recent::of(most), event_types: Recent::of(most) }
    }
}
