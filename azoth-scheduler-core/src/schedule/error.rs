//! Why a text or a number makes no schedule.

use alloc::string::String;

use super::bounds::{CATCH_UP_LIMIT_MAX, EXPRESSION_BYTES_MAX, INTERVAL_MS_MAX, UPCOMING_MAX};
use super::cron::{CronField, FieldProblem};
#[cfg(feature = "engine")]
use crate::time::Timestamp;

/// A text or a number that makes no schedule: what was given, what is allowed, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// A field of a cron expression that cannot be read.
    #[error("{field} field of the cron expression: {text:?} at byte {offset} {problem}; allowed there: {}", field.allowed())]
    Field {
        /// Which of the six fields.
        field: CronField,
        /// Where the offending text starts, in bytes from the start of the expression.
        offset: usize,
        /// The offending text, at most its first 40 characters.
        text: String,
        /// What is wrong with it.
        problem: FieldProblem,
    },
    /// A cron expression without exactly six fields.
    #[error("cron expression {text:?} has {count} field(s), exactly 6 are needed (second minute hour day-of-month month day-of-week): {}", field_count_remedy(*.count, .text))]
    FieldCount {
        /// The expression, at most its first 40 characters.
        text: String,
        /// How many fields it has.
        count: usize,
    },
    /// A word with `@` that is no alias.
    #[error("cron alias {text:?} at byte {offset} is not known: {}", alias_remedy(.text))]
    Alias {
        /// The word, at most its first 40 characters.
        text: String,
        /// Where it starts, in bytes.
        offset: usize,
    },
    /// A character outside ASCII.
    #[error(
        "cron expression holds {character:?} at byte {offset}: only ASCII is allowed, with spaces or tabs between the fields"
    )]
    NotAscii {
        /// The first such character.
        character: char,
        /// Where it stands, in bytes.
        offset: usize,
    },
    /// A cron expression beyond the supported length.
    #[error(
        "cron expression has {bytes} bytes, at most {max} are allowed: drop values that are listed twice",
        max = EXPRESSION_BYTES_MAX
    )]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// A cron expression that no date can match, such as 30 February.
    #[error(
        "cron expression {text:?} never fires: no listed month has such a day; change the day of month or the month"
    )]
    NeverFires {
        /// The expression, at most its first 40 characters.
        text: String,
    },
    /// A name that is no IANA time zone.
    #[error(
        "time zone {name:?} is not known: give an IANA name such as \"UTC\" or \"Europe/Berlin\" (offsets, abbreviations and POSIX strings are refused)"
    )]
    UnknownZone {
        /// The name, at most its first 40 characters.
        name: String,
    },
    /// A period of zero.
    #[error("interval of 0 ms: give at least 1 ms")]
    IntervalZero,
    /// A period with a fraction of a millisecond.
    #[error(
        "interval of {nanoseconds} ns is not a whole number of milliseconds: round it to {} ms",
        .nanoseconds.div_ceil(1_000_000)
    )]
    IntervalFraction {
        /// The period in nanoseconds.
        nanoseconds: u128,
    },
    /// A period longer than all supported years together.
    #[error(
        "interval of {milliseconds} ms is over the limit of {} ms (the years 0001 to 9999): give a shorter one, or a one-time schedule",
        INTERVAL_MS_MAX
    )]
    IntervalTooLong {
        /// The period in milliseconds.
        milliseconds: u128,
    },
    /// A spread of jitter beyond its limit.
    #[error("jitter of {jitter_ms} ms is over the limit of {limit_ms} ms ({limit}): give a shorter one")]
    JitterTooLong {
        /// The spread in milliseconds.
        jitter_ms: u32,
        /// The longest allowed here, in milliseconds.
        limit_ms: u64,
        /// Where the limit comes from.
        limit: &'static str,
    },
    /// A limit of catch-up runs beyond what a wake-up may start.
    #[error(
        "catch-up limit {limit} is over {}: give a smaller one, the older occurrences are recorded as missed",
        CATCH_UP_LIMIT_MAX
    )]
    CatchUpLimit {
        /// The limit given.
        limit: u32,
    },
    /// A preview of more occurrences than one call may return.
    #[error(
        "preview of {n} occurrences is over the limit of {}: ask for the rest from the last one on",
        UPCOMING_MAX
    )]
    TooManyUpcoming {
        /// How many were asked for.
        n: usize,
    },
    /// A preview from an instant that no occurrence can follow.
    #[error("preview starts outside the supported years 0001 to 9999: ask from an instant within them")]
    OutsideYears,
    /// A window that ends before it starts.
    #[cfg(feature = "engine")]
    #[error(
        "window is empty: not_before {not_before} must be earlier than not_after {not_after}, at which no occurrence exists any more"
    )]
    EmptyWindow {
        /// The first instant of the window.
        not_before: Timestamp,
        /// The first instant after the window.
        not_after: Timestamp,
    },
    /// A schedule whose window holds none of its occurrences.
    #[cfg(feature = "engine")]
    #[error("schedule has no occurrence in its window ({}): widen the window or change the schedule", Window(*.not_before, *.not_after))]
    NoOccurrence {
        /// The first instant of the window, if it has one.
        not_before: Option<Timestamp>,
        /// The first instant after the window, if it has one.
        not_after: Option<Timestamp>,
    },
}

fn field_count_remedy(count: usize, text: &str) -> String {
    use alloc::format;
    match count {
        5 => format!("put `0 ` in front for second 0, as in `0 {text}`"),
        7 => "drop the seventh; years are given by not_before and not_after".into(),
        0 => "for example `0 0 9 * * 1-5`, at 09:00, Monday through Friday".into(),
        _ => "for example `0 0 9 * * 1-5`, at 09:00, Monday through Friday; `*` stands for any value".into(),
    }
}

fn alias_remedy(text: &str) -> &'static str {
    match text {
        "@every" => "use an interval schedule for a fixed period",
        "@reboot" => "schedule an immediate task when the program starts",
        _ => {
            "known are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly, alone and in lower case"
        }
    }
}

/// The first 40 characters of a text, for a message.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS_MAX).collect()
}

const EXCERPT_CHARS_MAX: usize = 40;

/// A window in words.
#[cfg(feature = "engine")]
struct Window(Option<Timestamp>, Option<Timestamp>);

#[cfg(feature = "engine")]
impl core::fmt::Display for Window {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match (self.0, self.1) {
            (Some(from), Some(to)) => write!(f, "from {from}, before {to}"),
            (Some(from), None) => write!(f, "from {from}"),
            (None, Some(to)) => write!(f, "before {to}"),
            (None, None) => f.write_str("all supported years"),
        }
    }
}
