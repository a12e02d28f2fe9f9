//! Changes of the clocks by example: gaps, repeats, zones of all kinds.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::*;
use crate::schedule::Schedule;
use crate::time::Timestamp;

/// An instant, from RFC 3339.
fn at(text: &str) -> Timestamp {
    let instant: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_unix_ms(instant.as_millisecond()).unwrap()
}

fn next(expression: &str, zone: &str, after: &str) -> Option<String> {
    let schedule = Schedule::cron_in(expression, zone).unwrap();
    let next = schedule.calendar(Timestamp::MIN).unwrap().next(at(after));
    next.map(|next| next.to_string())
}

/// All occurrences on a local date, as local times with their offset where a day shows them twice: `02:30+2`.
fn on(date: &str, expression: &str, zone_name: &str) -> Vec<String> {
    let zone = TimeZone::get(zone_name).unwrap();
    let date: DateTime = std::format!("{date}T00:00").parse().unwrap();
    let day_before = date.checked_sub(jiff::Span::new().days(2)).unwrap();
    let schedule = Schedule::cron_in(expression, zone_name).unwrap();
    let calendar = schedule.calendar(Timestamp::MIN).unwrap();
    let from = zone.to_timestamp(day_before).unwrap();
    calendar
        .occurrences_after(Timestamp::from_unix_ms(from.as_millisecond()).unwrap())
        .map(|at| jiff::Timestamp::from_millisecond(at.unix_ms()).unwrap())
        .map(|at| (zone.to_datetime(at), zone.to_offset(at)))
        .skip_while(|(local, _)| local.date() < date.date())
        .take_while(|(local, _)| local.date() == date.date())
        .map(|(local, offset)| std::format!("{}{:+}", local.strftime("%H:%M"), offset.seconds() / 3600))
        .collect()
}

#[test]
fn spring_forward_in_berlin_runs_fixed_times_once_at_the_end_of_the_gap() {
    for (expression, expected) in [
        ("0 30 2 * * *", &["03:00+2"][..]),
        ("0 0,30 2 * * *", &["03:00+2"]),
        ("0 30 1,2,3 * * *", &["01:30+1", "03:00+2", "03:30+2"]),
        ("0 0 1-4 * * *", &["01:00+1", "03:00+2", "04:00+2"]),
        ("0 59 2 * * *", &["03:00+2"]),
        ("0 0 2 * * *", &["03:00+2"]),
        ("0 0 3 * * *", &["03:00+2"]),
        ("0 0 2,3 * * *", &["03:00+2"]),
        ("30 59 1 * * *", &["01:59+1"]),
    ] {
        assert_eq!(on("2024-03-31", expression, "Europe/Berlin"), expected, "{expression}");
    }
}

#[test]
fn spring_forward_in_berlin_leaves_out_what_wildcards_name_inside_the_gap() {
    for (expression, expected) in [
        ("0 */15 2 * * *", &[][..]),
        ("* 30 2 * * *", &[]),
        ("0 30 */2 * * *", &["00:30+1", "04:30+2", "06:30+2"]),
        ("0 30 * * * *", &["00:30+1", "01:30+1", "03:30+2", "04:30+2"]),
    ] {
        let found = on("2024-03-31", expression, "Europe/Berlin");
        let start: Vec<_> = found.iter().take(expected.len().max(1)).collect();
        assert_eq!(start, expected.iter().collect::<Vec<_>>(), "{expression}");
    }
}

#[test]
fn fall_back_in_berlin_runs_fixed_times_the_first_time_only() {
    for (expression, expected) in [
        ("0 30 2 * * *", &["02:30+2"][..]),
        ("0 0,30 2 * * *", &["02:00+2", "02:30+2"]),
        ("0 30 1,2,3 * * *", &["01:30+2", "02:30+2", "03:30+1"]),
        ("0 0 1-4 * * *", &["01:00+2", "02:00+2", "03:00+1", "04:00+1"]),
    ] {
        assert_eq!(on("2024-10-27", expression, "Europe/Berlin"), expected, "{expression}");
    }
}

