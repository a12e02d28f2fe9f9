//! A cron expression that was read, as bit masks.

/// A cron expression that was read: which seconds, minutes, hours, days and months it names.
///
/// Two expressions are equal when they name the same values and have `*` in the same places. Printed, it is an
/// equal expression with numbers for names, values in order, and aliases written out.
///
/// ```
/// use azoth_scheduler_core::schedule::cron::CronExpression;
///
/// let expression = CronExpression::parse("0 30 9 ? JAN-MAR mon,FRI#2")?;
/// assert_eq!(expression.to_string(), "0 30 9 * 1-3 1,5#2");
/// # Ok::<(), azoth_scheduler_core::schedule::ScheduleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CronExpression {
    pub(crate) second: Values,
    pub(crate) minute: Values,
    pub(crate) hour: Values,
    pub(crate) day_of_month: DaysOfMonth,
    pub(crate) month: Values,
    pub(crate) day_of_week: DaysOfWeek,
}

/// The plain values of a field: bit `v` of the mask stands for the value `v`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values {
    /// The field is exactly `*` or `?`.
    pub(crate) every: bool,
    /// The values named, whichever way.
    pub(crate) mask: u64,
    /// Bit `n` stands for an item `*/n`. Kept because a `*` decides what happens at a change of the clock.
    pub(crate) star_steps: u64,
}

impl Values {
    /// Whether the field contains a `*`.
    pub(crate) const fn has_star(&self) -> bool {
        self.every || self.star_steps != 0
    }

    /// Whether the value is among them.
    pub(crate) const fn contains(&self, value: u8) -> bool {
        self.mask & bit(value) != 0
    }

    /// The least value that is not below `from`.
    #[cfg(feature = "engine")]
    pub(crate) const fn first_from(&self, from: u8) -> Option<u8> {
        let rest = self.mask & !bit(from).wrapping_sub(1);
        if rest == 0 { None } else { Some(rest.trailing_zeros() as u8) }
    }
}

/// The day-of-month field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DaysOfMonth {
    /// Days by number.
    pub(crate) values: Values,
    /// Bit `n` stands for `L-n`, bit 0 for `L`.
    pub(crate) before_last: u64,
    /// Bit `n` stands for `nW`.
    pub(crate) nearest: u64,
    /// `LW`.
    pub(crate) last_weekday: bool,
}

/// The day-of-week field. Bit 0 is Sunday.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DaysOfWeek {
    /// Weekdays, every week.
    pub(crate) values: Values,
    /// Bit `d` stands for `dL`.
    pub(crate) last: u64,
    /// Bit `8k + d` stands for `d#k`.
    pub(crate) nth: u64,
}

impl CronExpression {
    /// Whether any date can match: `false` for 30 February, `true` for 29 February.
    pub fn can_fire(&self) -> bool {
        self.day_of_month.values.every
            || !self.day_of_week.values.every
            || (1..=12).any(|month| self.month.contains(month) && self.day_of_month.exists_in(month))
    }

    /// Whether a field of the time of day contains a `*`: such a schedule keeps its rhythm in elapsed time when the
    /// clocks change, any other one names times of day.
    pub fn is_wildcard(&self) -> bool {
        self.second.has_star() || self.minute.has_star() || self.hour.has_star()
    }
}

impl DaysOfMonth {
    /// Whether a month (1 to 12) has one of the days in some year.
    fn exists_in(&self, month: u8) -> bool {
        let days = longest_month(month);
        let up_to_days = bit(days.saturating_add(1)).wrapping_sub(1);
        let below_days = bit(days).wrapping_sub(1);
        self.values.mask & up_to_days != 0
            || self.nearest & up_to_days != 0
            || self.before_last & below_days != 0
            || self.last_weekday
    }
}

/// The most days that a month (1 to 12) has in any year.
pub(crate) const fn longest_month(month: u8) -> u8 {
    match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The bit of a value; 0 for values beyond a mask.
pub(crate) const fn bit(value: u8) -> u64 {
    match 1u64.checked_shl(value as u32) {
        Some(bit) => bit,
        None => 0,
    }
}

/// The numbers of the bits that are set, in order.
pub(crate) fn bits(mask: u64) -> impl Iterator<Item = u8> + Clone {
    (0..64u8).filter(move |&value| mask & bit(value) != 0)
}
