//! Two stores under the same random commands: whatever one answers, the other answers too.

use std::num::{NonZeroU32, NonZeroU64};

use azoth_scheduler_core::command::{AbandonReason, NewTask, OnConflict, TaskCommand, Wish};
use azoth_scheduler_core::execution::{Emitted, FailureClass, Outcome, Report};
use azoth_scheduler_core::id::{ExecutionId, TaskId, WorkerId};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::retry::{Backoff, OnExhausted, RetryPolicy};
use azoth_scheduler_core::schedule::{Misfire, MisfirePolicy, Overlap, Schedule};
use azoth_scheduler_core::task::{Priority, TaskDefinition};
use azoth_scheduler_core::testing::{actor, at, execution, failed, task_id, task_type, text, worker};
use azoth_scheduler_core::time::Timestamp;

use super::bench::{Answers, assert_sound, every, ok, worker_info};
use crate::record::LogPosition;
use crate::store::{Applied, Batch, ClaimOffer, Claimed, Orphan, Store};

/// Drives both stores with the same random commands, claims, signs of life, deaths of workers and jumps of the clock,
/// and compares what they answer after each step; from time to time, and at the end, all that they hold. The same seed
/// is always the same walk. Both stores must be empty at first.
///
/// # Panics
/// When they differ, with seed and step; or when one of them is not sound.
pub async fn random_walk(store_a: &dyn Store, store_b: &dyn Store, seed: u64, steps: usize) {
    let mut walk = Walk {
        stores: [store_a, store_b],
        chance: Chance(seed),
        now: at(0),
        minted: 0,
        workers: Vec::new(),
        running: Vec::new(),
    };
    for step in 1..=steps {
        let place = format!("seed {seed}, step {step}");
        walk.step(&place).await;
        if step % COMPARE_EVERY == 0 || step == steps {
            walk.compare_all(&place).await;
        }
    }
}

struct Walk<'a> {
    stores: [&'a dyn Store; 2],
    chance: Chance,
    now: Timestamp,
    minted: u128,
    workers: Vec<WorkerId>,
    /// Executions that were claimed, also those that have ended since: their results come late.
    running: Vec<(TaskId, ExecutionId)>,
}

