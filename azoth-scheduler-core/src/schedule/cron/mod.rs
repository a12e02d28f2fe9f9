//! Cron expressions: six fields, read once into bit masks.
//!
//! Exactly six fields, in ASCII, with spaces or tabs between them:
//!
//! | field | values | names | also |
//! |---|---|---|---|
//! | second | 0-59 | | |
//! | minute | 0-59 | | |
//! | hour | 0-23 | | |
//! | day of month | 1-31 | | `?` `L` `L-n` (n 1-30) `LW` `nW` |
//! | month | 1-12 | `JAN`-`DEC` | |
//! | day of week | 0-7, 0 and 7 are Sunday, 1 is Monday | `SUN`-`SAT` | `?` `dL` `d#k` (k 1-5) |
//!
//! | written | accepted | means |
//! |---|---|---|
//! | `*` | in every field | every value; alone, not in a list |
//! | `?` | in the two day fields | the same as `*` |
//! | `5`, `05`, `mon`, `MON` | | that value; one or two digits, names and letters in any case |
//! | `1,2,7-9` | | a list of values, ranges, steps and special forms |
//! | `9-17`, `22-2`, `FRI-MON` | | from the first to the last, going round the field's end if need be |
//! | `9-17/2`, `50-10/5` | steps from 1 to the distance of least and greatest value | every so many values of that sequence |
//! | `5/15`, `*/15` | | every so many values from there, or from the least one, to the field's greatest |
//! | `L`, `L-3` | in the day of month | the last day; so many days before it |
//! | `LW`, `15W` | in the day of month | the last Monday-to-Friday day; the one nearest to a day, within its month |
//! | `5L`, `FRIL`, `FRI#2` | in the day of week | the last such weekday of the month; the second one |
//! | `@yearly` `@annually` `@monthly` `@weekly` `@daily` `@midnight` `@hourly` | alone | the expression that runs at the start of each |
//! | five fields | no: put `0 ` in front | |
//! | seven fields (years) | no: a schedule has `not_before` and `not_after` | |
//! | `@every 5m`, `@reboot` | no: an interval, an immediate task | |
//! | second 60, hour 24, `*/60` | no | |
//! | `5,*`, `1,?`, `L` as a weekday, `L-3W`, `1-5W`, `1-3#2` | no | |
//! | `30 2` (30 February) | read, but no schedule is made of it | never |
//!
//! A day matches when the month does, and: if only one of the two day fields is restricted, that one; if both are
//! (anything but `*` or `?`), either. Days that a month does not have are left out, never moved to its end.
//! The rules are those of crontab(5), and of Quartz for the special forms.

#[cfg(feature = "engine")]
mod days;
mod describe;
pub(super) mod expression;
mod field;
mod parse;
mod print;

pub use self::expression::CronExpression;
pub use self::field::{CronField, FieldProblem};
pub use super::bounds::EXPRESSION_BYTES_MAX;

#[cfg(test)]
mod tests;
