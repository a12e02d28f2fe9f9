//! Coming to an end: asked for once, hurried by asking again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use azoth_scheduler_core::command::AbandonReason;
use azoth_scheduler_store::StandingOffer;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::observe;
use crate::poller::Poller;

/// Whether a scheduler is to end, and by when.
#[derive(Debug)]
pub(crate) struct Shutdown {
    /// When the grace ends, by the monotonic clock; `None` as long as nobody asked.
    deadline: watch::Sender<Option<Duration>>,
    /// The slots that stand with the store: nothing is claimed for them once the end was asked for.
    standing: Mutex<Weak<StandingOffer>>,
}

/// The end of [`Scheduler::run`](crate::Scheduler::run). Shutting down goes on whether or not this is awaited, so a
/// handler may ask for it and not wait.
pub struct ShutdownComplete {
    ended: Pin<Box<dyn Future<Output = ()> + Send + 'static>>,
}

impl Shutdown {
    pub(crate) fn new() -> Self {
        Self { deadline: watch::Sender::new(None), standing: Mutex::default() }
    }

    /// Asks for the end after `grace`; asked again, at the earlier of both deadlines.
    pub(crate) fn request(&self, clock: &dyn Clock, grace: Duration) {
        let asked = clock.elapsed().saturating_add(grace);
        self.deadline.send_modify(|deadline| {
            *deadline = Some(deadline.map_or(asked, |earlier| earlier.min(asked)));
        });
        if let Some(standing) = self.standing().upgrade() {
            standing.withhold();
        }
    }

    /// Lets the offer end with the first word of the end.
    pub(crate) fn ends(&self, standing: StandingOffer) -> Arc<StandingOffer> {
        let standing = Arc::new(standing);
        *self.standing() = Arc::downgrade(&standing);
        if self.is_requested() {
            standing.withhold();
        }
        standing
    }

    fn standing(&self) -> MutexGuard<'_, Weak<StandingOffer>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.deadline.borrow().is_some()
    }

    pub(crate) fn listen(&self) -> watch::Receiver<Option<Duration>> {
        self.deadline.subscribe()
    }

    /// Returns once the end was asked for.
    pub(crate) async fn requested(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.listen().wait_for(Option::is_some).await;
    }

    /// Returns once the grace is over, and `extra` after it.
    pub(crate) async fn overdue(&self, clock: &dyn Clock, extra: Duration) {
        let mut deadlines = self.listen();
        loop {
            let deadline = *deadlines.borrow_and_update();
            let over = async {
                match deadline {
                    Some(deadline) => clock.sleep_until(deadline.saturating_add(extra)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = over => return,
                _ = deadlines.changed() => {}
            }
        }
    }
}

impl ShutdownComplete {
    pub(crate) fn new(ended: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { ended: Box::pin(ended) }
    }
}

impl Future for ShutdownComplete {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.ended.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for ShutdownComplete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShutdownComplete")
    }
}

/// The end of the loop.
impl Poller {
    /// Waits for what runs until the grace is over, stops the rest and gives it back. Returns soon after the grace,
    /// whatever handlers and store do.
    pub(crate) async fn drain(mut self) {
        observe::shutting_down(self.shared.config.shutdown_grace);
        self.give_back_queue();
        self.wait_for_executions().await;
        self.gives_back = true;
        self.stop_executions().await;
        let given_back = self.recorder.len();
        self.record_the_rest().await;
        // If this fails the worker's lease lapses by itself.
        let _ = self.shared.in_time(self.shared.store.end_worker(self.worker)).await;
        observe::worker_ended(self.worker);
        observe::shut_down(given_back);
    }

    async fn wait_for_executions(&mut self) {
        let shared = Arc::clone(&self.shared);
        while !self.executions.is_empty() || !self.recorder.is_empty() {
            if self.pass().await || (self.executions.is_empty() && self.recorder.is_empty()) {
                continue;
            }
            // With nothing to record there is nothing to ask the store for.
            let trouble = self.trouble.as_ref().filter(|_| !self.recorder.is_empty());
            let trouble = trouble.map(|trouble| trouble.until);
            tokio::select! {
                biased;
                Some(joined) = self.executions.join_next() => self.collect(joined),
                () = over(trouble, shared.clock()) => {}
                () = shared.shutdown.overdue(shared.clock(), Duration::ZERO) => return,
            }
        }
    }

    async fn stop_executions(&mut self) {
        let shared = Arc::clone(&self.shared);
        shared.running.stop_all("the scheduler shuts down");
        let unyielding = shared.clock().sleep(STOP_WAIT);
        let all = async {
            while let Some(joined) = self.executions.join_next().await {
                self.collect(joined);
            }
        };
        tokio::select! {
            biased;
            () = all => {}
            () = unyielding => {}
        }
        let now = shared.clock().now();
        for (execution, under_way) in shared.running.take_all() {
            let why = AbandonReason::ShutDown;
            self.recorder.give_back(under_way.task, execution, why, now, under_way.slot);
        }
    }

    async fn record_the_rest(&mut self) {
        let shared = Arc::clone(&self.shared);
        while !self.recorder.is_empty() {
            if self.pass().await || self.recorder.is_empty() {
                continue;
            }
            let trouble = self.trouble.as_ref().map(|trouble| trouble.until);
            tokio::select! {
                biased;
                () = over(trouble, shared.clock()) => {}
                () = shared.shutdown.overdue(shared.clock(), GRACE_EXTRA) => return,
            }
        }
    }
}

/// Waits until the store may be asked again; for ever if there is nothing to ask for.
async fn over(trouble: Option<Duration>, clock: &dyn Clock) {
    match trouble {
        Some(until) => clock.sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// After the grace, so long is tried to record what was given back.
pub(crate) const GRACE_EXTRA: Duration = Duration::from_millis(800);
/// An async handler that was stopped is waited for no longer than this.
const STOP_WAIT: Duration = Duration::from_millis(100);
