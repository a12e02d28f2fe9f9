//! What the clones of a scheduler, its loop and its event handlers share.

use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::id::{Actor, TaskType};
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_core::trace::TraceParent;
use azoth_scheduler_store::{Store, StoreError};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Result, SchedulerError};
use crate::event_handler::Consumer;
use crate::observe;
use crate::patience::patience;
use crate::registry::Registry;
use crate::running::Running;
use crate::shutdown::{GRACE_EXTRA, Shutdown};
use crate::slots::Slots;
use crate::workshop::Workshop;

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Config,
    pub(crate) actor: Actor,
    pub(crate) registry: Registry,
    pub(crate) task_types: Arc<[TaskType]>,
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) running: Arc<Running>,
    pub(crate) consumers: Vec<Consumer>,
    pub(crate) shutdown: Shutdown,
    /// Somebody has said how far he has come.
    pub(crate) progress: Notify,
    stage: watch::Sender<Stage>,
    nudge: watch::Sender<u64>,
    pulses: Vec<watch::Sender<Pulse>>,
}

/// Whether the scheduler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    NotRunning,
    Running,
}

/// What the loop (the first) and each event handler tell of themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pulse {
    /// The newest nudge that was heard before it looked for work.
    ticket: u64,
    /// It found nothing to do, and has nothing under way.
    quiet: bool,
    /// When it has something to do, by the monotonic clock, as far as it knows.
    due_at: Option<Duration>,
}

/// Held by the one who runs the scheduler. When it is dropped, the scheduler runs no more.
pub(crate) struct RunGuard(Arc<Shared>);

impl Shared {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        config: Config,
        actor: Actor,
        registry: Registry,
        workshop: Workshop,
        consumers: Vec<Consumer>,
    ) -> Self {
        let parties = consumers.len() + 1;
        Self {
            store,
            slots: Slots::new(config.max_concurrent_tasks),
            config,
            actor,
            task_types: registry.task_types(),
            registry,
            workshop: Arc::new(workshop),
            running: Arc::default(),
            consumers,
            shutdown: Shutdown::new(),
            progress: Notify::new(),
            stage: watch::Sender::new(Stage::NotRunning),
            nudge: watch::Sender::new(0),
            pulses: (0..parties).map(|_| watch::Sender::new(Pulse::default())).collect(),
        }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.workshop.clock
    }

    /// A UUIDv7 of this instant.
    pub(crate) fn mint(&self, now: Timestamp) -> Uuid {
        self.workshop.host.mint(now)
    }

    /// Where in a trace the caller is, if the program says so.
    pub(crate) fn trace_parent(&self) -> Option<TraceParent> {
        let text = self.workshop.trace_source.as_ref()?()?;
        let parsed = text.parse();
        if parsed.is_err() {
            observe::trace_refused();
        }
        parsed.ok()
    }

    /// What the store answers, unless a shutdown cannot wait for it any longer.
    pub(crate) async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::select! {
            biased;
            answer = asked => answer,
            () = self.shutdown.overdue(self.clock(), GRACE_EXTRA) => {
                Err(StoreError::Unknown { detail: "the scheduler ended before the store answered".to_owned() })
            }
        }
    }

    /// What the work comes to; `None` when the grace of a shutdown is over first.
    pub(crate) async fn unless_overdue<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.shutdown.overdue(self.clock(), Duration::ZERO) => None,
        }
    }

    /// Asks the store again and again as long as its errors pass. `None`: a shutdown was asked for meanwhile.
    pub(crate) async fn insist<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Option<Result<T, StoreError>> {
        let mut failures: u32 = 0;
        loop {
            let answer = self.in_time(ask()).await;
            let Err(error) = answer.as_ref().map(|_| ()) else {
                if failures > 0 {
                    observe::store_works_again();
                }
                return Some(answer);
            };
            if !error.is_passing() {
                return Some(answer);
            }
            if failures == 0 {
                observe::store_failing(error, 0);
            }
            failures = failures.saturating_add(1);
            tokio::select! {
                biased;
                () = self.clock().sleep(patience(failures)) => {}
                () = self.shutdown.requested() => return None,
            }
        }
    }

    /// Makes the caller the one who runs the scheduler.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<RunGuard> {
        let began = self.stage.send_if_modified(|stage| {
            let may = *stage == Stage::NotRunning;
            *stage = Stage::Running;
            may
        });
        if began { Ok(RunGuard(Arc::clone(self))) } else { Err(SchedulerError::AlreadyRunning) }
    }

    pub(crate) fn is_running(&self) -> bool {
        *self.stage.borrow() == Stage::Running
    }

    /// Returns once nobody runs the scheduler.
    pub(crate) async fn run_ended(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.stage.subscribe().wait_for(|stage| *stage == Stage::NotRunning).await;
    }

    pub(crate) fn listen_for_nudges(&self) -> watch::Receiver<u64> {
        self.nudge.subscribe()
    }

    /// For whoever wakes the loop and all event handlers without knowing more of them.
    pub(crate) fn nudger(&self) -> watch::Sender<u64> {
        self.nudge.clone()
    }

    /// How often it is looked whether anything was missed.
    pub(crate) fn poll_interval(&self) -> Duration {
        self.config.poll_interval.min(SLEEP_MAX)
    }

    /// How long somebody waits at most for what he hears of, before he looks whether anything was missed.
    pub(crate) fn look_interval(&self) -> Duration {
        let poll_interval = self.config.poll_interval;
        if self.store.hears_every_commit() { poll_interval.max(SLEEP_MAX) } else { poll_interval }
    }

    /// What a party tells of itself.
    pub(crate) fn pulse(&self, party: usize, ticket: u64, quiet: bool, due_at: Option<Duration>) {
        if let Some(pulse) = self.pulses.get(party) {
            pulse.send_replace(Pulse { ticket, quiet, due_at });
        }
    }

    /// Lets the loop and all event handlers look for work.
    pub(crate) fn wake(&self) {
        self.nudge.send_modify(|nudges| *nudges += 1);
    }

    /// When the first of them has something to do, by the monotonic clock, as far as they know.
    #[cfg(feature = "testing")]
    pub(crate) fn due_at(&self) -> Option<Duration> {
        self.pulses.iter().filter_map(|pulse| pulse.borrow().due_at).min()
    }

    /// Wakes the loop and all event handlers, and returns once each of them has found nothing to do since.
    pub(crate) async fn quiet(&self) {
        let mut ticket = 0;
        self.nudge.send_modify(|nudges| {
            *nudges += 1;
            ticket = *nudges;
        });
        for pulse in &self.pulses {
            let is_quiet = |pulse: &Pulse| pulse.quiet && pulse.ticket >= ticket;
            // The sender lives as long as `self`, so this cannot fail.
            let _ = pulse.subscribe().wait_for(is_quiet).await;
        }
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        // What is under way was stopped with the loop; what it held comes free.
        drop(self.0.running.take_all());
        self.0.stage.send_replace(Stage::NotRunning);
    }
}

impl Config {
    pub(crate) fn lease_ms(&self) -> std::num::NonZeroU64 {
        let ms = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        std::num::NonZeroU64::new(ms).unwrap_or(std::num::NonZeroU64::MIN)
    }
}

/// Waits so long, or until a shutdown is asked for.
pub(crate) async fn sleep_or_shutdown(shared: &Shared, span: Duration) {
    tokio::select! {
        biased;
        () = shared.clock().sleep(span) => {}
        () = shared.shutdown.requested() => {}
    }
}

/// No wait is longer than this where something may have been missed, whatever the poll interval.
pub(crate) const SLEEP_MAX: Duration = Duration::from_secs(30);
