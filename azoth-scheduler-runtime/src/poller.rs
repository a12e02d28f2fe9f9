//! The one loop: when to wake, what to record, how much to claim.
//!
//! It only sleeps and asks. It wakes for a task that comes due, a commit, a result, the poll interval, and whatever
//! was told from outside; then one transaction records what has ended and claims for the slots that are free. A pass
//! that brings nothing is not repeated before something has happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::command::AbandonReason;
use azoth_scheduler_core::execution::Outcome;
use azoth_scheduler_core::id::{ExecutionId, WorkerId};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::store::CLAIM_BATCH_MAX;
use azoth_scheduler_store::{Batch, ClaimOffer, Claimed, Claims, LogPosition, StoreError, WorkerInfo};
use tokio::sync::watch;

use crate::error::Result;
use crate::lease::{Heartbeat, Watchtower};
use crate::observe;
use crate::process;
use crate::recorder::{Recorder, patience};
use crate::shared::Shared;
use crate::task_set::{Joined, TaskSet};
use crate::worker::{Cancel, Ended, Ending, Execution};

pub(crate) struct Poller {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: WorkerId,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) executions: TaskSet<Ended>,
    spawned: BTreeMap<u64, ExecutionId>,
    pub(crate) recorder: Recorder,
    /// The scheduler is shutting down: what is stopped now goes to the next process.
    pub(crate) gives_back: bool,
    pub(crate) trouble: Option<Trouble>,
    /// A commit of which nothing is known may have claimed tasks that were never started.
    pub(crate) unsure: bool,
    pub(crate) watchtower: Watchtower,
    /// When to look at other workers, and whether what runs here is still ours; by the monotonic clock.
    pub(crate) look_at: Duration,
    pub(crate) check_held_at: Duration,
    /// When the next task is due.
    due_at: Option<Duration>,
    head: Option<watch::Receiver<LogPosition>>,
    nudge: watch::Receiver<u64>,
}

