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

mod bounds;
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

pub use self::bounds::{
    CATCH_UP_LIMIT_DEFAULT, CATCH_UP_LIMIT_MAX, COUNT_MAX, INTERVAL_MS_MAX, JITTER_MS_MAX,
    MISFIRE_GRACE_MS_DEFAULT, UPCOMING_MAX,
};
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
