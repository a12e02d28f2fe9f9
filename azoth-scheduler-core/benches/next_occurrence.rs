//! The next occurrence after an instant, against the crates `croner` and `cron` in the same run.
//!
//! All of them are prepared beforehand: what is timed is one search, from one of many instants. Expressions are
//! chosen so that the dialects agree, and before anything is timed it is checked that the answers do.
//!
//! ```text
//! cargo bench -p azoth-scheduler-core --bench next_occurrence
//! cargo xtask bench next_occurrence --against FILE
//! ```

mod harness;

use std::fmt::Display;
use std::str::FromStr;

use azoth_scheduler_core::schedule::Schedule;
use azoth_scheduler_core::time::Timestamp;
use chrono::DateTime;
use croner::parser::{CronParser, Seconds};
use jiff::Zoned;
use jiff::tz::TimeZone;

use self::harness::{Calls, Case};

/// An expression as ours and `croner` read it, and as `cron` does, for which both day fields must match where both are
/// given and which has no `#`; `None` where it cannot say the same.
struct Expression {
    about: &'static str,
    ours: &'static str,
    cron: Option<&'static str>,
}

const EXPRESSIONS: &[Expression] = &[
    Expression { about: "each second", ours: "* * * * * *", cron: Some("* * * * * *") },
    Expression { about: "each 15 minutes", ours: "0 */15 * * * *", cron: Some("0 */15 * * * *") },
    Expression { about: "09:00 each weekday", ours: "0 0 9 * * MON-FRI", cron: Some("0 0 9 * * MON-FRI") },
    Expression { about: "04:30 on the 1st", ours: "0 30 4 1 * *", cron: Some("0 30 4 1 * *") },
    Expression { about: "last day of the month", ours: "0 0 12 L * *", cron: None },
    Expression { about: "second Friday", ours: "0 0 18 * * FRI#2", cron: None },
    Expression { about: "29 February", ours: "0 0 4 29 2 *", cron: Some("0 0 4 29 2 *") },
    Expression { about: "29 February, a Monday", ours: "0 0 4 * 2 MON#5", cron: Some("0 0 4 29 2 MON") },
];

const ZONES: &[&str] = &["UTC", "Europe/Berlin"];

fn main() -> Result<(), String> {
    let starts = starts();
    let mut cases = Vec::new();
    for zone in ZONES {
        for expression in EXPRESSIONS {
            cases.push(case(expression, zone, &starts)?);
        }
    }
    harness::run("next_occurrence", cases)
}

/// Instants from 2024 to 2039, in no order.
fn starts() -> Vec<i64> {
    let mut number = 1_u64;
    let mut next = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((number >> 33) % SPAN_SECONDS).unwrap_or(0)
    };
    (0..STARTS).map(|_| FROM_SECONDS.saturating_add(next())).collect()
}

fn case(expression: &Expression, zone: &str, starts: &[i64]) -> Result<Case, String> {
    let Expression { about, ours, cron } = expression;
    let mut contestants =
        vec![("ours", by_us(ours, zone, starts)?), ("croner", by_croner(ours, zone, starts)?)];
    if let Some(cron) = cron {
        contestants.push(("cron", by_cron(cron, zone, starts)?));
    }
    let name = format!("{about}, {zone}");
    let answers: Vec<i64> = contestants.iter().map(|(_, calls)| calls(STARTS)).collect();
    match answers.iter().all(|answer| *answer == answers[0]) {
        true => Ok(Case { name, contestants }),
        false => Err(format!("the answers for {name} differ")),
    }
}

/// Calls `next` with each of the values in turn, and adds the answers up.
fn over<T: 'static>(values: Vec<T>, next: impl Fn(&T) -> Option<i64> + 'static) -> Calls {
    Box::new(move |number| {
        let turns = (0..number).zip(values.iter().cycle());
        turns.fold(0_i64, |sum, (_, value)| sum.wrapping_mul(31).wrapping_add(next(value).unwrap_or(-1)))
    })
}

fn by_us(expression: &str, zone: &str, starts: &[i64]) -> Result<Calls, String> {
    let schedule = Schedule::cron_in(expression, zone).map_err(text)?;
    let calendar = schedule.calendar(Timestamp::MIN).map_err(text)?;
    let starts = starts.iter().map(|start| Timestamp::from_unix_seconds(*start).map_err(text));
    Ok(over(starts.collect::<Result<_, _>>()?, move |start| {
        calendar.next(*start).map(Timestamp::unix_seconds)
    }))
}

fn by_croner(expression: &str, zone: &str, starts: &[i64]) -> Result<Calls, String> {
    let cron = CronParser::builder().seconds(Seconds::Required).build().parse(expression).map_err(text)?;
    let zone = TimeZone::get(zone).map_err(text)?;
    let start = |start: &i64| Ok(jiff::Timestamp::from_second(*start).map_err(text)?.to_zoned(zone.clone()));
    let starts: Vec<Zoned> = starts.iter().map(start).collect::<Result<_, String>>()?;
    Ok(over(starts, move |start| Some(cron.find_next_occurrence(start, false).ok()?.timestamp().as_second())))
}

fn by_cron(expression: &str, zone: &str, starts: &[i64]) -> Result<Calls, String> {
    match zone {
        "UTC" => by_cron_in(expression, chrono::Utc, starts),
        zone => by_cron_in(expression, chrono_tz::Tz::from_str(zone).map_err(text)?, starts),
    }
}

fn by_cron_in<Z: chrono::TimeZone + 'static>(
    expression: &str,
    zone: Z,
    starts: &[i64],
) -> Result<Calls, String> {
    let cron = cron::Schedule::from_str(expression).map_err(text)?;
    let start = |start: &i64| zone.timestamp_opt(*start, 0).single().ok_or("no such instant");
    let starts: Vec<DateTime<Z>> = starts.iter().map(start).collect::<Result<_, _>>()?;
    Ok(over(starts, move |start| cron.after(start).next().map(|at| at.timestamp())))
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// How many instants are searched from.
const STARTS: u64 = 256;

/// 2024-01-01T00:00:00Z.
const FROM_SECONDS: i64 = 1_704_067_200;

/// Sixteen years.
const SPAN_SECONDS: u64 = 504_921_600;