#[test]
fn fall_back_in_berlin_runs_wildcards_both_times() {
    let quarters: Vec<String> = ["+2", "+1"]
        .iter()
        .flat_map(|offset| [0, 15, 30, 45].map(|minute| std::format!("02:{minute:02}{offset}")))
        .collect();
    assert_eq!(on("2024-10-27", "0 */15 2 * * *", "Europe/Berlin"), quarters);
    let half_past = on("2024-10-27", "0 30 * * * *", "Europe/Berlin");
    assert_eq!(half_past.len(), 25);
    assert_eq!(half_past[1..5], ["01:30+2", "02:30+2", "02:30+1", "03:30+1"]);
    let every_other = on("2024-10-27", "0 30 */2 * * *", "Europe/Berlin");
    assert_eq!(every_other[..4], ["00:30+2", "02:30+2", "02:30+1", "04:30+1"]);
}

#[test]
fn wildcard_seconds_keep_their_rhythm_in_elapsed_time_through_both_changes() {
    for around in ["2024-03-31T01:00:00Z", "2024-10-27T01:00:00Z"] {
        let schedule = Schedule::cron_in("*/30 * * * * *", "Europe/Berlin").unwrap();
        let from = at(around).saturating_add_ms(-7_200_000);
        let upcoming = schedule.upcoming(from, 600).unwrap();
        assert!(upcoming.windows(2).all(|pair| pair[1].ms_since(pair[0]) == 30_000), "{around}");
    }
}

#[test]
fn start_inside_the_second_run_of_a_repeat_does_not_fire_a_fixed_time_again() {
    let berlin = |after| next("0 30 2 * * *", "Europe/Berlin", after).unwrap();
    assert_eq!(berlin("2024-10-27T00:00:00Z"), "2024-10-27T00:30:00Z");
    assert_eq!(berlin("2024-10-27T00:30:00Z"), "2024-10-28T01:30:00Z");
    assert_eq!(berlin("2024-10-27T01:00:00Z"), "2024-10-28T01:30:00Z");
    assert_eq!(berlin("2024-10-27T01:15:00Z"), "2024-10-28T01:30:00Z");
}

#[test]
fn start_hours_into_a_long_repeat_does_not_fire_a_fixed_time_again() {
    // Troll shows 01:00-03:00 twice, Alaska once showed a whole day twice.
    let troll = |after| next("0 45 2 * * *", "Antarctica/Troll", after).unwrap();
    assert_eq!(troll("2024-10-27T00:00:00Z"), "2024-10-27T00:45:00Z");
    assert_eq!(troll("2024-10-27T02:30:00Z"), "2024-10-28T02:45:00Z");
    let sitka = |after| next("0 0 12 19 10 *", "America/Sitka", after).unwrap();
    assert_eq!(sitka("1867-10-19T20:00:00Z"), "1868-10-19T21:01:13Z");
}

#[test]
fn search_that_starts_inside_or_at_the_end_of_a_gap_finds_the_next_day() {
    let berlin = |after| next("0 30 2 * * *", "Europe/Berlin", after).unwrap();
    assert_eq!(berlin("2024-03-31T00:59:59.999Z"), "2024-03-31T01:00:00Z");
    assert_eq!(berlin("2024-03-31T01:00:00Z"), "2024-04-01T00:30:00Z");
}

#[test]
fn midnight_that_does_not_exist_runs_when_the_day_begins() {
    assert_eq!(on("2018-11-04", "0 0 0 * * *", "America/Sao_Paulo"), ["01:00-2"]);
    assert_eq!(
        next("0 0 0 * * *", "America/Sao_Paulo", "2018-11-04T00:00:00Z").unwrap(),
        "2018-11-04T03:00:00Z"
    );
}

