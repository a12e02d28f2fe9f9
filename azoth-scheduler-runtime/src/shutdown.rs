//! Coming to an end: asked for once, hurried by asking again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use azoth_scheduler_store::StandingOffer;
use tokio::sync::watch;

use crate::clock::Clock;

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

/// After the grace, so long is tried to record what was given back.
pub(crate) const GRACE_EXTRA: Duration = Duration::from_millis(800);
