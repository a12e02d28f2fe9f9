//! The runtime of azoth-scheduler: it runs what is due, on whatever store it is given.
//!
//! It holds no scheduling rule (those are core's), names no SQL and no stored byte (those are the store's), starts no
//! async runtime of its own but for the heartbeat's and the blocking calls', installs no logger, no signal handler and
//! no global but a panic hook that notes the place of a handler's panic and then calls the one before it.
//!
//! | room | what it holds |
//! |---|---|
//! | `scheduler`, `run`, `builder`, `config`, `shared`, `scheduling`, `scopes`, `declare`, `bulk`, `handle`, `upkeep`, `blocking` | [`Scheduler`]: what a program asks, and how it is set up |
//! | `request`, `limits`, `view`, `error` | [`ScheduleTaskRequest`] and [`Limits`] in, [`TaskInfo`] out, [`SchedulerError`] |
//! | `handler`, `any_handler`, `registry`, `context`, `outbox`, `progress`, `checkpoint`, `state`, `event`, `task_error`, `mark`, `redaction` | [`TaskHandler`], [`BlockingTaskHandler`] and what they see, return and fail with |
//! | `desk`, `reception` | what a running handler asks of its scheduler, and what that does with it |
//! | `poller`, `alarm`, `ahead`, `transaction`, `recorder`, `slots`, `patience`, `unhandled` | the one loop: when to wake, what to record, how much to claim |
//! | `worker`, `workshop`, `running`, `cancel`, `caught`, `panic_place`, `task_set` | one execution: timeout, cancellation, panic, outcome; executions that belong together |
//! | `host`, `threads` | where all of it takes place: tasks, threads, the chance in ids |
//! | `lease`, `process`, `poller::neighbours`, `shutdown` | signs of life, ours and others'; coming to an end |
//! | `event_handler`, `consumer`, `subscribe`, `head_watch` | [`EventHandler`] and [`Subscription`]: readers of the log |
//! | `testing` | a world of its own for tests, behind the feature of that name |
//! | `clock`, `clock_watch`, `observe`, `meter`, `watchdog` | [`Clock`], [`ManualClock`]; one that was far ahead; what `tracing` and `metrics` are told; handlers that block |

mod ahead;
mod alarm;
mod any_handler;
mod blocking;
mod builder;
mod bulk;
mod cancel;
mod caught;
mod checkpoint;
mod clock;
mod clock_watch;
mod config;
mod consumer;
mod context;
mod declare;
mod desk;
mod error;
mod event;
mod event_handler;
mod handle;
mod handler;
mod head_watch;
mod host;
mod lease;
mod limits;
mod mark;
mod meter;
mod observe;
mod outbox;
mod panic_place;
mod patience;
mod poller;
mod process;
mod progress;
mod reception;
mod recorder;
mod redaction;
mod registry;
mod request;
mod run;
mod running;
mod scheduler;
mod scheduling;
mod scopes;
mod shared;
mod shutdown;
mod slots;
mod state;
mod subscribe;
mod task_error;
mod task_set;
#[cfg(feature = "testing")]
pub mod testing;
mod threads;
mod transaction;
mod unhandled;
mod upkeep;
mod view;
mod watchdog;
mod worker;
mod workshop;

pub use any_handler::{AnyTaskHandler, IntoTaskHandler, marker};
pub use blocking::{BlockingScheduler, BlockingTaskHandle};
pub use builder::{IntoStore, SchedulerBuilder, store_marker};
pub use bulk::{BulkAction, BulkMode, BulkReport};
pub use clock::{Clock, ManualClock, Sleep, SystemClock};
pub use context::TaskContext;
pub use declare::Declared;
pub use error::{RequestError, Result, SchedulerError};
pub use event::TaskEvent;
pub use event_handler::EventHandler;
pub use handle::{TaskHandle, TaskOutcome};
pub use handler::{BlockingTaskHandler, TaskHandler, TaskOptions};
pub use limits::Limits;
pub use mark::{Permanent, RetryAfter, Snooze};
pub use request::{ScheduleTaskRequest, ScheduleTaskRequestBuilder};
pub use scheduler::Scheduler;
pub use scopes::{Pausing, ScopeChange};
pub use shutdown::ShutdownComplete;
pub use state::{MissingState, State, StateMap};
pub use subscribe::Subscription;
pub use task_error::{TaskError, TaskResult};
pub use view::{
    CheckpointInfo, RunningInfo, Said, ScheduleChange, ScheduleOutcome, SchedulerStats, TaskInfo,
    TaskProgress,
};

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
