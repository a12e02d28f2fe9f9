//! Time as the runtime sees it: a wall clock for choices, a monotonic one for waits.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use azoth_scheduler_core::time::Timestamp;

/// Where the runtime takes its time from. All its waits, timeouts, leases and stamps go through this.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock: what the world says the instant is. It may jump.
    fn now(&self) -> Timestamp;

    /// How long this clock has been running. It never jumps and never goes back; only differences mean anything.
    fn elapsed(&self) -> Duration;

    /// Waits until [`elapsed`](Self::elapsed) has come to this. Dropping the wait ends it.
    fn sleep_until(&self, elapsed: Duration) -> Sleep;

    /// How long it takes until this instant has come, as the wall clock stands; zero once it has.
    fn until(&self, instant: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(instant.ms_since(self.now())).unwrap_or(0))
    }

    /// The same as [`sleep_until`](Self::sleep_until), as exactly as the clock is able to and whatever it takes: one wait
    /// of each scheduler is for the next due task.
    fn wake_at(&self, elapsed: Duration) -> Sleep {
        self.sleep_until(elapsed)
    }

    /// Waits for so long.
    fn sleep(&self, span: Duration) -> Sleep {
        self.sleep_until(self.elapsed().saturating_add(span))
    }
}

/// A wait of a [`Clock`].
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// The machine's clock. Its waits need a tokio runtime with its timer enabled, as `#[tokio::main]` has.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

/// A clock that stands still until it is told to move. Clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use azoth_scheduler_core::time::Timestamp;
/// use azoth_scheduler_runtime::{Clock, ManualClock};
///
/// let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(1_700_000_000)?);
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().unix_seconds(), 1_700_000_060);
/// assert_eq!(clock.elapsed(), Duration::from_secs(60));
/// # Ok::<(), azoth_scheduler_core::time::TimestampError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    hands: Arc<Mutex<Hands>>,
}

#[derive(Debug)]
struct Hands {
    now: Timestamp,
    /// What has passed since the millisecond at which `now` stands, less than one.
    beyond_now: Duration,
    elapsed: Duration,
    /// Who waits, by when and then in the order of arrival.
    sleepers: BTreeMap<(Duration, u64), Waker>,
    arrivals: u64,
}

impl SystemClock {
    /// A clock that starts to run now.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A machine whose clock stands outside the years 1970 to 9999 is served at that range's ends.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Timestamp::UNIX_EPOCH.saturating_add_ms(ms)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep_until(&self, elapsed: Duration) -> Sleep {
        match self.started.checked_add(elapsed) {
            Some(at) => Box::pin(tokio::time::sleep_until(at.into())),
            None => Box::pin(std::future::pending()),
        }
    }

    fn until(&self, instant: Timestamp) -> Duration {
        let due = Duration::from_millis(u64::try_from(instant.unix_ms()).unwrap_or(0));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        due.saturating_sub(now)
    }

    /// The timer of the async runtime counts whole milliseconds and is late by up to two. So the last of them are slept
    /// on a thread.
    fn wake_at(&self, elapsed: Duration) -> Sleep {
        let Some(at) = self.started.checked_add(elapsed) else {
            return Box::pin(std::future::pending());
        };
        Box::pin(async move {
            if at <= Instant::now() {
                return;
            }
            tokio::time::sleep_until((at - FINE_WAIT.min(elapsed)).into()).await;
            let exact = tokio::task::spawn_blocking(move || {
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
            });
            // No thread may be free for it.
            tokio::select! {
                _ = exact => {}
                () = tokio::time::sleep_until(at.into()) => {}
            }
        })
    }
}

/// So much before an exact wait ends, a thread takes it over.
const FINE_WAIT: Duration = Duration::from_millis(3);

impl ManualClock {
    /// A clock that stands at this instant.
    pub fn starting_at(now: Timestamp) -> Self {
        let (elapsed, beyond_now) = (Duration::ZERO, Duration::ZERO);
        let hands = Hands { now, beyond_now, elapsed, sleepers: BTreeMap::new(), arrivals: 0 };
        Self { hands: Arc::new(Mutex::new(hands)) }
    }

