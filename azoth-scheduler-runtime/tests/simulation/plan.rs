//! A world, and what must hold in it after each deed.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::scope::Scope;
use azoth_scheduler_core::state::{PhaseKind, TaskPhase};
use azoth_scheduler_runtime::testing::{Chance, Simulator};
use azoth_scheduler_runtime::{Clock, Limits, Scheduler, Subscription};
use azoth_scheduler_store::sqlite::{SqliteOptions, SqliteStore, Synchronous};
use azoth_scheduler_store::{LogPosition, TaskFilter};

use crate::deeds::KEYS;
use crate::handlers::Hands;
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
    pub(crate) chance: Chance,
    pub(crate) hands: Hands,
    pub(crate) houses: Vec<House>,
    pub(crate) subscription: Option<Subscription>,
    pub(crate) seen: Vec<u64>,
    pub(crate) ledger: Ledger,
    pub(crate) steps: Vec<String>,
    shown: bool,
    /// Dropped last: the store's file lies in it.
    pub(crate) folder: Option<tempfile::TempDir>,
}

/// One of the schedulers.
pub(crate) struct House {
    pub(crate) number: usize,
    pub(crate) scheduler: Scheduler,
    pub(crate) frozen: bool,
}

/// The store's file, as every process opens it.
pub(crate) fn open(folder: &Path) -> SqliteStore {
    let allow = std::env::var_os("AZOTH_ALLOW_OLD_SQLITE_IN_TESTS").is_some();
    let options = SqliteOptions::new().synchronous(Synchronous::Normal).allow_old_sqlite(allow);
    SqliteStore::open_with(folder.join("simulated.db"), options).unwrap()
}

pub(crate) type Checked = Result<(), String>;

impl Simulation {
    pub(crate) fn of_seed(seed: u64, storage: Storage) -> Self {
        let mut chance = Chance::of_seed(seed);
        let world = Simulator::of_seed(chance.number());
        let world = if chance.one_in(2) { world.of_strangers() } else { world };
        let (world, folder) = match storage {
            Storage::Memory => (world, None),
            Storage::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                (world.on_store(open(folder.path())), Some(folder))
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
            folder,
        }
    }

    /// All of it. An error says which promise was broken.
    pub(crate) fn run(&mut self) -> Checked {
        self.start();
        // Short histories in number, and some long ones.
        for _ in 0..STEPS[usize::try_from(self.seed % 4).unwrap()] {
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

    pub(crate) fn note(&mut self, step: String) {
        let step = format!("{} at {}: {step}", self.steps.len() + 1, self.world.now());
        if self.shown {
            println!("{step}");
        }
        self.steps.push(step);
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
        self.lift();
        self.note("everything is mended, three minutes pass".to_owned());
        self.go_on(Duration::from_secs(180));
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

    /// Nothing holds up a task any more.
    fn lift(&mut self) {
        self.note("all pauses and limits end".to_owned());
        let scheduler = self.houses[0].scheduler.clone();
        for state in self.world.ask(self.world.store().scopes()).unwrap() {
            let limits = Limits::new().max_running(1_000);
            self.world.block_on(scheduler.set_limits(state.scope.clone(), limits)).unwrap();
            self.world.block_on(scheduler.resume(state.scope)).unwrap();
        }
        for key in KEYS {
            let key = Scope::key(key).unwrap();
            self.world.block_on(scheduler.set_limits(key, Limits::new().max_running(1_000))).unwrap();
        }
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
        let log = self.world.log(LogPosition::START).unwrap();
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

const STEPS: [usize; 4] = [20, 30, 40, 60];
/// So many executions run at once in one scheduler.
pub(crate) const SLOTS: usize = 3;
/// Several tasks may wait for the same three slots.
const OVERDUE_MS: i64 = 120_000;
