//! Handlers that do whatever chance says, and note what they saw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_core::id::ExecutionId;
use azoth_scheduler_runtime::testing::Chance;
use azoth_scheduler_runtime::{
    BlockingTaskHandler, Clock, EventHandler, ManualClock, Permanent, RetryAfter, ScheduleTaskRequest,
    SchedulerError, Snooze, TaskContext, TaskError, TaskEvent, TaskHandler, TaskResult,
};
use azoth_scheduler_store::{LogPosition, RecordedEvent};

/// The message of a panic that belongs to the plan.
pub(crate) const PLANNED: &str = "planned panic";

/// What handlers saw.
#[derive(Debug)]
pub(crate) struct Witness {
    chance: Chance,
    /// How often each execution was started.
    pub(crate) started: BTreeMap<ExecutionId, u32>,
    /// What the event handler was given and did not refuse.
    pub(crate) handled: BTreeSet<LogPosition>,
}

/// All handlers of one scheduler.
#[derive(Clone)]
pub(crate) struct Hands {
    pub(crate) witness: Arc<Mutex<Witness>>,
    pub(crate) clock: ManualClock,
}

/// What a handler does next.
enum Deed {
    Succeed,
    /// With another task of this number, scheduled with the success.
    SucceedAndSchedule(u64),
    Fail,
    FailForGood,
    FailUntil(Duration),
    Snooze(Duration),
    Panic,
}

impl Hands {
    pub(crate) fn new(seed: u64, clock: ManualClock) -> Self {
        let witness = Witness {
            chance: Chance::of_seed(seed ^ 0x5eed),
            started: BTreeMap::new(),
            handled: BTreeSet::new(),
        };
        Self { witness: Arc::new(Mutex::new(witness)), clock }
    }

    pub(crate) fn witness(&self) -> MutexGuard<'_, Witness> {
        self.witness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, ctx: &TaskContext) -> (Duration, Deed) {
        let mut witness = self.witness();
        *witness.started.entry(ctx.execution_id()).or_default() += 1;
        let chance = &mut witness.chance;
        let seconds = Duration::from_secs(chance.below(20));
        let takes = match chance.below(10) {
            0..5 => Duration::ZERO,
            5..8 => Duration::from_millis(chance.below(3_000)),
            _ => Duration::from_millis(chance.below(40_000)),
        };
        let deed = match chance.below(20) {
            0..10 => Deed::Succeed,
            10..12 => Deed::SucceedAndSchedule(chance.below(10)),
            12..15 => Deed::Fail,
            15 => Deed::FailForGood,
            16 => Deed::FailUntil(seconds),
            17..19 => Deed::Snooze(seconds),
            _ => Deed::Panic,
        };
        (takes, deed)
    }
}

impl Deed {
    fn done(self, ctx: &TaskContext) -> TaskResult {
        match self {
            Deed::Succeed => Ok(TaskEvent::new("done", [1, 2, 3])?),
            Deed::SucceedAndSchedule(number) => {
                let child = ScheduleTaskRequest::builder(format!("task-{number}")).task_type("work");
                ctx.schedule(child.immediate().timeout(Duration::from_secs(30)).build()?)?;
                Ok(TaskEvent::new("done", [])?)
            }
            Deed::Fail => Err("not this time")?,
            Deed::FailForGood => Err(Permanent::new("never"))?,
            Deed::FailUntil(span) => Err(RetryAfter::new(span, "later"))?,
            Deed::Snooze(span) => Err(Snooze::new(span))?,
            Deed::Panic => std::panic::panic_any(PLANNED),
        }
    }
}

#[async_trait]
impl TaskHandler for Hands {
    fn task_type(&self) -> &str {
        "work"
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        let (takes, deed) = self.start(ctx);
        self.clock.sleep(takes).await;
        deed.done(ctx)
    }
}

/// The same on a thread of its own.
pub(crate) struct Blocking(pub(crate) Hands);

impl BlockingTaskHandler for Blocking {
    fn task_type(&self) -> &str {
        "block"
    }

    fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> Result<TaskEvent, SchedulerError> {
        match self.0.start(ctx).1 {
            Deed::Panic => std::panic::panic_any(PLANNED),
            Deed::Succeed | Deed::SucceedAndSchedule(_) | Deed::Snooze(_) => TaskEvent::new("done", []),
            Deed::Fail | Deed::FailForGood | Deed::FailUntil(_) => Err("not this time".into()),
        }
    }
}

#[async_trait]
impl EventHandler for Hands {
    fn name(&self) -> &str {
        "witness"
    }

    async fn handle(&self, event: &RecordedEvent) -> Result<(), TaskError> {
        let mut witness = self.witness();
        if witness.chance.one_in(50) {
            Err(Snooze::new(Duration::from_secs(1)))?;
        }
        witness.handled.insert(event.position);
        Ok(())
    }
}
