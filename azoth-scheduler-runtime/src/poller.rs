//! The one loop: when to wake, what to record, how much to claim.
//!
//! It only sleeps and asks. It wakes for a task that comes due, a commit, a result, its [alarm](Alarm), and whatever
//! was told from outside; then one transaction records what has ended and claims for the slots that are free. While that
//! is under way handlers go on, and what ends meanwhile is collected for the next one. A transaction that brings nothing
//! is not repeated before something has happened.
//!
//! While the loop sleeps, free slots stand as an offer with the store: see [`Store::stand`].
//!
//! [`Store::stand`]: azoth_scheduler_store::Store::stand

mod clock_repair;
mod drain;
mod nap;
mod neighbours;
mod pass;
mod serving;
mod waking;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::command::AbandonReason;
use azoth_scheduler_core::execution::Outcome;
use azoth_scheduler_core::id::{ExecutionId, TaskType, WorkerId};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::{Claimed, LogPosition, StoreError, WorkerInfo};
use tokio::sync::watch;

use self::nap::Nap;
use crate::ahead::{Queue, Queued};
use crate::alarm::Alarm;
use crate::clock_watch::ClockWatch;
use crate::error::Result;
use crate::head_watch::HeadWatch;
use crate::lease::{Heartbeat, Watchtower};
use crate::meter;
use crate::observe;
use crate::outbox::Outbox;
use crate::patience::patience;
use crate::process;
use crate::recorder::Recorder;
use crate::shared::Shared;
use crate::slots::Slot;
use crate::task_set::{Joined, TaskSet};
use crate::transaction::Transaction;
use crate::unhandled::Unhandled;
use crate::worker::{Ended, Ending, Execution};

pub(crate) struct Poller {
    shared: Arc<Shared>,
    worker: WorkerId,
    heartbeat: Heartbeat,
    executions: TaskSet<Ended>,
    spawned: BTreeMap<u64, ExecutionId>,
    recorder: Recorder,
    /// What is claimed and waits for a slot.
    queue: Queue,
    /// The suspect that runs here, beside which nothing else is claimed.
    alone: Option<ExecutionId>,
    /// Since when a suspect is due that waits for an idle process.
    suspect_since: Option<Timestamp>,
    /// How many other workers go first in making room for a suspect.
    rank: u32,
    /// The scheduler is shutting down: what is stopped now goes to the next process.
    gives_back: bool,
    trouble: Option<Trouble>,
    /// A commit of which nothing is known may have claimed tasks that were never started.
    unsure: bool,
    watchtower: Watchtower,
    clock_watch: ClockWatch,
    unhandled: Unhandled,
    /// When to look at other workers, when to search for what those left that ended unseen, and when to look whether what
    /// runs here is still ours; by the monotonic clock.
    look_at: Duration,
    search_at: Duration,
    check_held_at: Duration,
    /// Workers have ended, and what they held was not searched for yet.
    some_are_gone: bool,
    /// When it wakes by itself.
    alarm: Alarm,
    nap: Nap,
    /// Up to here it was looked for due tasks.
    seen: LogPosition,
    /// Something has happened since the store was asked last.
    ask: bool,
    transaction: Option<Transaction>,
    head: HeadWatch,
    nudge: watch::Receiver<u64>,
}

/// The store failed, and is left alone for a while.
struct Trouble {
    failures: u32,
    until: Duration,
}

impl Poller {
    /// Registers a worker. `None`: a shutdown was asked for first.
    pub(crate) async fn start(shared: Arc<Shared>) -> Result<Option<Self>> {
        let Some((worker, heartbeat)) = incarnate(&shared).await? else {
            return Ok(None);
        };
        let now = shared.clock().elapsed();
        Ok(Some(Self {
            worker,
            heartbeat,
            executions: TaskSet::new(Arc::clone(&shared.workshop.host)),
            spawned: BTreeMap::new(),
            recorder: Recorder::new(),
            queue: Queue::default(),
            alone: None,
            suspect_since: None,
            rank: 0,
            gives_back: false,
            trouble: None,
            unsure: false,
            watchtower: Watchtower::default(),
            clock_watch: ClockWatch::new(),
            unhandled: Unhandled::default(),
            look_at: now,
            search_at: now,
            some_are_gone: true,
            check_held_at: now,
            alarm: Alarm::new(now),
            nap: Nap::default(),
            seen: LogPosition::START,
            ask: true,
            transaction: None,
            head: HeadWatch::new(&shared),
            nudge: shared.listen_for_nudges(),
            shared,
        }))
    }

