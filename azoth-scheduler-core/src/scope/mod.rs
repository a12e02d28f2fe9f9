//! What is said of many tasks at once: limits and pauses of a task type, of a concurrency key, or of everything.
//!
//! A scope is a subject of its own, with its own decisions and events; a claim looks at the scopes of each task.

mod decide;
mod evolve;
mod limits;
mod line;
mod rate;
mod state;
mod subject;

pub use self::decide::decide;
pub use self::evolve::evolve;
pub use self::limits::{Limits, LimitsChange, LimitsError};
pub use self::line::{Line, PER_KEY_DEFAULT, per_key};
pub use self::rate::{RATE_PER_MS_MAX, Rate, Spent};
pub use self::state::{Gate, ScopeState};
pub use self::subject::Scope;
