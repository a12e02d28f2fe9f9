//! Comparing a derived table of the file with that of a scratch, row by row, with two rows in memory.

use std::cmp::Ordering;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::schema;
use crate::error::StoreError;

/// How the table of the file differs from the one that a replay made, at most `limit` times.
pub(super) fn differences(conn: &Connection, table: &str, limit: usize) -> Result<Vec<String>, StoreError> {
    let key = schema::primary_key(conn, table)?;
    let (width, key) = (key.len(), key.join(", "));
    let sql = |schema: &str| format!("SELECT {key}, * FROM {schema}.{table} ORDER BY {key}");
    let (mut of_replay, mut of_file) = (conn.prepare(&sql("main"))?, conn.prepare(&sql("origin"))?);
    let columns = of_replay.column_count();
    let (mut of_replay, mut of_file) = (of_replay.query([])?, of_file.query([])?);
    let (mut replayed, mut found) = (of_replay.next()?, of_file.next()?);
    let mut differences = Vec::new();
    while differences.len() < limit {
        let order = match (replayed, found) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(replayed), Some(found)) => by_key(replayed, found, width),
        };
        let name = |row: Option<&Row<'_>>| row.map_or_else(String::new, |row| name(row, width, columns));
        match order {
            Ordering::Less => {
                differences.push(format!("{} has no row in {table}", name(replayed)));
                replayed = of_replay.next()?;
            }
            Ordering::Greater => {
                differences.push(format!("{} has a row in {table} and no events", name(found)));
                found = of_file.next()?;
            }
            Ordering::Equal => {
                if !are_same(replayed, found, columns) {
                    differences.push(format!("the row of {} in {table} differs from a replay", name(found)));
                }
                replayed = of_replay.next()?;
                found = of_file.next()?;
            }
        }
    }
    Ok(differences)
}

fn are_same(one: Option<&Row<'_>>, other: Option<&Row<'_>>, columns: usize) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    (0..columns).all(|column| value(one, column) == value(other, column))
}

/// The key of a row and, where it has one, the first text in it: names are what a reader looks for.
fn name(row: &Row<'_>, width: usize, columns: usize) -> String {
    let key: Vec<_> = (0..width).map(|column| shown(value(row, column))).collect();
    let text =
        (width..columns).map(|column| value(row, column)).find(|value| matches!(value, ValueRef::Text(_)));
    match text {
        Some(text) => format!("{} ({})", shown(text), key.join(", ")),
        None => key.join(", "),
    }
}

/// A column that is there is always given.
fn value<'a>(row: &'a Row<'_>, column: usize) -> ValueRef<'a> {
    row.get_ref(column).unwrap_or(ValueRef::Null)
}

fn by_key(one: &Row<'_>, other: &Row<'_>, width: usize) -> Ordering {
    let mut orders = (0..width).map(|column| compared(value(one, column), value(other, column)));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// As the engine orders values, whose classes never mix within a column of a `STRICT` table.
fn compared(one: ValueRef<'_>, other: ValueRef<'_>) -> Ordering {
    match (one, other) {
        (ValueRef::Integer(one), ValueRef::Integer(other)) => one.cmp(&other),
        (ValueRef::Text(one), ValueRef::Text(other)) | (ValueRef::Blob(one), ValueRef::Blob(other)) => {
            one.cmp(other)
        }
        (ValueRef::Real(one), ValueRef::Real(other)) => one.total_cmp(&other),
        (one, other) => class(one).cmp(&class(other)),
    }
}

fn class(value: ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Null => 0,
        ValueRef::Integer(_) | ValueRef::Real(_) => 1,
        ValueRef::Text(_) => 2,
        ValueRef::Blob(_) => 3,
    }
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "nothing".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
