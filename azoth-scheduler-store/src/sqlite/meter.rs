//! What the writer measures, told to the recorder of the `metrics` crate: behind the feature of that name, otherwise to
//! nobody.
//!
//! Names and units stand in `docs/observing.md`, and stay.

use std::time::Duration;

/// A commit that holds events is on the disk.
#[cfg(feature = "metrics")]
pub(super) fn committed(took: Duration, events: u64) {
    metrics::histogram!("azoth_store_commit_seconds").record(took.as_secs_f64());
    metrics::histogram!("azoth_store_commit_events")
        .record(u32::try_from(events).map_or(f64::MAX, f64::from));
}

#[cfg(not(feature = "metrics"))]
pub(super) fn committed(_took: Duration, _events: u64) {}
