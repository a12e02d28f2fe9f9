//! The six fields, their ranges and names.

use core::fmt;

/// One of the six fields of a cron expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CronField {
    /// 0 to 59.
    Second,
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31, or counted from the month's end.
    DayOfMonth,
    /// 1 to 12.
    Month,
    /// 0 to 7; 0 and 7 are Sunday, 1 is Monday.
    DayOfWeek,
}

impl CronField {
    /// All of them, in the order in which they are written.
    pub const ALL: [CronField; 6] = [
        CronField::Second,
        CronField::Minute,
        CronField::Hour,
        CronField::DayOfMonth,
        CronField::Month,
        CronField::DayOfWeek,
    ];

    /// The least value.
    pub const fn min(self) -> u8 {
        match self {
            Self::Second | Self::Minute | Self::Hour | Self::DayOfWeek => 0,
            Self::DayOfMonth | Self::Month => 1,
        }
    }

    /// The greatest value; for the day of week 6, though 7 is read as 0.
    pub const fn max(self) -> u8 {
        match self {
            Self::Second | Self::Minute => 59,
            Self::Hour => 23,
            Self::DayOfMonth => 31,
            Self::Month => 12,
            Self::DayOfWeek => 6,
        }
    }

    /// The greatest number that may be written.
    pub(crate) const fn greatest_number(self) -> u8 {
        match self {
            Self::DayOfWeek => 7,
            Self::Second | Self::Minute | Self::Hour | Self::DayOfMonth | Self::Month => self.max(),
        }
    }

    /// The greatest step: the distance from the least value to the greatest.
    #[expect(clippy::arithmetic_side_effects, reason = "max() is greater than min() for every field")]
    pub const fn step_max(self) -> u8 {
        self.max() - self.min()
    }

    /// Names of the values, from the least value on; none for fields that have only numbers.
    pub(crate) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Month => {
                &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
            }
            Self::DayOfWeek => &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
            Self::Second | Self::Minute | Self::Hour | Self::DayOfMonth => &[],
        }
    }

    /// What may stand in the field, in words.
    pub const fn allowed(self) -> &'static str {
        match self {
            Self::Second | Self::Minute => {
                "*, */n, values 0-59, ranges a-b, a/n and a-b/n with n 1-59, and lists with commas"
            }
            Self::Hour => "*, */n, values 0-23, ranges a-b, a/n and a-b/n with n 1-23, and lists with commas",
            Self::DayOfMonth => {
                "*, ?, */n, values 1-31, ranges a-b, a/n and a-b/n with n 1-30, L, L-n with n 1-30, LW, nW, and lists with commas"
            }
            Self::Month => {
                "*, */n, values 1-12 or JAN-DEC, ranges a-b, a/n and a-b/n with n 1-11, and lists with commas"
            }
            Self::DayOfWeek => {
                "*, ?, */n, values 0-7 (0 and 7 are Sunday) or SUN-SAT, ranges a-b, a/n and a-b/n with n 1-6, dL, d#k with k 1-5, and lists with commas"
            }
        }
    }
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day-of-month",
            Self::Month => "month",
            Self::DayOfWeek => "day-of-week",
        })
    }
}

/// What is wrong with a piece of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldProblem {
    /// Neither a number of one or two digits nor a name of the field.
    #[error("is neither a number of one or two digits nor a name of this field")]
    Value,
    /// A number outside the field's range.
    #[error("is outside {min} to {max}")]
    OutOfRange {
        /// The least value.
        min: u8,
        /// The greatest value.
        max: u8,
    },
    /// A step of zero, beyond the field's range, or no number.
    #[error("is no step from 1 to {max}")]
    Step {
        /// The greatest step.
        max: u8,
    },
    /// Nothing between two commas, or at an end of the list.
    #[error("is an empty item of a list")]
    EmptyItem,
    /// A range without one of its ends, or a step without its start or number.
    #[error("lacks a value beside its - or /")]
    Incomplete,
    /// A `*` or `?` among the items of a list, or with something else behind it.
    #[error("stands alone and is no item of a list; leave the other items out")]
    NotAlone,
    /// A `?` outside the two day fields.
    #[error("is allowed in the two day fields only; write * instead")]
    QuestionMark,
    /// A form with `L`, `W` or `#` that this field does not have.
    #[error("is no special form of this field")]
    Special,
}
