//! Two stores under the same random commands: whatever one answers, the other answers too.

mod aside;
mod chance;
mod held;
mod wish;

use std::sync::Arc;

use azoth_scheduler_core::command::{AbandonReason, Command, TaskCommand, Wish};
use azoth_scheduler_core::id::{ExecutionId, TaskId, WorkerId};
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_core::testing::{at, execution, task_type, worker};
use azoth_scheduler_core::time::Timestamp;

use self::chance::Chance;
use super::bench::{Answers, assert_sound, comparable, ok, worker_info};
use super::factory::{CutsItsLog, StoreFactory};
use crate::record::LogPosition;
use crate::store::{Ahead, Applied, Batch, ClaimOffer, Claimed, Orphan, Store, Suspects};

/// Drives both stores with the same random commands, claims, signs of life, deaths of workers, readers, retention and jumps
/// of the clock, and compares what they answer after each step; from time to time, and at the end, all that they hold. The same seed
/// is always the same walk. Both stores must be empty at first.
///
/// # Panics
/// When they differ, with seed and step; or when one of them is not sound.
pub async fn random_walk(store_a: &dyn Store, store_b: &dyn Store, seed: u64, steps: usize) {
    Walk::new([Side::Open(store_a), Side::Open(store_b)], seed, &Priority::ALL).go(seed, steps).await;
}

/// The same, and at times both stores are closed and opened again. All tasks have one priority here, since a store may
/// forget at which turn of its claims it was.
///
/// # Panics
/// As [`random_walk`].
pub async fn random_walk_reopening(
    factory_a: &dyn StoreFactory,
    factory_b: &dyn StoreFactory,
    seed: u64,
    steps: usize,
) {
    let sides = [Side::of(factory_a).await, Side::of(factory_b).await];
    Walk::new(sides, seed, &[Priority::Normal]).go(seed, steps).await;
}

/// The same as [`random_walk_reopening`], and at times the oldest part of both logs is cut.
///
/// # Panics
/// As [`random_walk`].
pub async fn random_walk_cutting(
    factory_a: &dyn CutsItsLog,
    factory_b: &dyn CutsItsLog,
    seed: u64,
    steps: usize,
) {
    let sides = [Side::of(factory_a).await, Side::of(factory_b).await];
    let cutters = Some([factory_a, factory_b]);
    Walk { cutters, ..Walk::new(sides, seed, &[Priority::Normal]) }.go(seed, steps).await;
}