    fn next_check_of_held(&self) -> Duration {
        self.shared.clock().elapsed().saturating_add(HELD_CHECK_EVERY)
    }

    /// Lets a claimed execution wait for its slot.
    fn queue(&mut self, claimed: Claimed, now: Timestamp) {
        let registered = self.shared.registry.find(&claimed.task_type);
        let Some(registered) = registered.filter(|_| !self.shared.shutdown.is_requested()) else {
            let why = AbandonReason::NotStarted;
            self.recorder.give_back(claimed.task, claimed.execution, why, now, None);
            return;
        };
        if claimed.suspect {
            self.alone = Some(claimed.execution);
        }
        let queued = Queued::new(claimed, registered.handler.clone(), self.shared.clock().elapsed());
        self.shared.running.add(&queued, now);
        self.queue.push(queued);
    }

    /// Starts what waits, as far as there are slots: free ones, and those of results that wait for their transaction.
    fn start_queued(&mut self) {
        let sent = self.transaction.as_ref().map_or(0, |transaction| transaction.sent);
        while !self.queue.is_empty() {
            let slots = &self.shared.slots;
            let slot = (slots.free() > 0).then(|| slots.take());
            let Some(slot) = slot.or_else(|| self.recorder.lend_slot(sent)) else { return };
            let Some(queued) = self.next_queued() else { return };
            self.start_execution(queued, slot);
        }
    }

    fn next_queued(&mut self) -> Option<Queued> {
        while let Some(queued) = self.queue.pop() {
            if !queued.cancel.is_cancelled() {
                return Some(queued);
            }
            // It was cancelled or taken from us while it waited, which is recorded already.
            self.shared.running.remove(queued.claimed.execution);
        }
        None
    }

    fn start_execution(&mut self, queued: Queued, slot: Arc<Slot>) {
        let Queued { claimed, handler, cancel, polls, since: _ } = queued;
        let clock = self.shared.clock();
        let (now, elapsed) = (clock.now(), clock.elapsed());
        if self.executions.is_empty() {
            self.check_held_at = elapsed.saturating_add(HELD_CHECK_EVERY);
        }
        let execution_id = claimed.execution;
        if claimed.attempt == 1 {
            let late_ms = u64::try_from(now.ms_since(claimed.occurrence)).unwrap_or(0);
            meter::execution_started(&claimed.task_type, Duration::from_millis(late_ms));
        }
        let desk = Arc::downgrade(&self.shared);
        let outbox = Arc::new(Outbox::of(desk, claimed.trace));
        self.shared.running.start(execution_id, &slot, now, elapsed);
        let execution = Execution { claimed, outbox, handler, slot, cancel, polls };
        let number = self.executions.spawn(execution.run(Arc::clone(&self.shared.workshop)));
        self.spawned.insert(number, execution_id);
    }

    /// Gives back all that waits for a slot.
    fn give_back_queue(&mut self) {
        while let Some(queued) = self.next_queued() {
            self.give_back(queued);
        }
    }

    /// Gives back what waits for a slot of types that were given a limit or a pause since: it does not run, and counts.
    fn give_back_of(&mut self, task_types: &[TaskType]) {
        for queued in self.queue.take_of(task_types) {
            if queued.cancel.is_cancelled() {
                self.shared.running.remove(queued.claimed.execution);
            } else {
                self.give_back(queued);
            }
        }
    }

    fn give_back(&mut self, queued: Queued) {
        let (claimed, now) = (queued.claimed, self.shared.clock().now());
        self.shared.running.remove(claimed.execution);
        self.recorder.give_back(claimed.task, claimed.execution, AbandonReason::NotStarted, now, None);
        self.ask = true;
    }