#[test]
fn half_hour_change_at_lord_howe_is_a_gap_and_a_repeat_like_any_other() {
    // 2024-10-06 02:00-02:30 is left out; 2024-04-07 01:30-02:00 is shown twice.
    assert_eq!(
        next("0 15 2 * * *", "Australia/Lord_Howe", "2024-10-05T12:00:00Z").unwrap(),
        "2024-10-05T15:30:00Z"
    );
    assert_eq!(
        next("0 45 1 * * *", "Australia/Lord_Howe", "2024-04-06T12:00:00Z").unwrap(),
        "2024-04-06T14:45:00Z"
    );
    assert_eq!(
        next("0 45 1 * * *", "Australia/Lord_Howe", "2024-04-06T14:45:00Z").unwrap(),
        "2024-04-07T15:15:00Z"
    );
    assert_eq!(on("2024-04-07", "0 45 * * * *", "Australia/Lord_Howe").len(), 25);
}

#[test]
fn two_hour_change_at_troll_is_a_gap_like_any_other() {
    assert_eq!(on("2024-03-31", "0 30 1,2 * * *", "Antarctica/Troll"), ["03:00+2"]);
    assert_eq!(on("2024-10-27", "0 30 1,2 * * *", "Antarctica/Troll"), ["01:30+2", "02:30+2"]);
}

#[test]
fn day_that_apia_left_out_runs_when_the_next_one_begins() {
    // Friday 2011-12-30 did not exist; Saturday began at 10:00Z.
    assert_eq!(
        next("0 0 9 * * FRI", "Pacific/Apia", "2011-12-29T12:00:00Z").unwrap(),
        "2011-12-30T10:00:00Z"
    );
    assert_eq!(
        next("0 0 9 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00Z").unwrap(),
        "2011-12-30T10:00:00Z"
    );
    assert_eq!(
        next("0 */20 9 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00Z").unwrap(),
        "2012-12-29T19:00:00Z"
    );
}

#[test]
fn day_that_was_shown_twice_runs_fixed_times_once() {
    // Alaska went from 15 hours ahead to 9 behind: it showed the time from 18 October 1867, 15:30, on for a day, twice.
    let noon = Schedule::cron_in("0 0 12 19 10 *", "America/Sitka").unwrap();
    let upcoming = noon.upcoming(at("1867-10-18T00:00:00Z"), 2).unwrap();
    assert_eq!(upcoming[0], at("1867-10-18T21:01:13Z"));
    assert_eq!(upcoming[1], at("1868-10-19T21:01:13Z"));
    let every_hour = Schedule::cron_in("0 0 * 19 10 *", "America/Sitka").unwrap();
    let upcoming = every_hour.upcoming(at("1867-10-18T00:00:00Z"), 41).unwrap();
    assert_eq!(upcoming[40].to_string()[..4], *"1868");
    assert_eq!(upcoming[39].to_string()[..4], *"1867");
}

#[test]
fn fixed_time_at_the_end_of_a_gap_merges_with_the_one_from_inside_it() {
    assert_eq!(on("2024-03-31", "0 0 2,3 * * *", "Europe/Berlin"), ["03:00+2"]);
    // 12 March 2023, New York: 02:00-03:00 is left out.
    assert_eq!(on("2023-03-12", "0 15,45 2 * * *", "America/New_York"), ["03:00-4"]);
}

