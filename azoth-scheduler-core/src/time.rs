//! Instants as core knows them: whole milliseconds of POSIX time, within the years that can be written.

use core::fmt;

use time::OffsetDateTime;

/// An instant in UTC: milliseconds since 1970-01-01T00:00:00Z (POSIX time, no leap seconds).
///
/// The range is 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z; arithmetic fails or saturates at its ends and
/// never wraps.
///
/// ```
/// use azoth_scheduler_core::time::Timestamp;
///
/// let at = Timestamp::from_unix_seconds(1_700_000_000)?;
/// assert_eq!(at.to_string(), "2023-11-14T22:13:20Z");
/// # Ok::<(), azoth_scheduler_core::time::TimestampError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    unix_ms: i64,
}

/// A number that is no instant within the supported years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{value} {unit} since 1970 lies outside the supported years 0001 to 9999: give UTC as {unit} since 1970"
)]
#[non_exhaustive]
pub struct TimestampError {
    /// The number as given.
    pub value: i64,
    /// What it was taken to count, such as `seconds`.
    pub unit: &'static str,
}

impl Timestamp {
    /// The earliest instant, 0001-01-01T00:00:00Z.
    pub const MIN: Timestamp = Timestamp { unix_ms: -62_135_596_800_000 };
    /// The latest instant, 9999-12-31T23:59:59.999Z.
    pub const MAX: Timestamp = Timestamp { unix_ms: 253_402_300_799_999 };
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Timestamp = Timestamp { unix_ms: 0 };

    /// The instant so many milliseconds after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`TimestampError`] outside the years 0001 to 9999.
    pub const fn from_unix_ms(unix_ms: i64) -> Result<Self, TimestampError> {
        if unix_ms < Self::MIN.unix_ms || unix_ms > Self::MAX.unix_ms {
            return Err(TimestampError { value: unix_ms, unit: "milliseconds" });
        }
        Ok(Self { unix_ms })
    }

    /// The instant so many seconds after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`TimestampError`] outside the years 0001 to 9999.
    pub const fn from_unix_seconds(seconds: i64) -> Result<Self, TimestampError> {
        let error = TimestampError { value: seconds, unit: "seconds" };
        match seconds.checked_mul(1000) {
            Some(unix_ms) => match Self::from_unix_ms(unix_ms) {
                Ok(at) => Ok(at),
                Err(_) => Err(error),
            },
            None => Err(error),
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn unix_ms(self) -> i64 {
        self.unix_ms
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded towards the past.
    pub const fn unix_seconds(self) -> i64 {
        self.unix_ms.div_euclid(1000)
    }

    /// This instant moved by so many milliseconds, or `None` outside the supported years.
    pub const fn checked_add_ms(self, span_ms: i64) -> Option<Self> {
        match self.unix_ms.checked_add(span_ms) {
            Some(unix_ms) => match Self::from_unix_ms(unix_ms) {
                Ok(at) => Some(at),
                Err(_) => None,
            },
            None => None,
        }
    }

    /// This instant moved by so many milliseconds, stopping at [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    pub const fn saturating_add_ms(self, span_ms: i64) -> Self {
        match self.checked_add_ms(span_ms) {
            Some(at) => at,
            None if span_ms < 0 => Self::MIN,
            None => Self::MAX,
        }
    }

    /// Milliseconds from `earlier` to this instant; negative when `earlier` is the later one.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "both lie within the supported years, far from i64's ends"
    )]
    pub const fn ms_since(self, earlier: Timestamp) -> i64 {
        self.unix_ms - earlier.unix_ms
    }
}

impl TryFrom<OffsetDateTime> for Timestamp {
    type Error = TimestampError;

    /// The same instant, rounded down to the millisecond; the offset is not kept.
    fn try_from(at: OffsetDateTime) -> Result<Self, TimestampError> {
        let ms = at.unix_timestamp_nanos().div_euclid(1_000_000);
        let ms =
            i64::try_from(ms).map_err(|_| TimestampError { value: at.unix_timestamp(), unit: "seconds" })?;
        Self::from_unix_ms(ms)
    }
}

impl From<Timestamp> for OffsetDateTime {
    fn from(at: Timestamp) -> Self {
        let nanos = i128::from(at.unix_ms).saturating_mul(1_000_000);
        match OffsetDateTime::from_unix_timestamp_nanos(nanos) {
            Ok(at) => at,
            Err(_) => unreachable!("the range of Timestamp lies within the years 1 to 9999"),
        }
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with three digits of a second only where they are not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from(*self);
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match at.millisecond() {
            0 => f.write_str("Z"),
            ms => write!(f, ".{ms:03}Z"),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn ends_of_the_range_are_the_first_and_last_supported_instants() {
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
        assert!(Timestamp::from_unix_ms(Timestamp::MAX.unix_ms() + 1).is_err());
        assert!(Timestamp::from_unix_ms(Timestamp::MIN.unix_ms() - 1).is_err());
    }

    #[test]
    fn seconds_that_overflow_are_refused_with_the_number_given() {
        let error = Timestamp::from_unix_seconds(i64::MAX).unwrap_err();
        assert_eq!(error.value, i64::MAX);
        assert!(error.to_string().contains("9223372036854775807 seconds"), "{error}");
    }

    #[test]
    fn addition_saturates_at_both_ends() {
        assert_eq!(Timestamp::MAX.saturating_add_ms(1), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.saturating_add_ms(i64::MIN), Timestamp::MIN);
        assert_eq!(Timestamp::MAX.checked_add_ms(1), None);
    }

    #[test]
    fn offsets_and_fractions_are_dropped_towards_the_past() {
        let at = time::OffsetDateTime::from_unix_timestamp_nanos(-1).unwrap();
        assert_eq!(Timestamp::try_from(at).unwrap().unix_ms(), -1);
        assert_eq!(Timestamp::UNIX_EPOCH.saturating_add_ms(-1).unix_seconds(), -1);
    }
}
