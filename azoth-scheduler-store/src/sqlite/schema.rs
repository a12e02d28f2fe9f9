//! The tables, and the layout number that says which ones they are.
//!
//! `azoth_*` is the log and its head, `azoth_p_*` is derived from it and can be made anew, `azoth_o_*` is operational:
//! it cannot be derived and survives a rebuild. Nothing else in the file is ours, and `user_version` and
//! `application_id` belong to whoever made it.

use rusqlite::{Connection, OptionalExtension, params};

use super::cell;
use crate::error::StoreError;

/// The layout of the log and the operational tables that this library writes.
pub(super) const LAYOUT: u32 = 1;
/// The layout of the derived tables; a file with another one has them made anew when it is opened.
pub(super) const PROJECTION_LAYOUT: u32 = 1;

/// The first letters of every derived table, and of what stands beside it.
pub(super) const PROJECTION: &str = "azoth_p_";

/// A table, index or trigger of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

impl Object {
    fn is_table(&self) -> bool {
        self.sql.starts_with("CREATE TABLE")
    }
}

/// The layout that a file has, `None` for one without our tables. Works for every layout, also of versions to come:
/// `azoth_head` keeps its column `layout` for ever.
pub(super) fn layout(conn: &Connection) -> Result<Option<u32>, StoreError> {
    if !exists(conn, "azoth_head")? {
        return Ok(None);
    }
    let cell: i64 = conn.query_row("SELECT layout FROM azoth_head", [], |row| row.get(0))?;
    cell::small(cell, "azoth_head.layout").map(Some)
}

/// Makes all tables. Inside a transaction.
pub(super) fn create(conn: &Connection) -> Result<(), StoreError> {
    for object in LOG.iter().chain(DERIVED).chain(OPERATIONAL) {
        conn.execute_batch(object.sql)?;
    }
    let sql = "INSERT INTO azoth_head (one, database, layout, projection_layout, position, hash, ordered_at_ms, epoch, claims)
               VALUES (1, randomblob(16), ?1, ?2, 0, zeroblob(32), ?3, 0, 0)";
    let earliest = azoth_scheduler_core::time::Timestamp::MIN.unix_ms();
    let rows = conn.execute(sql, params![LAYOUT, PROJECTION_LAYOUT, earliest])?;
    assert_eq!(rows, 1, "the head is one row");
    let sql = "INSERT INTO azoth_base (one, position, hash, ordered_at_ms, snapshot)
               VALUES (1, 0, zeroblob(32), ?1, zeroblob(32))";
    let rows = conn.execute(sql, params![earliest])?;
    assert_eq!(rows, 1, "the base is one row");
    Ok(())
}

/// Makes the derived tables, and of their indexes those that folding reads by.
pub(super) fn create_for_folding(conn: &Connection) -> Result<(), StoreError> {
    for object in derived_tables().chain(indexes_for_folding()) {
        conn.execute_batch(object.sql)?;
    }
    Ok(())
}

/// Makes the other indexes beside tables that were made for folding.
pub(super) fn create_for_reading(conn: &Connection) -> Result<(), StoreError> {
    for object in derived_beside_tables().filter(|object| !FOLDED_BY.contains(&object.name)) {
        conn.execute_batch(object.sql)?;
    }
    Ok(())
}

/// Lines are settled by these.
const FOLDED_BY: [&str; 2] = ["azoth_p_line", "azoth_p_ready"];

/// The derived tables.
pub(super) fn derived_tables() -> impl Iterator<Item = &'static Object> {
    DERIVED.iter().filter(|object| object.is_table())
}

/// The indexes that folding reads by.
pub(super) fn indexes_for_folding() -> impl Iterator<Item = &'static Object> {
    DERIVED.iter().filter(|object| FOLDED_BY.contains(&object.name))
}

/// What stands beside the derived tables: their indexes.
pub(super) fn derived_beside_tables() -> impl Iterator<Item = &'static Object> {
    DERIVED.iter().filter(|object| !object.is_table())
}

/// The statement that makes this operational table.
#[cfg(test)]
pub(super) fn operational(name: &str) -> &'static str {
    OPERATIONAL.iter().find(|object| object.name == name).map_or("", |object| object.sql)
}

/// Whether the derived tables are those of this version.
pub(super) fn derived_is_current(conn: &Connection) -> Result<bool, StoreError> {
    let cell: i64 = conn.query_row("SELECT projection_layout FROM azoth_head", [], |row| row.get(0))?;
    Ok(cell == i64::from(PROJECTION_LAYOUT) && differing(conn, "main", DERIVED)?.is_empty())
}

/// Objects of the log that are missing or not as we made them, in the database of this name.
pub(super) fn altered_log(conn: &Connection, database: &str) -> Result<Vec<&'static str>, StoreError> {
    differing(conn, database, LOG)
}

