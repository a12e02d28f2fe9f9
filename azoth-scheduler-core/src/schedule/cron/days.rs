//! Which dates the day fields and the month name.

use super::expression::{CronExpression, DaysOfMonth, DaysOfWeek, bit};
use crate::schedule::civil::{DAY_SECONDS, Date, HOUR_SECONDS, MINUTE_SECONDS, small};

impl CronExpression {
    /// Whether a whole minute, in local seconds, is one of the expression's.
    pub(crate) fn has_minute(&self, minute: i64) -> bool {
        let of_day = minute.rem_euclid(DAY_SECONDS);
        self.hour.contains(small(of_day.div_euclid(HOUR_SECONDS)))
            && self.minute.contains(small(of_day.rem_euclid(HOUR_SECONDS).div_euclid(MINUTE_SECONDS)))
            && self.has_date(Date::from_days(minute.div_euclid(DAY_SECONDS)))
    }

    /// Whether the date is one of the expression's.
    pub(crate) fn has_date(&self, date: Date) -> bool {
        self.month.contains(date.month) && self.has_day(date)
    }

    /// Both day fields restricted: either one suffices.
    fn has_day(&self, date: Date) -> bool {
        let (by_month, by_week) = (&self.day_of_month, &self.day_of_week);
        match (by_month.values.every, by_week.values.every) {
            (true, true) => true,
            (false, true) => by_month.has(date),
            (true, false) => by_week.has(date),
            (false, false) => by_month.has(date) || by_week.has(date),
        }
    }
}

impl DaysOfMonth {
    fn has(&self, date: Date) -> bool {
        let from_end = date.days_in_month.saturating_sub(date.day);
        self.values.contains(date.day)
            || self.before_last & bit(from_end) != 0
            || (self.last_weekday && is_nearest(date, date.days_in_month))
            || self.has_nearest(date)
    }

    /// `nW`: a date can only stand for days up to two away.
    fn has_nearest(&self, date: Date) -> bool {
        let from = date.day.saturating_sub(2).max(1);
        let to = date.day.saturating_add(2).min(date.days_in_month);
        self.nearest != 0 && (from..=to).any(|day| self.nearest & bit(day) != 0 && is_nearest(date, day))
    }
}

impl DaysOfWeek {
    #[expect(clippy::arithmetic_side_effects, reason = "day is 1 to 31 and weekday 0 to 6")]
    fn has(&self, date: Date) -> bool {
        let is_last = date.days_in_month.saturating_sub(date.day) < 7;
        let k = (date.day.saturating_sub(1)) / 7 + 1;
        self.values.contains(date.weekday)
            || (is_last && self.last & bit(date.weekday) != 0)
            || self.nth & bit(8 * k + date.weekday) != 0
    }
}

/// Whether `date` is the Monday-to-Friday day that stands for day `day` of its month, never leaving the month.
#[expect(clippy::arithmetic_side_effects, reason = "days are 1 to 31")]
fn is_nearest(date: Date, day: u8) -> bool {
    let weekday_of_day = (i16::from(date.weekday) + i16::from(day) - i16::from(date.day)).rem_euclid(7);
    let stands_in = match weekday_of_day {
        SATURDAY if day == 1 => 3,
        SATURDAY => day - 1,
        SUNDAY if day == date.days_in_month => day.saturating_sub(2),
        SUNDAY => day + 1,
        _ => day,
    };
    stands_in == date.day
}

const SUNDAY: i16 = 0;
const SATURDAY: i16 = 6;
