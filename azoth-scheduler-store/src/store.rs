//! What a store promises.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use async_trait::async_trait;
use azoth_scheduler_core::command::{Command, TaskCommand};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::id::{ConsumerName, ExecutionId, TaskId, TaskType, WorkerId};
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::scope::ScopeState;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::time::Timestamp;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::filter::TaskFilter;
pub use crate::offer::{Ahead, CLAIM_BATCH_MAX, ClaimOffer, Claimed, Claims, Suspects};
use crate::record::{LogPosition, RecordedEvent, RecordedPayload};
use crate::report::{Health, RebuildProgress, RebuildReport, RetentionReport, StoreStats, VerifyReport};
use crate::standing::StandingOffer;

/// The canonical log and its projection, wherever they are kept.
///
/// *Order*: the commands of one [`apply`](Store::apply) are decided in their order, and each sees what the ones before
/// it did. *Durability*: `Ok` means that everything is as durable as the store was opened to make it. *Visibility*:
/// after `Ok` every read, by whomever, sees it. An `Err` of `apply` means that nothing is known of what became of the
/// commands; [`StoreError::is_unknown`] tells those errors from the ones after which nothing happened for certain.
///
/// `now` is always an argument: a store has no clock.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Decides commands, records what they come to, and then claims due tasks for the offer, all in one transaction.
    ///
    /// A refused command does not hinder the others; its answer says why it was refused.
    async fn apply(&self, batch: Batch) -> Result<Applied, StoreError>;

    /// Lets an offer stand: the next commit of this process that makes a task of its types due claims for it in the same
    /// transaction, under the rules of [`apply`](Store::apply). `seen` is how far the worker has looked itself, as
    /// [`Claims::seen`] told it. Several workers may have one each; the oldest goes first.
    fn stand(&self, offer: ClaimOffer, seen: LogPosition) -> StandingOffer;

    /// One task with its payload, or `None`.
    async fn task(&self, id: &TaskId) -> Result<Option<StoredTask>, StoreError>;

    /// Tasks that match the filter, in the order in which they were created, at most as many as it says.
    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskState>, StoreError>;

    /// Every scope of which anything was said: its limits, and whether it is paused. In the order of their names:
    /// everything, then task types, then concurrency keys.
    async fn scopes(&self) -> Result<Vec<ScopeState>, StoreError>;

    /// Events behind a position, oldest first, at most `limit` (itself at most [`EVENTS_PAGE_MAX`]).
    async fn events(&self, after: LogPosition, limit: usize) -> Result<Vec<RecordedEvent>, StoreError>;

    /// Events of one task, newest first, those before a position if one is given, at most `limit`.
    async fn history(
        &self,
        task: &TaskId,
        before: Option<LogPosition>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError>;

    /// The position of the newest event.
    async fn head(&self) -> Result<LogPosition, StoreError>;

    /// The position of the newest event, updated with every commit that this process knows of. A hint: it wakes whoever
    /// waits, the store is then asked.
    fn watch_head(&self) -> watch::Receiver<LogPosition>;

    /// The position of the newest event that may be about one task, updated as [`watch_head`](Self::watch_head) is: whoever waits
    /// for what becomes of the task looks at it after each update, and once before he waits. A store that knows which tasks a
    /// commit touched tells of no others. By default each commit may be about any task.
    fn watch_task(&self, id: &TaskId) -> watch::Receiver<LogPosition> {
        let _ = id;
        self.watch_head()
    }

    /// Whether [`watch_head`](Self::watch_head) is told of every commit within moments, those of other processes too. Where it is
    /// not, or is not known to be yet, whoever waits for the log to grow also asks for its [`head`](Self::head) now and then. By
    /// default it is not.
    fn hears_every_commit(&self) -> bool {
        false
    }

    /// Writes down that a worker lives, so that it may claim.
    async fn register_worker(&self, worker: WorkerInfo, now: Timestamp) -> Result<(), StoreError>;

    /// A worker's sign of life.
    async fn renew_worker(&self, worker: WorkerId, now: Timestamp) -> Result<Renewal, StoreError>;

    /// All workers that were registered and have not ended.
    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError>;

    /// Ends a worker, by itself or because others found it dead. From then on it claims nothing, and what it still
    /// holds is among the [`orphans`](Store::orphans). Ending it again changes nothing.
    async fn end_worker(&self, worker: WorkerId) -> Result<(), StoreError>;

    /// Executions whose worker has ended, at most `limit`. They are to be abandoned.
    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>, StoreError>;

    /// The executions that a worker still holds. One that it runs and that is not among them was cancelled or taken
    /// from it, and is to be stopped.
    async fn held_by(&self, worker: WorkerId) -> Result<Vec<ExecutionId>, StoreError>;

    /// The cursor of a consumer; made at `start` when there is none of this name.
    ///
    /// # Errors
    /// [`StoreError::NoSuchPosition`] where it is to start behind the newest event.
    async fn cursor(&self, name: &ConsumerName, start: StartFrom) -> Result<LogPosition, StoreError>;

    /// Moves a consumer's cursor from where its reader found it.
    ///
    /// # Errors
    /// [`StoreError::CursorMoved`] when it stands elsewhere: another process serves the same consumer.
    async fn move_cursor(
        &self,
        name: &ConsumerName,
        from: LogPosition,
        to: LogPosition,
        dead: Option<DeadLetter>,
    ) -> Result<(), StoreError>;

    /// What a consumer could not handle, oldest first, at most `limit`.
    async fn dead_letters(&self, name: &ConsumerName, limit: usize) -> Result<Vec<DeadLetter>, StoreError>;

    /// Has an event that a consumer gave up handled again; it is no dead letter until that fails too. `false`: it is none.
    ///
    /// # Errors
    /// [`StoreError::LogCut`] for an event that was cut meanwhile.
    async fn requeue(&self, name: &ConsumerName, position: LogPosition) -> Result<bool, StoreError>;

    /// What a consumer is to handle again, oldest first, at most `limit`.
    async fn requeued(&self, name: &ConsumerName, limit: usize) -> Result<Vec<DeadLetter>, StoreError>;

    /// What came of an event that was handled again: it is done, or a dead letter once more. Nothing happens where another
    /// process has settled it.
    async fn settle_requeued(
        &self,
        name: &ConsumerName,
        position: LogPosition,
        dead: Option<DeadLetter>,
    ) -> Result<(), StoreError>;

    /// The tasks as they were after an event, or at an instant. The cost is that of the events up to there since the
    /// nearest snapshot; of a single task [`task_as_of`](Store::task_as_of) costs less.
    ///
    /// # Errors
    /// [`StoreError::NoSuchPosition`] behind the newest event.
    async fn as_of(&self, then: AsOf) -> Result<Box<dyn Past>, StoreError>;

    /// One task as it was. The cost is that of its own events.
    ///
    /// # Errors
    /// As [`as_of`](Store::as_of).
    async fn task_as_of(&self, id: &TaskId, then: AsOf) -> Result<Option<StoredTask>, StoreError>;

    /// Lets go what a policy lets go by now, in small transactions: tasks that have ended, bytes of old payloads. What a
    /// consumer has yet to handle stays whole. Called again it goes on where it was stopped.
    async fn retain(&self, policy: &RetentionPolicy, now: Timestamp) -> Result<RetentionReport, StoreError>;

    /// Counts, sizes and lags.
    async fn stats(&self, now: Timestamp) -> Result<StoreStats, StoreError>;

    /// The types that no living worker handles although a task of them is due, each with the instant since when the first one
    /// could have started. A store should answer in a few steps for each type, however many tasks there are; by default
    /// [`stats`](Self::stats) is asked.
    async fn unhandled_due(&self, now: Timestamp) -> Result<BTreeMap<TaskType, Timestamp>, StoreError> {
        let unhandled = self.stats(now).await?.unhandled;
        Ok(unhandled.into_iter().filter_map(|found| Some((found.task_type, found.oldest_due?))).collect())
    }

    /// Whether writes succeed. Asks nobody: it is what the last of them showed.
    fn health(&self) -> Health {
        Health::Working
    }

    /// Reads the whole log and compares the projection with it. Changes nothing.
    async fn verify(&self) -> Result<VerifyReport, StoreError>;

    /// Makes the projection anew from the log. Others go on reading and writing meanwhile.
    async fn rebuild_projection(&self) -> Result<RebuildReport, StoreError> {
        self.rebuild_projection_with(watch::Sender::default()).await
    }

    /// Makes the projection anew from the log, and says on the way how far it has come.
    async fn rebuild_projection_with(
        &self,
        progress: watch::Sender<RebuildProgress>,
    ) -> Result<RebuildReport, StoreError>;
}

