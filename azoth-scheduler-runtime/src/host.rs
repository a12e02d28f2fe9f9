//! Where the runtime's work takes place: tasks, threads, and the chance in ids. The one seam, besides the clock, between
//! the runtime and the machine, so that a whole run can be repeated to the last event.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use azoth_scheduler_core::time::Timestamp;
use tokio::task::AbortHandle;
use uuid::{NoContext, Uuid};

use crate::threads::Threads;

/// Work that a host takes over.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// What the runtime needs of the machine, besides the time.
pub(crate) trait Host: Send + Sync + 'static {
    /// Runs a future as a task of its own. It catches its own panics.
    fn spawn(&self, work: Work) -> Box<dyn Stop>;

    /// Runs a future where no handler can hold it up, until it ends.
    fn spawn_apart(&self, name: &str, work: Work) -> io::Result<()>;

    /// Runs a handler that may block. The job must not panic.
    fn run_blocking(&self, job: Box<dyn FnOnce() + Send + 'static>) -> io::Result<()>;

    /// Runs a future on the thread of a blocking handler, until it ends. Where it cannot end as long as that thread is taken
    /// up by this, it is dropped.
    fn block_on(&self, work: Pin<Box<dyn Future<Output = ()> + Send + '_>>);

    /// Returns once the other tasks of this thread have nothing left to do for now. Where one of them does not come back, it does
    /// not either.
    fn give_way(&self) -> Work;

    /// A UUIDv7 of this instant, unlike any other.
    fn mint(&self, now: Timestamp) -> Uuid;
}

/// Ends a task that was spawned: its future is dropped, now or at its next await.
pub(crate) trait Stop: Send + Sync {
    /// Ends it.
    fn stop(&self);
}

/// The async runtime of the caller, threads of our own, and the machine's chance.
pub(crate) struct Machine {
    threads: Threads,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { threads: Threads::new() }
    }
}

impl Host for Machine {
    fn spawn(&self, work: Work) -> Box<dyn Stop> {
        Box::new(tokio::spawn(work).abort_handle())
    }

    /// On a thread of its own, with a small runtime of its own, made where it is dropped: on a thread that may block.
    fn spawn_apart(&self, name: &str, work: Work) -> io::Result<()> {
        let (tell, made) = std::sync::mpsc::sync_channel(1);
        let live = move || match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => {
                let _ = tell.send(Ok(()));
                runtime.block_on(work);
            }
            Err(error) => {
                let _ = tell.send(Err(error));
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(live)?;
        made.recv().unwrap_or_else(|_| Err(io::Error::other("the thread was lost")))
    }

    fn run_blocking(&self, job: Box<dyn FnOnce() + Send + 'static>) -> io::Result<()> {
        self.threads.run(job)
    }

    fn block_on(&self, work: Pin<Box<dyn Future<Output = ()> + Send + '_>>) {
        at_once(work);
    }

    fn give_way(&self) -> Work {
        Box::pin(tokio::task::yield_now())
    }

    fn mint(&self, now: Timestamp) -> Uuid {
        let ms = u64::try_from(now.unix_ms()).unwrap_or(0);
        let nanos = u32::try_from(ms % 1000).unwrap_or(0) * 1_000_000;
        Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, ms / 1000, nanos))
    }
}

/// So many UUIDv7 of the instant of this one, counted on from it. To ask for chance costs more than all else that they need, so
/// it is asked for once; two that begin anywhere in 2^62 are as far apart as those that are drawn each. RFC 9562, section 6.2,
/// method 2.
pub(crate) fn counted_on(first: Uuid, count: usize) -> impl Iterator<Item = Uuid> {
    let first = first.as_u128();
    let next = move |number| (first & !COUNTED) | (first.wrapping_add(number) & COUNTED);
    (0..count as u128).map(move |number| Uuid::from_u128(next(number)))
}

/// What stands behind instant, version and variant.
const COUNTED: u128 = (1 << 62) - 1;

/// Runs a future to its end on this thread.
pub(crate) fn at_once<T>(work: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    // The budget of an async runtime's task is not for this: it cannot be renewed here.
    let mut work = pin!(tokio::task::coop::unconstrained(work));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

impl Stop for AbortHandle {
    fn stop(&self) {
        self.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::{Variant, Version};

    use super::*;

    #[test]
    fn ids_that_are_counted_on_differ_and_are_of_the_same_instant() {
        let of = |bits: u128| Uuid::from_u128(0x0190_2f3b_6d4a_7abc_8000_0000_0000_0000 | bits);
        for first in [of(0), of(4711), of(COUNTED - 1)] {
            let ids: Vec<Uuid> = counted_on(first, 3).collect();
            assert_eq!((ids[0], ids.iter().collect::<BTreeSet<_>>().len()), (first, 3));
            for id in &ids {
                assert_eq!((id.get_version(), id.get_variant()), (Some(Version::SortRand), Variant::RFC4122));
                assert_eq!(id.as_u128() >> 64, first.as_u128() >> 64);
            }
        }
        assert_eq!(counted_on(of(4711), 0).count(), 0);
    }
}
