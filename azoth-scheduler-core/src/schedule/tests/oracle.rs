//! A second search, over bit masks: the oracle that the engine is compared with, and the way out if it ever has to go.
//!
//! It goes month by month with one mask of matching days each, made from the calendar of the `time` crate.

use time::{Date, Duration, Month, PrimitiveDateTime, Time};

use crate::schedule::cron::expression::{CronExpression, bit, bits};

/// The first matching minute strictly after a whole minute, both local seconds, within 100 years.
pub(super) fn next_minute(expression: &CronExpression, minute: i64) -> Option<i64> {
    let epoch = PrimitiveDateTime::new(Date::from_ordinal_date(1970, 1).unwrap(), Time::MIDNIGHT);
    let from = epoch + Duration::seconds(minute + 60);
    let (mut year, mut month) = (from.year(), from.month());
    while year <= from.year() + 100 {
        for day in bits(days(expression, year, month)) {
            let date = Date::from_calendar_date(year, month, day).unwrap();
            for (hour, minute) in times(expression) {
                let at = date.with_hms(hour, minute, 0).unwrap();
                if at >= from {
                    return Some((at - epoch).whole_seconds());
                }
            }
        }
        month = month.next();
        year += i32::from(month == Month::January);
    }
    None
}

fn times(expression: &CronExpression) -> impl Iterator<Item = (u8, u8)> {
    let minutes = bits(expression.minute.mask);
    bits(expression.hour.mask).flat_map(move |hour| minutes.clone().map(move |minute| (hour, minute)))
}

/// The matching days of a month.
fn days(expression: &CronExpression, year: i32, month: Month) -> u64 {
    let length = month.length(year);
    let all = bit(length + 1) - 2;
    if !expression.month.contains(month.into()) {
        return 0;
    }
    let weekday =
        |day: u8| Date::from_calendar_date(year, month, day).unwrap().weekday().number_days_from_sunday();
    let (by_month, by_week) = (&expression.day_of_month, &expression.day_of_week);
    let mut of_month = by_month.values.mask;
    for day in
        bits(by_month.nearest).chain(by_month.last_weekday.then_some(length)).filter(|day| *day <= length)
    {
        let work_days = (1..=length).filter(|&d| (1..=5).contains(&weekday(d)));
        of_month |= bit(work_days.min_by_key(|d| (d.abs_diff(day), *d)).unwrap());
    }
    for n in bits(by_month.before_last).filter(|n| *n < length) {
        of_month |= bit(length - n);
    }
    let mut of_week = 0;
    for day in 1..=length {
        let (k, is_last) = ((day - 1) / 7 + 1, day + 7 > length);
        let named = by_week.values.contains(weekday(day))
            || (is_last && by_week.last & bit(weekday(day)) != 0)
            || by_week.nth & bit(8 * k + weekday(day)) != 0;
        of_week |= if named { bit(day) } else { 0 };
    }
    all & match (by_month.values.every, by_week.values.every) {
        (true, true) => all,
        (false, true) => of_month,
        (true, false) => of_week,
        (false, false) => of_month | of_week,
    }
}
