//! The executions of a scheduler that are under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use azoth_scheduler_core::headway::Headway;
use azoth_scheduler_core::id::{ExecutionId, TaskId, TaskType};
use azoth_scheduler_core::time::Timestamp;

use crate::ahead::Queued;
use crate::cancel::Cancel;
use crate::observe;
use crate::slots::Slot;
use crate::watchdog::Polls;

/// The executions that are under way here, so that others can stop them.
#[derive(Default)]
pub(crate) struct Running {
    executions: Mutex<BTreeMap<ExecutionId, UnderWay>>,
}

/// An execution that is under way, or waits for its slot.
pub(crate) struct UnderWay {
    pub(crate) task: TaskId,
    pub(crate) task_type: TaskType,
    /// `None` while it waits for one.
    pub(crate) slot: Option<Arc<Slot>>,
    /// By the monotonic clock.
    pub(crate) spawned: Duration,
    spawned_at: Timestamp,
    polls: Arc<Polls>,
    cancel: Cancel,
    /// How far it says that it has come, until that is recorded.
    pub(crate) said: Option<Headway>,
}

impl Running {
    /// Adds one that waits for its slot.
    pub(crate) fn add(&self, queued: &Queued, now: Timestamp) {
        let under_way = UnderWay {
            task: queued.claimed.task.clone(),
            task_type: queued.claimed.task_type.clone(),
            slot: None,
            spawned: queued.since,
            spawned_at: now,
            polls: Arc::clone(&queued.polls),
            cancel: queued.cancel.clone(),
            said: None,
        };
        self.executions().insert(queued.claimed.execution, under_way);
    }

    /// It has its slot.
    pub(crate) fn start(&self, execution: ExecutionId, slot: &Arc<Slot>, now: Timestamp, elapsed: Duration) {
        if let Some(under_way) = self.executions().get_mut(&execution) {
            under_way.slot = Some(Arc::clone(slot));
            (under_way.spawned_at, under_way.spawned) = (now, elapsed);
        }
    }

    pub(crate) fn remove(&self, execution: ExecutionId) -> Option<UnderWay> {
        self.executions().remove(&execution)
    }

    /// Takes all of them, as nobody waits for their end any more.
    pub(crate) fn take_all(&self) -> BTreeMap<ExecutionId, UnderWay> {
        std::mem::take(&mut *self.executions())
    }

    pub(crate) fn spawned_at(&self, execution: ExecutionId) -> Option<Timestamp> {
        self.executions().get(&execution).map(|under_way| under_way.spawned_at)
    }

    pub(crate) fn ids(&self) -> BTreeSet<ExecutionId> {
        self.executions().keys().copied().collect()
    }

    /// Does something with one of them, if it is under way.
    pub(crate) fn with(&self, execution: ExecutionId, work: impl FnOnce(&mut UnderWay)) -> Option<()> {
        self.executions().get_mut(&execution).map(work)
    }

    /// Does something with each of them.
    pub(crate) fn for_each(&self, mut work: impl FnMut(ExecutionId, &mut UnderWay)) {
        self.executions().iter_mut().for_each(|(execution, under_way)| work(*execution, under_way));
    }

    /// Whether one of them blocks the async runtime; says so once each.
    pub(crate) fn look_for_blocked(&self, now: Duration) {
        self.executions().values().for_each(|under_way| under_way.polls.look(now));
    }

    pub(crate) fn stop_task(&self, task: &TaskId) {
        self.stop("cancelled", |_, under_way| under_way.task == *task);
    }

    pub(crate) fn stop_these(&self, executions: &BTreeSet<ExecutionId>, why: &'static str) {
        self.stop(why, |execution, _| executions.contains(&execution));
    }

    pub(crate) fn stop_all(&self, why: &'static str) {
        self.stop(why, |_, _| true);
    }

    fn stop(&self, why: &'static str, which: impl Fn(ExecutionId, &UnderWay) -> bool) {
        for (execution, under_way) in self.executions().iter() {
            if which(*execution, under_way) {
                observe::execution_stopped(&under_way.task, *execution, why);
                under_way.cancel.cancel();
            }
        }
    }

    fn executions(&self) -> MutexGuard<'_, BTreeMap<ExecutionId, UnderWay>> {
        self.executions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