/// The store failed, and is left alone for a while.
pub(crate) struct Trouble {
    failures: u32,
    pub(crate) until: Duration,
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
            gives_back: false,
            trouble: None,
            unsure: false,
            watchtower: Watchtower::default(),
            look_at: now,
            check_held_at: now,
            due_at: None,
            head: Some(shared.store.watch_head()),
            nudge: shared.listen_for_nudges(),
            shared,
        }))
    }

    /// Works until a shutdown is asked for.
    pub(crate) async fn serve(&mut self) -> Result<()> {
        while !self.shared.shutdown.is_requested() {
            if *self.heartbeat.lost.borrow() {
                self.start_anew().await?;
                continue;
            }
            let ticket = *self.nudge.borrow_and_update();
            self.look_around().await;
            let again = self.pass().await;
            if !again {
                let due_at = self.trouble.as_ref().map(|trouble| trouble.until).or(self.due_at);
                self.shared.pulse(0, ticket, self.executions.is_empty(), due_at);
                self.wait().await;
            }
        }
        Ok(())
    }

    /// Waits for whatever is next.
    async fn wait(&mut self) {
        let shared = Arc::clone(&self.shared);
        let deadline = shared.clock().sleep_until(self.wake_at());
        tokio::select! {
            biased;
            Some(joined) = self.executions.join_next() => self.collect(joined),
            moved = moved(&mut self.head) => self.head_moved(moved),
            _ = self.nudge.changed() => {}
            _ = self.heartbeat.lost.changed() => {}
            () = shared.slots.returned.notified() => {}
            () = shared.shutdown.requested() => {}
            () = deadline => {}
        }
        self.collect_ended();
    }

    fn wake_at(&self) -> Duration {
        let now = self.shared.clock().elapsed();
        if let Some(trouble) = self.trouble.as_ref().filter(|trouble| trouble.until > now) {
            return trouble.until;
        }
        // Bounded also because the wall clock may be set while this sleeps.
        let poll_at = now.saturating_add(self.shared.config.poll_interval.min(SLEEP_MAX));
        let check_held_at = (!self.executions.is_empty()).then_some(self.check_held_at);
        let first = [self.due_at, check_held_at].into_iter().flatten().fold(poll_at, Duration::min);
        first.min(self.look_at)
    }

    fn head_moved(&mut self, moved: Moved) {
        match moved {
            // Somebody may have cancelled what runs here. Our own commits come by here too, so not at each of them.
            Moved::Yes => self.check_held_at = self.check_held_at.min(self.next_check_of_held()),
            // The store's side is gone: the poll interval is left.
            Moved::Never => self.head = None,
        }
    }

    fn next_check_of_held(&self) -> Duration {
        self.shared.clock().elapsed().saturating_add(HELD_CHECK_EVERY)
    }

    /// Records and claims, in one transaction. Whether to do it again at once.
    pub(crate) async fn pass(&mut self) -> bool {
        if self.rests() {
            return false;
        }
        if self.unsure && !self.find_unstarted().await {
            return false;
        }
        let commands = self.recorder.batch();
        let offer = self.offer();
        if commands.is_empty() && offer.is_none() {
            self.due_at = None;
            return false;
        }
        let (sent, offered) = (commands.len(), offer.is_some());
        let now = self.shared.clock().now();
        match self.shared.in_time(self.shared.store.apply(Batch { offer, ..Batch::new(commands, now) })).await
        {
            Ok(applied) => {
                self.store_works();
                self.recorder.settle(&applied.answers);
                let claimed = applied.claims.is_some_and(|claims| self.take(claims, now));
                claimed || !self.recorder.is_empty()
            }
            Err(error) => {
                self.unsure |= offered && error.is_unknown();
                self.recorder.failed(sent, &error);
                self.store_fails(&error);
                false
            }
        }
    }

    fn offer(&self) -> Option<ClaimOffer> {
        // What is recorded in the same transaction makes room for what is claimed in it.
        let free = (self.shared.slots.free() + self.recorder.releases()).min(CLAIM_BATCH_MAX);
        let task_types = &self.shared.task_types;
        if free == 0 || task_types.is_empty() || self.shared.shutdown.is_requested() {
            return None;
        }
        let now = self.shared.clock().now();
        let executions = (0..free).map(|_| ExecutionId::from(self.shared.mint(now))).collect();
        Some(ClaimOffer { worker: self.worker, task_types: Arc::clone(task_types), executions })
    }

    /// Starts what was claimed. Whether there is more to be had at once.
    fn take(&mut self, claims: Claims, now: Timestamp) -> bool {
        if claims.worker_ended {
            self.heartbeat.give_up();
        }
        let some = !claims.claimed.is_empty();
        for claimed in claims.claimed {
            self.start_execution(claimed, now);
        }
        let due_in_ms = claims.next_due.map(|due| due.ms_since(now));
        let (has_room, is_due) = (self.shared.slots.free() > 0, due_in_ms.is_some_and(|ms| ms <= 0));
        // What is due and was not given to us is none of our business until something changes.
        let ahead = due_in_ms.filter(|ms| has_room && *ms > 0).and_then(|ms| u64::try_from(ms).ok());
        let elapsed = self.shared.clock().elapsed();
        self.due_at = ahead.map(|ms| elapsed.saturating_add(Duration::from_millis(ms)));
        some && has_room && is_due
    }

    fn start_execution(&mut self, claimed: Claimed, now: Timestamp) {
        let slot = self.shared.slots.take();
        let registered = self.shared.registry.find(&claimed.task_type);
        let Some(registered) = registered.filter(|_| !self.shared.shutdown.is_requested()) else {
            let (why, slot) = (AbandonReason::NotStarted, Some(slot));
            self.recorder.give_back(claimed.task, claimed.execution, why, now, slot);
            return;
        };
        if self.executions.is_empty() {
            self.check_held_at = self.shared.clock().elapsed().saturating_add(HELD_CHECK_EVERY);
        }
        let execution_id = claimed.execution;
        let handler = registered.handler.clone();
        let execution = Execution { claimed, handler, slot, cancel: Cancel::new() };
        self.shared.running.add(&execution, now);
        let number = self.executions.spawn(execution.run(Arc::clone(&self.shared.workshop)));
        self.spawned.insert(number, execution_id);
    }

    fn collect_ended(&mut self) {
        while let Some(joined) = self.executions.try_join_next() {
            self.collect(joined);
        }
    }

    /// Takes in what came of an execution.
    pub(crate) fn collect(&mut self, joined: Joined<Ended>) {
        let Some(Ended { execution, started_at, ending }) = self.ended(joined) else {
            return;
        };
        let Some(under_way) = self.shared.running.remove(execution) else {
            return;
        };
        match ending {
            Ending::Reported(report) => {
                self.recorder.complete(under_way.task, execution, started_at, report, under_way.slot);
            }
            Ending::Stopped if self.gives_back => {
                let (why, now) = (AbandonReason::ShutDown, self.shared.clock().now());
                self.recorder.give_back(under_way.task, execution, why, now, Some(under_way.slot));
            }
            // It was cancelled or taken from us, which is recorded already.
            Ending::Stopped => {}
        }
    }

    fn ended(&mut self, joined: Joined<Ended>) -> Option<Ended> {
        let execution = self.spawned.remove(&joined.number)?;
        let message = match joined.result {
            Ok(ended) => return Some(ended),
            // The handler's own panics are caught; this one came when what it left behind was dropped.
            Err(message) => message,
        };
        let started_at = self.shared.running.spawned_at(execution)?;
        Some(Ended { execution, started_at, ending: Ending::Reported(Outcome::Panicked { message }) })
    }
}