impl Walk<'_> {
    async fn step(&mut self, place: &str) {
        self.move_clock();
        match self.chance.below(20) {
            0 => self.start_worker().await,
            1 => self.sign_of_life(place).await,
            2 => self.end_worker(place).await,
            3 => self.rebuild().await,
            _ => self.apply(place).await,
        }
    }

    /// Mostly forwards by seconds, at times by an hour, at times back.
    fn move_clock(&mut self) {
        let ms = match self.chance.below(12) {
            0 => -self.chance.ms(120_000),
            1 => self.chance.ms(3_600_000),
            2..=5 => 0,
            _ => self.chance.ms(45_000),
        };
        self.now = self.now.saturating_add_ms(ms);
    }

    async fn apply(&mut self, place: &str) {
        let commands: Vec<TaskCommand> = (0..self.chance.below(5)).map(|_| self.command()).collect();
        let offer = self.offer();
        let batch = Batch { commands, now: self.now, offer };
        let [a, b] = self.stores;
        let (left, right) = (ok(a.apply(batch.clone()).await), ok(b.apply(batch.clone()).await));
        assert_eq!(seen(&left), seen(&right), "{place}: {batch:#?}");
        for claimed in left.claims.into_iter().flat_map(|claims| claims.claimed) {
            self.running.push((claimed.task, claimed.execution));
        }
        for task in batch.commands.iter().map(|command| &command.task) {
            assert_eq!(a.task(task).await, b.task(task).await, "{place}: {batch:#?}");
            let (left, right) = (a.history(task, None, 10).await, b.history(task, None, 10).await);
            assert_eq!(left, right, "{place}: {batch:#?}");
        }
        assert_eq!(a.head().await, b.head().await, "{place}: {batch:#?}");
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
        Some(ClaimOffer { worker, task_types, executions })
    }

    fn command(&mut self) -> TaskCommand {
        let (reason, by) = (text("said"), actor("ops"));
        let task = task_id(&format!("task-{}", self.chance.below(TASKS)));
        let wish = match self.chance.below(24) {
            0 => Wish::Cancel { reason, by },
            1 => Wish::Disable { reason, by },
            2 => Wish::Pause { reason, by },
            3 | 4 => Wish::Resume { misfire: self.policy(), by },
            5 => return self.direct_claim(task),
            6..=12 => Wish::Schedule(self.new_task()),
            _ if self.running.is_empty() => Wish::Schedule(self.new_task()),
            13..=15 => return self.abandon(),
            _ => return self.complete(),
        };
        TaskCommand { task, wish }
    }

    /// A claim of one certain task, due or not.
    fn direct_claim(&mut self, task: TaskId) -> TaskCommand {
        let execution = execution(self.mint());
        let owner = if self.workers.is_empty() { worker(0) } else { self.chance.pick(&self.workers) };
        self.running.push((task.clone(), execution));
        TaskCommand { task, wish: Wish::Claim { execution, worker: owner } }
    }

    fn complete(&mut self) -> TaskCommand {
        let (task, execution) = self.take_running();
        let report = self.report();
        TaskCommand { task, wish: Wish::Complete { execution, started_at: self.now, report } }
    }

    fn abandon(&mut self) -> TaskCommand {
        let (task, execution) = self.take_running();
        let why = self.chance.pick(&[
            AbandonReason::WorkerLost,
            AbandonReason::ShutDown,
            AbandonReason::NotStarted,
        ]);
        let last_seen = self.now.saturating_add_ms(-self.chance.ms(100_000));
        TaskCommand { task, wish: Wish::Abandon { execution, why, last_seen } }
    }

    /// Mostly the newest claims, and at times one whose end was told already.
    fn take_running(&mut self) -> (TaskId, ExecutionId) {
        let index = self.chance.below(self.running.len());
        if self.chance.one_in(6) { self.chance.pick(&self.running) } else { self.running.swap_remove(index) }
    }

    fn report(&mut self) -> Report {
        match self.chance.below(12) {
            0 => Outcome::TimedOut { timeout_ms: 1_000 },
            1 => Outcome::Panicked { message: text("it panicked") },
            2 => Outcome::Snoozed { for_ms: self.chance.ms(60_000).unsigned_abs() },
            3 => failed(FailureClass::Permanent),
            4 => failed(FailureClass::RetryAfter { delay_ms: self.chance.ms(60_000).unsigned_abs() }),
            5 | 6 => failed(FailureClass::Retryable),
            _ => {
                let payload = self.payload();
                Outcome::Succeeded(Emitted { event_type: ok("done".parse()), payload })
            }
        }
    }

    fn new_task(&mut self) -> NewTask {
        let definition = TaskDefinition {
            task_type: task_type(self.chance.pick(&["mail", "report"])),
            payload: Payload::empty().digest(),
            schedule: self.schedule(),
            retry: self.retry(),
            timeout_ms: NonZeroU64::MIN.saturating_add(self.chance.below(3) as u64),
            priority: self.chance.pick(&Priority::ALL),
        };
        let on_conflict = self.chance.pick(&[
            OnConflict::Redefine,
            OnConflict::Redefine,
            OnConflict::Replace,
            OnConflict::Keep,
            OnConflict::Reject,
        ]);
        let payload = self.payload();
        NewTask::new(definition, payload, on_conflict)
    }

    /// Bytes of different lengths, few enough that the same ones come again.
    fn payload(&mut self) -> Payload {
        let length = self.chance.pick(&[0, 0, 1, 300]);
        Payload::new(vec![7; length])
    }

    fn schedule(&mut self) -> Schedule {
        let schedule = match self.chance.below(6) {
            0 => Schedule::immediate(),
            1 => Schedule::one_time(self.now.saturating_add_ms(self.chance.ms(120_000) - 30_000)),
            2 => ok(Schedule::cron("*/30 * * * * *")),
            _ => every(self.chance.pick(&[10, 60, 60, 90])),
        };
        let misfire = Misfire { policy: self.policy(), grace_ms: self.chance.pick(&[0, 60_000]) };
        let overlap = self.chance.pick(&[Overlap::Skip, Overlap::BufferOne]);
        let max_runs = if self.chance.one_in(6) { NonZeroU32::new(2) } else { None };
        let ends = self.now.saturating_add_ms(self.chance.ms(600_000));
        let not_after = if self.chance.one_in(6) { Some(ends) } else { None };
        Schedule { misfire, overlap, max_runs, not_after, ..schedule }
    }

    fn policy(&mut self) -> MisfirePolicy {
        let limit = NonZeroU32::MIN.saturating_add(1);
        self.chance.pick(&[MisfirePolicy::RunOnce, MisfirePolicy::Skip, MisfirePolicy::CatchUp { limit }])
    }

    fn retry(&mut self) -> RetryPolicy {
        RetryPolicy {
            max_retries: self.chance.pick(&[0, 1, 3]),
            backoff: Backoff { jitter_percent: self.chance.pick(&[0, 50]), ..Backoff::default() },
            on_exhausted: self.chance.pick(&[OnExhausted::Disable, OnExhausted::Continue]),
        }
    }

    async fn start_worker(&mut self) {
        let worker = worker(self.mint());
        self.workers.push(worker);
        for store in self.stores {
            ok(store.register_worker(worker_info(worker), self.now).await);
        }
    }

    async fn sign_of_life(&mut self, place: &str) {
        if self.workers.is_empty() {
            return;
        }
        let worker = self.chance.pick(&self.workers);
        let [a, b] = self.stores;
        let (left, right) = (a.renew_worker(worker, self.now).await, b.renew_worker(worker, self.now).await);
        assert_eq!(left, right, "{place}: {worker}");
    }

    /// A worker ends, and its executions are abandoned as a scheduler would do it, but for the last one.
    async fn end_worker(&mut self, place: &str) {
        if self.workers.is_empty() {
            return;
        }
        let worker = self.chance.pick(&self.workers);
        for store in self.stores {
            ok(store.end_worker(worker).await);
        }
        let [a, b] = self.stores;
        let orphans = sorted(ok(a.orphans(100).await));
        assert_eq!(orphans, sorted(ok(b.orphans(100).await)), "{place}: {worker}");
        let abandon = |orphan: &Orphan| {
            let Orphan { task, execution, last_seen, .. } = orphan.clone();
            let why = AbandonReason::WorkerLost;
            TaskCommand { task, wish: Wish::Abandon { execution, why, last_seen } }
        };
        let commands: Vec<_> = orphans.iter().skip(1).map(abandon).collect();
        let batch = Batch { commands, now: self.now, offer: None };
        let (left, right) = (ok(a.apply(batch.clone()).await), ok(b.apply(batch.clone()).await));
        assert_eq!(seen(&left), seen(&right), "{place}: {batch:#?}");
        // It may show up again, and is told that it has ended.
        if self.chance.one_in(2) {
            self.workers.retain(|other| *other != worker);
        }
    }

    async fn rebuild(&mut self) {
        let store = if self.chance.one_in(2) { self.stores[0] } else { self.stores[1] };
        ok(store.rebuild_projection().await);
    }

    async fn compare_all(&self, place: &str) {
        let [a, b] = self.stores;
        let (left, right) = (Answers::of(a).await, Answers::of(b).await);
        assert_eq!(left, right, "{place}");
        left.are_in_order();
        for store in self.stores {
            assert_sound(store).await;
        }
        for worker in &self.workers {
            let (mut left, mut right) = (ok(a.held_by(*worker).await), ok(b.held_by(*worker).await));
            left.sort();
            right.sort();
            assert_eq!(left, right, "{place}: {worker}");
        }
        let after = LogPosition::from_number(left.head().number() / 2);
        assert_eq!(a.events(after, 50).await, b.events(after, 50).await, "{place}");
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
        (claimed, claims.next_due.filter(|_| !claims.worker_ended), claims.worker_ended)
    });
    (applied.answers.clone(), claims)
}

fn all_of(claimed: &Claimed) -> impl PartialEq + std::fmt::Debug + use<> {
    let Claimed { task, task_type, execution, occurrence, attempt, claimed_at, timeout_ms, payload } =
        claimed.clone();
    (task, task_type, execution, occurrence, attempt, claimed_at, timeout_ms, payload)
}

fn sorted(mut orphans: Vec<Orphan>) -> Vec<Orphan> {
    orphans.sort_by_key(|orphan| orphan.execution);
    orphans
}

/// Numbers that look drawn and follow from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to one less than `bound`.
    fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn ms(&mut self, bound: usize) -> i64 {
        self.below(bound) as i64
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        let index = self.below(all.len());
        all.get(index).cloned().expect("the index lies within")
    }
}

const TASKS: usize = 12;
const COMPARE_EVERY: usize = 50;
