//! Building a scheduler.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::id::ConsumerName;
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::scope::Scope;
use azoth_scheduler_store::Store;

use crate::any_handler::{AnyTaskHandler, IntoTaskHandler};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::error::{Result, SchedulerError};
use crate::event_handler::{Consumer, EventHandler};
use crate::host::{Host, Machine};
use crate::limits::Limits;
use crate::registry::Registry;
use crate::scheduler::Scheduler;
use crate::shared::Shared;
use crate::state::StateMap;
use crate::workshop::{TraceSource, Workshop};

/// Gathers what a [`Scheduler`] needs. Whatever is wrong is said by [`build`](Self::build).
#[must_use = "a builder does nothing until `build`"]
pub struct SchedulerBuilder {
    store: Arc<dyn Store>,
    config: Config,
    clock: Arc<dyn Clock>,
    host: Arc<dyn Host>,
    states: StateMap,
    handlers: Vec<AnyTaskHandler>,
    remote: Vec<String>,
    event_handlers: Vec<Arc<dyn EventHandler>>,
    trace_source: Option<TraceSource>,
}

/// What can be given as a store: a [`Store`], or one that is shared already. `Marker` only tells them apart; it is never
/// written.
pub trait IntoStore<Marker> {
    /// The store, shared.
    fn into_store(self) -> Arc<dyn Store>;
}

/// Tells the implementations of [`IntoStore`] apart.
pub mod store_marker {
    /// A store.
    #[derive(Debug)]
    pub struct Owned;
    /// A shared store of a known type.
    #[derive(Debug)]
    pub struct Shared;
    /// A shared store of whatever type.
    #[derive(Debug)]
    pub struct Dyn;
}

impl<S: Store> IntoStore<store_marker::Owned> for S {
    fn into_store(self) -> Arc<dyn Store> {
        Arc::new(self)
    }
}

impl<S: Store> IntoStore<store_marker::Shared> for Arc<S> {
    fn into_store(self) -> Arc<dyn Store> {
        self
    }
}

impl IntoStore<store_marker::Dyn> for Arc<dyn Store> {
    fn into_store(self) -> Arc<dyn Store> {
        self
    }
}

impl Scheduler {
    /// Starts to build a scheduler on this store: a [`Store`], or one behind an [`Arc`].
    pub fn builder<M>(store: impl IntoStore<M>) -> SchedulerBuilder {
        SchedulerBuilder::new(store.into_store())
    }
}

