//! The grammar by example: what is read, as what, and what is refused with which words.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::expression::bits;
use super::*;
use crate::schedule::ScheduleError;

fn parse(text: &str) -> CronExpression {
    CronExpression::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn error(text: &str) -> ScheduleError {
    CronExpression::parse(text).expect_err(text)
}

/// The values of the second, minute, hour and month fields and the plain weekdays.
fn values(text: &str, field: CronField) -> Vec<u8> {
    let expression = parse(text);
    let values = match field {
        CronField::Second => expression.second,
        CronField::Minute => expression.minute,
        CronField::Hour => expression.hour,
        CronField::DayOfMonth => expression.day_of_month.values,
        CronField::Month => expression.month,
        CronField::DayOfWeek => expression.day_of_week.values,
    };
    bits(values.mask).collect()
}

#[test]
fn values_ranges_steps_and_lists_name_what_they_say() {
    for (field, expected) in [
        ("*/20", &[0, 20, 40][..]),
        ("7", &[7]),
        ("07", &[7]),
        ("7-9", &[7, 8, 9]),
        ("50/4", &[50, 54, 58]),
        ("10-20/4", &[10, 14, 18]),
        ("59/59", &[59]),
        ("3,1,2,1", &[1, 2, 3]),
        ("5-5", &[5]),
        ("5-5/3", &[5]),
        ("*/30,45", &[0, 30, 45]),
        ("45,*/30", &[0, 30, 45]),
        ("0-59/59", &[0, 59]),
    ] {
        assert_eq!(values(&std::format!("{field} * * * * *"), CronField::Second), expected, "{field}");
        assert_eq!(values(&std::format!("0 {field} * * * *"), CronField::Minute), expected, "{field}");
    }
}

#[test]
fn ranges_go_round_the_end_of_their_field_and_steps_count_along() {
    for (text, field, expected) in [
        ("58-1 * * * * *", CronField::Second, &[0, 1, 58, 59][..]),
        ("50-10/5 * * * * *", CronField::Second, &[0, 5, 10, 50, 55]),
        ("55-8/4 * * * * *", CronField::Second, &[3, 7, 55, 59]),
        ("0 0 22-2 * * *", CronField::Hour, &[0, 1, 2, 22, 23]),
        ("0 0 21-5/3 * * *", CronField::Hour, &[0, 3, 21]),
        ("0 0 0 28-3 * *", CronField::DayOfMonth, &[1, 2, 3, 28, 29, 30, 31]),
        ("0 0 0 30-4/2 * *", CronField::DayOfMonth, &[1, 3, 30]),
        ("0 0 0 1 NOV-FEB *", CronField::Month, &[1, 2, 11, 12]),
        ("0 0 0 1 11-2/2 *", CronField::Month, &[1, 11]),
        ("0 0 0 * * FRI-MON", CronField::DayOfWeek, &[0, 1, 5, 6]),
    ] {
        assert_eq!(values(text, field), expected, "{text}");
    }
}

#[test]
fn both_numbers_of_sunday_open_and_close_ranges() {
    for (field, expected) in [
        ("0", &[0][..]),
        ("7", &[0]),
        ("sun", &[0]),
        ("5-7", &[0, 5, 6]),
        ("7-2", &[0, 1, 2]),
        ("0-7", &[0, 1, 2, 3, 4, 5, 6]),
        ("1-7/2", &[0, 1, 3, 5]),
        ("5-7/2", &[0, 5]),
        ("0-7/2", &[0, 2, 4, 6]),
        ("7-7", &[0]),
        ("7-0", &[0]),
        ("6-0", &[0, 6]),
        ("7/3", &[0, 3, 6]),
        ("4/2", &[4, 6]),
        ("MON-SUN/3", &[0, 1, 4]),
        ("6-SUN", &[0, 6]),
        ("tue-3", &[2, 3]),
    ] {
        assert_eq!(values(&std::format!("0 0 0 * * {field}"), CronField::DayOfWeek), expected, "{field}");
    }
}

#[test]
fn names_and_letters_are_read_in_any_case() {
    assert_eq!(parse("0 0 0 lw JaN-mAr *"), parse("0 0 0 LW 1-3 *"));
    assert_eq!(parse("0 0 0 l,l-3,15w * fril"), parse("0 0 0 L,L-3,15W * 5L"));
    assert_eq!(parse("0 0 0 * * sun#5,7#4"), parse("0 0 0 * * 0#5,0#4"));
    for (month, name) in (1..=12).zip(CronField::Month.names()) {
        assert_eq!(values(&std::format!("0 0 0 1 {name} *"), CronField::Month), [month]);
    }
    for (day, name) in (0..=6).zip(CronField::DayOfWeek.names()) {
        assert_eq!(values(&std::format!("0 0 0 * * {name}"), CronField::DayOfWeek), [day]);
    }
}

#[test]
fn blanks_around_and_between_fields_do_not_matter() {
    assert_eq!(parse(" \t0\t 0  9 * *\t1-5 \t"), parse("0 0 9 * * 1-5"));
    assert_eq!(parse("\t@daily "), parse("0 0 0 * * *"));
}

#[test]
fn aliases_are_text_for_six_fields() {
    for (alias, text) in [
        ("@yearly", "0 0 0 1 1 *"),
        ("@annually", "0 0 0 1 1 *"),
        ("@monthly", "0 0 0 1 * *"),
        ("@weekly", "0 0 0 * * 0"),
        ("@daily", "0 0 0 * * *"),
        ("@midnight", "0 0 0 * * *"),
        ("@hourly", "0 0 * * * *"),
    ] {
        assert_eq!(parse(alias), parse(text), "{alias}");
    }
}

#[test]
fn question_mark_is_a_star_in_the_day_fields() {
    assert_eq!(parse("0 0 0 ? * ?"), parse("0 0 0 * * *"));
    assert_eq!(parse("0 0 0 ? * 1"), parse("0 0 0 * * 1"));
}

#[test]
fn only_a_star_in_the_time_of_day_makes_a_wildcard() {
    for (text, wildcard) in [
        ("* 0 0 * * *", true),
        ("0 */5 2 * * *", true),
        ("0 0 */2 * * *", true),
        ("0 5,*/20 2 * * *", true),
        ("0 0-59 2 * * *", false),
        ("0 0/5 2 * * *", false),
        ("0 0,30 2 * * *", false),
        ("0 0 0 */2 * *", false),
        ("0 0 0 * * */2", false),
    ] {
        assert_eq!(parse(text).is_wildcard(), wildcard, "{text}");
    }
}

#[test]
fn expression_without_any_date_parses_but_cannot_fire() {
    for (text, can_fire) in [
        ("0 0 0 30 2 *", false),
        ("0 0 0 31 2,4,6,9,11 *", false),
        ("0 0 0 31W 11 *", false),
        ("0 0 0 L-29 2 *", false),
        ("0 0 0 L-30 4 *", false),
        ("0 0 0 30,31,L-30 2 ?", false),
        ("0 0 0 29 2 *", true),
        ("0 0 0 29W 2 *", true),
        ("0 0 0 L-28 2 *", true),
        ("0 0 0 L-30 1 *", true),
        ("0 0 0 30,L 2 *", true),
        ("0 0 0 30 2 MON", true),
        ("0 0 0 * 2 5#5", true),
    ] {
        assert_eq!(parse(text).can_fire(), can_fire, "{text}");
    }
}

#[test]
fn printed_expression_is_in_numbers_and_in_order() {
    for (text, printed) in [
        ("@weekly", "0 0 0 * * 0"),
        ("5,1,2,3,9,8 * * * * *", "1-3,5,8,9 * * * * *"),
        ("7,*/15 0-59 * ? dec *", "*/15,7 0-59 * * 12 *"),
        ("0 0 0 LW,L,L-2,15w,3 * *", "0 0 0 3,15W,L,L-2,LW * *"),
        ("0 0 0 * * fri#3,monL,tue", "0 0 0 * * 2,1L,5#3"),
        ("0 0 0 */10 */3 */2", "0 0 0 */10 */3 */2"),
        ("0 0 22-1 * * 6-7", "0 0 0,1,22,23 * * 0,6"),
    ] {
        assert_eq!(parse(text).to_string(), printed, "{text}");
    }
}

/// Field, offset and offending text of an error.
fn place(text: &str) -> (CronField, usize, String) {
    let ScheduleError::Field { field, offset, text, .. } = error(text) else {
        panic!("{text:?}: not of a field")
    };
    (field, offset, text)
}

#[test]
fn error_names_field_offset_and_offending_text() {
    use CronField::{DayOfMonth, DayOfWeek, Hour, Minute, Month, Second};
    for (text, field, offset, offending) in [
        ("60 0 0 * * *", Second, 0, "60"),
        ("  0 0,75 0 * * *", Minute, 6, "75"),
        ("0 0 24 * * *", Hour, 4, "24"),
        ("0 0 0 0 * *", DayOfMonth, 6, "0"),
        ("0 0 0 1,32 * *", DayOfMonth, 8, "32"),
        ("0 0 0 1 13 *", Month, 8, "13"),
        ("0 0 0 1 1 8", DayOfWeek, 10, "8"),
        ("0 0 0 1 1 MON-FOO", DayOfWeek, 14, "FOO"),
        ("0 0 0 1 MONDAY *", Month, 8, "MONDAY"),
        ("0 0-5/60 0 * * *", Minute, 6, "60"),
        ("0 */0 0 * * *", Minute, 4, "0"),
        ("0 0 */24 * * *", Hour, 6, "24"),
        ("0 0 0 */31 * *", DayOfMonth, 8, "31"),
        ("0 0 0 1 */12 *", Month, 10, "12"),
        ("0 0 0 * * */7", DayOfWeek, 12, "7"),
        ("0 007 0 * * *", Minute, 2, "007"),
        ("0 +7 0 * * *", Minute, 2, "+7"),
        ("0 ? 0 * * *", Minute, 2, "?"),
        ("0 5,* 0 * * *", Minute, 4, "*"),
        ("0 *,5 0 * * *", Minute, 2, "*"),
        ("0 0 0 1,? * *", DayOfMonth, 8, "?"),
        ("0 5,,6 0 * * *", Minute, 4, ""),
        ("0 5, 0 * * *", Minute, 4, ""),
        ("0 -5 0 * * *", Minute, 2, "-5"),
        ("0 5- 0 * * *", Minute, 2, "5-"),
        ("0 5/ 0 * * *", Minute, 2, "5/"),
        ("0 1-2-3 0 * * *", Minute, 4, "2-3"),
        ("0 5/2/2 0 * * *", Minute, 4, "2/2"),
        ("0 *-5 0 * * *", Minute, 2, "*"),
        ("0 */5-7 0 * * *", Minute, 4, "5-7"),
        ("0 0 L * * *", Hour, 4, "L"),
        ("0 0 0 1 L *", Month, 8, "L"),
        ("0 0 0 L-0 * *", DayOfMonth, 6, "L-0"),
        ("0 0 0 L-31 * *", DayOfMonth, 6, "L-31"),
        ("0 0 0 L-3W * *", DayOfMonth, 6, "L-3W"),
        ("0 0 0 0W * *", DayOfMonth, 6, "0W"),
        ("0 0 0 32W * *", DayOfMonth, 6, "32W"),
        ("0 0 0 W * *", DayOfMonth, 6, "W"),
        ("0 0 0 1-5W * *", DayOfMonth, 6, "1-5W"),
        ("0 0 0 15W/2 * *", DayOfMonth, 6, "15W"),
        ("0 0 0 LL * *", DayOfMonth, 6, "LL"),
        ("0 0 0 15L * *", DayOfMonth, 6, "15L"),
        ("0 0 0 * * L", DayOfWeek, 10, "L"),
        ("0 0 0 * * LW", DayOfWeek, 10, "LW"),
        ("0 0 0 * * 8L", DayOfWeek, 10, "8L"),
        ("0 0 0 * * 1#0", DayOfWeek, 10, "1#0"),
        ("0 0 0 * * 1#6", DayOfWeek, 10, "1#6"),
        ("0 0 0 * * #1", DayOfWeek, 10, "#1"),
        ("0 0 0 * * 1-3#1", DayOfWeek, 10, "1-3#1"),
        ("0 0 0 * * MON,1#", DayOfWeek, 14, "1#"),
        ("0 0\n 0 * * *", Minute, 2, "0\n"),
        ("0 0\0 0 * * *", Minute, 2, "0\0"),
    ] {
        assert_eq!(place(text), (field, offset, offending.to_string()), "{text:?}");
    }
}

#[test]
fn error_says_what_is_allowed_and_what_to_write_instead() {
    for (text, part) in [
        ("60 0 0 * * *", "second field of the cron expression: \"60\" at byte 0 is outside 0 to 59"),
        ("0 0 0 * * 8", "values 0-7 (0 and 7 are Sunday) or SUN-SAT"),
        ("0 0 0 L-40 * *", "L-n with n 1-30"),
        ("0 */90 0 * * *", "\"90\" at byte 4 is no step from 1 to 59"),
        ("0 9 * * 1-5", "5 field(s), exactly 6 are needed"),
        ("0 9 * * 1-5", "put `0 ` in front for second 0, as in `0 0 9 * * 1-5`"),
        ("0 0 9 * * 1-5 2030", "drop the seventh; years are given by not_before and not_after"),
        ("", "has 0 field(s)"),
        ("   ", "for example `0 0 9 * * 1-5`"),
        ("0 0 9", "has 3 field(s)"),
        ("@every 5m", "\"@every\" at byte 0 is not known: use an interval schedule"),
        (" @reboot", "\"@reboot\" at byte 1 is not known: schedule an immediate task"),
        ("@fortnightly", "known are @yearly, @annually, @monthly"),
        ("@Daily", "alone and in lower case"),
        ("@daily 5", "alone and in lower case"),
        ("0 0 0 * * \u{ff11}", "holds '\u{ff11}' at byte 10: only ASCII is allowed"),
        ("0\u{a0}0 0 * * *", "holds '\\u{a0}' at byte 1"),
    ] {
        let message = error(text).to_string();
        assert!(message.contains(part), "{text:?}: {message}");
    }
}

#[test]
fn message_about_a_hostile_expression_is_short() {
    let long = "9".repeat(EXPRESSION_BYTES_MAX + 1);
    assert_eq!(error(&long), ScheduleError::TooLong { bytes: EXPRESSION_BYTES_MAX + 1 });
    for text in ["9".repeat(4000), std::format!("{} 0 0 * * *", "1-".repeat(1500)), "* ".repeat(2000)] {
        assert!(error(&text).to_string().len() < 500, "{text}");
    }
}

#[test]
fn expression_that_lists_everything_fits_the_limit() {
    let list = |range: core::ops::RangeInclusive<u8>, end: &str| {
        let items: Vec<_> = range.map(|value| std::format!("{value}{end}")).collect();
        items.join(",")
    };
    let nth: Vec<_> = (1..=5).map(|k| list(0..=7, &std::format!("#{k}"))).collect();
    let (sixty, hours) = (list(0..=59, ""), list(0..=23, ""));
    let days = std::format!("{},{},L,LW", list(1..=31, ""), list(1..=31, "W"));
    let weekdays = std::format!("{},{},{}", list(0..=7, ""), list(0..=7, "L"), nth.join(","));
    let text = std::format!("{sixty} {sixty} {hours} {days} {} {weekdays}", list(1..=12, ""));
    assert!(text.len() < EXPRESSION_BYTES_MAX);
    assert!(parse(&text).can_fire());
}

#[test]
fn description_is_plain_language() {
    for (text, expected) in [
        ("0 0 9 * * 1-5", "at 09:00, Monday through Friday"),
        ("15 30 6 * * *", "at 06:30:15, every day"),
        ("0 0 9,12,18 * * 6-7", "at 09:00, 12:00 and 18:00, Saturday and Sunday"),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("0 * * * * *", "every minute"),
        ("0 */15 * * * *", "every 15 minutes"),
        ("0 0 * * * *", "at minute 0 of every hour"),
        ("0 30 */2 * * *", "at minute 30 of every 2nd hour"),
        (
            "0 */20 9-17 * * MON,WED,FRI",
            "every 20 minutes of hour 9 through 17, Monday, Wednesday and Friday",
        ),
        ("5 * * * * *", "at second 5 of every minute"),
        ("0 0 0 1 1 *", "at 00:00, on day 1 of the month, in January"),
        ("0 0 0 13 * FRI", "at 00:00, on day 13 of the month or Friday"),
        (
            "0 0 0 L-1,L-3,LW * *",
            "at 00:00, on the day before the last day of the month or the day 3 days before the last day of the month or the last weekday of the month",
        ),
        (
            "0 0 0 * JUN-AUG MON#1,5L",
            "at 00:00, on the last Friday of the month or the 1st Monday of the month, in June through August",
        ),
    ] {
        assert_eq!(parse(text).describe(), expected, "{text}");
    }
}
