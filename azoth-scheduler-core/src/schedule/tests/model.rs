//! Random expressions for tests: written as text, and checked against an instant by the words of the grammar, without
//! the parser and its masks.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use jiff::civil::DateTime;
use proptest::prelude::*;
use proptest::sample::select;

use crate::schedule::cron::CronField;

/// An expression as a person would write it.
#[derive(Clone, Debug)]
pub(super) struct Model {
    fields: [Field; 6],
}

#[derive(Clone, Debug)]
enum Field {
    Star,
    Question,
    List(Vec<Item>),
}

#[derive(Clone, Debug)]
enum Item {
    Value(u8),
    Range(u8, u8, Option<u8>),
    From(u8, u8),
    Star(u8),
    Last,
    BeforeLast(u8),
    LastWeekday,
    Nearest(u8),
    LastOf(u8),
    Nth(u8, u8),
}

impl Model {
    /// Whether the local time matches: one test after the other, no sets.
    pub(super) fn matches(&self, at: DateTime) -> bool {
        let [second, minute, hour, day, month, weekday] = &self.fields;
        let number = |value: i8| u8::try_from(value).unwrap();
        second.names(CronField::Second, number(at.second()))
            && minute.names(CronField::Minute, number(at.minute()))
            && hour.names(CronField::Hour, number(at.hour()))
            && month.names(CronField::Month, number(at.month()))
            && match (day, weekday) {
                (Field::List(days), Field::List(weekdays)) => {
                    any(CronField::DayOfMonth, days, at) || any(CronField::DayOfWeek, weekdays, at)
                }
                (Field::List(days), _) => any(CronField::DayOfMonth, days, at),
                (_, Field::List(weekdays)) => any(CronField::DayOfWeek, weekdays, at),
                _ => true,
            }
    }

    pub(super) fn is_wildcard(&self) -> bool {
        self.fields[..3].iter().any(|field| match field {
            Field::Star => true,
            Field::Question => false,
            Field::List(items) => items.iter().any(|item| matches!(item, Item::Star(_))),
        })
    }
}

fn any(field: CronField, items: &[Item], at: DateTime) -> bool {
    items.iter().any(|item| item.names_day(field, at))
}

impl Field {
    fn names(&self, field: CronField, value: u8) -> bool {
        match self {
            Self::Star | Self::Question => true,
            Self::List(items) => items.iter().any(|item| item.names(field, value)),
        }
    }
}

impl Item {
    fn names(&self, field: CronField, value: u8) -> bool {
        match *self {
            Self::Value(one) => one == value,
            Self::Range(from, to, step) => walk(field, from, to, step.unwrap_or(1)).contains(&value),
            Self::From(from, step) => walk(field, from, field.max(), step).contains(&value),
            Self::Star(step) => walk(field, field.min(), field.max(), step).contains(&value),
            Self::Last | Self::BeforeLast(_) | Self::LastWeekday => false,
            Self::Nearest(_) | Self::LastOf(_) | Self::Nth(..) => false,
        }
    }

    fn names_day(&self, field: CronField, at: DateTime) -> bool {
        let date = at.date();
        let (day, length) = (date.day(), date.days_in_month());
        let weekday = date.weekday().to_sunday_zero_offset();
        let plain = if field == CronField::DayOfMonth { day } else { weekday };
        let is_weekday = |name: u8| weekday == i8::try_from(name % 7).unwrap();
        match *self {
            Self::Last => day == length,
            Self::BeforeLast(n) => day == length - i8::try_from(n).unwrap(),
            Self::LastWeekday => date == nearest(date, length),
            Self::Nearest(n) => {
                let n = i8::try_from(n).unwrap();
                n <= length && date == nearest(date, n)
            }
            Self::LastOf(name) => is_weekday(name) && day > length - 7,
            Self::Nth(name, k) => is_weekday(name) && (day + 6) / 7 == i8::try_from(k).unwrap(),
            Self::Value(_) | Self::Range(..) | Self::From(..) | Self::Star(_) => {
                let also_7 = field == CronField::DayOfWeek && weekday == 0;
                self.names(field, u8::try_from(plain).unwrap()) || (also_7 && self.names(field, 7))
            }
        }
    }
}

