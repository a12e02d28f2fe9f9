//! A world in which time passes only when nothing else can happen.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use azoth_scheduler_core::id::WorkerId;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::store::EVENTS_PAGE_MAX;
use azoth_scheduler_store::{LogPosition, MemoryStore, RecordedEvent, Store, StoreError, TaskFilter};

use super::executor::{Executor, Member};
use super::run::{Run, runs};
use super::store::{Head, SteppedStore, StoreCall, StoreFault, at_once, lock};
use crate::builder::{IntoStore, SchedulerBuilder};
use crate::clock::{Clock, ManualClock};
use crate::error::Result;
use crate::scheduler::Scheduler;

/// Schedulers in a world of their own: a clock that jumps from one due instant to the next, and an order of events that
/// follows from a seed. No thread is started and nobody sleeps, so a month takes milliseconds, and the same seed with the
/// same calls gives the same log, to the last id.
///
/// What happens at the same instant happens in an order that the seed chooses: several seeds show whether a test depends
/// on it. Handlers run as ever; one that blocks does so in no time at all. What a handler waits for must be part of this
/// world: the [`clock`](Self::clock), a channel, the scheduler. There is no async runtime around it, so a timer or a
/// socket of tokio panics; where handlers need those, test under a [`ManualClock`] with
/// [`Scheduler::wait_until_idle`] instead.
///
/// ```
/// use std::time::Duration;
/// use azoth_scheduler_runtime::testing::Simulator;
/// use azoth_scheduler_runtime::{ScheduleTaskRequest, TaskContext, TaskEvent, TaskHandler, TaskResult};
///
/// struct Bell;
///
/// #[async_trait::async_trait]
/// impl TaskHandler for Bell {
///     fn task_type(&self) -> &str {
///         "bell"
///     }
///
///     async fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
///         Ok(TaskEvent::new("rung", [])?)
///     }
/// }
///
/// let world = Simulator::of_seed(7); // on 2026-01-01T00:00:00Z, a Thursday
/// let scheduler = world.start(|builder| builder.with_task_handler(Bell))?;
/// let workdays = ScheduleTaskRequest::builder("workdays").task_type("bell").cron("0 0 9 * * 1-5");
/// world.block_on(scheduler.schedule_task(workdays.build()?))?;
///
/// world.run_for(Duration::from_secs(31 * 86_400))?;
/// let runs = world.runs()?;
/// assert_eq!(runs.len(), 22, "January 2026 has 22 workdays");
/// assert!(runs.iter().all(|run| run.succeeded() && run.started_at == run.scheduled_at));
/// # Ok::<(), azoth_scheduler_runtime::SchedulerError>(())
/// ```
pub struct Simulator {
    clock: ManualClock,
    executor: Executor,
    store: Arc<dyn Store>,
    head: Head,
    strangers: bool,
    gone: Arc<Mutex<BTreeSet<WorkerId>>>,
    houses: Mutex<Vec<House>>,
}

/// A scheduler, and what surrounds it.
struct House {
    scheduler: Scheduler,
    member: Member,
    store: SteppedStore,
    ended: Arc<Mutex<Option<Result<()>>>>,
}

impl Simulator {
    /// A world with a store in memory, on 2026-01-01T00:00:00Z.
    pub fn of_seed(seed: u64) -> Self {
        Self {
            clock: ManualClock::starting_at(Timestamp::UNIX_EPOCH.saturating_add_ms(FIRST_MS)),
            executor: Executor::of_seed(seed),
            store: Arc::new(MemoryStore::new()),
            head: Arc::default(),
            strangers: false,
            gone: Arc::default(),
            houses: Mutex::default(),
        }
    }

    /// The same world at another instant.
    #[must_use]
    pub fn starting_at(mut self, now: Timestamp) -> Self {
        self.clock = ManualClock::starting_at(now);
        self
    }

    /// The same world on another store.
    #[must_use]
    pub fn on_store<M>(mut self, store: impl IntoStore<M>) -> Self {
        self.store = store.into_store();
        self
    }

    /// The same world, in which the schedulers find each other's commits by their polls alone, as processes do where
    /// nothing tells them. Otherwise each is told at once.
    #[must_use]
    pub fn of_strangers(mut self) -> Self {
        self.strangers = true;
        self
    }

