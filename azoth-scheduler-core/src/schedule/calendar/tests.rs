//! Examples of searches: newest, counted, within windows.

use core::time::Duration;

use super::*;
use crate::schedule::Schedule;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds).unwrap()
}

fn calendar(expression: &str) -> Calendar {
    Schedule::cron(expression).unwrap().calendar(at(0)).unwrap()
}

#[test]
fn count_is_exact_up_to_ten_thousand() {
    let every_second = calendar("* * * * * *");
    for (seconds, number, exact) in
        [(0, 0, true), (9_999, 9_999, true), (10_000, 10_000, true), (10_001, 10_000, false)]
    {
        assert_eq!(every_second.count(at(0), at(seconds)), Count { number, exact }, "{seconds}");
    }
    assert_eq!(every_second.count(at(5), at(5)).number, 0);
    assert_eq!(every_second.count(at(5), at(4)).number, 0);
}

#[test]
fn range_is_open_at_its_start_and_closed_at_its_end() {
    let minutely = calendar("0 * * * * *");
    assert_eq!(minutely.newest_through(at(60), at(120)), Some(at(120)));
    assert_eq!(minutely.newest_through(at(60), at(119)), None);
    assert_eq!(minutely.count(at(60), at(120)).number, 1);
    assert_eq!(minutely.count(at(59), at(120)).number, 2);
}

#[test]
fn newest_of_a_rare_schedule_is_found_decades_back() {
    let leap_mondays = calendar("0 0 0 * 2 1#5");
    // 2044-02-29 is a Monday; 2071-12-31 lies just before the next one.
    let newest = leap_mondays.newest_through(Timestamp::MIN, at(3_218_832_000)).unwrap();
    assert_eq!(alloc::string::ToString::to_string(&newest), "2044-02-29T00:00:00Z");
    assert_eq!(leap_mondays.newest_through(newest, at(3_218_832_000)), None);
}

#[test]
fn calendar_past_its_window_has_no_more_occurrences() {
    let schedule = Schedule { not_after: Some(at(60)), ..Schedule::every(Duration::from_secs(7)).unwrap() };
    let calendar = schedule.calendar(at(0)).unwrap();
    let mut upcoming = calendar.occurrences_after(at(0));
    assert_eq!(upcoming.by_ref().count(), 8);
    assert_eq!(upcoming.next(), None);
    assert_eq!(calendar.count(Timestamp::MIN, Timestamp::MAX), Count { number: 8, exact: true });
    assert_eq!(calendar.nth_newest(Timestamp::MIN, Timestamp::MAX, 8), Some(at(7)));
    assert_eq!(calendar.nth_newest(Timestamp::MIN, Timestamp::MAX, 9), None);
}

#[test]
fn start_is_the_definition_or_just_before_a_single_instant_that_has_come() {
    assert_eq!(calendar("@daily").start(), at(0));
    assert_eq!(Schedule::interval_secs(5).unwrap().calendar(at(3)).unwrap().start(), at(3));
    let start = |schedule: Schedule| schedule.calendar(at(8)).unwrap().start();
    assert_eq!(start(Schedule::one_time(at(3))), at(3).saturating_add_ms(-1));
    assert_eq!(start(Schedule::immediate()), at(8).saturating_add_ms(-1));
    assert_eq!(start(Schedule::one_time(at(900))), at(8));
}
