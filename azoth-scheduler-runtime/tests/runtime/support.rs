//! A scheduler on a store in memory under a clock that stands still until it is moved.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::{ConsumerName, ExecutionId, TaskId, WorkerId};
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::scope::ScopeState;
use azoth_scheduler_core::state::TaskState;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_runtime::{
    ManualClock, Result, ScheduleTaskRequest, ScheduleTaskRequestBuilder, Scheduler, SchedulerBuilder,
    TaskContext, TaskEvent, TaskHandler, TaskResult,
};
use azoth_scheduler_store::standing::StandingOffers;
use azoth_scheduler_store::{
    Applied, AsOf, Batch, ClaimOffer, DeadLetter, LogPosition, MemoryStore, Orphan, Past, RebuildProgress,
    RebuildReport, RecordedEvent, Renewal, RetentionReport, StandingOffer, StartFrom, Store, StoreError,
    StoreStats, StoredTask, TaskFilter, VerifyReport, WorkerInfo, WorkerRow,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// 2023-11-14T22:13:20Z.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_unix_seconds(1_700_000_000).unwrap()
}

pub(crate) fn clock() -> ManualClock {
    ManualClock::starting_at(start())
}

/// A test that hangs fails, instead of holding up the gate.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("the test hangs")
}

/// A scheduler that runs.
pub(crate) struct Fixture {
    pub(crate) store: FaultyStore,
    pub(crate) clock: ManualClock,
    pub(crate) scheduler: Scheduler,
    pub(crate) running: JoinHandle<Result<()>>,
}

impl Fixture {
    pub(crate) fn with(handler: impl TaskHandler) -> Self {
        Self::building(|builder| builder.with_task_handler(handler))
    }

    pub(crate) fn building(build: impl FnOnce(SchedulerBuilder) -> SchedulerBuilder) -> Self {
        Self::on(FaultyStore::default(), clock(), build)
    }

    pub(crate) fn on(
        store: FaultyStore,
        clock: ManualClock,
        build: impl FnOnce(SchedulerBuilder) -> SchedulerBuilder,
    ) -> Self {
        let builder = Scheduler::builder(store.clone()).with_clock(clock.clone());
        let scheduler = build(builder).build().unwrap();
        let running = tokio::spawn(run(scheduler.clone()));
        Self { store, clock, scheduler, running }
    }

    pub(crate) async fn schedule(&self, request: ScheduleTaskRequestBuilder) {
        let request = request.build().unwrap();
        within(self.scheduler.schedule_task(request)).await.unwrap();
    }

    pub(crate) async fn idle(&self) {
        within(self.scheduler.wait_until_idle()).await.unwrap();
    }

    /// Lets the loop do what it has to do by itself.
    pub(crate) async fn comes_to_rest(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass, and then everything happen that is due.
    pub(crate) async fn pass(&self, span: Duration) {
        self.clock.advance(span);
        self.idle().await;
    }

    /// The names of a task's events, oldest first.
    pub(crate) async fn history(&self, task: &str) -> Vec<&'static str> {
        self.events(task).await.iter().map(Event::name).collect()
    }

    pub(crate) async fn events(&self, task: &str) -> Vec<Event> {
        let events = within(self.scheduler.task_history(task)).await.unwrap();
        events.into_iter().map(|recorded| recorded.event).collect()
    }

    /// Every test ends by this: the store is sound and the run ended well.
    pub(crate) async fn end(self) {
        within(self.scheduler.shutdown()).await;
        within(self.running).await.unwrap().unwrap();
        let report = within(self.scheduler.verify()).await.unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}

pub(crate) async fn run(scheduler: Scheduler) -> Result<()> {
    scheduler.run().await
}

pub(crate) fn immediate(id: &str) -> ScheduleTaskRequestBuilder {
    ScheduleTaskRequest::builder(id).task_type("work").immediate()
}

/// Due a second after the clock's [`start`], so that nobody claims it as it is scheduled.
pub(crate) fn due_in_a_second(id: &str) -> ScheduleTaskRequestBuilder {
    ScheduleTaskRequest::builder(id).task_type("work").one_time(start().unix_seconds() + 1)
}

type Work = dyn Fn(TaskContext, Vec<u8>) -> Pin<Box<dyn Future<Output = TaskResult> + Send>> + Send + Sync;

/// A handler of the type `work` that does what the closure says.
pub(crate) struct Closure {
    task_type: &'static str,
    work: Box<Work>,
}

pub(crate) fn handler<F>(work: impl Fn(TaskContext, Vec<u8>) -> F + Send + Sync + 'static) -> Closure
where
    F: Future<Output = TaskResult> + Send + 'static,
{
    Closure { task_type: "work", work: Box::new(move |ctx, payload| Box::pin(work(ctx, payload))) }
}

/// A handler whose every run waits at a gate.
pub(crate) fn waits_at(gate: &Gate) -> Closure {
    let gate = gate.clone();
    handler(move |_, _| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            done()
        }
    })
}

