//! Stored forms that are events.

use azoth_scheduler_core::event::Event;

use super::memory::Memory;
use super::stored::Invalid;

/// The stored form of one kind of event.
pub(in crate::codec) trait IntoEvent {
    /// The event that was stored, if it can be one.
    fn into_event(self, memory: &mut Memory) -> Result<Event, Invalid>;
}
