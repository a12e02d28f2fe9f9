//! Everything that can be done with an expression, a zone and a schedule, whatever they hold, and what it may allocate.
//!
//! The tests beside it call this with texts of theirs, the fuzz target in `fuzz/` with bytes that it mutates.

use std::num::{NonZeroU32, NonZeroU64};

use azoth_scheduler_core::schedule::cron::CronExpression;
use azoth_scheduler_core::schedule::duration::parse_duration;
use azoth_scheduler_core::schedule::{
    Calendar, CronSpec, LateCause, Misfire, MisfirePolicy, Overlap, Schedule, Timing, UPCOMING_MAX,
    jitter_ms, reckon, reckon_overlap,
};
use azoth_scheduler_core::time::Timestamp;

/// Does it with bytes: two lengths, an expression, the name of a zone, and numbers.
pub(crate) fn exercise_bytes(bytes: &[u8]) {
    let (lengths, rest) = bytes.split_at(bytes.len().min(2));
    let length = |index: usize| lengths.get(index).map_or(0, |length| usize::from(*length));
    let (expression, rest) = rest.split_at(rest.len().min(length(0)));
    let (zone, numbers) = rest.split_at(rest.len().min(length(1)));
    exercise(&String::from_utf8_lossy(expression), &String::from_utf8_lossy(zone), numbers);
}

/// Does it with an expression, the name of a zone, and numbers.
///
/// # Panics
/// When a call panics, allocates more than it may, or gives what contradicts another one.
pub(crate) fn exercise(expression: &str, zone: &str, numbers: &[u8]) {
    texts(expression, zone);
    let mut numbers = Numbers { bytes: numbers };
    let schedule = numbers.schedule(expression, zone);
    let (after, span_ms) = (numbers.timestamp(), numbers.span_ms());
    let now = after.saturating_add_ms(span_ms);
    let n = numbers.preview();
    let valid = measured("validate", CALENDAR_BYTES_MAX, || schedule.validate());
    // A stored text that cannot be read is described by itself, in a string that grows by doubling.
    let copies = 4 * (expression.len() as u64 + zone.len() as u64);
    let text = measured("describe", TEXT_BYTES_MAX + copies, || schedule.describe());
    assert!(!text.is_empty(), "{schedule:?} has no description");
    let calendar = measured("calendar", CALENDAR_BYTES_MAX, || schedule.calendar(after));
    let upcoming = measured("upcoming", UPCOMING_BYTES_MAX, || schedule.upcoming(after, n));
    assert_eq!(upcoming.is_ok(), calendar.is_ok() && n <= UPCOMING_MAX, "{schedule:?}: {upcoming:?}");
    assert!(calendar.is_ok() || valid.is_err(), "{schedule:?} is valid and has no calendar");
    if let Ok(upcoming) = upcoming {
        assert!(upcoming.windows(2).all(|pair| pair[0] < pair[1]), "{schedule:?}: {upcoming:?}");
    }
    if let Ok(calendar) = calendar {
        search(&calendar, after, now);
        decide(&schedule, &calendar, after, now);
    }
}

fn texts(expression: &str, zone: &str) {
    let spec = measured("spec", TEXT_BYTES_MAX, || CronSpec::new(expression, zone));
    let parsed = measured("parse", TEXT_BYTES_MAX, || CronExpression::parse(expression));
    measured("duration", TEXT_BYTES_MAX, || parse_duration(expression).map_err(|error| error.to_string()))
        .ok();
    measured("duration", TEXT_BYTES_MAX, || parse_duration(zone).map_err(|error| error.to_string())).ok();
    match parsed {
        Ok(parsed) => {
            let printed = measured("print", TEXT_BYTES_MAX, || parsed.to_string());
            assert_eq!(
                CronExpression::parse(&printed),
                Ok(parsed),
                "{expression:?} is printed as {printed:?}"
            );
            assert!(!measured("describe", TEXT_BYTES_MAX, || parsed.describe()).is_empty());
        }
        Err(error) => {
            assert!(spec.is_err(), "{expression:?} is read one time and not the other");
            assert!(!measured("message", TEXT_BYTES_MAX, || error.to_string()).is_empty());
        }
    }
}

fn search(calendar: &Calendar, after: Timestamp, now: Timestamp) {
    let next = measured("next", 0, || calendar.next(after));
    let newest = measured("newest", 0, || calendar.newest_through(after, now));
    let count = measured("count", 0, || calendar.count(after, now));
    assert!(next.is_none_or(|next| next > after), "{next:?} after {after}");
    assert!(newest.is_none_or(|newest| after < newest && newest <= now), "{newest:?} in ({after}, {now}]");
    assert_eq!(next.is_some_and(|next| next <= now), newest.is_some(), "{next:?}, but {newest:?}");
    assert_eq!(count.number != 0, newest.is_some(), "{count:?}, but {newest:?}");
}

