//! The limit: plain `rusqlite` writing the rows that the scheduler would write, into the same tables with the same
//! indexes and constraints, by prepared statements. It decides nothing, reads nothing, hashes nothing, and the triggers
//! of the log are dropped.
//!
//! The rows are copied from a file on which a scheduler has run [`TEMPLATES`] tasks; ids and positions are made to fit.
//! Of a task's row an update sets the columns that the scheduler's own run has changed.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use azoth_scheduler::SqliteStore;
use azoth_scheduler::sqlite::rusqlite::types::Value;
use azoth_scheduler::sqlite::rusqlite::{Connection, Statement, params, params_from_iter};
use tokio::sync::watch;

use crate::house::{House, Work, name};

/// What a scheduler wrote for a few tasks.
pub(crate) struct Templates {
    log_columns: Vec<String>,
    task_columns: Vec<String>,
    types: Vec<(i64, String)>,
    payload: Vec<u8>,
    tasks: Vec<Template>,
    claim_columns: Vec<usize>,
    finish_columns: Vec<usize>,
    sql: Sql,
}

/// The statements, written down once.
struct Sql {
    append: String,
    insert: String,
    claim: String,
    finish: String,
}

/// The rows of one task: the event and the state of its creation, of its claim, and of its end.
struct Template {
    created: Vec<Vec<Value>>,
    claimed: Vec<Vec<Value>>,
    ended: Vec<Vec<Value>>,
    waiting: Vec<Value>,
    running: Vec<Value>,
    finished: Vec<Value>,
}

/// Tasks whose rows are copied.
const TEMPLATES: usize = 256;

impl Templates {
    /// Has a scheduler run some tasks, and reads what it wrote at each step.
    pub(crate) fn take() -> Result<Self> {
        let house = House::new()?;
        let conn = Connection::open(house.path())?;
        house.schedule(house.immediate(TEMPLATES)?)?;
        let task_columns = columns(&conn, "azoth_p_tasks")?;
        let waiting = rows(&conn, "azoth_p_tasks", "key")?;
        let (gate, closed) = watch::channel(false);
        let work = Work::behind(closed);
        let started = std::sync::Arc::clone(&work.started);
        let scheduler = house.scheduler(TEMPLATES, work)?;
        let running = house.block_on(async {
            let all_run = async {
                while started.load(Ordering::Relaxed) < TEMPLATES as u64 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let running = rows(&conn, "azoth_p_tasks", "key");
                gate.send_replace(true);
                running
            };
            let (ran, running) = tokio::join!(scheduler.run_until_idle(), all_run);
            ran?;
            running
        })?;
        let finished = rows(&conn, "azoth_p_tasks", "key")?;
        ensure!(finished.len() == TEMPLATES, "{} tasks were run instead of {TEMPLATES}", finished.len());
        let log_columns = columns(&conn, "azoth_log")?;
        let claim_columns = changed(&waiting, &running);
        let finish_columns = changed(&running, &finished);
        let sql = Sql {
            append: insert("azoth_log", &log_columns),
            insert: insert("azoth_p_tasks", &task_columns),
            claim: update(&task_columns, &claim_columns),
            finish: update(&task_columns, &finish_columns),
        };
        let mut templates = Self {
            sql,
            log_columns,
            claim_columns,
            finish_columns,
            types: types(&conn)?,
            payload: conn.query_row("SELECT bytes FROM azoth_payloads LIMIT 1", [], |row| row.get(0))?,
            tasks: Vec::new(),
            task_columns,
        };
        let log = rows(&conn, "azoth_log", "position")?;
        for ((waiting, running), finished) in waiting.into_iter().zip(running).zip(finished) {
            let (created, claimed, ended) = templates.events_of(&log, &waiting[templates.at("key")?])?;
            templates.tasks.push(Template { created, claimed, ended, waiting, running, finished });
        }
        Ok(templates)
    }

    /// A task's events: its first, its claim, and all others.
    #[expect(clippy::type_complexity, reason = "three times the same, taken apart at once")]
    fn events_of(
        &self,
        log: &[Vec<Value>],
        key: &Value,
    ) -> Result<(Vec<Vec<Value>>, Vec<Vec<Value>>, Vec<Vec<Value>>)> {
        let subject = position_of(&self.log_columns, "subject")?;
        let mut events = log.iter().filter(|row| row[subject] == *key).cloned();
        let created = events.next().context("a task has no first event")?;
        let claimed = events.next().context("a task was not claimed")?;
        Ok((vec![created], vec![claimed], events.collect()))
    }

