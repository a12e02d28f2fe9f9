//! Writing the rows of tasks: a new one whole, a changed one only where it changed.

use std::collections::HashMap;
use std::sync::LazyLock;

use rusqlite::{CachedStatement, ffi};

use super::cell;
use super::tables::Tables;
use super::task_row::{COLUMNS, Cells, WIDTH};
use crate::error::StoreError;

/// The names of the columns.
pub(super) static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| COLUMNS.split(", ").map(str::trim).collect());
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let marks: Vec<String> = (1..=WIDTH).map(|number| format!("?{number}")).collect();
    format!("INSERT INTO azoth_p_tasks ({COLUMNS}) VALUES ({})", marks.join(", "))
});
/// All columns.
pub(super) const ALL: u64 = (1 << WIDTH) - 1;
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

/// Writes rows one after the other. It looks for a statement only where it is another one than before, and gives it only
/// those cells that differ from the row before: tasks that are written together have most of them in common.
pub(super) struct RowWriter<'a> {
    tables: &'a dyn Tables,
    updates: &'a mut Updates,
    insert: Option<Write<'a>>,
    update: Option<Write<'a>>,
}

/// A statement, and what it was given last.
struct Write<'a> {
    statement: CachedStatement<'a>,
    /// The columns that it writes.
    bits: u64,
    given: Option<Cells>,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(tables: &'a dyn Tables, updates: &'a mut Updates) -> Self {
        Self { tables, updates, insert: None, update: None }
    }

    /// Makes the row that holds `before`, or the one that is not there yet, hold `after`.
    pub(super) fn write(&mut self, before: Option<&Cells>, after: Cells) -> Result<(), StoreError> {
        match before {
            Some(before) => self.change(before, after),
            None => self.insert(after),
        }
    }

    fn insert(&mut self, cells: Cells) -> Result<(), StoreError> {
        let write = match &mut self.insert {
            Some(write) => write,
            none => none.insert(Write::new(self.tables.derived(&INSERT)?, ALL)),
        };
        write.row(cells).map_err(|(error, cells)| if is_taken(&error) { taken(&cells) } else { error.into() })
    }

    fn change(&mut self, before: &Cells, after: Cells) -> Result<(), StoreError> {
        assert!(before.key == after.key && before.id == after.id, "a row stays that of its task");
        let bits = after.differing(before);
        if bits == 0 {
            return Ok(());
        }
        let write = match &mut self.update {
            Some(same) if same.bits == bits => same,
            other => {
                // What it was before goes back first.
                *other = None;
                other.insert(Write::new(self.tables.derived(self.updates.of(bits))?, bits))
            }
        };
        write.row(after).map_err(|(error, _)| error.into())
    }
}

impl<'a> Write<'a> {
    fn new(statement: CachedStatement<'a>, bits: u64) -> Self {
        Self { statement, bits, given: None }
    }

    /// Gives the statement the cells of its columns, in their order, and behind those of a change the key. After an error they
    /// come back.
    fn row(&mut self, cells: Cells) -> Result<(), (rusqlite::Error, Box<Cells>)> {
        match self.run(&cells) {
            Ok(rows) => assert_eq!(rows, 1, "a task is one row"),
            Err(error) => return Err((error, Box::new(cells))),
        }
        self.given = Some(cells);
        Ok(())
    }

    fn run(&mut self, cells: &Cells) -> rusqlite::Result<usize> {
        // What was given stays until something else is; after an error nobody knows what that is.
        let news = self.given.take().map_or(ALL, |given| cells.differing(&given));
        let values = cells.values();
        for (at, column) in columns_in(self.bits).enumerate() {
            if news & (1 << column) != 0
                && let Some(value) = values.get(column)
            {
                self.statement.raw_bind_parameter(at + 1, value)?;
            }
        }
        if self.bits != ALL {
            self.statement.raw_bind_parameter(self.bits.count_ones() as usize + 1, cells.key)?;
        }
        self.statement.raw_execute()
    }
}

/// Another task has its name, or its key.
pub(super) fn taken(cells: &Cells) -> StoreError {
    cell::corrupt(format!("event {} creates task {:?} a second time", cells.key, cells.id.id()))
}

/// Whether another row has a name, or a key.
pub(super) fn is_taken(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(ffi::SQLITE_CONSTRAINT_UNIQUE) || code == Some(ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
}

fn columns_in(bits: u64) -> impl Iterator<Item = usize> {
    (0..WIDTH).filter(move |column| bits & (1 << column) != 0)
}

fn update_sql(bits: u64) -> String {
    let names = columns_in(bits).filter_map(|column| NAMES.get(column));
    let set: Vec<String> = names.enumerate().map(|(at, name)| format!("{name} = ?{}", at + 1)).collect();
    format!("UPDATE azoth_p_tasks SET {} WHERE key = ?{}", set.join(", "), set.len() + 1)
}
