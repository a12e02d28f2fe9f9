//! Writing an expression, so that reading it again gives an equal one.

use core::fmt;

use super::expression::{CronExpression, DaysOfMonth, DaysOfWeek, Values, bit, bits};
use super::field::CronField;

impl fmt::Display for CronExpression {
    /// Six fields with single spaces: `*`, or `*/n` items, numbers in order with ranges of three and more, and the
    /// special forms.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = List { f, empty: true };
        list.values(CronField::Second, &self.second)?;
        list.next_field()?;
        list.values(CronField::Minute, &self.minute)?;
        list.next_field()?;
        list.values(CronField::Hour, &self.hour)?;
        list.next_field()?;
        list.days_of_month(&self.day_of_month)?;
        list.next_field()?;
        list.values(CronField::Month, &self.month)?;
        list.next_field()?;
        list.days_of_week(&self.day_of_week)
    }
}

/// The items of a field, with commas between them.
struct List<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    empty: bool,
}

impl List<'_, '_> {
    fn next_field(&mut self) -> fmt::Result {
        self.empty = true;
        self.f.write_str(" ")
    }

    fn item(&mut self, item: fmt::Arguments<'_>) -> fmt::Result {
        if !self.empty {
            self.f.write_str(",")?;
        }
        self.empty = false;
        self.f.write_fmt(item)
    }

    fn values(&mut self, field: CronField, values: &Values) -> fmt::Result {
        if values.every {
            return self.item(format_args!("*"));
        }
        let mut rest = values.mask;
        for step in bits(values.star_steps) {
            self.item(format_args!("*/{step}"))?;
            for value in (field.min()..=field.max()).step_by(usize::from(step.max(1))) {
                rest &= !bit(value);
            }
        }
        self.runs(rest)
    }

    /// Values in order: three and more that follow each other as a range.
    fn runs(&mut self, mut mask: u64) -> fmt::Result {
        while mask != 0 {
            let from = mask.trailing_zeros();
            let length = mask.wrapping_shr(from).trailing_ones();
            let to = from.saturating_add(length).saturating_sub(1);
            match length {
                1 => self.item(format_args!("{from}"))?,
                2 => self.item(format_args!("{from},{to}"))?,
                _ => self.item(format_args!("{from}-{to}"))?,
            }
            mask &= !u64::MAX.checked_shr(63u32.saturating_sub(to)).unwrap_or(0);
        }
        Ok(())
    }

    fn days_of_month(&mut self, days: &DaysOfMonth) -> fmt::Result {
        self.values(CronField::DayOfMonth, &days.values)?;
        for day in bits(days.nearest) {
            self.item(format_args!("{day}W"))?;
        }
        for n in bits(days.before_last) {
            match n {
                0 => self.item(format_args!("L"))?,
                n => self.item(format_args!("L-{n}"))?,
            }
        }
        if days.last_weekday {
            self.item(format_args!("LW"))?;
        }
        Ok(())
    }

    fn days_of_week(&mut self, days: &DaysOfWeek) -> fmt::Result {
        self.values(CronField::DayOfWeek, &days.values)?;
        for day in bits(days.last) {
            self.item(format_args!("{day}L"))?;
        }
        for index in bits(days.nth) {
            self.item(format_args!("{}#{}", index & 7, index >> 3))?;
        }
        Ok(())
    }
}