impl SchedulerBuilder {
    fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            config: Config::default(),
            clock: Arc::new(SystemClock::new()),
            host: Arc::new(Machine::new()),
            states: StateMap::default(),
            handlers: Vec::new(),
            remote: Vec::new(),
            event_handlers: Vec::new(),
            trace_source: None,
        }
    }

    /// Runs tasks of the handler's type: a [`TaskHandler`](crate::TaskHandler) or a
    /// [`BlockingTaskHandler`](crate::BlockingTaskHandler).
    pub fn with_task_handler<M>(mut self, handler: impl IntoTaskHandler<M>) -> Self {
        self.handlers.push(handler.into_task_handler());
        self
    }

    /// Runs tasks of all these handlers' types.
    pub fn with_task_handlers(mut self, handlers: impl IntoIterator<Item = AnyTaskHandler>) -> Self {
        self.handlers.extend(handlers);
        self
    }

    /// Tells the handler of events, at least once each. Any number may be added, each with a name of its own.
    pub fn with_event_handler(mut self, handler: impl EventHandler) -> Self {
        self.event_handlers.push(Arc::new(handler));
        self
    }

    /// Gives handlers a value: [`TaskContext::state`](crate::TaskContext::state). One of each type.
    pub fn with_state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.insert(value);
        self
    }

    /// Task types that other processes run. Without this, a scheduler that has handlers refuses to schedule what it
    /// cannot run.
    pub fn with_remote_task_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.remote.extend(types.into_iter().map(Into::into));
        self
    }

    /// How often it is looked whether anything was missed, 1 ms to 1 hour; 1 s by default. Tasks start when they are due; this
    /// bounds only how late the commit of another process may be noticed, where the store has no other way (the SQLite store
    /// watches its file on Linux), and how late it is noticed that the wall clock was set. While nothing is due, a look is no
    /// more than a read of where the log ends, and less than that where the store hears of every commit.
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.config.poll_interval = interval;
        self
    }

    /// How many tasks this scheduler runs at once, 1 to 100,000; 10 by default.
    pub fn with_max_concurrent_tasks(mut self, tasks: usize) -> Self {
        self.config.max_concurrent_tasks = tasks;
        self
    }

    /// Retries after the first attempt, where neither request nor handler says otherwise; 3 by default.
    pub fn with_default_max_retries(mut self, retries: u32) -> Self {
        self.config.default_max_retries = retries;
        self
    }

    /// Limits of a task type, a concurrency key or everything, for all processes on the store. They are declared when the
    /// scheduler starts to run, and hold until a program declares others ([`Limits::new`] for none) or
    /// [`set_limits`](Scheduler::set_limits) says something else. What is said here of a type takes the place of what its
    /// handler declares; of what is said twice of one scope the last word counts.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use azoth_scheduler_core::scope::Scope;
    /// # use azoth_scheduler_runtime::{Limits, Scheduler};
    /// # use azoth_scheduler_store::MemoryStore;
    /// let scheduler = Scheduler::builder(MemoryStore::new())
    ///     .with_limits(Scope::Everything, Limits::new().max_running(50))
    ///     .with_limits(Scope::task_type("send_email")?, Limits::new().rate(100, Duration::from_secs(1)))
    ///     .with_limits(Scope::key("tenant-7")?, Limits::new().max_running(2))
    ///     .build()?;
    /// # Ok::<(), azoth_scheduler_runtime::SchedulerError>(())
    /// ```
    pub fn with_limits(mut self, scope: Scope, limits: Limits) -> Self {
        self.config.limits.insert(scope, limits);
        self
    }

    /// Lets go what a policy lets go, while the scheduler runs: at its start and then every so often, 1 s to 365 days; once
    /// an hour is plenty. One process of those that share a store is enough. By default everything is kept for ever.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use azoth_scheduler_core::retention::RetentionPolicy;
    /// # use azoth_scheduler_runtime::Scheduler;
    /// # use azoth_scheduler_store::MemoryStore;
    /// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    /// let policy = RetentionPolicy::new().keep_finished_for(7 * DAY).keep_payloads_for(30 * DAY);
    /// let scheduler = Scheduler::builder(MemoryStore::new())
    ///     .with_retention(policy, Duration::from_secs(3600))
    ///     .build()?;
    /// # Ok::<(), azoth_scheduler_runtime::SchedulerError>(())
    /// ```
    pub fn with_retention(mut self, policy: RetentionPolicy, every: Duration) -> Self {
        self.config.retention = Some((policy, every));
        self
    }

    /// How long an attempt may take in seconds, where neither request nor handler says otherwise; at least 1, 300 by
    /// default.
    pub fn with_default_timeout_secs(mut self, seconds: u64) -> Self {
        self.config.default_timeout = Duration::from_secs(seconds);
        self
    }

    /// How long a shutdown waits for running handlers, up to 24 hours; 30 s by default.
    pub fn with_shutdown_grace(mut self, grace: Duration) -> Self {
        self.config.shutdown_grace = grace;
        self
    }

    /// How long this scheduler may give no sign of life before others take its tasks, 100 ms to 1 hour; 15 s by default.
    /// It is renewed three times within this.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.config.lease = lease;
        self
    }

    /// The most bytes of a task's payload and of a handler's event; 1 MiB by default.
    pub fn with_max_payload_bytes(mut self, bytes: usize) -> Self {
        self.config.max_payload_bytes = bytes;
        self
    }

    /// Takes its time from this clock instead of the machine's; see [`ManualClock`](crate::ManualClock).
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where tasks and threads are started.
    #[cfg(feature = "testing")]
    pub(crate) fn hosted_by(mut self, host: Arc<dyn Host>) -> Self {
        self.host = host;
        self
    }

    /// Carries traces from where a task is scheduled to where it runs: the closure gives the W3C `traceparent` of the span
    /// that is current, or `None` outside of any. It is called once for each request, on the thread that schedules it.
    ///
    /// The answer is kept with the scheduling, and the handler finds it as
    /// [`TaskContext::trace_parent`](crate::TaskContext::trace_parent); the span of the execution has it as the field
    /// `trace_parent`. With OpenTelemetry the closure asks the propagator, and the handler adds a link to its span. What is
    /// no [`TraceParent`](azoth_scheduler_core::trace::TraceParent) is left out, with a warning. By default no trace is kept;
    /// what [`declare`](Scheduler::declare) schedules has none either, since it is said again at every start.
    ///
    /// ```
    /// # use azoth_scheduler_runtime::Scheduler;
    /// # use azoth_scheduler_store::MemoryStore;
    /// // As a program would ask its tracing library.
    /// let current = || Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    /// let scheduler = Scheduler::builder(MemoryStore::new()).with_trace_parent(current).build()?;
    /// # Ok::<(), azoth_scheduler_runtime::SchedulerError>(())
    /// ```
    pub fn with_trace_parent(mut self, current: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.trace_source = Some(Box::new(current));
        self
    }

    /// Under whose name this program cancels, pauses, resumes and disables, 1 to 255 bytes; `program` by default.
    pub fn with_actor(mut self, name: impl Into<String>) -> Self {
        self.config.actor = name.into();
        self
    }

    /// Checks all of it and makes the scheduler. Nothing runs before [`Scheduler::run`], and the store is not asked.
    ///
    /// # Errors
    /// [`SchedulerError::DuplicateHandler`], [`SchedulerError::DuplicateEventHandler`],
    /// [`SchedulerError::MissingState`], [`SchedulerError::InvalidSetting`], [`SchedulerError::Name`], what is wrong with
    /// [limits](Self::with_limits), or what a handler said of the tasks that it declares.
    pub fn build(self) -> Result<Scheduler> {
        let actor = self.config.check()?;
        let registry = Registry::new(self.handlers, &self.remote, &self.states)?;
        let consumers = consumers(self.event_handlers)?;
        let workshop = Workshop {
            clock: self.clock,
            states: Arc::new(self.states),
            host: self.host,
            event_bytes_max: self.config.max_payload_bytes,
            trace_source: self.trace_source,
        };
        let shared = Shared::new(self.store, self.config, actor, registry, workshop, consumers);
        Ok(Scheduler::new(Arc::new(shared)))
    }
}

impl std::fmt::Debug for SchedulerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SchedulerBuilder")
            .field("config", &self.config)
            .field("states", &self.states)
            .field("handlers", &self.handlers)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

fn consumers(handlers: Vec<Arc<dyn EventHandler>>) -> Result<Vec<Consumer>> {
    let mut names = BTreeSet::new();
    let named = handlers.into_iter().map(|handler| {
        let name = ConsumerName::new(handler.name())?;
        if !names.insert(name.clone()) {
            return Err(SchedulerError::DuplicateEventHandler { name: name.into() });
        }
        Ok(Consumer { name, handler })
    });
    named.collect()
}
