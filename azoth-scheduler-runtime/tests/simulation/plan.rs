//! What happens: one deed after the other, all from one seed.

use std::fmt::Write as _;
use std::time::Duration;

use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::schedule::{MisfirePolicy, Overlap};
use azoth_scheduler_core::state::{PhaseKind, TaskPhase};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_runtime::testing::{Chance, Simulator, StoreCall, StoreFault};
use azoth_scheduler_runtime::{
    Clock, ScheduleChange, ScheduleTaskRequest, ScheduleTaskRequestBuilder, Scheduler, SchedulerError,
    Subscription,
};
use azoth_scheduler_store::sqlite::{SqliteOptions, SqliteStore, Synchronous};
use azoth_scheduler_store::{StartFrom, StoreError, TaskFilter};

use crate::handlers::{Blocking, Hands};
use crate::ledger::Ledger;

/// Where the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    Memory,
    Sqlite,
}

/// A world, what happens in it, and what it is held against.
pub(crate) struct Simulation {
    seed: u64,
    pub(crate) world: Simulator,
    chance: Chance,
    hands: Hands,
    houses: Vec<House>,
    subscription: Option<Subscription>,
    seen: Vec<u64>,
    ledger: Ledger,
    steps: Vec<String>,
    shown: bool,
    /// Dropped last: the store's file lies in it.
    _folder: Option<tempfile::TempDir>,
}

struct House {
    number: usize,
    scheduler: Scheduler,
    frozen: bool,
}

type Checked = Result<(), String>;

impl Simulation {
    pub(crate) fn of_seed(seed: u64, storage: Storage) -> Self {
        let mut chance = Chance::of_seed(seed);
        let world = Simulator::of_seed(chance.number());
        let world = if chance.one_in(2) { world.of_strangers() } else { world };
        let (world, folder) = match storage {
            Storage::Memory => (world, None),
            Storage::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let allow = std::env::var_os("AZOTH_ALLOW_OLD_SQLITE_IN_TESTS").is_some();
                let options = SqliteOptions::new().synchronous(Synchronous::Normal).allow_old_sqlite(allow);
                let store = SqliteStore::open_with(folder.path().join("simulated.db"), options).unwrap();
                (world.on_store(store), Some(folder))
            }
        };
        let hands = Hands::new(seed, world.clock().clone());
        Self {
            seed,
            world,
            chance,
            hands,
            houses: Vec::new(),
            subscription: None,
            seen: Vec::new(),
            ledger: Ledger::new(SLOTS),
            steps: Vec::new(),
            shown: std::env::var_os("AZOTH_SIMULATE_SHOW").is_some(),
            _folder: folder,
        }
    }

    /// All of it. An error says which promise was broken.
    pub(crate) fn run(&mut self) -> Checked {
        self.start();
        for _ in 0..STEPS {
            self.act();
            for _ in 0..self.chance.below(40) {
                self.world.step();
            }
            self.check()?;
        }
        self.come_to_rest()
    }

    /// What a failed run prints.
    pub(crate) fn report(&self, fault: &str) -> String {
        let mut text = format!("seed {} broke a promise: {fault}\nits steps:\n", self.seed);
        for step in &self.steps {
            let _ = writeln!(text, "  {step}");
        }
        let _ = writeln!(text, "the end of its log:");
        for event in self.ledger.log.iter().rev().take(30).rev() {
            let _ = writeln!(text, "  {} {:?} {:?}", event.position, event.subject, event.event);
        }
        let _ = writeln!(text, "again: cargo xtask simulate --seed {}", self.seed);
        text
    }

    fn note(&mut self, step: String) {
        let step = format!("{} at {}: {step}", self.steps.len() + 1, self.world.now());
        if self.shown {
            println!("{step}");
        }
        self.steps.push(step);
    }
}

/// Deeds.
impl Simulation {
    fn act(&mut self) {
        if self.houses.is_empty() && self.chance.one_in(2) {
            return self.start();
        }
        match self.chance.below(100) {
            0..25 => self.schedule(),
            25..33 => self.say(),
            33..50 => self.tick(),
            50..62 => self.pass(),
            62..66 => self.sleep(),
            66..71 => self.set_clock(),
            71..76 => self.crash(),
            76..80 => self.start(),
            80..84 => self.freeze(),
            84..88 => self.thaw(),
            88..93 => self.trouble(),
            93..96 => self.heal(),
            96..98 => self.shut_down(),
            _ => self.follow(),
        }
    }

