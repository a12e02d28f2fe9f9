//! One struct for each kind of event that happens to the log itself.

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::retention;
use serde::{Deserialize, Serialize};

use super::into_event::IntoEvent;
use super::memory::Memory;
use super::stored::{Invalid, Stored};
use crate::codec::bytes::Bytes;

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct TasksForgotten<'a> {
    horizon: Horizon,
    #[serde(borrow)]
    tasks: Vec<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct Horizon {
    finished: Option<i64>,
    cancelled: Option<i64>,
    disabled: Option<i64>,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct PayloadsDropped {
    through: u64,
}

#[derive(Serialize, Deserialize)]
pub(in crate::codec) struct LogCut {
    through: u64,
    hash: Bytes<32>,
    snapshot: Bytes<32>,
}

impl<'a> TasksForgotten<'a> {
    pub(super) fn of(horizon: &retention::Horizon, tasks: &'a [TaskId]) -> Self {
        let horizon = Horizon {
            finished: Option::store(&horizon.finished),
            cancelled: Option::store(&horizon.cancelled),
            disabled: Option::store(&horizon.disabled),
        };
        Self { horizon, tasks: tasks.iter().map(TaskId::as_str).collect() }
    }
}

impl PayloadsDropped {
    pub(super) fn of(through: u64) -> Self {
        Self { through }
    }
}

impl LogCut {
    pub(super) fn of(through: u64, hash: [u8; 32], snapshot: [u8; 32]) -> Self {
        Self { through, hash: Bytes(hash), snapshot: Bytes(snapshot) }
    }
}

impl IntoEvent for TasksForgotten<'_> {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        let Horizon { finished, cancelled, disabled } = self.horizon;
        let horizon = retention::Horizon {
            finished: finished.restore()?,
            cancelled: cancelled.restore()?,
            disabled: disabled.restore()?,
        };
        let tasks = self.tasks.into_iter().map(TaskId::new).collect::<Result<_, _>>()?;
        Ok(Event::TasksForgotten { horizon, tasks })
    }
}

impl IntoEvent for PayloadsDropped {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        Ok(Event::PayloadsDropped { through: self.through })
    }
}

impl IntoEvent for LogCut {
    fn into_event(self, _: &mut Memory) -> Result<Event, Invalid> {
        let (Bytes(hash), Bytes(snapshot)) = (self.hash, self.snapshot);
        Ok(Event::LogCut { through: self.through, hash, snapshot })
    }
}