fn decide(schedule: &Schedule, calendar: &Calendar, after: Timestamp, now: Timestamp) {
    let (misfire, jitter) = (&schedule.misfire, schedule.jitter_ms);
    for cause in [LateCause::Late, LateCause::Paused] {
        measured("reckon", RECKON_BYTES_MAX, || reckon(calendar, misfire, jitter, after, now, cause));
    }
    for buffered in [None, Some(after)] {
        measured("overlap", RECKON_BYTES_MAX, || {
            reckon_overlap(calendar, schedule.overlap, buffered, after, now)
        });
    }
    let delay_ms = measured("jitter", 0, || jitter_ms("task", now, jitter));
    assert!(delay_ms <= jitter, "{delay_ms} is beyond {jitter}");
}

/// What a call gives, after a check of the bytes that it held at one time.
#[track_caller]
fn measured<T>(call: &str, bytes_max: u64, does: impl FnOnce() -> T) -> T {
    let mut result = None;
    let held = allocation_counter::measure(|| result = Some(does()));
    assert!(held.bytes_max <= bytes_max, "{call} held {} bytes, over {bytes_max}", held.bytes_max);
    match result {
        Some(result) => result,
        None => unreachable!("the call was made"),
    }
}

/// Numbers taken from bytes; zeros where these have run out.
struct Numbers<'a> {
    bytes: &'a [u8],
}

impl Numbers<'_> {
    fn byte(&mut self) -> u8 {
        self.number(1).to_le_bytes()[0]
    }

    /// A number of so many bytes.
    fn number(&mut self, length: usize) -> u64 {
        let (taken, rest) = self.bytes.split_at(self.bytes.len().min(length));
        self.bytes = rest;
        taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn timestamp(&mut self) -> Timestamp {
        let ms = match self.byte() % 8 {
            0 => Timestamp::MIN.unix_ms(),
            1 => Timestamp::MAX.unix_ms(),
            2 => 0,
            3 => i64::from_le_bytes(self.number(8).to_le_bytes()),
            // Of the years 1970 to 2115.
            _ => self.number(4).cast_signed() * 1_000 + self.number(2).cast_signed(),
        };
        Timestamp::from_unix_ms(ms).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn optional_timestamp(&mut self) -> Option<Timestamp> {
        (self.byte() % 2 == 1).then(|| self.timestamp())
    }

    /// Up to some years, and sometimes all of them.
    fn span_ms(&mut self) -> i64 {
        match self.byte() % 8 {
            0 => i64::MAX,
            1 => -1,
            _ => self.number(5).cast_signed(),
        }
    }

    /// Mostly a few, sometimes as many as are allowed or more.
    fn preview(&mut self) -> usize {
        match self.byte() {
            0 => UPCOMING_MAX,
            1 => usize::MAX,
            few => usize::from(few % 32),
        }
    }

    fn schedule(&mut self, expression: &str, zone: &str) -> Schedule {
        let period_ms = NonZeroU64::new(self.number(8)).unwrap_or(NonZeroU64::MIN);
        let timing = match self.byte() % 8 {
            0 => Timing::Interval { period_ms, anchor: self.optional_timestamp() },
            1 => Timing::OneTime { at: self.timestamp() },
            2 => Timing::Immediate,
            _ => Timing::Cron(CronSpec::from_stored(expression, zone)),
        };
        let limit = NonZeroU32::new(self.number(4) as u32).unwrap_or(NonZeroU32::MAX);
        let policies = [MisfirePolicy::RunOnce, MisfirePolicy::Skip, MisfirePolicy::CatchUp { limit }];
        let policy = policies[usize::from(self.byte() % 3)];
        let overlap = [Overlap::Skip, Overlap::BufferOne][usize::from(self.byte() % 2)];
        Schedule {
            timing,
            not_before: self.optional_timestamp(),
            not_after: self.optional_timestamp(),
            max_runs: NonZeroU32::new(self.number(4) as u32),
            misfire: Misfire { policy, grace_ms: self.number(8) },
            overlap,
            jitter_ms: self.number(4) as u32,
        }
    }
}

/// What reading, printing and describing may hold: a message, or a list of all values of all fields.
const TEXT_BYTES_MAX: u64 = 16 << 10;

/// What preparing a search may hold: an expression per special form, and a zone.
const CALENDAR_BYTES_MAX: u64 = 128 << 10;

/// What a preview may hold: the search, and as many instants as are allowed, in a list that grows by doubling.
const UPCOMING_BYTES_MAX: u64 = CALENDAR_BYTES_MAX + (UPCOMING_MAX as u64) * 8 * 3;

/// What deciding may hold: at most two ranges of occurrences that passed, however many lie in them.
const RECKON_BYTES_MAX: u64 = 1 << 10;
