//! A schedule in plain language.

use alloc::string::String;
use core::fmt::Write;

use super::cron::CronExpression;
use super::definition::{Schedule, Timing};
use super::spec::CronSpec;
use crate::time::Timestamp;

impl Schedule {
    /// The schedule in plain language: its instants, its window, its number of runs. UTC is left out.
    ///
    /// ```
    /// use azoth_scheduler_core::schedule::Schedule;
    ///
    /// let weekdays = Schedule::cron_in("0 0 9 * * 1-5", "Europe/Berlin")?;
    /// assert_eq!(weekdays.describe(), "at 09:00, Monday through Friday, Europe/Berlin time");
    /// assert_eq!(Schedule::interval_secs(5400)?.describe(), "every 1 hour 30 minutes");
    /// # Ok::<(), azoth_scheduler_core::schedule::ScheduleError>(())
    /// ```
    pub fn describe(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> core::fmt::Result {
        match &self.timing {
            Timing::Cron(cron) => write_cron(text, cron)?,
            Timing::Interval { period_ms, anchor } => write_interval(text, period_ms.get(), *anchor)?,
            Timing::OneTime { at } => write!(text, "once, at {at}")?,
            Timing::Immediate => text.write_str("once, as soon as it is scheduled")?,
        }
        if let Some(not_before) = self.not_before {
            write!(text, ", not before {not_before}")?;
        }
        if let Some(not_after) = self.not_after {
            write!(text, ", until {not_after}")?;
        }
        match self.max_runs {
            Some(runs) => write!(text, ", at most {runs} {}", plural(runs.get().into(), "run")),
            None => Ok(()),
        }
    }
}

fn write_cron(text: &mut String, cron: &CronSpec) -> core::fmt::Result {
    match CronExpression::parse(cron.expression()) {
        Ok(expression) => text.write_str(&expression.describe())?,
        Err(_) => write!(text, "cron {}", cron.expression())?,
    }
    match cron.zone() {
        "UTC" => Ok(()),
        zone => write!(text, ", {zone} time"),
    }
}

fn write_interval(text: &mut String, period_ms: u64, anchor: Option<Timestamp>) -> core::fmt::Result {
    text.write_str("every")?;
    let mut rest = period_ms;
    for (unit_ms, unit) in UNITS {
        let (number, remainder) = (rest.div_euclid(unit_ms), rest.rem_euclid(unit_ms));
        rest = remainder;
        if number != 0 {
            write!(text, " {number} {}", plural(number, unit))?;
        }
    }
    match anchor {
        Some(anchor) => write!(text, ", counted from {anchor}"),
        None => Ok(()),
    }
}

/// A unit, with its ending for any number but one.
fn plural(number: u64, unit: &'static str) -> impl core::fmt::Display {
    struct Plural(u64, &'static str);
    impl core::fmt::Display for Plural {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            write!(f, "{}{}", self.1, if self.0 == 1 { "" } else { "s" })
        }
    }
    Plural(number, unit)
}

const UNITS: [(u64, &str); 5] =
    [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"), (1, "millisecond")];
