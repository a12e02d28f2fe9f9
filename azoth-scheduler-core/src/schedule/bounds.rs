//! The bounds of what makes a schedule, and of what may be asked of one.

/// The longest period of an interval in milliseconds: all supported years together.
pub const INTERVAL_MS_MAX: u64 = 315_537_897_599_999;

/// The longest spread of jitter in milliseconds: a day.
pub const JITTER_MS_MAX: u32 = 86_400_000;

/// The most late occurrences that one wake-up may catch up with.
pub const CATCH_UP_LIMIT_MAX: u32 = 10_000;

/// How many late occurrences are caught up with unless the schedule says otherwise.
pub const CATCH_UP_LIMIT_DEFAULT: core::num::NonZeroU32 = match core::num::NonZeroU32::new(100) {
    Some(limit) => limit,
    None => core::num::NonZeroU32::MIN,
};

/// How late an occurrence may be in milliseconds before the misfire policy decides, unless the schedule says otherwise.
pub const MISFIRE_GRACE_MS_DEFAULT: u64 = 60_000;

/// Where counting the occurrences of a cron schedule stops.
pub const COUNT_MAX: u64 = 10_000;

/// The most occurrences that one preview returns.
pub const UPCOMING_MAX: usize = 10_000;

/// The most bytes that a cron expression may have: more than one that lists every value of every field once.
pub const EXPRESSION_BYTES_MAX: usize = 4096;