    fn at(&self, column: &str) -> Result<usize> {
        position_of(&self.task_columns, column)
    }
}

/// A file like a scheduler's, and the statements that write it.
pub(crate) struct Raw<'a> {
    templates: &'a Templates,
    conn: Connection,
    position: i64,
    named: u64,
}

impl<'a> Raw<'a> {
    /// Makes the tables by opening a store.
    pub(crate) fn new(templates: &'a Templates, folder: &Path) -> Result<Self> {
        let path = folder.join("raw.db");
        let _ = std::fs::remove_file(&path);
        drop(SqliteStore::open(&path)?);
        let conn = Connection::open(&path)?;
        conn.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;
             PRAGMA cell_size_check = ON;",
        )?;
        for trigger in triggers(&conn)? {
            conn.execute_batch(&format!("DROP TRIGGER {trigger}"))?;
        }
        for (key, name) in &templates.types {
            conn.execute("INSERT INTO azoth_p_types (type, name) VALUES (?1, ?2)", params![key, name])?;
        }
        Ok(Self { templates, conn, position: 0, named: 0 })
    }

    /// Writes so many tasks, so many in each commit. Gives back their keys.
    pub(crate) fn schedule(&mut self, tasks: usize, per_commit: usize) -> Result<Vec<i64>> {
        let mut keys = Vec::with_capacity(tasks);
        let mut log = self.conn.prepare_cached(&self.templates.sql.append)?;
        let mut row = self.conn.prepare_cached(&self.templates.sql.insert)?;
        let mut payload =
            self.conn.prepare_cached("INSERT INTO azoth_payloads (position, bytes) VALUES (?1, ?2)")?;
        for first in (0..tasks).step_by(per_commit) {
            begin(&self.conn)?;
            for index in first..tasks.min(first + per_commit) {
                let template = self.templates.template(index);
                self.position += 1;
                let key = self.position;
                append(&mut log, self.templates, &template.created[0], key, key, None)?;
                payload.execute(params![key, self.templates.payload])?;
                let cells = self.templates.named(&template.waiting, self.named, key)?;
                row.execute(params_from_iter(cells))?;
                keys.push(key);
                self.named += 1;
            }
            end(&self.conn, self.position)?;
        }
        Ok(keys)
    }

    /// Writes the rows of so many ended tasks, and nothing else, in one commit.
    pub(crate) fn insert_rows(&mut self, tasks: usize) -> Result<()> {
        let mut row = self.conn.prepare_cached(&self.templates.sql.insert)?;
        begin(&self.conn)?;
        for index in 0..tasks {
            self.position += 1;
            let cells =
                self.templates.named(&self.templates.template(index).finished, self.named, self.position)?;
            row.execute(params_from_iter(cells))?;
            self.named += 1;
        }
        end(&self.conn, self.position)
    }

    /// Claims and finishes tasks: each commit finishes those that the one before it has claimed, and claims the next.
    pub(crate) fn claim_and_finish(&mut self, keys: &[i64], per_commit: usize) -> Result<()> {
        let templates = self.templates;
        let mut log = self.conn.prepare_cached(&templates.sql.append)?;
        let mut claim = self.conn.prepare_cached(&templates.sql.claim)?;
        let mut finish = self.conn.prepare_cached(&templates.sql.finish)?;
        let last = templates.at("last_position")?;
        let mut claimed: Vec<(i64, i64)> = Vec::new();
        let mut chunks = keys.chunks(per_commit);
        loop {
            let chunk = chunks.next().unwrap_or_default();
            if chunk.is_empty() && claimed.is_empty() {
                return Ok(());
            }
            begin(&self.conn)?;
            for (index, (key, started)) in std::mem::take(&mut claimed).into_iter().enumerate() {
                let template = templates.template(index);
                let mut previous = started;
                for event in &template.ended {
                    self.position += 1;
                    append(&mut log, templates, event, self.position, key, Some(previous))?;
                    previous = self.position;
                }
                set(&mut finish, &template.finished, &templates.finish_columns, (last, previous), key)?;
            }
            for (index, key) in chunk.iter().enumerate() {
                let template = templates.template(index);
                self.position += 1;
                append(&mut log, templates, &template.claimed[0], self.position, *key, Some(*key))?;
                set(&mut claim, &template.running, &templates.claim_columns, (last, self.position), *key)?;
                claimed.push((*key, self.position));
            }
            end(&self.conn, self.position)?;
        }
    }
}

