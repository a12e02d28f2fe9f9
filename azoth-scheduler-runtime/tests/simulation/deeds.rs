//! What happens: one deed after the other, all from one seed.

use std::time::Duration;

use azoth_scheduler_core::dependency::OnDependencyFailure;
use azoth_scheduler_core::schedule::{MisfirePolicy, Overlap};
use azoth_scheduler_core::scope::Scope;
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_runtime::testing::{Chance, StoreCall, StoreFault};
use azoth_scheduler_runtime::{
    Clock, Limits, ScheduleChange, ScheduleTaskRequest, ScheduleTaskRequestBuilder, Scheduler, SchedulerError,
};
use azoth_scheduler_store::{LogPosition, StartFrom, StoreError, TaskFilter};

use crate::handlers::Blocking;
use crate::plan::{House, SLOTS, Simulation, open};
impl Simulation {
    pub(crate) fn act(&mut self) {
        if self.houses.is_empty() && self.chance.one_in(2) {
            return self.start();
        }
        match self.chance.below(100) {
            0..22 => self.schedule(),
            22..33 => self.say(),
            33..39 => self.limit(),
            39..43 => self.pause_scope(),
            43..55 => self.tick(),
            55..63 => self.pass(),
            63..66 => self.sleep(),
            66..71 => self.set_clock(),
            71..75 => self.crash(),
            75 => self.reopen(),
            76..80 => self.start(),
            80..84 => self.freeze(),
            84..88 => self.thaw(),
            88..93 => self.trouble(),
            93..96 => self.heal(),
            96..98 => self.shut_down(),
            _ => self.follow(),
        }
    }

    pub(crate) fn start(&mut self) {
        if self.houses.len() >= HOUSES_MAX {
            return;
        }
        let number = self.steps.len() + 1;
        let hands = self.hands.clone();
        let lease = Duration::from_secs(5 + self.chance.below(15));
        let poll = Duration::from_secs(2 + self.chance.below(8));
        self.note(format!("start scheduler {number}, lease {lease:?}, poll {poll:?}"));
        let built = self.world.start(|builder| {
            builder
                .with_task_handler(hands.clone())
                .with_task_handler(Blocking(hands.clone()))
                .with_event_handler(hands)
                .with_max_concurrent_tasks(SLOTS)
                .with_poll_interval(poll)
                .with_lease(lease)
                .with_shutdown_grace(Duration::from_secs(10))
        });
        self.houses.push(House { number, scheduler: built.unwrap(), frozen: false });
    }

    fn some_house(&mut self) -> Option<usize> {
        let house = usize::try_from(self.chance.below(self.houses.len().max(1) as u64)).unwrap();
        (house < self.houses.len()).then_some(house)
    }

    fn some_scheduler(&mut self) -> Option<Scheduler> {
        let house = self.some_house()?;
        Some(self.houses[house].scheduler.clone())
    }

    fn some_task(&mut self) -> String {
        format!("task-{}", self.chance.below(10))
    }

    fn schedule(&mut self) {
        let Some(scheduler) = self.some_scheduler() else { return };
        let (id, request) = self.request();
        let request = request.build().unwrap();
        self.note(format!("schedule {id}: {:?} by {request:?}", request.schedule()));
        let outcome = self.world.block_on(scheduler.schedule_task(request));
        match outcome {
            Ok(outcome) if matches!(outcome.change, ScheduleChange::Created | ScheduleChange::Redefined) => {
                self.ledger.acknowledge(&outcome.task);
            }
            Ok(_) | Err(SchedulerError::Store(_) | SchedulerError::Rejected(_)) => {}
            Err(error) => panic!("scheduling a valid task: {error}"),
        }
    }

