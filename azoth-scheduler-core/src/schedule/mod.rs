//! When a task runs: cron expressions in time zones, anchored intervals, one-time instants; and what becomes of
//! occurrences that nobody could run in time.
//!
//! ```
//! # #[cfg(feature = "engine")] {
//! use azoth_scheduler_core::schedule::Schedule;
//! use azoth_scheduler_core::time::Timestamp;
//!
//! let schedule = Schedule::cron_in("0 0 9 * * 1-5", "Europe/Berlin")?;
//! let friday = Timestamp::from_unix_seconds(1_711_695_600)?; // 2024-03-29T07:00:00Z
//! let upcoming = schedule.upcoming(friday, 2)?;
//! assert_eq!(upcoming[0].to_string(), "2024-03-29T08:00:00Z");
//! assert_eq!(upcoming[1].to_string(), "2024-04-01T07:00:00Z"); // summer time since Sunday
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "engine")]
mod calendar;
#[cfg(feature = "engine")]
mod civil;
pub mod cron;
#[cfg(feature = "engine")]
mod definition;
#[cfg(feature = "engine")]
mod describe;
pub mod duration;
#[cfg(feature = "engine")]
mod engine;
mod error;
#[cfg(feature = "engine")]
mod jitter;
#[cfg(feature = "engine")]
mod misfire;
#[cfg(feature = "engine")]
mod overlap;
#[cfg(feature = "engine")]
mod search;
#[cfg(feature = "engine")]
mod spec;
#[cfg(test)]
#[cfg(feature = "engine")]
mod tests;
#[cfg(feature = "engine")]
mod zone;

#[cfg(feature = "engine")]
pub use self::calendar::{Calendar, Count, Upcoming};
#[cfg(feature = "engine")]
pub use self::definition::{Misfire, MisfirePolicy, Overlap, Schedule, Timing};
pub use self::error::ScheduleError;
#[cfg(feature = "engine")]
pub use self::jitter::jitter_ms;
#[cfg(feature = "engine")]
pub use self::misfire::{Fate, LateCause, Miss, Passed, Reckoning, Run, Skip, reckon};
#[cfg(feature = "engine")]
pub use self::overlap::reckon_overlap;
#[cfg(feature = "engine")]
pub use self::spec::CronSpec;
#[cfg(feature = "engine")]
pub use self::zone::zone_data_version;

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
