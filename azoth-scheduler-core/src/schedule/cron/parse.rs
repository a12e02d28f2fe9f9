//! Reading an expression.
//!
//! ```text
//! field = "*" | "?" | item { "," item }
//! item  = value | value "-" value [ "/" step ] | value "/" step | "*/" step | special
//! ```

use super::expression::{CronExpression, DaysOfMonth, DaysOfWeek, Values, bit};
use super::field::{CronField, FieldProblem};
use crate::schedule::bounds::EXPRESSION_BYTES_MAX;
use crate::schedule::error::{ScheduleError, excerpt};

impl CronExpression {
    /// Reads an expression of six fields, or an alias such as `@daily`.
    ///
    /// # Errors
    /// [`ScheduleError::Field`], [`FieldCount`](ScheduleError::FieldCount), [`Alias`](ScheduleError::Alias),
    /// [`NotAscii`](ScheduleError::NotAscii) or [`TooLong`](ScheduleError::TooLong); never a panic.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        parse(text)
    }
}

fn parse(text: &str) -> Result<CronExpression, ScheduleError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(ScheduleError::TooLong { bytes: text.len() });
    }
    if let Some((offset, character)) = text.char_indices().find(|(_, c)| !c.is_ascii()) {
        return Err(ScheduleError::NotAscii { character, offset });
    }
    let first = words(text).next();
    if let Some(word) = first.filter(|word| word.text.starts_with('@')) {
        return match alias(text.trim_matches(is_blank)) {
            Some(expression) => parse_fields(expression),
            None => Err(ScheduleError::Alias { text: excerpt(word.text), offset: word.offset }),
        };
    }
    parse_fields(text)
}

/// Aliases are pure text.
fn alias(word: &str) -> Option<&'static str> {
    Some(match word {
        "@yearly" | "@annually" => "0 0 0 1 1 *",
        "@monthly" => "0 0 0 1 * *",
        "@weekly" => "0 0 0 * * 0",
        "@daily" | "@midnight" => "0 0 0 * * *",
        "@hourly" => "0 0 * * * *",
        _ => return None,
    })
}

fn parse_fields(text: &str) -> Result<CronExpression, ScheduleError> {
    let mut fields = words(text);
    let six = (fields.next(), fields.next(), fields.next(), fields.next(), fields.next(), fields.next());
    let ((Some(second), Some(minute), Some(hour), Some(day), Some(month), Some(weekday)), None) =
        (six, fields.next())
    else {
        let text = text.trim_matches(is_blank);
        return Err(ScheduleError::FieldCount { text: excerpt(text), count: words(text).count() });
    };
    Ok(CronExpression {
        second: plain(CronField::Second, second)?,
        minute: plain(CronField::Minute, minute)?,
        hour: plain(CronField::Hour, hour)?,
        day_of_month: days_of_month(day)?,
        month: plain(CronField::Month, month)?,
        day_of_week: days_of_week(weekday)?,
    })
}

/// A piece of the expression, and where it starts.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Piece<'a> {
    /// The pieces before and after the first `separator`.
    fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let (before, after) = self.text.split_once(separator)?;
        let offset = self.offset.saturating_add(before.len()).saturating_add(separator.len_utf8());
        Some((Self { text: before, ..self }, Self { text: after, offset }))
    }

    /// The pieces between separators, empty ones among them.
    fn split(self, separators: fn(char) -> bool) -> impl Iterator<Item = Piece<'a>> {
        let mut offset = self.offset;
        self.text.split(separators).map(move |text| {
            let piece = Piece { text, offset };
            offset = offset.saturating_add(text.len()).saturating_add(1);
            piece
        })
    }

    fn strip_suffix(self, suffixes: &[char]) -> Option<Self> {
        Some(Self { text: self.text.strip_suffix(suffixes)?, ..self })
    }

    fn error(self, field: CronField, problem: FieldProblem) -> ScheduleError {
        ScheduleError::Field { field, offset: self.offset, text: excerpt(self.text), problem }
    }
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn words(text: &str) -> impl Iterator<Item = Piece<'_>> {
    Piece { text, offset: 0 }.split(is_blank).filter(|word| !word.text.is_empty())
}

/// A field without special forms.
fn plain(field: CronField, piece: Piece<'_>) -> Result<Values, ScheduleError> {
    let mut values = Values::default();
    list(field, piece, &mut values, |_| Ok(false))?;
    Ok(values)
}

fn days_of_month(piece: Piece<'_>) -> Result<DaysOfMonth, ScheduleError> {
    let mut days = DaysOfMonth::default();
    let mut values = Values::default();
    list(CronField::DayOfMonth, piece, &mut values, |item| special_day_of_month(&mut days, item))?;
    Ok(DaysOfMonth { values, ..days })
}

fn days_of_week(piece: Piece<'_>) -> Result<DaysOfWeek, ScheduleError> {
    let mut days = DaysOfWeek::default();
    let mut values = Values::default();
    list(CronField::DayOfWeek, piece, &mut values, |item| special_day_of_week(&mut days, item))?;
    Ok(DaysOfWeek { values, ..days })
}

/// Reads the items; `special` takes those of a form that only its field has, and says whether it did.
fn list<'a>(
    field: CronField,
    piece: Piece<'a>,
    values: &mut Values,
    mut special: impl FnMut(Piece<'a>) -> Result<bool, ScheduleError>,
) -> Result<(), ScheduleError> {
    if piece.text == "*" || (piece.text == "?" && has_question_mark(field)) {
        *values = Values { every: true, mask: full(field), star_steps: 0 };
        return Ok(());
    }
    for item in piece.split(|c| c == ',') {
        if !special(item)? {
            plain_item(field, item, values)?;
        }
    }
    Ok(())
}