/// The Monday-to-Friday date of the month that is nearest to a day of it.
fn nearest(date: jiff::civil::Date, day: i8) -> jiff::civil::Date {
    let target = date.with().day(day).build().unwrap();
    let shift = |days: i64| target.checked_add(jiff::Span::new().days(days)).unwrap();
    let candidates = [0, -1, 1, -2, 2].map(shift);
    let fits = |date: &&jiff::civil::Date| {
        date.month() == target.month() && date.weekday().to_monday_zero_offset() < 5
    };
    *candidates.iter().find(fits).unwrap()
}

/// The sequence of a range, value after value, going round at the end. Of weekdays, 7 opens one as 0 and closes one.
fn walk(field: CronField, from: u8, to: u8, step: u8) -> Vec<u8> {
    let weekdays = field == CronField::DayOfWeek;
    let mut value = if weekdays && from == 7 { 0 } else { from };
    let mut sequence = Vec::from([value]);
    while value != to && from != to {
        let goes_round = value == field.max() && !(weekdays && to == 7);
        value = if goes_round { field.min() } else { value + 1 };
        sequence.push(value);
    }
    sequence.into_iter().step_by(step.into()).collect()
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<String> = self.fields.iter().map(ToString::to_string).collect();
        f.write_str(&fields.join(" "))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Star => f.write_str("*"),
            Self::Question => f.write_str("?"),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                f.write_str(&items.join(","))
            }
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Range(from, to, None) => write!(f, "{from}-{to}"),
            Self::Range(from, to, Some(step)) => write!(f, "{from}-{to}/{step}"),
            Self::From(from, step) => write!(f, "{from}/{step}"),
            Self::Star(step) => write!(f, "*/{step}"),
            Self::Last => f.write_str("L"),
            Self::BeforeLast(n) => write!(f, "L-{n}"),
            Self::LastWeekday => f.write_str("LW"),
            Self::Nearest(n) => write!(f, "{n}W"),
            Self::LastOf(day) => write!(f, "{day}L"),
            Self::Nth(day, k) => write!(f, "{day}#{k}"),
        }
    }
}

fn item(field: CronField) -> BoxedStrategy<Item> {
    let top = if field == CronField::DayOfWeek { 7 } else { field.max() };
    let (value, step) = (field.min()..=top, 1..=field.step_max());
    let plain = prop_oneof![
        4 => value.clone().prop_map(Item::Value),
        2 => (value.clone(), value.clone(), proptest::option::of(step.clone())).prop_map(|(a, b, s)| Item::Range(a, b, s)),
        1 => (value.clone(), step.clone()).prop_map(|(from, step)| Item::From(from, step)),
        1 => step.prop_map(Item::Star),
    ];
    match field {
        CronField::DayOfMonth => prop_oneof![
            4 => plain,
            1 => Just(Item::Last),
            1 => (1u8..=30).prop_map(Item::BeforeLast),
            1 => Just(Item::LastWeekday),
            2 => (1u8..=31).prop_map(Item::Nearest),
        ]
        .boxed(),
        CronField::DayOfWeek => prop_oneof![
            4 => plain,
            1 => value.clone().prop_map(Item::LastOf),
            2 => (value, 1u8..=5).prop_map(|(day, k)| Item::Nth(day, k)),
        ]
        .boxed(),
        CronField::Second | CronField::Minute | CronField::Hour | CronField::Month => plain.boxed(),
    }
}

fn field(field: CronField) -> BoxedStrategy<Field> {
    let list = proptest::collection::vec(item(field), 1..4).prop_map(Field::List);
    match field {
        CronField::DayOfMonth | CronField::DayOfWeek => {
            prop_oneof![3 => select(&[Field::Star, Field::Question][..]), 4 => list].boxed()
        }
        CronField::Month => prop_oneof![3 => Just(Field::Star), 2 => list].boxed(),
        CronField::Second | CronField::Minute | CronField::Hour => {
            prop_oneof![1 => Just(Field::Star), 3 => list].boxed()
        }
    }
}

/// Any expression of the dialect.
pub(super) fn models() -> impl Strategy<Value = Model> {
    CronField::ALL.map(field).prop_map(|fields| Model { fields })
}