/// One of the two stores.
enum Side<'a> {
    Open(&'a dyn Store),
    /// The store is `None` only while it is opened again.
    Reopens(&'a dyn StoreFactory, Option<Arc<dyn Store>>),
}

impl<'a> Side<'a> {
    async fn of(factory: &'a dyn StoreFactory) -> Self {
        Side::Reopens(factory, Some(factory.open().await))
    }

    fn store(&self) -> &dyn Store {
        match self {
            Side::Open(store) => *store,
            Side::Reopens(_, store) => store.as_deref().expect("it is open between two steps"),
        }
    }

    async fn reopen(&mut self) {
        if let Side::Reopens(factory, store) = self {
            *store = None;
            *store = Some(factory.open().await);
        }
    }
}

struct Walk<'a> {
    sides: [Side<'a>; 2],
    /// Who cuts the logs of the stores.
    cutters: Option<[&'a dyn CutsItsLog; 2]>,
    chance: Chance,
    now: Timestamp,
    minted: u128,
    priorities: &'a [Priority],
    workers: Vec<WorkerId>,
    /// Executions that were claimed, also those that have ended since: their results come late.
    running: Vec<(TaskId, ExecutionId)>,
}

impl<'a> Walk<'a> {
    fn new(sides: [Side<'a>; 2], seed: u64, priorities: &'a [Priority]) -> Self {
        let (workers, running) = (Vec::new(), Vec::new());
        let chance = Chance(seed);
        Self { sides, cutters: None, chance, now: at(0), minted: 0, priorities, workers, running }
    }

    async fn go(mut self, seed: u64, steps: usize) {
        for step in 1..=steps {
            let place = format!("seed {seed}, step {step}");
            self.step(&place).await;
            if step % COMPARE_EVERY == 0 || step == steps {
                self.compare_all(&place).await;
            }
        }
    }

    fn stores(&self) -> [&dyn Store; 2] {
        let [a, b] = &self.sides;
        [a.store(), b.store()]
    }
}

impl Walk<'_> {
    async fn step(&mut self, place: &str) {
        self.move_clock();
        match self.chance.below(24) {
            0 => self.start_worker().await,
            1 => self.sign_of_life(place).await,
            2 => self.end_worker(place).await,
            3 => self.rebuild().await,
            4 => self.reopen().await,
            5 | 6 => self.read_on(place).await,
            7 => self.let_go(place).await,
            8 => self.look_back(place).await,
            9 if self.cutters.is_some() => self.cut(place).await,
            _ => self.apply(place).await,
        }
    }

    /// Mostly forwards by seconds, at times by an hour, at times back, and now and then far ahead or far back.
    fn move_clock(&mut self) {
        let ms = match self.chance.below(12) {
            _ if self.chance.one_in(60) => self.chance.pick(&[12_000_000, -12_000_000]),
            0 => -self.chance.ms(120_000),
            1 => self.chance.ms(3_600_000),
            2..=5 => 0,
            _ => self.chance.ms(45_000),
        };
        self.now = self.now.saturating_add_ms(ms);
    }

    async fn apply(&mut self, place: &str) {
        let commands: Vec<Command> = (0..self.chance.below(5)).map(|_| self.wish()).collect();
        let offer = self.offer();
        let batch = Batch { offer, ..Batch::new(commands.iter().cloned(), self.now) };
        let [a, b] = self.stores();
        let (left, right) = (ok(a.apply(batch.clone()).await), ok(b.apply(batch.clone()).await));
        assert_eq!(seen(&left), seen(&right), "{place}: {batch:#?}");
        let tasks = commands.iter().filter_map(|command| match command {
            Command::Task(command) => Some(&command.task),
            Command::Scope(_) => None,
        });
        for task in tasks {
            assert_eq!(a.task(task).await, b.task(task).await, "{place}: {batch:#?}");
            let (left, right) = (a.history(task, None, 10).await, b.history(task, None, 10).await);
            assert_eq!(left, right, "{place}: {batch:#?}");
        }
        assert_eq!(a.head().await, b.head().await, "{place}: {batch:#?}");
        held::check(a, &batch, &left, place).await;
        for claimed in left.claims.into_iter().flat_map(|claims| claims.claimed) {
            self.running.push((claimed.task, claimed.execution));
        }
    }

    fn offer(&mut self) -> Option<ClaimOffer> {
        if self.workers.is_empty() || self.chance.one_in(4) {
            return None;
        }
        let worker = self.chance.pick(&self.workers);
        let types = ["mail", "report", "never"].into_iter().filter(|_| !self.chance.one_in(3));
        let task_types = types.map(task_type).collect();
        let slots = if self.chance.one_in(20) { 40 } else { self.chance.below(4) };
        let executions = (0..slots).map(|_| execution(self.mint())).collect();
        let suspects = [Suspects::Refused, Suspects::IfNothingElse, Suspects::First];
        let suspects = self.chance.pick(&suspects);
        let ahead = self.chance.one_in(4).then(|| Ahead {
            task_types: [task_type("mail")].into(),
            executions: (0..self.chance.below(6)).map(|_| execution(self.mint())).collect(),
        });
        Some(ClaimOffer { suspects, ahead, ..ClaimOffer::new(worker, task_types, executions) })
    }

    async fn start_worker(&mut self) {
        let worker = worker(self.mint());
        self.workers.push(worker);
        for store in self.stores() {
            ok(store.register_worker(worker_info(worker), self.now).await);
        }
    }

    async fn sign_of_life(&mut self, place: &str) {
        if self.workers.is_empty() {
            return;
        }
        let worker = self.chance.pick(&self.workers);
        let [a, b] = self.stores();
        let (left, right) = (a.renew_worker(worker, self.now).await, b.renew_worker(worker, self.now).await);
        assert_eq!(left, right, "{place}: {worker}");
    }

    /// A worker ends, and its executions are abandoned as a scheduler would do it, but for the last one.
    async fn end_worker(&mut self, place: &str) {
        if self.workers.is_empty() {
            return;
        }
        let worker = self.chance.pick(&self.workers);
        for store in self.stores() {
            ok(store.end_worker(worker).await);
        }
        let [a, b] = self.stores();
        let orphans = sorted(ok(a.orphans(100).await));
        assert_eq!(orphans, sorted(ok(b.orphans(100).await)), "{place}: {worker}");
        let abandon = |orphan: &Orphan| {
            let Orphan { task, execution, last_seen, .. } = orphan.clone();
            let why = AbandonReason::WorkerLost;
            TaskCommand { task, wish: Wish::Abandon { execution, why, last_seen } }
        };
        let commands: Vec<_> = orphans.iter().skip(1).map(abandon).collect();
        let batch = Batch::new(commands, self.now);
        let (left, right) = (ok(a.apply(batch.clone()).await), ok(b.apply(batch.clone()).await));
        assert_eq!(seen(&left), seen(&right), "{place}: {batch:#?}");
        // It may show up again, and is told that it has ended.
        if self.chance.one_in(2) {
            self.workers.retain(|other| *other != worker);
        }
    }

    async fn rebuild(&mut self) {
        let rebuilds_first = self.chance.one_in(2);
        let [a, b] = self.stores();
        ok(if rebuilds_first { a } else { b }.rebuild_projection().await);
    }

    async fn reopen(&mut self) {
        for side in &mut self.sides {
            side.reopen().await;
        }
    }

    async fn compare_all(&self, place: &str) {
        let [a, b] = self.stores();
        let (left, right) = (Answers::of(a).await, Answers::of(b).await);
        assert_eq!(left, right, "{place}");
        left.are_in_order();
        for store in self.stores() {
            assert_sound(store).await;
        }
        for worker in &self.workers {
            let (mut left, mut right) = (ok(a.held_by(*worker).await), ok(b.held_by(*worker).await));
            left.sort();
            right.sort();
            assert_eq!(left, right, "{place}: {worker}");
        }
        let after = LogPosition::from_number(left.head().number() / 2);
        let (left, right) = (a.events(after, 50).await, b.events(after, 50).await);
        assert_eq!(left.map(comparable), right.map(comparable), "{place}");
    }

    fn mint(&mut self) -> u128 {
        self.minted += 1;
        self.minted
    }
}

/// What is compared of an answer: all of it but the next due instant of a worker that may claim nothing anyway.
fn seen(applied: &Applied) -> impl PartialEq + std::fmt::Debug + use<> {
    let claims = applied.claims.as_ref().map(|claims| {
        let claimed: Vec<_> = claims.claimed.iter().map(all_of).collect();
        let due = (claims.next_due, claims.next_suspect);
        (claimed, (!claims.worker_ended).then_some(due), claims.worker_ended)
    });
    (applied.answers.clone(), claims)
}

fn all_of(claimed: &Claimed) -> impl PartialEq + std::fmt::Debug + use<> {
    let Claimed {
        task,
        task_type,
        priority,
        execution,
        occurrence,
        attempt,
        claimed_at,
        timeout_ms,
        suspect,
        payload,
        trace,
        checkpoint,
    } = claimed.clone();
    (
        (task, task_type, priority, execution, occurrence),
        (attempt, claimed_at, timeout_ms, suspect, payload, trace, checkpoint),
    )
}

fn sorted(mut orphans: Vec<Orphan>) -> Vec<Orphan> {
    orphans.sort_by_key(|orphan| orphan.execution);
    orphans
}

const COMPARE_EVERY: usize = 50;