    fn request(&mut self) -> (String, ScheduleTaskRequestBuilder) {
        let id = self.some_task();
        let now = self.world.now();
        let chance = &mut self.chance;
        let seconds = |number: u64| Duration::from_secs(number);
        let mut request = ScheduleTaskRequest::builder(&id)
            .task_type(if chance.one_in(5) { "block" } else { "work" })
            .max_retries(u32::try_from(chance.below(4)).unwrap())
            .backoff(seconds(1 + chance.below(10)), seconds(60))
            .timeout(seconds(1 + chance.below(30)));
        request = match chance.below(6) {
            0 | 1 => request.immediate(),
            2 => {
                let by = i64::try_from(chance.below(120_000)).unwrap() - 20_000;
                request.at(now.saturating_add_ms(by).into())
            }
            3 | 4 => request.every(seconds(5 + chance.below(60))),
            _ => request.cron("*/20 * * * * *"),
        };
        request = match chance.below(4) {
            0 => request.misfire(MisfirePolicy::Skip),
            _ => request,
        };
        if request_recurs(&request) {
            if chance.one_in(4) {
                request = request.overlap(Overlap::BufferOne);
            }
        } else if chance.one_in(4) {
            request = self.waiting_for_others(request);
        }
        (id, self.among_others(request))
    }

    /// After one or two tasks, which may be there or not, and may wait for this one.
    fn waiting_for_others(&mut self, request: ScheduleTaskRequestBuilder) -> ScheduleTaskRequestBuilder {
        let others: Vec<_> = (0..=self.chance.below(2)).map(|_| self.some_task()).collect();
        let on_failure =
            if self.chance.one_in(2) { OnDependencyFailure::Cancel } else { OnDependencyFailure::RunAnyway };
        request.after_with(others, on_failure)
    }

    /// With a concurrency key, an idempotency key, a level, now and then.
    fn among_others(&mut self, mut request: ScheduleTaskRequestBuilder) -> ScheduleTaskRequestBuilder {
        let chance = &mut self.chance;
        if chance.one_in(3) {
            request = request.concurrency_key(*chance.one_of(&KEYS).unwrap());
        }
        if chance.one_in(3) {
            request = request.priority(*chance.one_of(&Priority::ALL).unwrap());
        }
        let wish = format!("wish-{}", chance.below(4));
        match chance.below(12) {
            0 => request.unique_while_pending(wish),
            1 => request.unique_for(wish, Duration::from_secs(1 + chance.below(90))),
            _ => request,
        }
    }

    fn some_scope(&mut self) -> Scope {
        match self.chance.below(6) {
            0 => Scope::Everything,
            1 | 2 => Scope::task_type("work").unwrap(),
            3 => Scope::task_type("block").unwrap(),
            _ => Scope::key(self.chance.one_of(&KEYS).unwrap()).unwrap(),
        }
    }

    /// Limits of a scope change, or those that were set hold no longer.
    fn limit(&mut self) {
        let Some(scheduler) = self.some_scheduler() else { return };
        let scope = self.some_scope();
        let chance = &mut self.chance;
        let small = |chance: &mut Chance| u32::try_from(1 + chance.below(3)).unwrap();
        let mut limits = Limits::new();
        if chance.one_in(2) {
            limits = limits.max_running(small(chance));
        }
        if !matches!(scope, Scope::Key(_)) && chance.one_in(3) {
            limits = limits.max_running_per_key(small(chance));
        }
        if chance.one_in(2) {
            let per = Duration::from_secs(1 + chance.below(30));
            limits = limits.rate(small(chance), per).burst(small(chance));
        }
        let cleared = chance.one_in(4);
        let what = if cleared { "cleared".to_owned() } else { format!("{limits:?}") };
        self.note(format!("limits of {scope}: {what}"));
        let said = self.world.block_on(async {
            if cleared {
                scheduler.clear_limits(scope).await
            } else {
                scheduler.set_limits(scope, limits).await
            }
        });
        self.may_be_refused(said);
    }

    /// A scope is paused, perhaps until an instant, or resumed.
    fn pause_scope(&mut self) {
        let Some(scheduler) = self.some_scheduler() else { return };
        let scope = self.some_scope();
        let until = self.world.now().saturating_add_ms(1 + i64::try_from(self.chance.below(60_000)).unwrap());
        match self.chance.below(4) {
            0 => {
                self.note(format!("{scope} is paused"));
                let said = self.world.block_on(scheduler.pause(scope, "chance").into_future());
                self.may_be_refused(said);
            }
            1 => {
                self.note(format!("{scope} is paused until {until}"));
                let pausing = scheduler.pause(scope, "chance").until(until.into());
                let said = self.world.block_on(pausing.into_future());
                self.may_be_refused(said);
            }
            _ => {
                self.note(format!("{scope} is resumed"));
                let said = self.world.block_on(scheduler.resume(scope));
                self.may_be_refused(said);
            }
        }
    }

