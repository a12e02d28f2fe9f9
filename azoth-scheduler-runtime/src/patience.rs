//! How long a store that fails is left alone.

use std::time::Duration;

/// A store that fails is asked again after these waits: doubling, bounded.
pub(crate) fn patience(failures: u32) -> Duration {
    let doubled = PATIENCE_MIN.saturating_mul(1 << failures.min(16));
    doubled.min(PATIENCE_MAX)
}

const PATIENCE_MIN: Duration = Duration::from_millis(50);
const PATIENCE_MAX: Duration = Duration::from_secs(5);