#[test]
fn daily_jobs_happen_once_a_day_in_every_zone_through_every_change() {
    for (zone, from) in [
        ("Africa/Casablanca", "2024-01-01T00:00:00Z"),
        ("Africa/Cairo", "2023-03-01T00:00:00Z"),
        ("America/Nuuk", "2023-01-01T00:00:00Z"),
        ("Asia/Tehran", "2021-01-01T00:00:00Z"),
        ("Asia/Pyongyang", "2015-01-01T00:00:00Z"),
        ("Australia/Lord_Howe", "2024-01-01T00:00:00Z"),
        ("Europe/Dublin", "2024-01-01T00:00:00Z"),
    ] {
        for time in ["0 0 0", "0 30 0", "0 15 1", "0 30 2", "59 59 23"] {
            let schedule = Schedule::cron_in(&std::format!("{time} * * *"), zone).unwrap();
            let days = schedule.upcoming(at(from), 800).unwrap();
            let last = days.last().unwrap().ms_since(at(from));
            assert!((798..=801).contains(&(last / 86_400_000)), "{zone} {time}");
            assert!(days.windows(2).all(|pair| {
                let hours = pair[1].ms_since(pair[0]) / 3_600_000;
                (22..=26).contains(&hours)
            }));
        }
    }
}