fn has_question_mark(field: CronField) -> bool {
    matches!(field, CronField::DayOfMonth | CronField::DayOfWeek)
}

fn full(field: CronField) -> u64 {
    (field.min()..=field.max()).fold(0, |mask, value| mask | bit(value))
}

/// `L`, `L-n`, `LW` and `nW`.
fn special_day_of_month(days: &mut DaysOfMonth, item: Piece<'_>) -> Result<bool, ScheduleError> {
    let field = CronField::DayOfMonth;
    if item.text.eq_ignore_ascii_case("L") {
        days.before_last |= bit(0);
    } else if item.text.eq_ignore_ascii_case("LW") {
        days.last_weekday = true;
    } else if let Some((_, n)) = item.split_once('-').filter(|(l, _)| l.text.eq_ignore_ascii_case("L")) {
        let n = number(n.text).filter(|n| (1..=field.step_max()).contains(n));
        days.before_last |= bit(n.ok_or_else(|| item.error(field, FieldProblem::Special))?);
    } else if let Some(day) = item.strip_suffix(&['W', 'w']) {
        let day = value(field, day).map_err(|_| item.error(field, FieldProblem::Special))?;
        days.nearest |= bit(day);
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// `dL` and `d#k`.
fn special_day_of_week(days: &mut DaysOfWeek, item: Piece<'_>) -> Result<bool, ScheduleError> {
    let field = CronField::DayOfWeek;
    let error = |_| item.error(field, FieldProblem::Special);
    if let Some((day, k)) = item.split_once('#') {
        let day = value(field, day).map_err(error)?;
        let k = number(k.text).filter(|k| (1..=5).contains(k));
        let k = k.ok_or_else(|| item.error(field, FieldProblem::Special))?;
        days.nth |= bit(k.saturating_mul(8).saturating_add(canonical(field, day)));
    } else if let Some(day) = item.strip_suffix(&['L', 'l']) {
        days.last |= bit(canonical(field, value(field, day).map_err(error)?));
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// A value, a range, or either with a step.
fn plain_item(field: CronField, item: Piece<'_>, values: &mut Values) -> Result<(), ScheduleError> {
    match item.text {
        "" => return Err(item.error(field, FieldProblem::EmptyItem)),
        "*" => return Err(item.error(field, FieldProblem::NotAlone)),
        "?" if has_question_mark(field) => return Err(item.error(field, FieldProblem::NotAlone)),
        "?" => return Err(item.error(field, FieldProblem::QuestionMark)),
        text if text.split(['-', '/']).any(str::is_empty) => {
            return Err(item.error(field, FieldProblem::Incomplete));
        }
        _ => {}
    }
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(self::step(field, step)?)),
        None => (item, None),
    };
    values.mask |= match (range.split_once('-'), step) {
        (Some((from, to)), _) => sequence(field, value(field, from)?, value(field, to)?, step.unwrap_or(1)),
        (None, Some(step)) if range.text == "*" => {
            values.star_steps |= bit(step);
            sequence(field, field.min(), field.max(), step)
        }
        (None, Some(step)) => sequence(field, canonical(field, value(field, range)?), field.max(), step),
        (None, None) => bit(canonical(field, value(field, range)?)),
    };
    Ok(())
}

/// Every `step`-th value from `from` on, up to `to`, going round once at the field's end if `to` lies before `from`.
///
/// A 7 closes a range of weekdays after Saturday and opens one as 0.
fn sequence(field: CronField, from: u8, to: u8, step: u8) -> u64 {
    let add = |mask, value| mask | bit(canonical(field, value));
    let every = usize::from(step.max(1));
    let first = canonical(field, from);
    let mask = match from == to {
        true => bit(first),
        false if first <= to => (first..=to).step_by(every).fold(0, add),
        false => (first..=field.max()).chain(field.min()..=to).step_by(every).fold(0, add),
    };
    debug_assert_eq!(mask & !full(field), 0, "{from}-{to}/{step} leaves the {field} field");
    mask
}

/// The same value for both numbers of Sunday.
fn canonical(field: CronField, value: u8) -> u8 {
    match (field, value) {
        (CronField::DayOfWeek, 7) => 0,
        _ => value,
    }
}

fn step(field: CronField, piece: Piece<'_>) -> Result<u8, ScheduleError> {
    let max = field.step_max();
    let step = number(piece.text).filter(|step| (1..=max).contains(step));
    step.ok_or_else(|| piece.error(field, FieldProblem::Step { max }))
}

/// A number or a name of the field.
fn value(field: CronField, piece: Piece<'_>) -> Result<u8, ScheduleError> {
    let (min, max) = (field.min(), field.greatest_number());
    match number(piece.text) {
        Some(value) if (min..=max).contains(&value) => Ok(value),
        Some(_) => Err(piece.error(field, FieldProblem::OutOfRange { min, max })),
        None => named(field, piece.text).ok_or_else(|| piece.error(field, FieldProblem::Value)),
    }
}

fn named(field: CronField, text: &str) -> Option<u8> {
    let index = field.names().iter().position(|name| name.eq_ignore_ascii_case(text))?;
    u8::try_from(index).ok()?.checked_add(field.min())
}

/// One or two ASCII digits.
fn number(text: &str) -> Option<u8> {
    let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}
