//! Where in a trace a task was scheduled.

use std::num::{NonZeroU64, NonZeroU128};

use azoth_scheduler_core::trace::TraceParent;
use serde::{Deserialize, Serialize};

use super::stored::{Invalid, Stored, Unlawful};
use crate::codec::bytes::Bytes;

/// Its ids as the standard writes them, most significant byte first.
#[derive(Serialize, Deserialize)]
pub(super) struct Trace {
    trace_id: Bytes<16>,
    span_id: Bytes<8>,
    flags: u8,
}

impl Stored<'_> for Trace {
    type Core = TraceParent;

    fn store(core: &TraceParent) -> Self {
        let trace_id = Bytes(core.trace_id().get().to_be_bytes());
        Self { trace_id, span_id: Bytes(core.span_id().get().to_be_bytes()), flags: core.flags() }
    }

    fn restore(self) -> Result<TraceParent, Invalid> {
        let trace_id = NonZeroU128::new(u128::from_be_bytes(self.trace_id.0)).ok_or(Unlawful::Trace)?;
        let span_id = NonZeroU64::new(u64::from_be_bytes(self.span_id.0)).ok_or(Unlawful::Trace)?;
        Ok(TraceParent::new(trace_id, span_id, self.flags))
    }
}
