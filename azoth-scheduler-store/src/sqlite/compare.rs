//! Comparing a derived table of the file with that of a scratch, row by row, with two rows in memory.

use std::cmp::Ordering;

use rusqlite::types::Value;
use rusqlite::{Connection, Rows};

use super::schema;
use crate::error::StoreError;

/// How the table of the file differs from the one that a replay made, at most `limit` times.
pub(super) fn differences(conn: &Connection, table: &str, limit: usize) -> Result<Vec<String>, StoreError> {
    let key = schema::primary_key(conn, table)?.join(", ");
    let sql = |schema: &str| format!("SELECT {key}, * FROM {schema}.{table} ORDER BY {key}");
    let width = schema::primary_key(conn, table)?.len();
    let (mut replayed, mut found) = (conn.prepare(&sql("main"))?, conn.prepare(&sql("origin"))?);
    let (mut replayed, mut found) = (Side::new(replayed.query([])?)?, Side::new(found.query([])?)?);
    let mut differences = Vec::new();
    while differences.len() < limit {
        let order = match (&replayed.row, &found.row) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(right), Some(row)) => by_key(right, row, width),
        };
        match order {
            Ordering::Less => {
                differences.push(format!("{} has no row in {table}", replayed.name(width)));
                replayed.next()?;
            }
            Ordering::Greater => {
                differences.push(format!("{} has a row in {table} and no events", found.name(width)));
                found.next()?;
            }
            Ordering::Equal => {
                if replayed.row != found.row {
                    differences
                        .push(format!("the row of {} in {table} differs from a replay", found.name(width)));
                }
                replayed.next()?;
                found.next()?;
            }
        }
    }
    Ok(differences)
}

/// One of the two tables, at one of its rows.
struct Side<'a> {
    rows: Rows<'a>,
    columns: usize,
    row: Option<Vec<Value>>,
}

impl<'a> Side<'a> {
    fn new(rows: Rows<'a>) -> Result<Self, StoreError> {
        let columns = rows.as_ref().map_or(0, rusqlite::Statement::column_count);
        let mut side = Self { rows, columns, row: None };
        side.next()?;
        Ok(side)
    }

    fn next(&mut self) -> Result<(), StoreError> {
        let row = self.rows.next()?;
        self.row = row.map(|row| (0..self.columns).map(|column| row.get(column)).collect()).transpose()?;
        Ok(())
    }

    /// The key of the row and, where it has one, the first text in it: names are what a reader looks for.
    fn name(&self, width: usize) -> String {
        let Some(row) = &self.row else { return String::new() };
        let key: Vec<_> = row.iter().take(width).map(shown).collect();
        let text = row.iter().skip(width).find_map(|value| match value {
            Value::Text(text) => Some(text),
            Value::Null | Value::Integer(_) | Value::Real(_) | Value::Blob(_) => None,
        });
        match text {
            Some(text) => format!("{text:?} ({})", key.join(", ")),
            None => key.join(", "),
        }
    }
}

fn by_key(one: &[Value], other: &[Value], width: usize) -> Ordering {
    let pairs = one.iter().zip(other).take(width);
    pairs.map(|(one, other)| compared(one, other)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// As the engine orders values, whose classes never mix within a column of a `STRICT` table.
fn compared(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
        (Value::Text(one), Value::Text(other)) => one.as_bytes().cmp(other.as_bytes()),
        (Value::Blob(one), Value::Blob(other)) => one.cmp(other),
        (Value::Real(one), Value::Real(other)) => one.total_cmp(other),
        (one, other) => class(one).cmp(&class(other)),
    }
}

fn class(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 1,
        Value::Text(_) => 2,
        Value::Blob(_) => 3,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => format!("{text:?}"),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
