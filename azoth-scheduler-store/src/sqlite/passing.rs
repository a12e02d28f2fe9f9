//! An event as it passes by in the order of the log, borrowed from where the engine has it.

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::time::Timestamp;

use crate::codec::{self, CodecError, Decoder};
use crate::error::StoreError;
use crate::record::LogPosition;

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) position: u64,
    pub(super) at: Timestamp,
    pub(super) subject: u64,
    pub(super) previous: Option<u64>,
}

/// An event in the place where the engine has it, and nothing that only the chain needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing<'row> {
    pub(super) stand: Stand,
    pub(super) kind: u8,
    pub(super) record: &'row [u8],
}

impl Passing<'_> {
    /// The event that the record holds.
    pub(super) fn event(&self) -> Result<Event, StoreError> {
        codec::decode(self.kind, self.record).map_err(|error| unread(self.stand.position, self.kind, error))
    }

    /// The same, by a decoder that has read others.
    #[inline]
    pub(super) fn event_by(&self, decoder: &mut Decoder) -> Result<Event, StoreError> {
        decoder.decode(self.kind, self.record).map_err(|error| unread(self.stand.position, self.kind, error))
    }
}

#[cold]
pub(super) fn unread(position: u64, kind: u8, error: CodecError) -> StoreError {
    error.reading(LogPosition::from_number(position), kind)
}
