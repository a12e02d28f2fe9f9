//! The rows of tasks that have none yet, as a fold writes them: some with each statement.
//!
//! What the engine does once for a statement (the cursors that it opens and closes, the beginning and the end) is half of what
//! a row takes. The cells are given in the order of the table, and so are not copied once more.

use std::sync::LazyLock;

use rusqlite::CachedStatement;

use super::cell;
use super::row_writer::{ALL, NAMES, RowWriter, is_taken, taken};
use super::schema;
use super::tables::Tables;
use super::task_row::{self, Cells, WIDTH};
use crate::error::StoreError;

/// Rows that are written together.
pub(super) struct NewRows<'a> {
    tables: &'a dyn Tables,
    statement: Option<CachedStatement<'a>>,
    /// What the statement was given last in each of its places; nobody knows what that is before the first time.
    given: Vec<Cells>,
    waiting: Vec<Cells>,
}

/// Whoever gives this statement to the engine undoes all after an error: what it wrote up to there need not be undone by the
/// engine, which would keep a copy of each page for that.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns = in_order_of_the_table();
    let names: Vec<&str> = columns.iter().filter_map(|column| NAMES.get(*column).copied()).collect();
    let row = |place: usize| {
        let marks: Vec<String> =
            columns.iter().map(|column| format!("?{}", place * WIDTH + column + 1)).collect();
        format!("({})", marks.join(", "))
    };
    let rows: Vec<String> = (0..ROWS_EACH).map(row).collect();
    format!("INSERT OR FAIL INTO azoth_p_tasks ({}) VALUES {}", names.join(", "), rows.join(", "))
});

impl<'a> NewRows<'a> {
    pub(super) fn new(tables: &'a dyn Tables) -> Self {
        Self {
            tables,
            statement: None,
            given: Vec::with_capacity(ROWS_EACH),
            waiting: Vec::with_capacity(ROWS_EACH),
        }
    }

    /// Writes one more, or keeps it until there are enough.
    pub(super) fn put(&mut self, cells: Cells) -> Result<(), StoreError> {
        self.waiting.push(cells);
        if self.waiting.len() < ROWS_EACH { Ok(()) } else { self.write() }
    }

    /// Writes those that are left, one by one.
    pub(super) fn finish(self, rows: &mut RowWriter<'_>) -> Result<(), StoreError> {
        self.waiting.into_iter().try_for_each(|cells| rows.write(None, cells))
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let statement = match &mut self.statement {
            Some(statement) => statement,
            none => none.insert(self.tables.derived(&INSERT)?),
        };
        for (place, cells) in self.waiting.iter().enumerate() {
            let mut news = self.given.get(place).map_or(ALL, |given| cells.differing(given));
            let values = cells.values();
            while let Some(value) = values.get(news.trailing_zeros() as usize) {
                let column = news.trailing_zeros() as usize;
                statement.raw_bind_parameter(place * WIDTH + column + 1, value)?;
                news &= news - 1;
            }
        }
        match statement.raw_execute() {
            Ok(rows) => assert_eq!(rows, ROWS_EACH, "a task is one row"),
            Err(error) if is_taken(&error) => return Err(self.taken(error)),
            Err(error) => return Err(error.into()),
        }
        std::mem::swap(&mut self.given, &mut self.waiting);
        self.waiting.clear();
        Ok(())
    }

    /// Which of the tasks has a name that another one has.
    #[cold]
    fn taken(&self, error: rusqlite::Error) -> StoreError {
        for cells in &self.waiting {
            match task_row::place_of(self.tables, cells.id.id()) {
                Ok(Some((key, _))) if cell::int(key) != cells.key => return taken(cells),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
        error.into()
    }
}

/// The columns by their numbers, as the table has them.
fn in_order_of_the_table() -> Vec<usize> {
    let table = schema::derived_tables().find(|object| object.name == "azoth_p_tasks");
    let lines = table.map_or("", |table| table.sql).lines();
    let number = |line: &str| {
        let first = line.split_whitespace().next()?;
        NAMES.iter().position(|name| *name == first)
    };
    lines.filter_map(number).collect()
}

/// So many rows are written by one statement.
const ROWS_EACH: usize = 8;

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn cells_are_given_in_the_order_of_the_table() {
        let conn = Connection::open_in_memory().unwrap();
        schema::create_for_folding(&conn).unwrap();
        let statement = conn.prepare("SELECT * FROM azoth_p_tasks").unwrap();
        let given: Vec<_> = in_order_of_the_table().into_iter().map(|column| NAMES[column]).collect();
        assert_eq!(given, statement.column_names());
    }
}