    /// Lawful wishes may meet a store that fails, or a state that does not allow them.
    fn may_be_refused<T>(&self, said: Result<T, SchedulerError>) {
        match said {
            Ok(_)
            | Err(
                SchedulerError::Store(_) | SchedulerError::Rejected(_) | SchedulerError::TaskNotFound { .. },
            ) => {}
            Err(error) => panic!("step {}: {error}", self.steps.len()),
        }
    }

    /// A task that is in this phase, if there is one: most wishes make sense in one of them alone.
    fn some_task_in(&mut self, phase: PhaseKind) -> String {
        let filter = TaskFilter::new().phase(phase);
        let tasks = self.world.ask(self.world.store().tasks(&filter)).unwrap();
        let found = self.chance.one_of(&tasks).map(|state| state.id.to_string());
        found.unwrap_or_else(|| self.some_task())
    }

    fn say(&mut self) {
        let Some(scheduler) = self.some_scheduler() else { return };
        // Pauses more often than the rest: one means something only where a resume follows.
        let deed = [0, 1, 1, 2, 2, 3, 4, 5][usize::try_from(self.chance.below(8)).unwrap()];
        let id = match deed {
            1 | 3 | 4 => self.some_task_in(PhaseKind::Waiting),
            2 => self.some_task_in(PhaseKind::Paused),
            5 => self.some_task_in(PhaseKind::Disabled),
            _ => self.some_task(),
        };
        let words = ["cancel", "pause", "resume", "disable", "run now", "retry"];
        self.note(format!("{} {id}", words[deed]));
        let said = self.world.block_on(async {
            match deed {
                0 => scheduler.cancel_task(&id, "chance").await,
                1 => scheduler.pause_task(&id, "chance").await,
                2 => scheduler.resume_task(&id).await,
                3 => scheduler.disable_task(&id, "chance").await,
                4 => scheduler.run_now(&id).await,
                _ => scheduler.retry_task(&id).await,
            }
        });
        self.may_be_refused(said);
    }

    fn tick(&mut self) {
        let times = 1 + self.chance.below(12);
        self.note(format!("{times} wake-ups"));
        for _ in 0..times {
            self.world.tick().unwrap();
        }
    }

    fn pass(&mut self) {
        let span = Duration::from_millis(self.chance.below(20_000));
        self.note(format!("{span:?} pass"));
        let end = self.world.clock().elapsed() + span;
        while self
            .world
            .clock()
            .until_next_sleeper()
            .is_some_and(|next| self.world.clock().elapsed() + next < end)
        {
            self.world.tick().unwrap();
        }
        self.world.clock().advance(end.saturating_sub(self.world.clock().elapsed()));
    }

    /// The machine sleeps: time passes, and nobody sees it pass.
    fn sleep(&mut self) {
        let span = Duration::from_secs(1 + self.chance.below(120));
        self.note(format!("the machine sleeps for {span:?}"));
        self.world.clock().advance(span);
    }

    fn set_clock(&mut self) {
        let by_ms = i64::try_from(self.chance.below(4 * 3_600_000)).unwrap() - 2 * 3_600_000;
        let by_ms = if self.chance.one_in(2) { by_ms / 100 } else { by_ms };
        self.note(format!("the wall clock is set by {by_ms} ms"));
        let now: Timestamp = self.world.now().saturating_add_ms(by_ms);
        self.world.clock().set(now);
    }

    fn crash(&mut self) {
        let Some(house) = self.some_house() else { return };
        let (house, seen) = (self.houses.remove(house), self.chance.one_in(2));
        let how = if seen { "seen by others" } else { "unseen" };
        self.note(format!("scheduler {} crashes, {how}", house.number));
        self.subscription = None;
        self.world.kill(&house.scheduler, seen);
    }