/// The same of everything beside the log.
pub(super) fn altered_beside(conn: &Connection, database: &str) -> Result<Vec<&'static str>, StoreError> {
    let mut names = differing(conn, database, DERIVED)?;
    names.extend(differing(conn, database, OPERATIONAL)?);
    Ok(names)
}

/// All of them.
#[cfg(test)]
pub(super) fn altered(conn: &Connection, database: &str) -> Result<Vec<&'static str>, StoreError> {
    Ok([altered_log(conn, database)?, altered_beside(conn, database)?].concat())
}

/// The columns of a table's primary key, in order.
pub(super) fn primary_key(conn: &Connection, table: &str) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT name FROM pragma_table_info(?1, 'main') WHERE pk > 0 ORDER BY pk";
    let mut statement = conn.prepare(sql)?;
    let names = statement.query_map([table], |row| row.get(0))?.collect::<Result<Vec<_>, _>>()?;
    assert!(!names.is_empty(), "a derived table has a primary key");
    Ok(names)
}

/// Whether an object is there, and is as we made it.
pub(super) fn is_as_made(conn: &Connection, database: &str, object: &Object) -> Result<bool, StoreError> {
    Ok(definition(conn, database, object.name)?.as_deref() == Some(object.sql))
}

fn differing(conn: &Connection, database: &str, objects: &[Object]) -> Result<Vec<&'static str>, StoreError> {
    let mut names = Vec::new();
    for object in objects {
        if !is_as_made(conn, database, object)? {
            names.push(object.name);
        }
    }
    Ok(names)
}

fn exists(conn: &Connection, name: &str) -> Result<bool, StoreError> {
    Ok(definition(conn, "main", name)?.is_some())
}

/// The statement that made an object. The engine puts the name of a table that was renamed in quotes.
fn definition(conn: &Connection, database: &str, name: &str) -> Result<Option<String>, StoreError> {
    let sql = format!("SELECT sql FROM {database}.sqlite_master WHERE name = ?1");
    let sql: Option<String> = conn.query_row(&sql, [name], |row| row.get(0)).optional()?;
    Ok(sql.map(|sql| sql.replacen(&format!("TABLE \"{name}\""), &format!("TABLE {name}"), 1)))
}

/// Events before the cut that tasks still refer to.
pub(super) const KEPT: &str = "CREATE TABLE azoth_s_kept (
    position INTEGER PRIMARY KEY CHECK (position > 0),
    at_ms INTEGER NOT NULL,
    ordered_at_ms INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    previous INTEGER,
    kind INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT";

const LOG: &[Object] = &[
    Object {
        name: "azoth_head",
        sql: "CREATE TABLE azoth_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    database BLOB NOT NULL CHECK (length(database) = 16),
    layout INTEGER NOT NULL,
    projection_layout INTEGER NOT NULL,
    position INTEGER NOT NULL CHECK (position >= 0),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    ordered_at_ms INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    claims INTEGER NOT NULL
) STRICT",
    },
    Object {
        name: "azoth_log",
        sql: "CREATE TABLE azoth_log (
    position INTEGER PRIMARY KEY CHECK (position > 0),
    at_ms INTEGER NOT NULL,
    ordered_at_ms INTEGER NOT NULL CHECK (ordered_at_ms >= at_ms),
    subject INTEGER NOT NULL,
    previous INTEGER CHECK (previous < position AND previous >= subject),
    kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 255),
    record BLOB NOT NULL,
    link BLOB CHECK (length(link) = 32),
    CHECK ((previous IS NULL) = (subject = position))
) STRICT",
    },
    Object {
        name: "azoth_log_is_dense",
        sql: "CREATE TRIGGER azoth_log_is_dense BEFORE INSERT ON azoth_log
WHEN NEW.position <> (SELECT coalesce(max(position), (SELECT position FROM azoth_base)) + 1 FROM azoth_log)
BEGIN SELECT RAISE(ABORT, 'azoth_log takes the next position only'); END",
    },
    Object {
        name: "azoth_log_keeps_events",
        sql: "CREATE TRIGGER azoth_log_keeps_events BEFORE UPDATE ON azoth_log
BEGIN SELECT RAISE(ABORT, 'azoth_log is append-only'); END",
    },
    Object {
        name: "azoth_log_loses_nothing",
        sql: "CREATE TRIGGER azoth_log_loses_nothing BEFORE DELETE ON azoth_log
WHEN OLD.position > (SELECT position FROM azoth_base)
BEGIN SELECT RAISE(ABORT, 'azoth_log is append-only'); END",
    },
    Object {
        name: "azoth_base",
        sql: "CREATE TABLE azoth_base (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL CHECK (position >= 0),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    ordered_at_ms INTEGER NOT NULL,
    snapshot BLOB NOT NULL CHECK (length(snapshot) = 32)
) STRICT",
    },
    Object {
        name: "azoth_base_goes_on",
        sql: "CREATE TRIGGER azoth_base_goes_on BEFORE UPDATE ON azoth_base
WHEN NEW.position <= OLD.position
BEGIN SELECT RAISE(ABORT, 'azoth_base never goes back'); END",
    },
    Object {
        name: "azoth_base_stays",
        sql: "CREATE TRIGGER azoth_base_stays BEFORE DELETE ON azoth_base
BEGIN SELECT RAISE(ABORT, 'azoth_base is one row'); END",
    },
    Object { name: "azoth_s_kept", sql: KEPT },
    Object {
        name: "azoth_payloads",
        sql: "CREATE TABLE azoth_payloads (
    position INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL CHECK (length(bytes) > 0)
) STRICT",
    },
    Object {
        name: "azoth_payloads_keep_bytes",
        sql: "CREATE TRIGGER azoth_payloads_keep_bytes BEFORE UPDATE ON azoth_payloads
BEGIN SELECT RAISE(ABORT, 'azoth_payloads are not changed'); END",
    },
];

