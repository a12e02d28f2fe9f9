//! What every execution of a scheduler is run with.

use std::sync::Arc;

use crate::clock::Clock;
use crate::host::Host;
use crate::state::StateMap;

/// What every execution of a scheduler shares.
pub(crate) struct Workshop {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) states: Arc<StateMap>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) event_bytes_max: usize,
    pub(crate) trace_source: Option<TraceSource>,
}

/// Says where in a trace the caller is, as a `traceparent`.
pub(crate) type TraceSource = Box<dyn Fn() -> Option<String> + Send + Sync>;
