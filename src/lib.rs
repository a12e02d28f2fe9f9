//! An embeddable, event-sourced task scheduler: cron jobs, intervals, one-time tasks and a job queue that survive
//! restarts, crashes and bad deploys, in one SQLite file. Everything that ever happened to a task can be read back from
//! one log.
//!
//! ```
//! use azoth_scheduler::prelude::*;
//!
//! struct Greet;
//!
//! #[async_trait]
//! impl TaskHandler for Greet {
//!     fn task_type(&self) -> &str {
//!         "greet"
//!     }
//!
//!     async fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
//!         println!("{}: hello, {}", ctx.task_id(), std::str::from_utf8(payload)?);
//!         Ok(TaskEvent::new("greeted", payload)?)
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//!     # let folder = tempfile::tempdir()?;
//!     # let file = folder.path().join("scheduler.db");
#![cfg_attr(
    feature = "sqlite",
    doc = "    let store = SqliteStore::open(file)?; // such as \"scheduler.db\""
)]
#![cfg_attr(not(feature = "sqlite"), doc = "    # let store = MemoryStore::new();")]
//!     let scheduler = Scheduler::builder(store).with_task_handler(Greet).build()?;
//!     let now = ScheduleTaskRequest::builder("now").task_type("greet").payload("world").immediate();
//!     scheduler.schedule_task(now.build()?).await?;
//!     let daily = ScheduleTaskRequest::builder("daily").task_type("greet").payload("again").cron("0 0 9 * * 1-5");
//!     scheduler.schedule_task(daily.time_zone("Europe/Berlin").build()?).await?;
//!     # let stop = scheduler.clone();
//!     # tokio::spawn(async move {
//!     #     stop.wait_until_idle().await.unwrap();
//!     #     stop.shutdown().await;
//!     # });
//!     scheduler.run().await // until `scheduler.shutdown()`
//!     # ?;
//!     # assert_eq!(scheduler.task_history("now").await?.len(), 4);
//!     # assert!(scheduler.get_task("daily").await?.unwrap().enabled());
//!     # Ok(())
//! }
//! ```
//!
//! What a handler may fail with, how it is retried, cancelled and stopped stands with [`TaskHandler`] and
//! [`TaskError`]; what may be asked of a scheduler with [`Scheduler`]; what a schedule means with
//! [`ScheduleTaskRequestBuilder`]. This crate itself only puts names together: those of `azoth-scheduler-core` (the
//! rules), `azoth-scheduler-store` (the log) and `azoth-scheduler-runtime` (the loop).
//!
//! | feature | what it adds | by default |
//! |---|---|---|
//! | `sqlite` | the store in one SQLite file, SQLite included | yes |
//! | `macros` | `#[task_handler]` on plain functions | yes |
//! | `metrics` | latencies, outcomes and commits, told to the `metrics` crate: see [`observing`] | no |
//! | `testing` | `testing::Simulator`, for tests: a month of schedules in milliseconds, with crashes | no |

pub use azoth_scheduler_core::time::{Timestamp, TimestampError};
pub use azoth_scheduler_core::{
    command, dependency, event, execution, headway, id, rejection, retention, retry, schedule, scope, state,
    task, trace, unique,
};
pub use azoth_scheduler_runtime::*;
pub use azoth_scheduler_store as store;

#[cfg(feature = "macros")]
pub use azoth_scheduler_macros::task_handler;

#[doc(hidden)]
pub use azoth_scheduler_runtime::__private;

#[cfg(feature = "sqlite")]
pub use azoth_scheduler_store::sqlite::{self, SqliteStore};
pub use azoth_scheduler_store::{
    AsOf, LogPosition, MemoryStore, Past, Prepared, RecordedEvent, RecordedPayload, StartFrom, Store,
    StoreError, TaskFilter,
};

#[doc = include_str!("../docs/observing.md")]
pub mod observing {}

/// The names that most programs need: `use azoth_scheduler::prelude::*;`.
pub mod prelude {
    pub use std::time::Duration;

    pub use async_trait::async_trait;
    pub use azoth_scheduler_core::command::OnConflict;
    pub use azoth_scheduler_core::dependency::OnDependencyFailure;
    pub use azoth_scheduler_core::event::Event;
    pub use azoth_scheduler_core::id::{TaskId, TaskType};
    pub use azoth_scheduler_core::retention::RetentionPolicy;
    pub use azoth_scheduler_core::retry::{Backoff, OnExhausted};
    pub use azoth_scheduler_core::schedule::{MisfirePolicy, Overlap, Schedule};
    pub use azoth_scheduler_core::scope::Scope;
    pub use azoth_scheduler_core::state::PhaseKind;
    pub use azoth_scheduler_core::task::Priority;
    #[cfg(feature = "macros")]
    pub use azoth_scheduler_macros::task_handler;
    pub use azoth_scheduler_runtime::task_handlers;
    pub use azoth_scheduler_runtime::{
        BlockingTaskHandler, BulkAction, BulkMode, Declared, EventHandler, Limits, Permanent, RequestError,
        Result, RetryAfter, Said, ScheduleChange, ScheduleOutcome, ScheduleTaskRequest, Scheduler,
        SchedulerError, Snooze, State, TaskContext, TaskError, TaskEvent, TaskHandle, TaskHandler, TaskInfo,
        TaskOptions, TaskOutcome, TaskProgress, TaskResult,
    };
    #[cfg(feature = "sqlite")]
    pub use azoth_scheduler_store::sqlite::{SqliteStore, TransactionalEventHandler};
    pub use azoth_scheduler_store::{LogPosition, MemoryStore, RecordedEvent, StartFrom, TaskFilter};
}

/// The examples of the README and of the guides are tests too.
#[cfg(all(doctest, feature = "sqlite", feature = "macros"))]
mod guides {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/from-apalis.md")]
    struct FromApalis;
    #[doc = include_str!("../docs/from-effectum.md")]
    struct FromEffectum;
    #[doc = include_str!("../docs/from-tokio-cron-scheduler.md")]
    struct FromTokioCronScheduler;
}
