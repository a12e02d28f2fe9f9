//! The search over minute, hour, day and month of a local time, done by `saffron`.
//!
//! No other file names that crate. It is handed a local time as if it were UTC, and only what it answers rightly:
//! values expanded to lists (no ranges, no steps), one of its expressions per list of days and per special form, and
//! only days that some listed month has (it would walk to the year 262142 otherwise). The least of their answers is
//! the rule that either day field suffices. `nW` beyond the 28th is wrong in shorter months, so every answer is
//! checked against our own day test, and the search goes on from the next day if it fails.

use alloc::vec;
use alloc::vec::Vec;

use chrono::{DateTime, Utc};
use saffron::Cron;
use saffron::parse::{
    CronExpr, DayOfMonth, DayOfMonthExpr, DayOfMonthOffset, DayOfWeek, DayOfWeekExpr, Expr, Exprs, Last,
    NthDay, OrsExpr,
};

use super::civil::{DAY_SECONDS, Date, MINUTE_SECONDS};
use super::cron::expression::{CronExpression, DaysOfWeek, Values, bit, bits, longest_month};

/// The search for the minutes that an expression names.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    expression: CronExpression,
    terms: Vec<Cron>,
}

impl Engine {
    /// Prepares the search; an expression that cannot fire finds nothing.
    pub(crate) fn new(expression: &CronExpression) -> Self {
        let terms = prepare(expression).unwrap_or_default();
        debug_assert_eq!(terms.is_empty(), !expression.can_fire(), "{expression}: every value was checked");
        Self { expression: *expression, terms }
    }

    /// The first matching minute strictly after `minute`, not after `until`. All are local seconds; `minute` and the
    /// answer are whole minutes.
    pub(crate) fn next_minute(&self, minute: i64, until: i64) -> Option<i64> {
        debug_assert_eq!(minute.rem_euclid(MINUTE_SECONDS), 0, "{minute} is no whole minute");
        self.terms.iter().filter_map(|term| self.next_of(term, minute, until)).min()
    }

    fn next_of(&self, term: &Cron, minute: i64, until: i64) -> Option<i64> {
        let mut after = minute;
        loop {
            let at = term.next_after(DateTime::<Utc>::from_timestamp(after, 0)?)?.timestamp();
            if at > until {
                return None;
            }
            let day = at.div_euclid(DAY_SECONDS);
            if self.expression.has_date(Date::from_days(day)) {
                return Some(at);
            }
            // The last minute of that day.
            after = day.checked_add(1)?.checked_mul(DAY_SECONDS)?.checked_sub(MINUTE_SECONDS)?;
        }
    }
}

/// One of saffron's expressions per list of days and per special form.
fn prepare(expression: &CronExpression) -> Option<Vec<Cron>> {
    let mut base: CronExpr = "* * * * *".parse().ok()?;
    base.minutes = values(&expression.minute)?;
    base.hours = values(&expression.hour)?;
    base.months = values(&expression.month)?;
    let (by_month, by_week) = (&expression.day_of_month, &expression.day_of_week);
    if by_month.values.every && by_week.values.every {
        return Some(vec![Cron::new(base)]);
    }
    let mut terms = Vec::new();
    if !by_month.values.every {
        let days = days_of_month(expression)?;
        terms.extend(days.into_iter().map(|doms| Cron::new(with(&base, |term| term.doms = doms))));
    }
    if !by_week.values.every {
        let days = days_of_week(by_week)?;
        terms.extend(days.into_iter().map(|dows| Cron::new(with(&base, |term| term.dows = dows))));
    }
    Some(terms)
}

fn with(base: &CronExpr, change: impl FnOnce(&mut CronExpr)) -> CronExpr {
    let mut term = base.clone();
    change(&mut term);
    term
}

/// The list and the special forms of the day of month, without days that no listed month has.
fn days_of_month(expression: &CronExpression) -> Option<Vec<DayOfMonthExpr>> {
    let days = &expression.day_of_month;
    let longest = (1..=12).filter(|&month| expression.month.contains(month));
    let longest = longest.map(longest_month).max().unwrap_or(0);
    let mut terms = Vec::new();
    let listed = days.values.mask & bit(longest.saturating_add(1)).wrapping_sub(1);
    if listed != 0 {
        terms.push(DayOfMonthExpr::Many(list(bits(listed))?));
    }
    for day in bits(days.nearest).filter(|&day| day <= longest) {
        terms.push(DayOfMonthExpr::ClosestWeekday(DayOfMonth::try_from(day).ok()?));
    }
    for n in bits(days.before_last).filter(|&n| n < longest) {
        terms.push(DayOfMonthExpr::Last(match n {
            0 => Last::Day,
            n => Last::Offset(DayOfMonthOffset::try_from(n).ok()?),
        }));
    }
    if days.last_weekday {
        terms.push(DayOfMonthExpr::Last(Last::Weekday));
    }
    Some(terms)
}

fn days_of_week(days: &DaysOfWeek) -> Option<Vec<DayOfWeekExpr>> {
    let mut terms = Vec::new();
    if days.values.mask != 0 {
        terms.push(DayOfWeekExpr::Many(list(bits(days.values.mask).map(sunday_as_1))?));
    }
    for day in bits(days.last) {
        terms.push(DayOfWeekExpr::Last(DayOfWeek::try_from(sunday_as_1(day)).ok()?));
    }
    for index in bits(days.nth) {
        let day = DayOfWeek::try_from(sunday_as_1(index & 7)).ok()?;
        terms.push(DayOfWeekExpr::Nth(day, NthDay::try_from(index >> 3).ok()?));
    }
    Some(terms)
}

/// saffron counts the days of the week from Sunday, 1.
fn sunday_as_1(day: u8) -> u8 {
    day.saturating_add(1)
}

fn values<E: TryFrom<u8>>(values: &Values) -> Option<Expr<E>> {
    if values.every {
        return Some(Expr::All);
    }
    Some(Expr::Many(list(bits(values.mask))?))
}

/// The values one by one.
fn list<E: TryFrom<u8>>(mut values: impl Iterator<Item = u8>) -> Option<Exprs<E>> {
    let mut list = Exprs::new(OrsExpr::One(E::try_from(values.next()?).ok()?));
    for value in values {
        list.tail.push(OrsExpr::One(E::try_from(value).ok()?));
    }
    Some(list)
}