    /// Forgets all that waits for a slot: another worker is to take it over.
    fn drop_queue(&mut self) {
        while let Some(queued) = self.queue.pop() {
            self.shared.running.remove(queued.claimed.execution);
        }
    }

    /// Takes in what came of an execution.
    fn collect(&mut self, joined: Joined<Ended>) {
        self.ask = true;
        let Some(Ended { execution, started_at, took, ending }) = self.ended(joined) else {
            return;
        };
        if self.alone == Some(execution) {
            self.alone = None;
        }
        let Some(under_way) = self.shared.running.remove(execution) else {
            return;
        };
        let took = took.unwrap_or_else(|| self.shared.clock().elapsed().saturating_sub(under_way.spawned));
        self.queue.note(&under_way.task_type, took);
        let slot = under_way.slot.and_then(|slot| self.hand_on(slot));
        match ending {
            Ending::Reported(report) => {
                meter::execution_ended(&under_way.task_type, observe::word_of(&report), took);
                self.recorder.complete(under_way.task, execution, started_at, report, slot);
            }
            Ending::Stopped if self.gives_back => {
                let (why, now) = (AbandonReason::ShutDown, self.shared.clock().now());
                self.recorder.give_back(under_way.task, execution, why, now, slot);
            }
            // It was cancelled or taken from us, which is recorded already.
            Ending::Stopped => {}
        }
    }

    /// Gives a slot to what waits for one, instead of keeping it until the end of its execution is recorded.
    fn hand_on(&mut self, slot: Arc<Slot>) -> Option<Arc<Slot>> {
        // A thread may still hold it.
        if Arc::strong_count(&slot) > 1 || self.gives_back {
            return Some(slot);
        }
        let Some(queued) = self.next_queued() else { return Some(slot) };
        self.start_execution(queued, slot);
        None
    }

    fn ended(&mut self, joined: Joined<Ended>) -> Option<Ended> {
        let execution = self.spawned.remove(&joined.number)?;
        let message = match joined.result {
            Ok(ended) => return Some(ended),
            // The handler's own panics are caught; this one came when what it left behind was dropped.
            Err(message) => message,
        };
        let started_at = self.shared.running.spawned_at(execution)?;
        Some(Ended {
            execution,
            started_at,
            took: None,
            ending: Ending::Reported(Outcome::Panicked { message }),
        })
    }
}

/// A store that fails.
impl Poller {
    /// Whether the store is left alone for now.
    fn rests(&self) -> bool {
        let now = self.shared.clock().elapsed();
        self.trouble.as_ref().is_some_and(|trouble| trouble.until > now)
    }

    /// A read that succeeds proves nothing: a full disk can still be read.
    fn note(&mut self, asked: Result<(), StoreError>) {
        if let Err(error) = asked {
            self.store_fails(&error);
        }
    }

    fn store_works(&mut self) {
        if self.trouble.take().is_some() {
            observe::store_works_again();
        }
    }

    fn store_fails(&mut self, error: &StoreError) {
        let failures = self.trouble.as_ref().map_or(0, |trouble| trouble.failures.saturating_add(1));
        if failures == 0 {
            observe::store_failing(error, self.recorder.len());
        }
        let until = self.shared.clock().elapsed().saturating_add(patience(failures));
        self.trouble = Some(Trouble { failures, until });
    }
}

/// Registers a new worker and starts its heartbeat. `None`: a shutdown was asked for first.
async fn incarnate(shared: &Shared) -> Result<Option<(WorkerId, Heartbeat)>> {
    let worker = WorkerId::from(shared.mint(shared.clock().now()));
    let lease_ms = shared.config.lease_ms();
    let task_types = Arc::clone(&shared.task_types);
    let info = WorkerInfo { worker, process: process::identity(), lease_ms, task_types };
    let register = || shared.store.register_worker(info.clone(), shared.clock().now());
    let Some(registered) = shared.insist(register).await else {
        return Ok(None);
    };
    registered?;
    observe::worker_started(worker);
    let heartbeat = Heartbeat::start(shared, worker)?;
    Ok(Some((worker, heartbeat)))
}

/// After a commit it is checked no sooner than this whether what runs here is still ours.
const HELD_CHECK_EVERY: Duration = Duration::from_secs(1);