    /// Builds a scheduler that lives here, and has it run. Its poll interval and its lease are an hour unless the closure
    /// says otherwise. Several are like several processes on one store.
    ///
    /// # Errors
    /// As [`SchedulerBuilder::build`].
    pub fn start(&self, build: impl FnOnce(SchedulerBuilder) -> SchedulerBuilder) -> Result<Scheduler> {
        let member = self.executor.member();
        let head = if self.strangers { Head::default() } else { Arc::clone(&self.head) };
        let (inner, gone) = (Arc::clone(&self.store), Arc::clone(&self.gone));
        let store = SteppedStore::new(inner, self.clock.clone(), head, !self.strangers, gone);
        let builder = Scheduler::builder(store.clone())
            .with_clock(self.clock.clone())
            .with_poll_interval(HOUR)
            .with_lease(HOUR);
        let scheduler = build(builder).hosted_by(Arc::new(member.clone())).build()?;
        let ended = Arc::new(Mutex::new(None));
        let (running, tell) = (scheduler.clone(), Arc::clone(&ended));
        member.spawn_main(async move {
            let result = running.run().await;
            *lock(&tell) = Some(result);
        });
        lock(&self.houses).push(House { scheduler: scheduler.clone(), member, store, ended });
        Ok(scheduler)
    }
}

/// Time.
impl Simulator {
    /// The clock of this world. Moving it by hand is allowed: [`ManualClock::set`] is what a time server does.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// The instant that it is.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets everything happen that can happen at this instant.
    ///
    /// # Errors
    /// That of a scheduler's [`run`](Scheduler::run) which has ended by one.
    pub fn run_until_idle(&self) -> Result<()> {
        self.executor.settle();
        for house in lock(&self.houses).iter() {
            let mut ended = lock(&house.ended);
            if let Some(Err(_)) = &*ended {
                return ended.take().unwrap_or(Ok(()));
            }
        }
        Ok(())
    }

    /// Goes on to the next instant at which something is due, and lets it happen. `None`, and no time passes, when nothing
    /// is due any more.
    ///
    /// # Errors
    /// As [`run_until_idle`](Self::run_until_idle).
    pub fn run_to_next(&self) -> Result<Option<Timestamp>> {
        self.run_until_idle()?;
        let Some(due_in) = self.due_in() else {
            return Ok(None);
        };
        self.clock.advance(due_in);
        self.run_until_idle()?;
        Ok(Some(self.now()))
    }

    /// Lets so much time pass, and everything happen in it at its instant.
    ///
    /// # Errors
    /// As [`run_until_idle`](Self::run_until_idle).
    pub fn run_for(&self, span: Duration) -> Result<()> {
        let end = self.clock.elapsed().saturating_add(span);
        loop {
            self.run_until_idle()?;
            let left = end.saturating_sub(self.clock.elapsed());
            let next = self.due_in().filter(|due_in| *due_in < left);
            self.clock.advance(next.unwrap_or(left));
            if next.is_none() {
                return self.run_until_idle();
            }
        }
    }

    /// Goes on to the next instant at which anybody wakes at all, if only to look: signs of life, polls. Whether there is
    /// one.
    ///
    /// # Errors
    /// As [`run_until_idle`](Self::run_until_idle).
    pub fn tick(&self) -> Result<bool> {
        self.run_until_idle()?;
        let Some(wake_in) = self.clock.until_next_sleeper() else {
            return Ok(false);
        };
        self.clock.advance(wake_in);
        self.run_until_idle()?;
        Ok(true)
    }

    /// Moves one part of one scheduler on by one step. `false`: none can move at this instant.
    pub fn step(&self) -> bool {
        self.executor.step()
    }

    /// Runs a future to its end, and everything else as far as that needs. Time passes when nothing can happen otherwise.
    ///
    /// # Panics
    /// When it does not end within a hundred years, or waits for something that is not part of this world.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let give_up = self.clock.elapsed().saturating_add(CENTURY);
        loop {
            if woken.0.swap(false, Ordering::AcqRel)
                && let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker))
            {
                return done;
            }
            if woken.0.load(Ordering::Acquire) || self.executor.step() {
                continue;
            }
            let wake_in = self.clock.until_next_sleeper().filter(|_| self.clock.elapsed() < give_up);
            let wake_in = wake_in.unwrap_or_else(|| panic!("what is waited for never comes to an end here"));
            self.clock.advance(wake_in);
        }
    }

    /// How long it is until something is due. While an execution is open, whatever anybody waits for is: its handler for
    /// the clock, or others for the lease of a worker that died.
    fn due_in(&self) -> Option<Duration> {
        let houses = lock(&self.houses);
        let now = self.clock.elapsed();
        if houses.iter().any(|house| house.scheduler.has_work_under_way()) || self.has_open_execution() {
            return self.clock.until_next_sleeper();
        }
        let due_at = houses.iter().filter_map(|house| house.scheduler.due_at()).min()?;
        // Whoever sleeps past it is not woken by it: then by the first that does wake.
        Some(due_at.saturating_sub(now).max(MOMENT))
    }
}

impl Simulator {
    fn has_open_execution(&self) -> bool {
        let running = TaskFilter::new().phase(PhaseKind::Running).limit(1);
        at_once(self.store.tasks(&running)).is_ok_and(|running| !running.is_empty())
    }
}

