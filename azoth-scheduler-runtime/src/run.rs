//! Running: from the first word of a worker to the end of a shutdown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::command::{ScopeCommand, ScopeWish};
use azoth_scheduler_core::scope::{Limits, LimitsChange, Scope};
use azoth_scheduler_store::Batch;

use crate::consumer::Reader;
use crate::error::{Result, SchedulerError};
use crate::panic_place;
use crate::poller::Poller;
use crate::progress;
use crate::scheduler::Scheduler;
use crate::shared::Shared;
use crate::shutdown::{GRACE_EXTRA, ShutdownComplete};
use crate::task_set::TaskSet;
use crate::upkeep;

/// Running.
impl Scheduler {
    /// Runs due tasks and event handlers until [`shutdown`](Self::shutdown). One call is all that is needed.
    ///
    /// A store that fails does not end it: results are kept and recorded once the store works again. Dropping the
    /// future stops the work where it is; others take it over once the lease has lapsed. A scheduler that was shut down
    /// stays so: `run` returns at once.
    ///
    /// # Errors
    /// [`SchedulerError::AlreadyRunning`] while another call runs; [`SchedulerError::System`] when no thread can be
    /// started; [`SchedulerError::Store`] when the store refuses the worker for good; what refuses a task that a handler
    /// declares.
    pub async fn run(&self) -> Result<()> {
        let shared = &self.shared;
        let _running = shared.begin()?;
        panic_place::watch();
        if shared.shutdown.is_requested() {
            return Ok(());
        }
        let Some(mut poller) = Poller::start(Arc::clone(shared)).await? else {
            return Ok(());
        };
        let mut noting = TaskSet::new(Arc::clone(&shared.workshop.host));
        noting.spawn(progress::record(Arc::clone(shared)));
        let mut readers = TaskSet::new(Arc::clone(&shared.workshop.host));
        for (number, consumer) in shared.consumers.iter().enumerate() {
            readers.spawn(Reader::run(Arc::clone(shared), number + 1, consumer.clone()));
        }
        if let Some((policy, every)) = shared.config.retention {
            readers.spawn(upkeep::let_go(Arc::clone(shared), policy, every));
        }
        let mut served = self.schedule_declared().await;
        if served.is_ok() {
            served = poller.serve().await;
        }
        if served.is_err() {
            shared.shutdown.request(shared.clock(), Duration::ZERO);
        }
        poller.drain().await;
        // Nobody is left who could say anything.
        drop(noting);
        let ended = async { while readers.join_next().await.is_some() {} };
        tokio::select! {
            biased;
            () = ended => {}
            () = shared.shutdown.overdue(shared.clock(), GRACE_EXTRA) => {}
        }
        served
    }

    /// Runs until nothing is left to be done, and shuts down: for short programs and for tests. What waits for an instant
    /// to come stays scheduled.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_until_idle(&self) -> Result<()> {
        let stop_when_idle = async {
            let idle = self.wait_until_idle().await;
            self.shutdown();
            idle
        };
        let (ran, idle) = tokio::join!(self.run(), stop_when_idle);
        ran.and(idle)
    }

    /// Asks [`run`](Self::run) to end: nothing more is started, running handlers have the grace of
    /// `with_shutdown_grace`, what then still runs is stopped and given back so that the next process takes it at once.
    /// Asked a second time, it hurries. The answer may be awaited (it comes when `run` has ended) or dropped.
    pub fn shutdown(&self) -> ShutdownComplete {
        let again = self.shared.shutdown.is_requested();
        let grace = if again { Duration::ZERO } else { self.shared.config.shutdown_grace };
        self.shutdown_with_grace(grace)
    }

    /// The same with another grace. Of several the earliest end counts.
    pub fn shutdown_with_grace(&self, grace: Duration) -> ShutdownComplete {
        self.shared.shutdown.request(self.shared.clock(), grace);
        let shared = Arc::clone(&self.shared);
        ShutdownComplete::new(async move { shared.run_ended().await })
    }

    /// Waits until nothing is left to be done: every due task has run and is recorded, every event is handled, and what
    /// is left waits for an instant to come. Under a [`ManualClock`](crate::ManualClock) time then stands still until it
    /// is moved. For tests; returns at once after a shutdown, and waits for `run` to be called before it. A handler that
    /// itself waits for that clock keeps it from returning.
    ///
    /// # Errors
    /// [`SchedulerError::Store`].
    pub async fn wait_until_idle(&self) -> Result<()> {
        let idle = async {
            loop {
                let before = self.shared.store.head().await?;
                self.shared.quiet().await;
                if self.shared.store.head().await? == before {
                    return Ok(());
                }
            }
        };
        let ended = async {
            self.shared.shutdown.requested().await;
            self.shared.run_ended().await;
        };
        tokio::select! {
            biased;
            idle = idle => idle,
            () = ended => Ok(()),
        }
    }

    /// Records the limits that are declared, and schedules the tasks.
    async fn schedule_declared(&self) -> Result<()> {
        let limits = || async {
            let batch = Batch::new(declared_limits(&self.shared), self.shared.clock().now());
            self.shared.store.apply(batch).await
        };
        if !self.shared.registry.is_empty() || !self.shared.config.limits.is_empty() {
            self.shared.insist(limits).await.transpose()?;
        }
        let declared = self.shared.registry.declared();
        if declared.is_empty() {
            return Ok(());
        }
        let schedule = || async {
            match self.shared.schedule(declared).await {
                Err(SchedulerError::Store(error)) => Err(error),
                other => Ok(other),
            }
        };
        match self.shared.insist(schedule).await {
            Some(answers) => answers??.into_iter().try_for_each(|answer| answer.map(|_| ())),
            None => Ok(()),
        }
    }
}

/// The wishes to declare limits: those of the handlers' types, and those of the builder, which go before them.
fn declared_limits(shared: &Shared) -> Vec<ScopeCommand> {
    let of_types = shared.registry.limits().map(|(name, limits)| (Scope::TaskType(name), limits));
    let of_builder = shared.config.limits.iter();
    // `build` has checked them.
    let of_builder = of_builder.filter_map(|(scope, limits)| Some((scope.clone(), limits.checked().ok()?)));
    let limits: BTreeMap<Scope, Limits> = of_types.chain(of_builder).collect();
    let command = |(scope, limits)| {
        let by = shared.actor.clone();
        let wish = ScopeWish::ChangeLimits { change: LimitsChange::Declared(limits), by };
        ScopeCommand { scope, wish }
    };
    limits.into_iter().map(command).collect()
}
