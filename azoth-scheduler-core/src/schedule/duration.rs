//! Durations as people write them: `30s`, `5m`, `1h30m`, `250ms`, `2d`.

use alloc::string::String;
use core::time::Duration;

use super::error::excerpt;

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "duration {text:?} {problem} at byte {offset}: write whole numbers with units in descending order, such as \"30s\", \"5m\", \"1h30m\", \"250ms\" or \"2d\""
)]
#[non_exhaustive]
pub struct DurationError {
    /// The text, at most its first 40 characters.
    pub text: String,
    /// Where the problem is, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub problem: DurationProblem,
}

/// What is wrong with a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationProblem {
    /// Nothing was written.
    #[error("is empty")]
    Empty,
    /// A unit without a number, a sign, a fraction, a space.
    #[error("has no digit")]
    Number,
    /// A number without a unit, or with an unknown one.
    #[error("has none of the units d, h, m, s, ms")]
    Unit,
    /// A unit that comes twice, or after a smaller one.
    #[error("has a unit that is not smaller than the one before it")]
    Order,
    /// More milliseconds than 64 bits hold.
    #[error("is beyond 18446744073709551615 ms")]
    Overflow,
}

/// Reads a duration: one or more whole numbers, each with a unit (`d`, `h`, `m`, `s`, `ms`), from the greatest unit to the
/// smallest, without spaces, signs or fractions.
///
/// ```
/// use core::time::Duration;
/// use azoth_scheduler_core::schedule::duration::parse_duration;
///
/// assert_eq!(parse_duration("1h30m")?, Duration::from_secs(5_400));
/// assert!(parse_duration("90").unwrap_err().to_string().contains("none of the units"));
/// # Ok::<(), azoth_scheduler_core::schedule::duration::DurationError>(())
/// ```
///
/// # Errors
/// [`DurationError`] with the offset and what is wrong there; never a panic.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let error = |offset, problem| DurationError { text: excerpt(text), offset, problem };
    if text.is_empty() {
        return Err(error(0, DurationProblem::Empty));
    }
    let (mut rest, mut total_ms, mut smallest_ms) = (text, 0u64, u64::MAX);
    while !rest.is_empty() {
        let offset = text.len().saturating_sub(rest.len());
        let (number, after) = split_at_end(rest, |c| c.is_ascii_digit());
        let (unit, after) = split_at_end(after, |c| c.is_ascii_alphabetic());
        if number.is_empty() {
            return Err(error(offset, DurationProblem::Number));
        }
        let unit_offset = offset.saturating_add(number.len());
        let unit_ms = unit_ms(unit).ok_or_else(|| error(unit_offset, DurationProblem::Unit))?;
        if unit_ms >= smallest_ms {
            return Err(error(unit_offset, DurationProblem::Order));
        }
        let part_ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
        let sum_ms = part_ms.and_then(|part_ms| total_ms.checked_add(part_ms));
        total_ms = sum_ms.ok_or_else(|| error(offset, DurationProblem::Overflow))?;
        (rest, smallest_ms) = (after, unit_ms);
    }
    Ok(Duration::from_millis(total_ms))
}

fn unit_ms(unit: &str) -> Option<u64> {
    Some(match unit {
        "d" => 86_400_000,
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1_000,
        "ms" => 1,
        _ => return None,
    })
}

/// The longest start of such characters, and the rest.
fn split_at_end(text: &str, is: fn(&char) -> bool) -> (&str, &str) {
    let end = text.find(|c: char| !is(&c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn numbers_with_units_add_up() {
        for (text, ms) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("2d", 172_800_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("90m", 5_400_000),
            ("0s", 0),
            ("007s", 7_000),
            ("1m5ms", 60_005),
            ("18446744073709551615ms", u64::MAX),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_place() {
        use DurationProblem::{Empty, Number, Order, Overflow, Unit};
        for (text, offset, problem) in [
            ("", 0, Empty),
            ("30", 2, Unit),
            ("s", 0, Number),
            ("-5s", 0, Number),
            ("+5s", 0, Number),
            (" 5s", 0, Number),
            ("5 s", 1, Unit),
            ("5s ", 2, Number),
            ("1.5h", 1, Unit),
            ("5S", 1, Unit),
            ("5min", 1, Unit),
            ("5w", 1, Unit),
            ("5\u{b5}s", 1, Unit),
            ("\u{ff15}s", 0, Number),
            ("30m1h", 4, Order),
            ("1h1h", 3, Order),
            ("1ms1s", 4, Order),
            ("18446744073709551616ms", 0, Overflow),
            ("18446744073709551615s", 0, Overflow),
            ("213503982335d", 0, Overflow),
            ("1s18446744073709551615ms", 2, Overflow),
            ("1h\0", 2, Number),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert_eq!((error.offset, error.problem), (offset, problem), "{text:?}");
            assert!(error.to_string().contains("such as \"30s\""), "{error}");
        }
    }
}