/// Mishaps.
impl Simulator {
    /// Ends a scheduler where it stands, as a crash of its process does: nothing is given back. With `seen`, others can see
    /// that the process is gone, where the operating system shows it; otherwise only that its lease lapses.
    pub fn kill(&self, scheduler: &Scheduler, seen: bool) {
        let mut houses = lock(&self.houses);
        let dead = houses.iter().position(|house| house.scheduler.is(scheduler)).map(|at| houses.remove(at));
        drop(houses);
        if let Some(house) = dead {
            house.member.kill();
            if seen {
                house.store.is_gone();
            }
        }
    }

    /// Ends all schedulers that are left where they stand, as [`kill`](Self::kill) does unseen, and goes on with this store: the
    /// same one, opened again. What held the old one is dropped before it is opened.
    ///
    /// ```
    /// use azoth_scheduler_runtime::testing::Simulator;
    /// # use azoth_scheduler_runtime::ScheduleTaskRequest;
    ///
    /// let mut world = Simulator::of_seed(7);
    /// let scheduler = world.start(|builder| builder)?;
    /// let request = ScheduleTaskRequest::builder("report").task_type("report").immediate().build()?;
    /// world.block_on(scheduler.schedule_task(request))?;
    /// let store = world.store().clone(); // a file would be opened by its path
    /// world.reopen(|| store);
    /// assert_eq!(world.log(Default::default())?.len(), 1);
    /// # Ok::<(), azoth_scheduler_runtime::SchedulerError>(())
    /// ```
    pub fn reopen<S: IntoStore<M>, M>(&mut self, open: impl FnOnce() -> S) {
        let left = std::mem::take(&mut *lock(&self.houses));
        left.iter().for_each(|house| house.member.kill());
        drop(left);
        self.store = Arc::new(MemoryStore::new());
        self.store = open().into_store();
    }

    /// Nothing of a scheduler moves until it is thawed, as if its process had been stopped.
    pub fn freeze(&self, scheduler: &Scheduler) {
        self.of(scheduler, |house| house.member.freeze());
    }

    /// Lets a frozen scheduler go on.
    pub fn thaw(&self, scheduler: &Scheduler) {
        self.of(scheduler, |house| house.member.thaw());
    }

    /// From now on the closure decides what befalls the scheduler's calls of its store.
    pub fn trouble_store(
        &self,
        scheduler: &Scheduler,
        fate: impl FnMut(StoreCall) -> Option<StoreFault> + Send + 'static,
    ) {
        self.of(scheduler, |house| house.store.set_fate(Some(Box::new(fate))));
    }

    /// From now on the scheduler's calls of its store go well.
    pub fn heal_store(&self, scheduler: &Scheduler) {
        self.of(scheduler, |house| house.store.set_fate(None));
    }

    fn of(&self, scheduler: &Scheduler, act: impl FnOnce(&House)) {
        if let Some(house) = lock(&self.houses).iter().find(|house| house.scheduler.is(scheduler)) {
            act(house);
        }
    }
}

/// What happened.
impl Simulator {
    /// The store itself, without mishaps. What it answers is there at once.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What the store answers, at once: for calls on [`store`](Self::store).
    pub fn ask<T>(&self, asked: impl Future<Output = std::result::Result<T, StoreError>>) -> Result<T> {
        Ok(at_once(asked)?)
    }

    /// The log behind a position, to its end.
    ///
    /// # Errors
    /// [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub fn log(&self, mut after: LogPosition) -> Result<Vec<RecordedEvent>> {
        let mut log = Vec::new();
        loop {
            let page = at_once(self.store.events(after, EVENTS_PAGE_MAX))?;
            let Some(last) = page.last() else {
                return Ok(log);
            };
            after = last.position;
            log.extend(page);
        }
    }

    /// Every execution that was started, in their order.
    ///
    /// # Errors
    /// [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub fn runs(&self) -> Result<Vec<Run>> {
        Ok(runs(&self.log(LogPosition::START)?))
    }

    /// The executions of one task, in their order.
    ///
    /// # Errors
    /// [`SchedulerError::Store`](crate::SchedulerError::Store).
    pub fn runs_of(&self, task: &str) -> Result<Vec<Run>> {
        let mut runs = self.runs()?;
        runs.retain(|run| run.task.as_str() == task);
        Ok(runs)
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("now", &self.now()).finish_non_exhaustive()
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

const HOUR: Duration = Duration::from_secs(3600);
/// 2026-01-01T00:00:00Z.
const FIRST_MS: i64 = 1_767_225_600_000;
const CENTURY: Duration = Duration::from_secs(100 * 366 * 86_400);
/// Time always passes.
const MOMENT: Duration = Duration::from_millis(1);
