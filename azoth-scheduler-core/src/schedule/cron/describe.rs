//! An expression in plain language.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::expression::{CronExpression, DaysOfMonth, DaysOfWeek, Values, bit, bits};

impl CronExpression {
    /// The expression in plain language: the time of day, the days, the months.
    ///
    /// ```
    /// use azoth_scheduler_core::schedule::cron::CronExpression;
    ///
    /// let describe = |text| Ok::<_, azoth_scheduler_core::schedule::ScheduleError>(CronExpression::parse(text)?.describe());
    /// assert_eq!(describe("0 0 9 * * 1-5")?, "at 09:00, Monday through Friday");
    /// assert_eq!(describe("0 */5 * * * *")?, "every 5 minutes");
    /// assert_eq!(describe("0 30 6 L,15W 6 *")?, "at 06:30, on the last day of the month or the weekday nearest to the 15th, in June");
    /// # Ok::<(), azoth_scheduler_core::schedule::ScheduleError>(())
    /// ```
    pub fn describe(&self) -> String {
        let (time, names_times) = self.describe_time();
        let mut parts = Vec::from([time]);
        match self.describe_days() {
            Some(days) => parts.push(days),
            None if names_times => parts.push("every day".into()),
            None => {}
        }
        if !self.month.every {
            parts.push(format!("in {}", spans(&self.month, 1..=12, |month| name(&MONTHS, month, 1))));
        }
        parts.join(", ")
    }

    /// The time of day, and whether it is a list of such.
    fn describe_time(&self) -> (String, bool) {
        let [seconds, minutes, hours] = [&self.second, &self.minute, &self.hour].map(|v| v.mask.count_ones());
        let times = seconds.saturating_mul(minutes).saturating_mul(hours);
        if times <= TIMES_LISTED_MAX && !self.is_wildcard() {
            return (format!("at {}", and(self.times_of_day())), true);
        }
        let mut parts = Vec::new();
        parts.extend(self.describe_seconds());
        parts.extend(self.describe_minutes());
        parts.extend(self.describe_hours());
        (parts.join(" "), false)
    }

    fn times_of_day(&self) -> Vec<String> {
        let mut times = Vec::new();
        for hour in bits(self.hour.mask) {
            for minute in bits(self.minute.mask) {
                for second in bits(self.second.mask) {
                    times.push(match second {
                        0 => format!("{hour:02}:{minute:02}"),
                        _ => format!("{hour:02}:{minute:02}:{second:02}"),
                    });
                }
            }
        }
        times
    }

    fn describe_seconds(&self) -> Option<String> {
        if self.second.mask == bit(0) {
            return None;
        }
        Some(match lone_step(&self.second) {
            Some(1) => "every second".into(),
            Some(step) if 60u8.is_multiple_of(step) => format!("every {step} seconds"),
            _ => format!("at second {}", spans(&self.second, 0..=59, |second| second.to_string())),
        })
    }

    fn describe_minutes(&self) -> Option<String> {
        let by_second = self.second.mask != bit(0);
        Some(match lone_step(&self.minute) {
            Some(1) if lone_step(&self.second).is_some() => return None,
            Some(1) if by_second => "of every minute".into(),
            Some(1) => "every minute".into(),
            Some(step) if !by_second && 60u8.is_multiple_of(step) => format!("every {step} minutes"),
            _ => format!("at minute {}", spans(&self.minute, 0..=59, |minute| minute.to_string())),
        })
    }

    fn describe_hours(&self) -> Option<String> {
        let by_minute = lone_step(&self.minute).is_none();
        Some(match lone_step(&self.hour) {
            Some(1) if by_minute => "of every hour".into(),
            Some(1) => return None,
            Some(step) if 24u8.is_multiple_of(step) => format!("of every {} hour", ordinal(step)),
            _ => format!("of hour {}", spans(&self.hour, 0..=23, |hour| hour.to_string())),
        })
    }

    fn describe_days(&self) -> Option<String> {
        let mut days = Vec::new();
        if !self.day_of_month.values.every {
            days.extend(self.day_of_month.describe());
        }
        if !self.day_of_week.values.every {
            days.extend(self.day_of_week.describe());
        }
        if days.is_empty() {
            return None;
        }
        let plain_weekdays = self.day_of_month.values.every && self.day_of_week.is_plain();
        Some(format!("{}{}", if plain_weekdays { "" } else { "on " }, days.join(" or ")))
    }
}

impl DaysOfMonth {
    fn describe(&self) -> Vec<String> {
        let mut days = Vec::new();
        if self.values.mask != 0 {
            days.push(format!("day {} of the month", spans(&self.values, 1..=31, |day| day.to_string())));
        }
        for n in bits(self.before_last) {
            days.push(match n {
                0 => "the last day of the month".into(),
                1 => "the day before the last day of the month".into(),
                n => format!("the day {n} days before the last day of the month"),
            });
        }
        if self.last_weekday {
            days.push("the last weekday of the month".into());
        }
        for day in bits(self.nearest) {
            days.push(format!("the weekday nearest to the {}", ordinal(day)));
        }
        days
    }
}

impl DaysOfWeek {
    /// Whether it names days of every week only.
    fn is_plain(&self) -> bool {
        self.last == 0 && self.nth == 0
    }

    fn describe(&self) -> Vec<String> {
        let weekday = |day| name(&WEEKDAYS, day, 0);
        let mut days = Vec::new();
        if self.values.mask != 0 {
            days.push(spans(&self.values, 1..=7, |day| weekday(day % 7)));
        }
        for day in bits(self.last) {
            days.push(format!("the last {} of the month", weekday(day)));
        }
        for index in bits(self.nth) {
            days.push(format!("the {} {} of the month", ordinal(index >> 3), weekday(index & 7)));
        }
        days
    }
}

/// `*` counts as a step of 1; `None` for anything but a single `*` or `*/n`.
fn lone_step(values: &Values) -> Option<u8> {
    if values.every {
        return Some(1);
    }
    let step = bits(values.star_steps).next()?;
    let alone = (0..60u8).step_by(usize::from(step)).fold(0, |mask, value| mask | bit(value));
    (values.mask & !alone == 0).then_some(step)
}

/// The values in words, neighbours joined: `1 through 3, 5 and 7`. Weekdays go from Monday to Sunday, 7.
fn spans(values: &Values, range: core::ops::RangeInclusive<u8>, word: impl Fn(u8) -> String) -> String {
    let has = |value: u8| values.contains(value) || (*range.end() == 7 && value == 7 && values.contains(0));
    let mut words = Vec::new();
    let mut from = None;
    for value in range.clone() {
        if !has(value) {
            continue;
        }
        let first = *from.get_or_insert(value);
        let next = value.saturating_add(1);
        if range.contains(&next) && has(next) {
            continue;
        }
        from = None;
        match value.saturating_sub(first) {
            0 => words.push(word(value)),
            1 => words.extend([word(first), word(value)]),
            _ => words.push(format!("{} through {}", word(first), word(value))),
        }
    }
    and(words)
}

/// `a, b and c`.
fn and(mut words: Vec<String>) -> String {
    match words.pop() {
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} and {last}", words.join(", ")),
        None => String::new(),
    }
}

fn ordinal(number: u8) -> String {
    let ending = match (number.rem_euclid(10), number) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// The name of a value, given the first one's value.
fn name(names: &[&str], value: u8, first: u8) -> String {
    names.get(usize::from(value.saturating_sub(first))).copied().unwrap_or_default().into()
}

/// The most times of day that are listed one by one.
const TIMES_LISTED_MAX: u32 = 6;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