impl Templates {
    fn template(&self, index: usize) -> &Template {
        &self.tasks[index % self.tasks.len()]
    }

    /// The cells of a row, for a task of its own.
    fn named(&self, cells: &[Value], number: u64, key: i64) -> Result<Vec<Value>> {
        let mut cells = cells.to_vec();
        cells[self.at("id")?] = Value::Text(name(number));
        for column in ["key", "defined", "last_position"] {
            cells[self.at(column)?] = Value::Integer(key);
        }
        Ok(cells)
    }
}

fn begin(conn: &Connection) -> Result<()> {
    Ok(conn.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)?)
}

/// The head moves with each commit.
fn end(conn: &Connection, position: i64) -> Result<()> {
    let sql = "UPDATE azoth_head SET position = ?1, hash = ?2, ordered_at_ms = ?3 WHERE one = 1";
    let hash = [u8::try_from(position % 251)?; 32];
    conn.prepare_cached(sql)?.execute(params![position, hash, position])?;
    Ok(conn.prepare_cached("COMMIT")?.execute([]).map(drop)?)
}

fn append(
    log: &mut Statement<'_>,
    templates: &Templates,
    event: &[Value],
    position: i64,
    subject: i64,
    previous: Option<i64>,
) -> Result<()> {
    for (index, (column, cell)) in templates.log_columns.iter().zip(event).enumerate() {
        match column.as_str() {
            "position" => log.raw_bind_parameter(index + 1, position)?,
            "subject" => log.raw_bind_parameter(index + 1, subject)?,
            "previous" => log.raw_bind_parameter(index + 1, previous)?,
            _ => log.raw_bind_parameter(index + 1, cell)?,
        }
    }
    log.raw_execute()?;
    Ok(())
}

fn set(
    statement: &mut Statement<'_>,
    cells: &[Value],
    columns: &[usize],
    (last, position): (usize, i64),
    key: i64,
) -> Result<()> {
    for (index, column) in columns.iter().enumerate() {
        if *column == last {
            statement.raw_bind_parameter(index + 1, position)?;
        } else {
            statement.raw_bind_parameter(index + 1, &cells[*column])?;
        }
    }
    statement.raw_bind_parameter(columns.len() + 1, key)?;
    let rows = statement.raw_execute()?;
    ensure!(rows == 1, "a task is one row");
    Ok(())
}

fn insert(table: &str, columns: &[String]) -> String {
    let marks: Vec<String> = (1..=columns.len()).map(|number| format!("?{number}")).collect();
    format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), marks.join(", "))
}

fn update(columns: &[String], changed: &[usize]) -> String {
    let set =
        changed.iter().enumerate().map(|(index, column)| format!("{} = ?{}", columns[*column], index + 1));
    let set: Vec<String> = set.collect();
    format!("UPDATE azoth_p_tasks SET {} WHERE key = ?{}", set.join(", "), changed.len() + 1)
}

fn columns(conn: &Connection, table: &str) -> Result<Vec<String>> {
    let statement = conn.prepare(&format!("SELECT * FROM {table}"))?;
    Ok(statement.column_names().into_iter().map(str::to_owned).collect())
}

fn rows(conn: &Connection, table: &str, order: &str) -> Result<Vec<Vec<Value>>> {
    let mut statement = conn.prepare(&format!("SELECT * FROM {table} ORDER BY {order}"))?;
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|index| row.get(index)).collect())?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn types(conn: &Connection) -> Result<Vec<(i64, String)>> {
    let mut statement = conn.prepare("SELECT type, name FROM azoth_p_types")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn triggers(conn: &Connection) -> Result<Vec<String>> {
    let mut statement = conn.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn position_of(columns: &[String], wanted: &str) -> Result<usize> {
    columns
        .iter()
        .position(|column| column == wanted)
        .with_context(|| format!("there is no column `{wanted}`"))
}

/// The columns in which any of the rows differ.
fn changed(before: &[Vec<Value>], after: &[Vec<Value>]) -> Vec<usize> {
    let width = before.first().map_or(0, Vec::len);
    let differs = |column: &usize| before.iter().zip(after).any(|(old, new)| old[*column] != new[*column]);
    (0..width).filter(differs).collect()
}