    /// Lets time pass: both clocks move, and whoever has waited long enough is woken.
    pub fn advance(&self, span: Duration) {
        let mut hands = self.hands();
        let passed = hands.beyond_now.saturating_add(span);
        let ms = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        hands.now = hands.now.saturating_add_ms(ms);
        hands.beyond_now = Duration::from_nanos(u64::from(passed.subsec_nanos() % NANOS_PER_MS));
        hands.elapsed = hands.elapsed.saturating_add(span);
        let later = (hands.elapsed.saturating_add(Duration::from_nanos(1)), 0);
        let waiting = hands.sleepers.split_off(&later);
        let due = std::mem::replace(&mut hands.sleepers, waiting);
        drop(hands);
        due.into_values().for_each(Waker::wake);
    }

    /// Sets the wall clock, as an administrator or a time server does. No time passes, nobody is woken.
    pub fn set(&self, now: Timestamp) {
        self.hands().now = now;
    }

    /// How long it is until the first of those who wait has waited long enough; `None` when nobody waits.
    pub fn until_next_sleeper(&self) -> Option<Duration> {
        let hands = self.hands();
        let (at, _) = hands.sleepers.keys().next()?;
        Some(at.saturating_sub(hands.elapsed))
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.hands().now
    }

    fn elapsed(&self) -> Duration {
        self.hands().elapsed
    }

    fn sleep_until(&self, elapsed: Duration) -> Sleep {
        let mut hands = self.hands();
        hands.arrivals += 1;
        let key = (elapsed, hands.arrivals);
        Box::pin(ManualSleep { clock: self.clone(), key })
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn elapsed(&self) -> Duration {
        (**self).elapsed()
    }

    fn sleep_until(&self, elapsed: Duration) -> Sleep {
        (**self).sleep_until(elapsed)
    }

    fn until(&self, instant: Timestamp) -> Duration {
        (**self).until(instant)
    }

    fn wake_at(&self, elapsed: Duration) -> Sleep {
        (**self).wake_at(elapsed)
    }
}

const NANOS_PER_MS: u32 = 1_000_000;

struct ManualSleep {
    clock: ManualClock,
    key: (Duration, u64),
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut hands = self.clock.hands();
        if hands.elapsed >= self.key.0 {
            return Poll::Ready(());
        }
        hands.sleepers.insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        self.clock.hands().sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> ManualClock {
        ManualClock::starting_at(Timestamp::UNIX_EPOCH)
    }

    #[tokio::test]
    async fn sleeper_is_woken_when_its_time_has_come_and_not_before() {
        let clock = clock();
        let sleeper = tokio::spawn(clock.sleep(Duration::from_secs(2)));
        tokio::task::yield_now().await;
        assert_eq!(clock.until_next_sleeper(), Some(Duration::from_secs(2)));
        clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
    }

    /// Each part of a millisecond was lost: woken by sleepers between the milliseconds, the wall clock never moved, and what
    /// was due in a millisecond stayed so for ever.
    #[test]
    fn parts_of_a_millisecond_add_up() {
        let clock = clock();
        for _ in 0..30 {
            clock.advance(Duration::from_micros(100));
        }
        assert_eq!(clock.now().unix_ms(), 3);
    }

    #[tokio::test]
    async fn setting_the_wall_clock_wakes_nobody() {
        let clock = clock();
        let sleeper = tokio::spawn(clock.sleep(Duration::from_secs(2)));
        tokio::task::yield_now().await;
        clock.set(Timestamp::MAX);
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished() && clock.elapsed() == Duration::ZERO);
    }

    #[tokio::test]
    async fn dropped_sleep_is_forgotten() {
        let clock = clock();
        let mut sleep = clock.sleep(Duration::from_secs(2));
        let polled = std::future::poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx))).await;
        assert!(polled.is_pending() && clock.until_next_sleeper().is_some());
        drop(sleep);
        assert_eq!(clock.until_next_sleeper(), None);
    }
}
