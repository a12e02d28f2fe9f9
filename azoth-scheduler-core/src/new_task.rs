//! What a wish to schedule brings: a task's definition, its bytes, and what to do where the task is there already.

use alloc::sync::Arc;

use crate::payload::Payload;
use crate::schedule::Schedule;
use crate::task::TaskDefinition;
use crate::trace::TraceParent;

/// A task to be scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask {
    /// What it is and when it runs; `definition.payload` is the digest of `payload`.
    definition: Arc<TaskDefinition>,
    payload: Payload,
    on_conflict: OnConflict,
    trace: Option<TraceParent>,
}

impl NewTask {
    /// Puts definition and payload together; the definition's digest becomes that of the payload.
    pub fn new(mut definition: TaskDefinition, payload: Payload, on_conflict: OnConflict) -> Self {
        definition.payload = payload.digest();
        Self { definition: Arc::new(definition), payload, on_conflict, trace: None }
    }

    /// The same wish, made within this span.
    #[must_use]
    pub fn traced(mut self, trace: Option<TraceParent>) -> Self {
        self.trace = trace;
        self
    }

    /// The span within which it was wished, if it was within one.
    pub fn trace(&self) -> Option<TraceParent> {
        self.trace
    }

    /// What it is and when it runs.
    pub fn definition(&self) -> &TaskDefinition {
        &self.definition
    }

    /// The same, as events and states hold it: it is not copied any more.
    pub(crate) fn shared_definition(&self) -> Arc<TaskDefinition> {
        Arc::clone(&self.definition)
    }

    /// When it runs.
    pub fn schedule(&self) -> &Schedule {
        &self.definition.schedule
    }

    /// What the handler is given.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// What to do when a task of this id exists.
    pub fn on_conflict(&self) -> OnConflict {
        self.on_conflict
    }
}

/// What to do when a task of the same id exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// The same definition changes nothing, another one redefines; what had ended is scheduled anew, but a recurring
    /// task that was disabled or cancelled stays so under the same definition.
    #[default]
    Redefine,
    /// Schedule anew whatever there was.
    Replace,
    /// Refuse.
    Reject,
    /// Change nothing, even when the task has ended. Repeating a call whose answer was lost is safe with this.
    Keep,
}