/// A moment in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// After this event.
    Position(LogPosition),
    /// After the last event whose ordered instant is not later than this. Clocks jump; the ordered instant does not go back.
    Instant(Timestamp),
}

/// The tasks as they were. What is written meanwhile does not change it.
#[async_trait]
pub trait Past: Send + Sync {
    /// The newest event that it knows of.
    fn position(&self) -> LogPosition;

    /// One task with its payload, or `None`. The payload may have been dropped since.
    async fn task(&self, id: &TaskId) -> Result<Option<StoredTask>, StoreError>;

    /// Tasks that match the filter, in the order in which they were created, at most as many as it says.
    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskState>, StoreError>;

    /// Counts of tasks, and the oldest that was due at `now`. What does not follow from the log is left out.
    async fn stats(&self, now: Timestamp) -> Result<StoreStats, StoreError>;
}

/// Commands that are applied together, and room for claims.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The commands, in order. At most [`BATCH_COMMANDS_MAX`], the tasks included that handlers scheduled.
    pub commands: Vec<Command>,
    /// The instant at which they are decided.
    pub now: Timestamp,
    /// Who would take due tasks.
    pub offer: Option<ClaimOffer>,
}

impl Batch {
    /// Commands, and no claims.
    pub fn new<C: Into<Command>>(commands: impl IntoIterator<Item = C>, now: Timestamp) -> Self {
        Self { commands: commands.into_iter().map(Into::into).collect(), now, offer: None }
    }

