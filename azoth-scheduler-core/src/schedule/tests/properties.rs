//! Properties that hold for every expression, zone and instant.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::sample::select;

use super::model::{Model, models};
use super::oracle;
use crate::schedule::cron::{CronExpression, CronField};
use crate::schedule::duration::parse_duration;
use crate::schedule::engine::Engine;
use crate::schedule::{Schedule, ScheduleError};
use crate::time::Timestamp;

/// Zones with changes of all kinds: an hour, half an hour, two hours, a day; at midnight; four times a year.
const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Asia/Gaza",
];

fn seconds(from: i64, to: i64) -> impl Strategy<Value = Timestamp> {
    (from..to).prop_map(|seconds| Timestamp::from_unix_seconds(seconds).unwrap())
}

/// An instant of the years 1990 to 2040; with a zone, half of them within a day of one of its changes.
fn zone_and_instant() -> impl Strategy<Value = (&'static str, Timestamp)> {
    let around = (seconds(631_152_000, 2_208_988_800), -90_000i64..90_000, any::<bool>());
    (select(ZONES), around).prop_map(|(name, (at, away, near_change))| {
        let zone = TimeZone::get(name).unwrap();
        let change = zone.following(instant(at)).next().filter(|_| near_change);
        let at = change.map_or(at.unix_seconds(), |change| change.timestamp().as_second() + away);
        (name, Timestamp::from_unix_seconds(at).unwrap())
    })
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.unix_ms()).unwrap()
}

fn schedule(model: &Model, zone: &str) -> Option<Schedule> {
    match Schedule::cron_in(&model.to_string(), zone) {
        Ok(schedule) => Some(schedule),
        Err(ScheduleError::NeverFires { .. }) => None,
        Err(other) => panic!("{model}: {other}"),
    }
}

