//! Durations, numbers, levels and schedules: read by the parsers of the library itself, so what compiles is valid.

use azoth_scheduler_core::schedule::ScheduleError;
use azoth_scheduler_core::schedule::cron::CronExpression;
use azoth_scheduler_core::schedule::duration::{DurationError, parse_duration};
use syn::{Ident, LitInt, LitStr};

use crate::args::Args;
use crate::errors::{Errors, at_byte};
use crate::model::{Cron, Options};

/// What the handler's tasks do unless their request says otherwise.
pub(crate) fn options(args: &Args, errors: &mut Errors) -> Options {
    Options {
        timeout_ms: args.timeout.as_ref().and_then(|text| errors.keep(timeout(text))),
        max_retries: args.max_retries.as_ref().and_then(|number| errors.keep(max_retries(number))),
        backoff_ms: args.backoff.as_ref().and_then(|text| errors.keep(backoff(text))),
        concurrency: args.concurrency.as_ref().and_then(|number| errors.keep(concurrency(number))),
        priority: args.priority.as_ref().and_then(|text| errors.keep(priority(text))),
    }
}

/// The task that the handler declares.
pub(crate) fn cron(args: &Args, errors: &mut Errors) -> Option<Cron> {
    let time_zone = args.time_zone.clone();
    if let Some(zone) = &time_zone {
        errors.keep(check_time_zone(zone));
    }
    let Some(expression) = args.cron.clone() else {
        if let Some(zone) = time_zone {
            let message = "`time_zone` belongs to `cron`: add `cron = \"0 0 9 * * 1-5\"`, or give the zone to each request";
            errors.push(zone.span(), message);
        }
        return None;
    };
    errors.keep(check_cron(&expression));
    Some(Cron { expression, time_zone })
}

fn check_cron(text: &LitStr) -> syn::Result<()> {
    let value = text.value();
    let expression = CronExpression::parse(&value).map_err(|error| {
        let offset = match &error {
            ScheduleError::Field { offset, .. }
            | ScheduleError::Alias { offset, .. }
            | ScheduleError::NotAscii { offset, .. } => Some(*offset),
            _ => None,
        };
        match offset {
            Some(offset) => at_byte(text, offset, &error),
            None => syn::Error::new(text.span(), &error),
        }
    })?;
    if expression.can_fire() {
        return Ok(());
    }
    let text_start = value.chars().take(40).collect();
    Err(syn::Error::new(text.span(), ScheduleError::NeverFires { text: text_start }))
}

/// The zones themselves are not part of the macro, so a name that no zone has is an error of `build()`; what can be no
/// name at all is refused here.
fn check_time_zone(text: &LitStr) -> syn::Result<()> {
    let value = text.value();
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/');
    if value.starts_with(|c: char| c.is_ascii_alphabetic()) && value.chars().all(is_letter) {
        return Ok(());
    }
    let name = value.chars().take(40).collect();
    Err(syn::Error::new(text.span(), ScheduleError::UnknownZone { name }))
}

fn timeout(text: &LitStr) -> syn::Result<u64> {
    let value = text.value();
    match span_ms(text, &value, 0)? {
        0 => Err(syn::Error::new(text.span(), "a timeout of 0 lets nothing run: give at least \"1ms\"")),
        timeout_ms => Ok(timeout_ms),
    }
}

fn backoff(text: &LitStr) -> syn::Result<(u64, u64)> {
    let value = text.value();
    let Some((base, cap)) = value.split_once("..") else {
        let message = "`backoff` is the first wait and the longest one: write `backoff = \"10s..1h\"`";
        return Err(syn::Error::new(text.span(), message));
    };
    let base_ms = span_ms(text, base, 0)?;
    let cap_ms = span_ms(text, cap, base.len() + 2)?;
    if base_ms == 0 {
        return Err(at_byte(
            text,
            0,
            "a first wait of 0 would retry without end in a moment: give at least \"1ms\"",
        ));
    }
    if base_ms > cap_ms {
        let message = format!(
            "the first wait, {base}, is longer than the longest one, {cap}: write `backoff = \"{cap}..{base}\"`"
        );
        return Err(syn::Error::new(text.span(), message));
    }
    Ok((base_ms, cap_ms))
}

/// Reads a duration that starts at byte `start` of a string.
fn span_ms(text: &LitStr, part: &str, start: usize) -> syn::Result<u64> {
    let span =
        parse_duration(part).map_err(|error: DurationError| at_byte(text, start + error.offset, &error))?;
    Ok(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

fn max_retries(number: &LitInt) -> syn::Result<u32> {
    let message = "`max_retries` is a whole number from 0 to 4294967295: write `max_retries = 5`";
    number.base10_parse().map_err(|_| syn::Error::new(number.span(), message))
}

fn concurrency(number: &LitInt) -> syn::Result<u32> {
    let message = "`concurrency` is a whole number from 1 to 4294967295: write `concurrency = 4`";
    let parsed = number.base10_parse().map_err(|_| syn::Error::new(number.span(), message));
    parsed
        .and_then(|parsed| if parsed > 0 { Ok(parsed) } else { Err(syn::Error::new(number.span(), message)) })
}

fn priority(text: &LitStr) -> syn::Result<Ident> {
    let value = text.value();
    let level = LEVELS.iter().find(|(name, _)| *name == value);
    level.map(|(_, variant)| Ident::new(variant, text.span())).ok_or_else(|| {
        let message =
            format!("{value:?} is no priority: write one of \"critical\", \"high\", \"normal\" and \"low\"");
        syn::Error::new(text.span(), message)
    })
}

/// How a level is written, and core's variant.
const LEVELS: &[(&str, &str)] =
    &[("critical", "Critical"), ("high", "High"), ("normal", "Normal"), ("low", "Low")];