    fn start(&mut self) {
        if self.houses.len() >= HOUSES_MAX {
            return;
        }
        let number = self.steps.len() + 1;
        let hands = self.hands.clone();
        let lease = Duration::from_secs(5 + self.chance.below(15));
        let poll = Duration::from_secs(1 + self.chance.below(5));
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
            Ok(outcome) if !matches!(outcome.change, ScheduleChange::Unchanged(_)) => {
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
        if chance.one_in(4) && request_recurs(&request) {
            request = request.overlap(Overlap::BufferOne);
        }
        (id, request)
    }

    fn say(&mut self) {
        let Some(scheduler) = self.some_scheduler() else { return };
        let id = self.some_task();
        let deed = self.chance.below(4);
        let words = ["cancel", "pause", "resume", "disable"];
        self.note(format!("{} {id}", words[usize::try_from(deed).unwrap()]));
        let said = self.world.block_on(async {
            match deed {
                0 => scheduler.cancel_task(&id, "chance").await,
                1 => scheduler.pause_task(&id, "chance").await,
                2 => scheduler.resume_task(&id).await,
                _ => scheduler.disable_task(&id, "chance").await,
            }
        });
        match said {
            Ok(_)
            | Err(
                SchedulerError::Store(_) | SchedulerError::Rejected(_) | SchedulerError::TaskNotFound { .. },
            ) => {}
            Err(error) => panic!("saying {deed} of {id}: {error}"),
        }
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

    fn freeze(&mut self) {
        let Some(house) = self.some_house() else { return };
        self.houses[house].frozen = true;
        self.note(format!("scheduler {} stands still", self.houses[house].number));
        self.world.freeze(&self.houses[house].scheduler);
    }

    fn thaw(&mut self) {
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

    fn heal(&mut self) {
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
    fn follow(&mut self) {
        let last = self.seen.last().copied().unwrap_or(0);
        if self.subscription.is_none() || self.chance.one_in(3) {
            let Some(scheduler) = self.some_scheduler() else { return };
            let from = StartFrom::After(azoth_scheduler_store::LogPosition::from_number(last));
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

/// What must hold.
impl Simulation {
    fn check(&mut self) -> Checked {
        let appended = self.world.log(self.ledger.head()).map_err(|error| error.to_string())?;
        self.ledger.read(appended)?;
        let started = self.hands.witness().started.clone();
        self.ledger.check_started(&started)
    }

    /// Everything is mended, and then nothing may be left undone.
    fn come_to_rest(&mut self) -> Checked {
        self.heal();
        self.thaw();
        self.start();
        self.note("everything is mended, five minutes pass".to_owned());
        self.go_on(Duration::from_secs(300));
        self.check()?;
        self.check_nothing_is_overdue()?;
        self.note("all tasks are cancelled".to_owned());
        let scheduler = self.houses[0].scheduler.clone();
        for task in self.tasks() {
            self.world.block_on(scheduler.cancel_task(&task, "the end")).unwrap();
        }
        self.go_on(Duration::from_secs(60));
        self.follow();
        self.check()?;
        self.check_readers()?;
        self.check_store()
    }

    fn go_on(&mut self, span: Duration) {
        let end = self.world.clock().elapsed() + span;
        while self.world.clock().elapsed() < end {
            assert!(self.world.tick().unwrap(), "somebody always wakes");
        }
    }

    fn tasks(&self) -> Vec<TaskId> {
        let tasks = self.world.ask(self.world.store().tasks(&TaskFilter::new())).unwrap();
        tasks.into_iter().map(|state| state.id).collect()
    }

    fn check_nothing_is_overdue(&self) -> Checked {
        let tasks = self.world.ask(self.world.store().tasks(&TaskFilter::new())).unwrap();
        let now = self.world.now();
        for task in tasks {
            let late_ms = match &task.phase {
                TaskPhase::Waiting(work) => now.ms_since(work.run_at),
                // No timeout is longer than half a minute.
                TaskPhase::Running(running) => now.ms_since(running.claimed_at) - 31_000,
                _ => 0,
            };
            if late_ms > OVERDUE_MS {
                return Err(format!("nobody sees to {:?}, {late_ms} ms late: {:?}", task.id, task.phase));
            }
        }
        Ok(())
    }

    fn check_readers(&self) -> Checked {
        let head = self.ledger.head().number();
        if !self.seen.iter().copied().eq(1..=head) {
            return Err(format!("the subscriber saw {:?}, not 1 to {head}", self.seen));
        }
        let handled = &self.hands.witness().handled;
        let missing = (1..=head).find(|number| !handled.iter().any(|position| position.number() == *number));
        missing.map_or(Ok(()), |missing| Err(format!("the event handler was not given event {missing}")))
    }

    fn check_store(&self) -> Checked {
        let store = self.world.store();
        let log = self.world.log(azoth_scheduler_store::LogPosition::START).unwrap();
        if log != self.ledger.log {
            return Err("what was read of the log is not what is there now".to_owned());
        }
        let live = self.world.ask(store.tasks(&TaskFilter::new())).unwrap();
        if let Some(task) = live.iter().find(|task| task.phase.kind() == PhaseKind::Running) {
            return Err(format!("{:?} still runs", task.id));
        }
        let report = self.world.ask(store.verify()).unwrap();
        if !report.is_sound() {
            return Err(format!("the store is not sound: {report:?}"));
        }
        self.world.ask(store.rebuild_projection()).unwrap();
        let rebuilt = self.world.ask(store.tasks(&TaskFilter::new())).unwrap();
        if rebuilt == live { Ok(()) } else { Err("a rebuild gives other tasks".to_owned()) }
    }
}

/// Overlap is for schedules that ask more than once.
fn request_recurs(request: &ScheduleTaskRequestBuilder) -> bool {
    request.clone().build().is_ok_and(|request| request.schedule().is_recurring())
}

const STEPS: usize = 60;
const SLOTS: usize = 3;
const HOUSES_MAX: usize = 4;
/// Several tasks may wait for the same three slots.
const OVERDUE_MS: i64 = 120_000;