#[test]
fn month_ends_are_never_clamped() {
    let days = |expression, after: &str, n| {
        let schedule = Schedule::cron(expression).unwrap();
        let upcoming = schedule.upcoming(at(after), n).unwrap();
        upcoming.iter().map(|at| at.to_string()[..10].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        days("0 0 0 31 * *", "2023-01-31T00:00:00Z", 7),
        ["2023-03-31", "2023-05-31", "2023-07-31", "2023-08-31", "2023-10-31", "2023-12-31", "2024-01-31"]
    );
    assert_eq!(days("0 0 0 29 2 *", "2096-03-01T00:00:00Z", 2), ["2104-02-29", "2108-02-29"]);
    assert_eq!(days("0 0 0 L 2 *", "2099-01-01T00:00:00Z", 2), ["2099-02-28", "2100-02-28"]);
    assert_eq!(days("0 0 0 L-30 * *", "2023-01-02T00:00:00Z", 2), ["2023-03-01", "2023-05-01"]);
    assert_eq!(days("0 0 0 L-29 * *", "2023-03-02T00:00:00Z", 2), ["2023-04-01", "2023-05-02"]);
}

#[test]
fn nearest_weekday_never_leaves_its_month() {
    let day = |expression, after: &str| next(expression, "UTC", after).unwrap()[..10].to_string();
    // 1 June 2024 is a Saturday, 1 September 2024 a Sunday, 31 August 2024 a Saturday, 30 June 2024 a Sunday.
    assert_eq!(day("0 0 0 1W * *", "2024-05-31T00:00:00Z"), "2024-06-03");
    assert_eq!(day("0 0 0 1W 9 *", "2024-06-30T00:00:00Z"), "2024-09-02");
    assert_eq!(day("0 0 0 31W 8 *", "2024-08-01T00:00:00Z"), "2024-08-30");
    assert_eq!(day("0 0 0 30W 6 *", "2024-06-01T00:00:00Z"), "2024-06-28");
    assert_eq!(day("0 0 0 LW 6 *", "2024-06-01T00:00:00Z"), "2024-06-28");
    assert_eq!(day("0 0 0 15W * *", "2024-06-01T00:00:00Z"), "2024-06-14");
    assert_eq!(day("0 0 0 16W * *", "2024-06-15T00:00:00Z"), "2024-06-17");
    // A month without the day has no match.
    assert_eq!(day("0 0 0 31W * *", "2024-11-01T00:00:00Z"), "2024-12-31");
    assert_eq!(day("0 0 0 29W 2 *", "2024-03-01T00:00:00Z"), "2028-02-29");
    assert_eq!(day("0 0 0 29W 2 *", "2028-03-01T00:00:00Z"), "2032-02-27");
}

#[test]
fn last_and_nth_weekdays_are_those_of_the_month() {
    let day = |expression, after: &str| next(expression, "UTC", after).unwrap()[..10].to_string();
    assert_eq!(day("0 0 0 * * 5L", "2024-02-24T00:00:00Z"), "2024-03-29");
    assert_eq!(day("0 0 0 * * 7L", "2024-06-01T00:00:00Z"), "2024-06-30");
    assert_eq!(day("0 0 0 * * 4#5", "2024-02-01T00:00:00Z"), "2024-02-29");
    assert_eq!(day("0 0 0 * * 5#5", "2024-04-01T00:00:00Z"), "2024-05-31");
    assert_eq!(day("0 0 0 * 2 1#5", "2024-01-01T00:00:00Z"), "2044-02-29");
    assert_eq!(day("0 0 0 * 2 0#5", "2088-01-01T00:00:00Z"), "2088-02-29");
}

#[test]
fn either_day_field_suffices_when_both_are_restricted() {
    let days = |expression| {
        let upcoming = Schedule::cron(expression).unwrap().upcoming(at("2024-08-31T00:00:00Z"), 4).unwrap();
        upcoming.iter().map(|at| at.to_string()[5..10].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(days("0 0 0 3 * 1"), ["09-02", "09-03", "09-09", "09-16"]);
    assert_eq!(days("0 0 0 */15 * SUN"), ["09-01", "09-08", "09-15", "09-16"]);
    assert_eq!(days("0 0 0 1-31 * MON"), ["09-01", "09-02", "09-03", "09-04"]);
    assert_eq!(days("0 0 0 LW * FRI#2"), ["09-13", "09-30", "10-11", "10-31"]);
}

#[test]
fn search_floors_its_start_to_the_second_and_is_strict() {
    let noon = |after| next("0 0 12 * * *", "UTC", after).unwrap();
    assert_eq!(noon("2024-05-05T11:59:59.500Z"), "2024-05-05T12:00:00Z");
    assert_eq!(noon("2024-05-05T12:00:00Z"), "2024-05-06T12:00:00Z");
    assert_eq!(noon("2024-05-05T12:00:00.999Z"), "2024-05-06T12:00:00Z");
    assert_eq!(noon("1969-12-31T11:59:59.999Z"), "1969-12-31T12:00:00Z");
}

#[test]
fn search_ends_with_the_supported_years() {
    let before_end = |expression, zone, seconds: i64| {
        let calendar = Schedule::cron_in(expression, zone).unwrap().calendar(Timestamp::MIN).unwrap();
        calendar.next(Timestamp::MAX.saturating_add_ms(-1_000 * seconds)).map(|at| at.to_string())
    };
    assert_eq!(before_end("* * * * * *", "UTC", 1).unwrap(), "9999-12-31T23:59:59Z");
    assert_eq!(before_end("* * * * * *", "UTC", 0), None);
    assert!(before_end("* * * * * *", "Asia/Tokyo", 3_600).is_some());
    assert_eq!(before_end("0 0 0 1 1 *", "Europe/Berlin", 86_400).unwrap(), "9999-12-31T23:00:00Z");
    assert_eq!(before_end("0 0 0 1 1 *", "America/Lima", 86_400), None);
    assert_eq!(before_end("0 0 0 29 2 *", "Europe/Berlin", 3 * 365 * 86_400), None);
    let calendar = Schedule::cron("* * * * * *").unwrap().calendar(Timestamp::MIN).unwrap();
    assert_eq!(calendar.next(Timestamp::MIN), Timestamp::MIN.checked_add_ms(1_000));
}

#[test]
fn sparse_expression_in_a_zone_with_many_changes_is_found_by_leaps() {
    assert_eq!(
        next("0 30 2 * 2 1#5", "Europe/Berlin", "2044-03-01T00:00:00Z").unwrap(),
        "2072-02-29T01:30:00Z"
    );
    assert_eq!(
        next("* * 2 * 2 1#5", "Africa/Casablanca", "2044-03-01T00:00:00Z").unwrap()[..10],
        *"2072-02-29"
    );
}

#[test]
fn search_gives_up_after_a_hundred_years() {
    let never =
        CronSearch::new(CronExpression::parse("0 0 0 30 2 *").unwrap(), Zone::new("Europe/Berlin").unwrap());
    assert_eq!(never.next(0, &mut None), None);
}