/// No `IN` over a list stands in a check: over three or more values the engine makes a small table for it, at each row that
/// is written. Of a task those columns come first by which indexes choose their rows: when they are made, every row is read
/// up to there.
const DERIVED: &[Object] = &[
    Object {
        name: "azoth_p_types",
        sql: "CREATE TABLE azoth_p_types (
    type INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT",
    },
    Object {
        name: "azoth_p_scopes",
        sql: "CREATE TABLE azoth_p_scopes (
    key INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2),
    name TEXT NOT NULL,
    last_position INTEGER NOT NULL CHECK (last_position >= key),
    paused_until_ms INTEGER,
    state BLOB NOT NULL,
    UNIQUE (kind, name),
    CHECK ((name = '') = (kind = 0))
) STRICT",
    },
    Object {
        name: "azoth_p_log",
        sql: "CREATE TABLE azoth_p_log (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key INTEGER NOT NULL,
    last_position INTEGER NOT NULL CHECK (last_position >= key),
    payloads_dropped INTEGER NOT NULL CHECK (payloads_dropped >= 0),
    cut INTEGER NOT NULL CHECK (cut >= 0)
) STRICT",
    },
    Object {
        name: "azoth_p_tasks",
        sql: "CREATE TABLE azoth_p_tasks (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    ready_ms INTEGER,
    losses INTEGER NOT NULL CHECK (losses >= 0),
    phase INTEGER NOT NULL CHECK (phase BETWEEN 0 AND 6),
    line INTEGER CHECK (line BETWEEN 0 AND 2),
    paused_until_ms INTEGER,
    concurrency_key TEXT,
    group_name TEXT,
    unique_key TEXT,
    type INTEGER NOT NULL,
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 3),
    run_at_ms INTEGER,
    occurrence_ms INTEGER,
    attempt INTEGER CHECK (attempt > 0),
    execution BLOB CHECK (length(execution) = 16),
    worker BLOB CHECK (length(worker) = 16),
    claimed_at_ms INTEGER,
    superseded INTEGER CHECK (superseded BETWEEN 0 AND 1),
    afterwards INTEGER CHECK (afterwards BETWEEN 0 AND 2),
    said INTEGER,
    ended_at_ms INTEGER,
    defined INTEGER NOT NULL CHECK (defined >= key),
    last_position INTEGER NOT NULL CHECK (last_position >= defined),
    created_at_ms INTEGER NOT NULL,
    defined_at_ms INTEGER NOT NULL,
    decided_ms INTEGER NOT NULL,
    backlog_next_ms INTEGER,
    backlog_through_ms INTEGER,
    buffered_ms INTEGER,
    failures INTEGER NOT NULL CHECK (failures >= 0),
    runs INTEGER NOT NULL CHECK (runs >= 0),
    moved_at_ms INTEGER NOT NULL,
    off_schedule_ms INTEGER,
    reported INTEGER CHECK (reported > key),
    checkpoint INTEGER CHECK (checkpoint > defined),
    CHECK (reported IS NULL OR phase = 1),
    CHECK (checkpoint IS NULL OR (phase <> 3 AND phase <> 5)),
    CHECK (concurrency_key IS NOT NULL OR line IS NULL),
    CHECK (paused_until_ms IS NULL OR phase = 2),
    CHECK (ready_ms IS NULL OR (phase = 0 AND ready_ms >= run_at_ms)),
    CHECK (phase <> 0 OR concurrency_key IS NOT NULL OR ready_ms = run_at_ms),
    CHECK ((run_at_ms IS NOT NULL) = (phase = 0 OR phase = 2 OR phase = 6)),
    CHECK ((occurrence_ms IS NOT NULL) = (phase <= 2 OR phase = 6)),
    CHECK ((attempt IS NOT NULL) = (phase <= 2 OR phase = 6)),
    CHECK ((execution IS NOT NULL) = (phase = 1)),
    CHECK ((worker IS NOT NULL) = (phase = 1)),
    CHECK ((claimed_at_ms IS NOT NULL) = (phase = 1)),
    CHECK ((superseded IS NOT NULL) = (phase = 1)),
    CHECK ((afterwards IS NOT NULL) = (phase = 1)),
    CHECK ((said IS NOT NULL) = (phase = 2 OR phase = 4 OR phase = 5 OR coalesce(afterwards, 0) > 0)),
    CHECK ((ended_at_ms IS NOT NULL) = (phase >= 3 AND phase <= 5)),
    CHECK ((backlog_next_ms IS NULL) = (backlog_through_ms IS NULL))
) STRICT",
    },
    Object {
        name: "azoth_p_due",
        sql: "CREATE INDEX azoth_p_due ON azoth_p_tasks (type, priority, ready_ms)
WHERE ready_ms IS NOT NULL AND losses < 2",
    },
    Object {
        name: "azoth_p_suspects",
        sql: "CREATE INDEX azoth_p_suspects ON azoth_p_tasks (type, ready_ms)
WHERE ready_ms IS NOT NULL AND losses >= 2",
    },
    Object {
        name: "azoth_p_line",
        sql: "CREATE INDEX azoth_p_line ON azoth_p_tasks (concurrency_key, line, run_at_ms) WHERE line IS NOT NULL",
    },
    Object {
        name: "azoth_p_ready",
        sql: "CREATE INDEX azoth_p_ready ON azoth_p_tasks (concurrency_key)
WHERE concurrency_key IS NOT NULL AND ready_ms IS NOT NULL",
    },
    Object {
        name: "azoth_p_task_pauses",
        sql: "CREATE INDEX azoth_p_task_pauses ON azoth_p_tasks (paused_until_ms) WHERE paused_until_ms IS NOT NULL",
    },
    Object {
        name: "azoth_p_scope_pauses",
        sql: "CREATE INDEX azoth_p_scope_pauses ON azoth_p_scopes (paused_until_ms) WHERE paused_until_ms IS NOT NULL",
    },
    Object {
        name: "azoth_p_running",
        sql: "CREATE INDEX azoth_p_running ON azoth_p_tasks (type, worker) WHERE phase = 1",
    },
    Object {
        name: "azoth_p_group",
        sql: "CREATE INDEX azoth_p_group ON azoth_p_tasks (group_name) WHERE group_name IS NOT NULL",
    },
    Object {
        name: "azoth_p_unique",
        sql: "CREATE INDEX azoth_p_unique ON azoth_p_tasks (unique_key, defined) WHERE unique_key IS NOT NULL",
    },
    Object {
        name: "azoth_p_waits",
        sql: "CREATE TABLE azoth_p_waits (
    task INTEGER NOT NULL,
    dependency TEXT NOT NULL,
    PRIMARY KEY (task, dependency)
) STRICT, WITHOUT ROWID",
    },
    Object {
        name: "azoth_p_waits_by_dependency",
        sql: "CREATE INDEX azoth_p_waits_by_dependency ON azoth_p_waits (dependency, task)",
    },
];