/// The occurrences in `(after, after + seconds]`, second by second, by the words of the rules: a fixed-time schedule runs
/// at a matching local time that no earlier instant has shown, and once at the end of a gap that holds one.
fn naive(model: &Model, zone: &TimeZone, after: Timestamp, seconds: i64) -> Vec<Timestamp> {
    let local = |second: i64| zone.to_datetime(jiff::Timestamp::from_second(second).unwrap());
    let first = after.unix_seconds() + 1;
    let step = |from: jiff::civil::DateTime| from.checked_add(jiff::Span::new().seconds(1)).unwrap();
    let mut greatest_shown = zone
        .preceding(jiff::Timestamp::from_second(first).unwrap())
        .take(3)
        .map(|change| local(change.timestamp().as_second() - 1))
        .chain([local(first - 1)])
        .max()
        .unwrap();
    let mut found = Vec::new();
    for second in first..first + seconds {
        let now = local(second);
        let mut fires = model.matches(now) && (model.is_wildcard() || now > greatest_shown);
        let mut left_out = step(greatest_shown);
        while !model.is_wildcard() && left_out < now {
            fires |= model.matches(left_out);
            left_out = step(left_out);
        }
        greatest_shown = greatest_shown.max(now);
        if fires {
            found.push(Timestamp::from_unix_seconds(second).unwrap());
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn upcoming_is_strictly_increasing_and_matches_its_fields(model in models(), (zone, after) in zone_and_instant()) {
        let Some(schedule) = schedule(&model, zone) else { return Ok(()) };
        let upcoming = schedule.upcoming(after, 20).unwrap();
        let zone = TimeZone::get(zone).unwrap();
        let mut last = after;
        for at in upcoming {
            prop_assert!(at > last, "{model}: {at} after {last}");
            prop_assert_eq!(at.unix_ms() % 1000, 0);
            let after_gap = zone.preceding(instant(at.saturating_add_ms(1))).next();
            let ends_a_gap = after_gap.is_some_and(|change| change.timestamp() == instant(at));
            prop_assert!(ends_a_gap || model.matches(zone.to_datetime(instant(at))), "{model}: {at}");
            last = at;
        }
    }

    #[test]
    fn nothing_but_the_occurrences_matches_in_a_window(model in models(), (zone, after) in zone_and_instant()) {
        const WINDOW_SECONDS: i64 = 4_000;
        let Some(schedule) = schedule(&model, zone) else { return Ok(()) };
        let calendar = schedule.calendar(after).unwrap();
        // Half the cases start just before an occurrence, so that sparse expressions are seen too.
        let after = match calendar.next(after) {
            Some(next) if next.unix_seconds() % 2 == 0 => next.saturating_add_ms(-1_000 * (WINDOW_SECONDS / 2)),
            _ => after,
        };
        let end = after.saturating_add_ms(1_000 * WINDOW_SECONDS);
        let found: Vec<_> = calendar.occurrences_after(after).take_while(|at| *at <= end).collect();
        let naive = naive(&model, &TimeZone::get(zone).unwrap(), after, WINDOW_SECONDS);
        let differs = found.iter().zip(&naive).find(|(found, naive)| found != naive);
        prop_assert!(found == naive, "{model} in {zone} after {after}: {} and {}, {differs:?}", found.len(), naive.len());
    }

    #[test]
    fn next_of_any_instant_between_two_occurrences_is_the_second(
        model in models(),
        (zone, after) in zone_and_instant(),
        part in 0..1000i64,
    ) {
        let Some(schedule) = schedule(&model, zone) else { return Ok(()) };
        let calendar = schedule.calendar(after).unwrap();
        let mut two = calendar.occurrences_after(after);
        let (Some(first), Some(second)) = (two.next(), two.next()) else { return Ok(()) };
        let between = first.saturating_add_ms(second.ms_since(first) / 1000 * part);
        prop_assert_eq!(calendar.next(between), Some(second), "{} in {} after {}", model, zone, between);
    }

    #[test]
    fn engine_finds_what_the_oracle_finds(model in models(), days in -200_000i64..900_000, minute in 0..1440i64) {
        let expression = CronExpression::parse(&model.to_string()).unwrap();
        let engine = Engine::new(&expression);
        let mut minute = days * 86_400 + minute * 60;
        for _ in 0..5 {
            let expected = oracle::next_minute(&expression, minute);
            let until = minute + 101 * 366 * 86_400;
            prop_assert_eq!(engine.next_minute(minute, until), expected, "{} after {}", model, minute);
            prop_assert!(expected.is_some() || !expression.can_fire(), "{} after {}", model, minute);
            let Some(next) = expected else { break };
            prop_assert!(expression.has_minute(next));
            minute = next;
        }
    }

    #[test]
    fn printed_expression_reads_as_the_same(model in models()) {
        let expression = CronExpression::parse(&model.to_string()).unwrap();
        let printed = expression.to_string();
        prop_assert_eq!(CronExpression::parse(&printed).unwrap(), expression, "{} as {}", model, printed);
        prop_assert_eq!(CronExpression::parse(&printed).unwrap().to_string(), printed);
        prop_assert_eq!(expression.is_wildcard(), model.is_wildcard());
        prop_assert!(!expression.describe().is_empty());
    }

    #[test]
    fn expression_of_hostile_pieces_is_answered_without_a_panic(text in "([0-9*?,/#LWlw@ -]|MON|FEB|60|99|\t|é){0,24}", zone in "\\PC{0,12}") {
        let answer = Schedule::cron_in(&text, &zone);
        let _ = answer.map_err(|error| error.to_string());
        if let Ok(schedule) = Schedule::cron(&text) {
            prop_assert!(schedule.upcoming(Timestamp::UNIX_EPOCH, 3).is_ok());
        }
    }

    #[test]
    fn any_text_is_answered_without_a_panic(text in "\\PC*") {
        let _ = Schedule::cron_in(&text, &text).map_err(|error| error.to_string());
        let _ = parse_duration(&text).map_err(|error| error.to_string());
    }

    #[test]
    fn error_points_at_its_text(model in models(), field in 0usize..6, junk in "[A-Za-z0-9#/,-]{1,6}") {
        let text = model.to_string();
        let mut fields: Vec<String> = text.split(' ').map(ToString::to_string).collect();
        fields[field] = junk;
        let text = fields.join(" ");
        if let Err(ScheduleError::Field { field: named, offset, text: offending, .. }) = CronExpression::parse(&text) {
            prop_assert!(text[offset..].starts_with(&offending), "{text}: {offending:?} at {offset}");
            prop_assert_eq!(named, CronField::ALL[text[..offset].matches(' ').count()]);
        }
    }
}
