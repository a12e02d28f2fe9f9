//! The store in one SQLite file.
//!
//! ```
//! use azoth_scheduler_store::SqliteStore;
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("scheduler.db");
//! # let options = azoth_scheduler_store::sqlite::SqliteOptions::new().allow_old_sqlite(true);
//! # let _ = SqliteStore::open_with(&path, options)?;
//! # if std::env::var_os("AZOTH_ALLOW_OLD_SQLITE_IN_TESTS").is_some() { return Ok(()) }
//! let store = SqliteStore::open(&path)?;
//! assert_eq!(store.path(), path);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | room | what it holds |
//! |---|---|
//! | `handle`, `store`, `place`, `open`, `files`, `fate`, `beside`, `schema`, [`SqliteOptions`] | refusing and making files, noticing that they go, settings of connections, tables |
//! | `writer`, `job`, `group`, `apply`, `memory`, `guard` | the one thread that writes, what it is asked and does in a transaction, what it remembers, the triggers it works without |
//! | `integrity`, `vitals` | a first look for damage, and whether to go on after errors of the disk |
//! | `wal`, `checkpoint` | copying the write-ahead log into the file, and how long it may become |
//! | `log`, `hash`, `chain`, `head` | the canonical log, the hash chain over it, where it ends |
//! | `entry`, `task_cells`, `task_row`, `row_writer`, `new_rows`, `type_row`, `scope_row`, `scopes`, `wait_row`, `line`, `gate`, `due`, `due_task`, `front`, `page`, `suspect`, `outlook`, `claim` | the projection: folding, rows, due tasks |
//! | `worker`, `consumer` | operational tables: signs of life, who handles what, cursors, dead letters |
//! | `readers`, `read`, `stats` | reads, each in one snapshot, on threads of the store's own |
//! | `fold`, `slots`, `replay`, `packed`, `aside`, `upkeep` | the whole log page by page: what is in memory of it, and what is put aside |
//! | `tables`, `scratch`, `shadow`, `making` | the tables that it is folded into: in use, beside the file, or in it and about to be used |
//! | `verify`, `log_check`, `compare`, `rebuild` | the log checked, compared with the projection, or made into it |
//! | `retain`, `cut`, `base`, `log_row` | what is let go, where the log begins, and the log's own row |
//! | `past` | the tasks as they were |
//! | `excerpt` | the log in memory, for benchmarks |
//! | `backup`, `export`, `import`, `lines`, `partial` | copies of the file, and the log as lines of JSON |
//! | `salvage`, `survey` | what can still be read of a damaged log |
//! | [`TransactionalEventHandler`], [`RunningEventHandler`], `delivery`, `fence` | application code in the transaction of its cursor |
//! | `wake`, `commits`, `hints`, `vigil`, `touched` | who waits for the log to grow, or for one task, and how commits of other processes are noticed |
//!
//! The file may be the application's own database: our tables begin with `azoth_`, nothing else is touched, neither
//! `user_version` nor `application_id`. The file is switched to a write-ahead log.

mod apply;
mod aside;
mod backup;
mod base;
mod beside;
#[cfg(test)]
mod beside_tests;
mod cell;
mod chain;
mod checkpoint;
mod claim;
#[cfg(test)]
mod claim_cost_tests;
mod commits;
mod compare;
mod consumer;
#[cfg(test)]
mod cost_tests;
mod courtesy;
mod cut;
mod delivery;
mod due;
mod due_task;
mod enqueue;
mod entry;
mod error;
mod event_handler;
mod excerpt;
mod export;
mod fate;
mod fence;
mod files;
mod fold;
#[cfg(test)]
mod forged_tests;
mod front;
mod gate;
mod group;
mod guard;
mod handle;
mod hash;
mod head;
mod hints;
mod import;
mod integrity;
mod job;
mod line;
mod lines;
mod log;
mod log_check;
mod log_row;
mod lull;
mod mailbox;
mod making;
#[cfg(all(test, feature = "conformance"))]
mod making_tests;
mod memory;
mod meter;
mod migrate;
mod new_rows;
mod open;
mod options;
mod outlook;
mod packed;
mod page;
mod partial;
mod passing;
mod past;
mod place;
#[cfg(test)]
mod plan_tests;
mod read;
mod readers;
mod rebuild;
mod replay;
mod retain;
mod row_writer;
mod running_handler;
mod salvage;
mod schema;
mod scope_row;
mod scopes;
mod scratch;
mod shadow;
mod slots;
mod stats;
mod store;
mod survey;
mod suspect;
mod tables;
mod task_cells;
mod task_row;
mod touched;
mod type_row;
mod upkeep;
mod verify;
mod vigil;
mod vitals;
mod wait_row;
mod wake;
mod wal;
mod worker;
mod writer;

pub use self::cut::CutOptions;
pub use self::event_handler::{HandlerError, TransactionalEventHandler};
pub use self::excerpt::Excerpt;
pub use self::handle::SqliteStore;
pub use self::options::{SqliteOptions, Synchronous};
pub use self::running_handler::RunningEventHandler;
pub use rusqlite;
