//! The runtime of azoth-scheduler.

mod context;
mod error;
mod event;
mod handler;
mod registry;
mod request;
mod state;
mod task_error;

pub use context::TaskContext;
pub use error::{RequestError, Result, SchedulerError};
pub use event::TaskEvent;
pub use handler::{AnyTaskHandler, BlockingTaskHandler, IntoTaskHandler, TaskHandler, TaskOptions, marker};
pub use request::{ScheduleTaskRequest, ScheduleTaskRequestBuilder};
pub use state::{MissingState, State, StateMap};
pub use task_error::{Permanent, RetryAfter, Snooze, TaskError, TaskResult};