const OPERATIONAL: &[Object] = &[
    Object {
        name: "azoth_o_workers",
        sql: "CREATE TABLE azoth_o_workers (
    worker BLOB PRIMARY KEY CHECK (length(worker) = 16),
    pid INTEGER NOT NULL,
    started INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    lease_ms INTEGER NOT NULL CHECK (lease_ms > 0),
    renewals INTEGER NOT NULL CHECK (renewals >= 0),
    renewed_at_ms INTEGER NOT NULL,
    ended INTEGER NOT NULL CHECK (ended IN (0, 1))
) STRICT, WITHOUT ROWID",
    },
    Object {
        name: "azoth_o_worker_types",
        sql: "CREATE TABLE azoth_o_worker_types (
    worker BLOB NOT NULL CHECK (length(worker) = 16),
    task_type TEXT NOT NULL,
    PRIMARY KEY (worker, task_type)
) STRICT, WITHOUT ROWID",
    },
    Object {
        name: "azoth_o_consumers",
        sql: "CREATE TABLE azoth_o_consumers (
    name TEXT PRIMARY KEY,
    cursor INTEGER NOT NULL CHECK (cursor >= 0)
) STRICT, WITHOUT ROWID",
    },
    Object {
        name: "azoth_o_dead_letters",
        sql: "CREATE TABLE azoth_o_dead_letters (
    consumer TEXT NOT NULL,
    position INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    requeued INTEGER NOT NULL CHECK (requeued IN (0, 1)),
    UNIQUE (consumer, position)
) STRICT",
    },
];