    /// Claims, and no commands.
    pub fn claiming(offer: ClaimOffer, now: Timestamp) -> Self {
        Self { commands: Vec::new(), now, offer: Some(offer) }
    }

    /// Claims too, after the commands.
    #[must_use]
    pub fn and_claim(self, offer: ClaimOffer) -> Self {
        Self { offer: Some(offer), ..self }
    }
}

/// Tasks that are ready to be scheduled: validated, with every default filled in and their instant stamped. They wait for
/// a transaction of the application's own.
#[derive(Clone, Debug)]
#[must_use = "nothing is scheduled before this is put into a transaction"]
pub struct Prepared {
    commands: Vec<TaskCommand>,
    now: Timestamp,
}

impl Batch {
    /// Refuses a batch that is too large for one transaction: tasks that handlers scheduled count like commands.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        check_weight(self.commands.iter().map(|command| match command {
            Command::Task(command) => command.weight(),
            Command::Scope(_) => 1,
        }))
    }
}

/// The weight of all of these, if one transaction takes it.
pub(crate) fn check_weight(weights: impl Iterator<Item = usize>) -> Result<(), StoreError> {
    let weight = weights.fold(0_usize, usize::saturating_add);
    if weight > BATCH_COMMANDS_MAX {
        return Err(StoreError::BatchTooLarge { commands: weight, limit: BATCH_COMMANDS_MAX });
    }
    Ok(())
}

impl Prepared {
    /// Puts commands and the instant at which they are decided together.
    pub fn new(commands: Vec<TaskCommand>, now: Timestamp) -> Self {
        Self { commands, now }
    }

    /// The commands, in order.
    pub fn commands(&self) -> &[TaskCommand] {
        &self.commands
    }

    /// The commands, in order, without the instant.
    pub fn into_commands(self) -> Vec<TaskCommand> {
        self.commands
    }

    /// The instant at which they are decided.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// What a batch came to.
#[derive(Debug)]
pub struct Applied {
    /// An answer to each command, in order.
    pub answers: Vec<Result<Answer, Rejection>>,
    /// What the offer brought; `None` where none was made.
    pub claims: Option<Claims>,
}

/// A task with its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTask {
    /// The task as it stands.
    pub state: TaskState,
    /// What its handler is given.
    pub payload: RecordedPayload,
}

/// A worker, and the process that it lives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// The incarnation's id.
    pub worker: WorkerId,
    /// The process, so that others on the same machine can see whether it still lives.
    pub process: ProcessIdentity,
    /// Without a sign of life for so many milliseconds it may be declared dead.
    pub lease_ms: NonZeroU64,
    /// The types that it handles, aliases included, ordered by their names. What it claims is said by each of its offers; by
    /// these others know which types nobody handles.
    pub task_types: Arc<[TaskType]>,
}

/// What tells a process from every other one, also from a later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Its number.
    pub pid: u32,
    /// When it was started, in a unit of the operating system's own; 0 where that is not known.
    pub started: u64,
    /// The boot of the machine that it runs on; empty where that is not known.
    pub boot_id: String,
}

/// A registered worker as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRow {
    /// Who it is.
    pub info: WorkerInfo,
    /// How often it has given a sign of life. Whoever sees this stand still for a whole lease may call it dead.
    pub renewals: u64,
    /// When it gave the last one, by its own clock.
    pub renewed_at: Timestamp,
}

/// What became of a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It was noted.
    Renewed,
    /// The worker has ended: it must stop its executions and start as a new incarnation.
    Ended,
}

/// An execution without a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The task that it holds.
    pub task: TaskId,
    /// The execution.
    pub execution: ExecutionId,
    /// The worker that had claimed it.
    pub worker: WorkerId,
    /// When that worker was last known to be alive.
    pub last_seen: Timestamp,
}

/// Where a new consumer starts to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// With the first event.
    Beginning,
    /// With the first event after its creation.
    Now,
    /// With the first event behind a position.
    After(LogPosition),
}

/// An event that a consumer could not handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event.
    pub position: LogPosition,
    /// How often it was tried.
    pub attempts: u32,
    /// The last error.
    pub error: String,
    /// When it was given up.
    pub at: Timestamp,
}

/// One [`Batch`] holds at most so many commands.
pub const BATCH_COMMANDS_MAX: usize = 10_000;
/// One page of events holds at most so many.
pub const EVENTS_PAGE_MAX: usize = 1_000;
