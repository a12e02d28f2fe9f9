//! Dates of the proleptic Gregorian calendar, and seconds of a local clock, in plain integers.
//!
//! A local time is written as if it were UTC: `i64` seconds since 1970-01-01T00:00:00 on that local clock.

use super::cron::expression::longest_month;

/// Seconds of a minute.
pub(crate) const MINUTE_SECONDS: i64 = 60;

/// Seconds of an hour.
pub(crate) const HOUR_SECONDS: i64 = 3_600;

/// Seconds of a day.
pub(crate) const DAY_SECONDS: i64 = 86_400;

/// A date, with what the day fields of a cron expression ask about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    /// 1 to 12.
    pub(crate) month: u8,
    /// 1 to 31.
    pub(crate) day: u8,
    /// 0 is Sunday, 6 is Saturday.
    pub(crate) weekday: u8,
    /// 28 to 31.
    pub(crate) days_in_month: u8,
}

impl Date {
    /// The date so many days after 1970-01-01.
    ///
    /// The years are counted from March on, so that the leap day is the last day of one
    /// (Howard Hinnant, "chrono-compatible low-level date algorithms").
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "all callers stay within the years -9999 to 9999, about 4 million days"
    )]
    pub(crate) fn from_days(days: i64) -> Self {
        let days_from_march_0 = days + 719_468;
        let era = days_from_march_0.div_euclid(146_097);
        let day_of_era = days_from_march_0.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self {
            month: small(month),
            day: small(day),
            weekday: small((days + 4).rem_euclid(7)),
            days_in_month: days_in_month(small(month), year),
        }
    }
}

fn days_in_month(month: u8, year: i64) -> u8 {
    match month {
        2 if !is_leap_year(year) => 28,
        _ => longest_month(month),
    }
}

const fn is_leap_year(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// A value that is known to lie within a byte.
pub(crate) fn small(value: i64) -> u8 {
    debug_assert!((0..=255).contains(&value), "{value} is no byte");
    u8::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_another_calendar_for_three_eras() {
        let first = time::Date::from_calendar_date(1, time::Month::January, 1).unwrap();
        let epoch = time::Date::from_calendar_date(1970, time::Month::January, 1).unwrap();
        let mut days = (first - epoch).whole_days();
        let mut date = first;
        while date.year() < 1300 {
            let expected = Date {
                month: date.month().into(),
                day: date.day(),
                weekday: date.weekday().number_days_from_sunday(),
                days_in_month: date.month().length(date.year()),
            };
            assert_eq!(Date::from_days(days), expected, "{date}");
            (date, days) = (date.next_day().unwrap(), days + 1);
        }
    }

    #[test]
    fn epoch_is_a_thursday_and_the_last_supported_day_a_friday() {
        let epoch = Date::from_days(0);
        assert_eq!((epoch.month, epoch.day, epoch.weekday, epoch.days_in_month), (1, 1, 4, 31));
        let last = Date::from_days(2_932_896);
        assert_eq!((last.month, last.day, last.weekday), (12, 31, 5));
        let leap = Date::from_days(11_016);
        assert_eq!((leap.month, leap.day, leap.weekday, leap.days_in_month), (2, 29, 2, 29));
    }
}
