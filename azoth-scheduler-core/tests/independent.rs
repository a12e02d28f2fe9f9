//! Another implementation, `croner`, finds the same occurrences where the dialects agree.
//!
//! Left out is what it reads otherwise: ranges that wrap, 7 in ranges, and lists of times inside a change of the clocks.
#![cfg(feature = "engine")]

use azoth_scheduler_core::schedule::{Schedule, ScheduleError};
use azoth_scheduler_core::time::Timestamp;
use croner::parser::{CronParser, Seconds};
use jiff::Zoned;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::sample::select;

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Adelaide",
    "Asia/Kathmandu",
];

/// Values, ranges and ranges with steps.
fn list(min: u8, max: u8) -> impl Strategy<Value = String> {
    let item = (min..=max, min..=max, 1..=max - min, 0..5).prop_map(|(a, b, step, form)| {
        let (from, to) = (a.min(b), a.max(b));
        match form {
            0 if from < to => format!("{from}-{to}"),
            1 if from < to => format!("{from}-{to}/{step}"),
            _ => a.to_string(),
        }
    });
    proptest::collection::vec(item, 1..4).prop_map(|items| items.join(","))
}

fn days_and_months() -> impl Strategy<Value = String> {
    let day = prop_oneof![
        3 => select(&["*", "?", "L", "LW"][..]).prop_map(String::from),
        1 => (1..=28u8).prop_map(|day| format!("{day}W")),
        3 => list(1, 31),
    ];
    let month = prop_oneof![Just("*".to_string()), list(1, 12)];
    let weekday = prop_oneof![
        3 => select(&["*", "?", "MON-FRI", "SUN"][..]).prop_map(String::from),
        1 => (0..=6u8).prop_map(|day| format!("{day}L")),
        1 => (0..=6u8, 1..=5u8).prop_map(|(day, k)| format!("{day}#{k}")),
        2 => list(0, 6),
    ];
    (day, month, weekday).prop_map(|(day, month, weekday)| format!("{day} {month} {weekday}"))
}

/// Compares the next five instants; an expression that never fires has none.
fn compare(expression: &str, zone: &str, after: i64) -> Result<(), String> {
    let schedule = match Schedule::cron_in(expression, zone) {
        Err(ScheduleError::NeverFires { .. }) => return Ok(()),
        schedule => schedule.map_err(text)?,
    };
    let from = Timestamp::from_unix_seconds(after).map_err(text)?;
    let upcoming = schedule.upcoming(from, 5).map_err(text)?;
    let ours: Vec<i64> = upcoming.iter().map(|at| at.unix_seconds()).collect();
    let other = CronParser::builder().seconds(Seconds::Required).build().parse(expression).map_err(text)?;
    let zoned = TimeZone::get(zone).map_err(text)?;
    let mut last = jiff::Timestamp::from_second(after).map_err(text)?.to_zoned(zoned);
    let mut theirs = Vec::new();
    while let (true, Ok(next)) = (theirs.len() < 5, other.find_next_occurrence::<Zoned>(&last, false)) {
        theirs.push(next.timestamp().as_second());
        last = next;
    }
    if ours != theirs {
        return Err(format!("{expression} in {zone} after {after}: {ours:?}, but {theirs:?}"));
    }
    Ok(())
}

/// A second of the years 2000 to 2037, half of the time within a day of a change of the zone's clocks.
fn near(zone: &str, second: i64, near_change: bool, away: i64) -> i64 {
    let change = || {
        let zone = TimeZone::get(zone).ok()?;
        let change = zone.following(jiff::Timestamp::from_second(second).ok()?).next()?;
        Some(change.timestamp().as_second())
    };
    change().filter(|_| near_change).map_or(second, |change| change + away)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

const FROM: i64 = 946_684_800;
const TO: i64 = 2_145_916_800;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lists_of_times_agree_in_utc(
        time in (list(0, 59), list(0, 59), list(0, 23)),
        days in days_and_months(),
        after in FROM..TO,
    ) {
        let expression = format!("{} {} {} {days}", time.0, time.1, time.2);
        compare(&expression, "UTC", after).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn one_time_of_day_agrees_through_changes_of_the_clocks(
        time in (0..=59u8, 0..=59u8, prop_oneof![0..=3u8, 0..=23u8]),
        days in days_and_months(),
        zone in select(ZONES),
        (second, near_change, away) in (FROM..TO, any::<bool>(), -90_000..90_000i64),
    ) {
        let expression = format!("{} {} {} {days}", time.0, time.1, time.2);
        compare(&expression, zone, near(zone, second, near_change, away)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn rhythms_agree_through_changes_of_the_clocks(
        time in select(&["* * *", "*/20 * *", "0 * *", "0 */7 *", "30 */15 *"][..]),
        zone in select(ZONES),
        (second, near_change, away) in (FROM..TO, any::<bool>(), -9_000..9_000i64),
    ) {
        let expression = format!("{time} * * *");
        compare(&expression, zone, near(zone, second, near_change, away)).map_err(TestCaseError::fail)?;
    }
}