impl Closure {
    pub(crate) fn of_type(self, task_type: &'static str) -> Self {
        Self { task_type, ..self }
    }
}

#[async_trait]
impl TaskHandler for Closure {
    fn task_type(&self) -> &str {
        self.task_type
    }

    async fn execute(&self, ctx: &TaskContext, payload: &[u8]) -> TaskResult {
        (self.work)(ctx.clone(), payload.to_vec()).await
    }
}

/// The event of a handler that has nothing to tell.
pub(crate) fn done() -> TaskResult {
    Ok(TaskEvent::new("done", [])?)
}

/// A place where handlers say that they are there, and wait until they may go on.
#[derive(Clone)]
pub(crate) struct Gate {
    arrived: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { arrived: watch::Sender::new(0), open: watch::Sender::new(false) }
    }

    /// A handler comes by here.
    pub(crate) async fn pass(&self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
    }

    /// The same for a handler that blocks.
    pub(crate) fn pass_blocking(&self, poll: Duration, give_up: impl Fn() -> bool) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        while !*self.open.borrow() && !give_up() {
            std::thread::sleep(poll);
        }
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    pub(crate) fn arrived(&self) -> usize {
        *self.arrived.borrow()
    }

    /// Waits until so many handlers have come by.
    pub(crate) async fn wait_for(&self, handlers: usize) {
        within(self.arrived.subscribe().wait_for(|arrived| *arrived >= handlers)).await.unwrap();
    }
}

/// A store that counts, and fails as it is told.
#[derive(Clone, Default)]
pub(crate) struct FaultyStore {
    pub(crate) inner: MemoryStore,
    applies: Arc<AtomicUsize>,
    reads: Arc<AtomicUsize>,
    looks: Arc<AtomicUsize>,
    stands: Arc<AtomicUsize>,
    told: Arc<AtomicUsize>,
    deaf: Option<watch::Sender<LogPosition>>,
    /// Where offers stand, unless the commits of others take them up.
    apart: Option<Arc<StandingOffers>>,
    plan: Arc<Mutex<VecDeque<Fault>>>,
    meanwhile: Arc<Mutex<Option<Happening>>>,
    hidden: Arc<Mutex<Option<LogPosition>>>,
}

type Happening = Box<dyn FnOnce() + Send>;

#[derive(Clone)]
pub(crate) enum Fault {
    /// Nothing is done, and this is the answer.
    Before(StoreError),
    /// All is done, and this is the answer.
    After(StoreError),
}

impl FaultyStore {
    pub(crate) fn applies(&self) -> usize {
        self.applies.load(Ordering::SeqCst)
    }

    /// What is committed on `inner` is committed by another process.
    pub(crate) fn shared() -> Self {
        Self { apart: Some(Arc::default()), ..Self::default() }
    }

    /// The same where none of that is heard of, as where a file system does not tell of writes.
    pub(crate) fn deaf() -> Self {
        Self { deaf: Some(watch::Sender::default()), ..Self::shared() }
    }

    /// How often the end of the log, workers and what they hold were read.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// How often tasks, the log and what was requeued were read.
    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// How many events of tasks were read.
    pub(crate) fn told(&self) -> usize {
        self.told.load(Ordering::SeqCst)
    }

    fn count_look(&self) {
        self.looks.fetch_add(1, Ordering::SeqCst);
    }

    /// How often slots were left with the store.
    pub(crate) fn stands(&self) -> usize {
        self.stands.load(Ordering::SeqCst)
    }

    fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::SeqCst);
    }

    /// The next batches fail like this.
    pub(crate) fn fail_next(&self, times: usize, fault: &Fault) {
        self.plan.lock().unwrap().extend(std::iter::repeat_n(fault.clone(), times));
    }

    /// While the next batch is applied, this happens.
    pub(crate) fn meanwhile(&self, happens: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::new(happens));
    }

    /// From now on this event is gone from the log.
    pub(crate) fn hide(&self, position: LogPosition) {
        *self.hidden.lock().unwrap() = Some(position);
    }

    /// From now on nothing fails.
    pub(crate) fn heal(&self) {
        self.plan.lock().unwrap().clear();
    }

    pub(crate) fn faults_left(&self) -> usize {
        self.plan.lock().unwrap().len()
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn apply(&self, batch: Batch) -> Result<Applied, StoreError> {
        self.applies.fetch_add(1, Ordering::SeqCst);
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(happens) = meanwhile {
            happens();
        }
        let fault = self.plan.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Before(error)) => Err(error),
            Some(Fault::After(error)) => self.inner.apply(batch).await.and(Err(error)),
            None => self.inner.apply(batch).await,
        }
    }

    fn stand(&self, offer: ClaimOffer, seen: LogPosition) -> StandingOffer {
        self.stands.fetch_add(1, Ordering::SeqCst);
        match &self.apart {
            Some(apart) => apart.leave(offer, seen),
            None => self.inner.stand(offer, seen),
        }
    }

    async fn task(&self, id: &TaskId) -> Result<Option<StoredTask>, StoreError> {
        self.count_look();
        self.inner.task(id).await
    }

    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskState>, StoreError> {
        self.inner.tasks(filter).await
    }

    async fn scopes(&self) -> Result<Vec<ScopeState>, StoreError> {
        self.inner.scopes().await
    }

    async fn events(&self, after: LogPosition, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.count_look();
        let mut events = self.inner.events(after, limit).await?;
        let hidden = *self.hidden.lock().unwrap();
        events.retain(|event| Some(event.position) != hidden);
        Ok(events)
    }

    async fn history(
        &self,
        task: &TaskId,
        before: Option<LogPosition>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        self.count_look();
        let events = self.inner.history(task, before, limit).await?;
        self.told.fetch_add(events.len(), Ordering::SeqCst);
        Ok(events)
    }

    async fn head(&self) -> Result<LogPosition, StoreError> {
        self.count_read();
        self.inner.head().await
    }

    fn watch_head(&self) -> watch::Receiver<LogPosition> {
        self.deaf.as_ref().map_or_else(|| self.inner.watch_head(), watch::Sender::subscribe)
    }

    fn watch_task(&self, id: &TaskId) -> watch::Receiver<LogPosition> {
        self.deaf.as_ref().map_or_else(|| self.inner.watch_task(id), watch::Sender::subscribe)
    }

    fn hears_every_commit(&self) -> bool {
        self.deaf.is_none()
    }

    async fn register_worker(&self, worker: WorkerInfo, now: Timestamp) -> Result<(), StoreError> {
        self.inner.register_worker(worker, now).await
    }

    async fn renew_worker(&self, worker: WorkerId, now: Timestamp) -> Result<Renewal, StoreError> {
        self.inner.renew_worker(worker, now).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        self.count_read();
        self.inner.workers().await
    }

    async fn end_worker(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.inner.end_worker(worker).await
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>, StoreError> {
        self.count_read();
        self.inner.orphans(limit).await
    }

    async fn held_by(&self, worker: WorkerId) -> Result<Vec<ExecutionId>, StoreError> {
        self.count_read();
        self.inner.held_by(worker).await
    }

    async fn cursor(&self, name: &ConsumerName, start: StartFrom) -> Result<LogPosition, StoreError> {
        self.inner.cursor(name, start).await
    }

    async fn move_cursor(
        &self,
        name: &ConsumerName,
        from: LogPosition,
        to: LogPosition,
        dead: Option<DeadLetter>,
    ) -> Result<(), StoreError> {
        self.inner.move_cursor(name, from, to, dead).await
    }

    async fn dead_letters(&self, name: &ConsumerName, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.inner.dead_letters(name, limit).await
    }

    async fn requeue(&self, name: &ConsumerName, position: LogPosition) -> Result<bool, StoreError> {
        self.inner.requeue(name, position).await
    }

    async fn requeued(&self, name: &ConsumerName, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.count_look();
        self.inner.requeued(name, limit).await
    }

    async fn settle_requeued(
        &self,
        name: &ConsumerName,
        position: LogPosition,
        dead: Option<DeadLetter>,
    ) -> Result<(), StoreError> {
        self.inner.settle_requeued(name, position, dead).await
    }

    async fn as_of(&self, then: AsOf) -> Result<Box<dyn Past>, StoreError> {
        self.inner.as_of(then).await
    }

    async fn task_as_of(&self, id: &TaskId, then: AsOf) -> Result<Option<StoredTask>, StoreError> {
        self.inner.task_as_of(id, then).await
    }

    async fn retain(&self, policy: &RetentionPolicy, now: Timestamp) -> Result<RetentionReport, StoreError> {
        self.inner.retain(policy, now).await
    }

    async fn stats(&self, now: Timestamp) -> Result<StoreStats, StoreError> {
        self.inner.stats(now).await
    }

    async fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.inner.verify().await
    }

    async fn rebuild_projection_with(
        &self,
        progress: watch::Sender<RebuildProgress>,
    ) -> Result<RebuildReport, StoreError> {
        self.inner.rebuild_projection_with(progress).await
    }
}
