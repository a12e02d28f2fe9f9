//! Writing the rows of tasks: a new one whole, a changed one only where it changed.

use std::collections::HashMap;
use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection, ToSql, params_from_iter};

use super::task_row::{COLUMNS, Cells, WIDTH};
use crate::error::StoreError;

/// The names of the columns.
static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| COLUMNS.split(", ").map(str::trim).collect());
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let marks: Vec<String> = (1..=WIDTH).map(|number| format!("?{number}")).collect();
    format!("INSERT INTO azoth_p_tasks ({COLUMNS}) VALUES ({})", marks.join(", "))
});
/// So many statements that change a row are kept at most.
const UPDATES_KEPT: usize = 64;

/// Statements that change some columns of a row and leave the others, and the indexes over them, alone. A task goes
/// through few kinds of changes, so there are few of them.
#[derive(Debug, Default)]
pub(super) struct Updates {
    /// By the columns that are written, a bit for each.
    statements: HashMap<u64, String>,
}

impl Updates {
    fn of(&mut self, bits: u64) -> &str {
        if self.statements.len() >= UPDATES_KEPT && !self.statements.contains_key(&bits) {
            self.statements.clear();
        }
        self.statements.entry(bits).or_insert_with(|| update_sql(bits))
    }
}

/// Writes rows one after the other, and looks for a statement only where it is another one than before.
pub(super) struct RowWriter<'a> {
    conn: &'a Connection,
    updates: &'a mut Updates,
    insert: Option<CachedStatement<'a>>,
    update: Option<(u64, CachedStatement<'a>)>,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(conn: &'a Connection, updates: &'a mut Updates) -> Self {
        Self { conn, updates, insert: None, update: None }
    }

    /// Makes the row that holds `before`, or the one that is not there yet, hold `after`. Gives that back.
    pub(super) fn write(&mut self, before: Option<&Cells>, after: Cells) -> Result<Cells, StoreError> {
        match before {
            Some(before) => self.change(before, &after)?,
            None => self.insert(&after)?,
        }
        Ok(after)
    }

    fn insert(&mut self, cells: &Cells) -> Result<(), StoreError> {
        let statement = match self.insert.take() {
            Some(statement) => statement,
            None => self.conn.prepare_cached(&INSERT)?,
        };
        let rows = self.insert.insert(statement).execute(&cells.values()[..])?;
        assert_eq!(rows, 1, "a task is one row");
        Ok(())
    }

    fn change(&mut self, before: &Cells, after: &Cells) -> Result<(), StoreError> {
        assert!(before.key == after.key && before.id == after.id, "a row stays that of its task");
        let bits = after.differing(before);
        if bits == 0 {
            return Ok(());
        }
        let (_, statement) = match self.update.take() {
            Some(same) if same.0 == bits => self.update.insert(same),
            _ => self.update.insert((bits, self.conn.prepare_cached(self.updates.of(bits))?)),
        };
        let values = after.values();
        let changed = columns_in(bits).filter_map(|column| values.get(column).copied());
        let rows = statement.execute(params_from_iter(changed.chain([&after.key as &dyn ToSql])))?;
        assert_eq!(rows, 1, "a task is one row");
        Ok(())
    }
}

fn columns_in(bits: u64) -> impl Iterator<Item = usize> {
    (0..WIDTH).filter(move |column| bits & (1 << column) != 0)
}

fn update_sql(bits: u64) -> String {
    let names = columns_in(bits).filter_map(|column| NAMES.get(column));
    let set: Vec<String> = names.enumerate().map(|(at, name)| format!("{name} = ?{}", at + 1)).collect();
    format!("UPDATE azoth_p_tasks SET {} WHERE key = ?{}", set.join(", "), set.len() + 1)
}
