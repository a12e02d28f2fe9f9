//! A search allocates nothing, whatever the expression and the zone.
#![cfg(feature = "engine")]

use azoth_scheduler_core::schedule::{Calendar, Schedule, ScheduleError};
use azoth_scheduler_core::time::Timestamp;

fn calendars() -> Result<Vec<Calendar>, ScheduleError> {
    let crons = [
        ("*/30 * * * * *", "UTC"),
        ("0 0 9 * * 1-5", "Europe/Berlin"),
        ("0 30 2 * * *", "Africa/Casablanca"),
        ("0 0 0 29 2 *", "America/New_York"),
        ("0 0 12 L,15W,LW,L-3,1-7 * MON#1,5L,SAT", "Australia/Lord_Howe"),
        ("0 0 0 * 2 MON#5", "Asia/Gaza"),
    ];
    let mut calendars = vec![
        Schedule::interval_secs(7)?.calendar(Timestamp::UNIX_EPOCH)?,
        Schedule::one_time(Timestamp::MAX).calendar(Timestamp::UNIX_EPOCH)?,
    ];
    for (expression, zone) in crons {
        calendars.push(Schedule::cron_in(expression, zone)?.calendar(Timestamp::UNIX_EPOCH)?);
    }
    Ok(calendars)
}

#[test]
fn search_allocates_nothing() -> Result<(), ScheduleError> {
    for calendar in calendars()? {
        let count = allocation_counter::measure(|| {
            let mut last = Timestamp::UNIX_EPOCH;
            for _ in 0..200 {
                match calendar.next(last) {
                    Some(next) => last = next,
                    None => break,
                }
            }
            let _ = calendar.newest_through(Timestamp::UNIX_EPOCH, last);
            let _ = calendar.count(Timestamp::UNIX_EPOCH, last);
        });
        assert_eq!(count.count_total, 0, "{calendar:?}");
    }
    Ok(())
}