    /// All processes end at once, and the store's file is opened again.
    fn reopen(&mut self) {
        let seen = self.chance.one_in(2);
        self.note("all schedulers crash, and the store is opened again".to_owned());
        self.subscription = None;
        for house in std::mem::take(&mut self.houses) {
            self.world.kill(&house.scheduler, seen);
        }
        let kept = self.world.store().clone();
        match &self.folder {
            Some(folder) => {
                drop(kept);
                self.world.reopen(|| open(folder.path()));
            }
            None => self.world.reopen(|| kept),
        }
    }

    fn freeze(&mut self) {
        let Some(house) = self.some_house() else { return };
        self.houses[house].frozen = true;
        self.note(format!("scheduler {} stands still", self.houses[house].number));
        self.world.freeze(&self.houses[house].scheduler);
    }

    pub(crate) fn thaw(&mut self) {
        for house in 0..self.houses.len() {
            if std::mem::take(&mut self.houses[house].frozen) {
                self.note(format!("scheduler {} goes on", self.houses[house].number));
                self.world.thaw(&self.houses[house].scheduler);
            }
        }
    }

    fn trouble(&mut self) {
        let Some(house) = self.some_house() else { return };
        let (often, kind) = (2 + self.chance.below(6), self.chance.below(5));
        let number = self.houses[house].number;
        self.note(format!("the store of scheduler {number} fails once in {often}, kind {kind}"));
        let mut chance = Chance::of_seed(self.chance.number());
        self.world.trouble_store(&self.houses[house].scheduler, move |call| {
            let unknown = || StoreError::Unknown { detail: "simulated".to_owned() };
            let io = || StoreError::Io { detail: "simulated".to_owned() };
            let writes = call != StoreCall::Read;
            chance.one_in(often).then(|| match kind {
                0 => StoreFault::Refused(StoreError::Busy { waited_ms: 5_000 }),
                1 if writes => StoreFault::Refused(StoreError::Full),
                2 if writes && chance.one_in(2) => StoreFault::Lost(unknown()),
                2 if writes => StoreFault::Refused(unknown()),
                3 => StoreFault::Slow(Duration::from_millis(chance.below(8_000))),
                _ => StoreFault::Refused(io()),
            })
        });
    }

    pub(crate) fn heal(&mut self) {
        self.note("all stores work".to_owned());
        for house in &self.houses {
            self.world.heal_store(&house.scheduler);
        }
    }

    fn shut_down(&mut self) {
        let Some(house) = self.some_house() else { return };
        if self.houses[house].frozen {
            return;
        }
        let house = self.houses.remove(house);
        self.note(format!("scheduler {} shuts down", house.number));
        self.subscription = None;
        self.world.block_on(house.scheduler.shutdown());
        self.world.kill(&house.scheduler, true);
    }

    /// Reads the log as a subscriber, from where it was.
    pub(crate) fn follow(&mut self) {
        let last = self.seen.last().copied().unwrap_or(0);
        if self.subscription.is_none() || self.chance.one_in(3) {
            let Some(scheduler) = self.some_scheduler() else { return };
            let from = StartFrom::After(LogPosition::from_number(last));
            self.subscription = self.world.block_on(scheduler.subscribe(from)).ok();
        }
        let Some(mut subscription) = self.subscription.take() else { return };
        let head = self.world.ask(self.world.store().head()).unwrap().number();
        self.note(format!("the subscriber reads from {last} to {head}"));
        while subscription.position().number() < head {
            // An error skips nothing: it is asked again.
            if let Ok(event) = self.world.block_on(subscription.next()) {
                self.seen.push(event.position.number());
            }
        }
        self.subscription = Some(subscription);
    }
}

/// Overlap is for schedules that ask more than once.
fn request_recurs(request: &ScheduleTaskRequestBuilder) -> bool {
    request.clone().build().is_ok_and(|request| request.schedule().is_recurring())
}

/// The concurrency keys that there are.
pub(crate) const KEYS: [&str; 3] = ["left", "right", "both"];
const HOUSES_MAX: usize = 4;