/// A store that fails.
impl Poller {
    /// Whether the store is left alone for now.
    pub(crate) fn rests(&self) -> bool {
        let now = self.shared.clock().elapsed();
        self.trouble.as_ref().is_some_and(|trouble| trouble.until > now)
    }

    /// A read that succeeds proves nothing: a full disk can still be read.
    pub(crate) fn note(&mut self, asked: Result<(), StoreError>) {
        if let Err(error) = asked {
            self.store_fails(&error);
        }
    }

    fn store_works(&mut self) {
        if self.trouble.take().is_some() {
            observe::store_works_again();
        }
    }

    pub(crate) fn store_fails(&mut self, error: &StoreError) {
        let failures = self.trouble.as_ref().map_or(0, |trouble| trouble.failures.saturating_add(1));
        if failures == 0 {
            observe::store_failing(error, self.recorder.len());
        }
        let until = self.shared.clock().elapsed().saturating_add(patience(failures));
        self.trouble = Some(Trouble { failures, until });
    }
}

/// Registers a new worker and starts its heartbeat. `None`: a shutdown was asked for first.
pub(crate) async fn incarnate(shared: &Shared) -> Result<Option<(WorkerId, Heartbeat)>> {
    let worker = WorkerId::from(shared.mint(shared.clock().now()));
    let lease_ms = shared.config.lease_ms();
    let info = WorkerInfo { worker, process: process::identity(), lease_ms };
    let register = || shared.store.register_worker(info.clone(), shared.clock().now());
    let Some(registered) = shared.insist(register).await else {
        return Ok(None);
    };
    registered?;
    observe::worker_started(worker);
    let heartbeat = Heartbeat::start(shared, worker)?;
    Ok(Some((worker, heartbeat)))
}

/// What became of a wait for a commit.
enum Moved {
    Yes,
    Never,
}

async fn moved(head: &mut Option<watch::Receiver<LogPosition>>) -> Moved {
    let Some(head) = head else {
        return std::future::pending().await;
    };
    if head.changed().await.is_ok() { Moved::Yes } else { Moved::Never }
}

/// No sleep is longer than this, whatever the poll interval.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// After a commit it is checked no sooner than this whether what runs here is still ours.
const HELD_CHECK_EVERY: Duration = Duration::from_secs(1);
