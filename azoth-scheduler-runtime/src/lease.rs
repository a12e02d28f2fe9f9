//! Signs of life: our own, on a thread of its own, and those of others.
//!
//! The thread of our own also looks at the wall clock: that costs it less than it would cost the loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::id::WorkerId;
use azoth_scheduler_store::{ProcessIdentity, Renewal, Store, WorkerInfo, WorkerRow};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::clock_watch::Dial;
use crate::error::{Result, SchedulerError};
use crate::process;
use crate::running::Running;
use crate::shared::Shared;

/// Renews a worker's lease for as long as it is held on to, and looks whether a handler blocks the runtime and whether the wall
/// clock was set.
///
/// Apart from the handlers, on a thread of its own: one that blocks the async runtime must not cost the lease of its
/// neighbours.
pub(crate) struct Heartbeat {
    /// Becomes `true` when the store says that the worker has ended.
    pub(crate) lost: watch::Receiver<bool>,
    tell: watch::Sender<bool>,
    _stop: oneshot::Sender<()>,
}

struct Pulse {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    worker: WorkerId,
    every: Duration,
    lost: watch::Sender<bool>,
    running: Arc<Running>,
    /// So often it looks at the wall clock, and whom it wakes when that was set.
    tick: Duration,
    dial: Dial,
    nudge: watch::Sender<u64>,
}

impl Heartbeat {
    pub(crate) fn start(shared: &Shared, worker: WorkerId) -> Result<Self> {
        let system = |source| SchedulerError::System { what: "the heartbeat's thread", source };
        let (lost, is_lost) = watch::channel(false);
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, every) = (lost.clone(), shared.config.lease / RENEWALS_PER_LEASE);
        let (store, clock) = (Arc::clone(&shared.store), Arc::clone(&shared.workshop.clock));
        let running = Arc::clone(&shared.running);
        let (tick, dial, nudge) = (shared.poll_interval(), Dial::read(&*clock), shared.nudger());
        let pulse = Pulse { store, clock, worker, every, lost, running, tick, dial, nudge };
        // The first wait starts here, not whenever the thread gets to run.
        let started = pulse.clock.elapsed();
        let live = async move {
            tokio::select! {
                biased;
                _ = stopped => {}
                () = pulse.beat(started) => {}
            }
        };
        shared.workshop.host.spawn_apart("azoth-heartbeat", Box::pin(live)).map_err(system)?;
        Ok(Self { lost: is_lost, tell, _stop: stop })
    }

    /// The worker was found to have ended otherwise than by its heartbeat.
    pub(crate) fn give_up(&self) {
        self.tell.send_replace(true);
    }
}

impl Pulse {
    async fn beat(mut self, started: Duration) {
        let mut next = started.saturating_add(self.every);
        let mut tick_at = started.saturating_add(self.tick);
        loop {
            self.clock.sleep_until(next.min(tick_at)).await;
            tick_at = self.clock.elapsed().saturating_add(self.tick);
            if self.dial.was_set(&*self.clock) {
                self.nudge.send_modify(|nudges| *nudges += 1);
            }
            if self.clock.elapsed() < next {
                continue;
            }
            self.running.look_for_blocked(self.clock.elapsed());
            let wait = match self.store.renew_worker(self.worker, self.clock.now()).await {
                Ok(Renewal::Renewed) => self.every,
                Ok(Renewal::Ended) => {
                    self.lost.send_replace(true);
                    return;
                }
                // The loop says that the store fails. Here it is only tried again, sooner.
                Err(_) => self.every / 4,
            };
            next = self.clock.elapsed().saturating_add(wait);
        }
    }
}

/// What was seen of other workers.
#[derive(Default)]
pub(crate) struct Watchtower {
    seen: BTreeMap<WorkerId, Seen>,
}

struct Seen {
    renewals: u64,
    at: Duration,
    stood_still: Duration,
}

impl Watchtower {
    /// Whether a worker that was seen at the last look is there no more.
    pub(crate) fn misses_any(&self, workers: &[WorkerRow]) -> bool {
        self.seen.keys().any(|seen| workers.iter().all(|row| row.info.worker != *seen))
    }

    /// Those of the workers that are dead, by what was seen until `elapsed` on our own monotonic clock.
    pub(crate) fn dead(
        &mut self,
        workers: &[WorkerRow],
        me: WorkerId,
        elapsed: Duration,
        watched_every: Duration,
    ) -> Vec<WorkerInfo> {
        self.seen.retain(|worker, _| workers.iter().any(|row| row.info.worker == *worker));
        let here = process::identity();
        let others = workers.iter().filter(|row| row.info.worker != me);
        let dead = others.filter(|row| {
            let stood_still = self.stood_still(row, elapsed, watched_every);
            let lease = Duration::from_millis(row.info.lease_ms.get());
            stood_still >= lease || gone(&row.info.process, &here)
        });
        dead.map(|row| row.info.clone()).collect()
    }

    /// For how long a worker has shown no sign of life. One look adds no more than two intervals: if more time has
    /// passed, it was we who stood still, perhaps together with the other one.
    fn stood_still(&mut self, row: &WorkerRow, elapsed: Duration, watched_every: Duration) -> Duration {
        let fresh = || Seen { renewals: row.renewals, at: elapsed, stood_still: Duration::ZERO };
        let seen = self.seen.entry(row.info.worker).or_insert_with(fresh);
        if seen.renewals != row.renewals {
            *seen = fresh();
        }
        let since = elapsed.saturating_sub(seen.at).min(2 * watched_every);
        seen.at = elapsed;
        seen.stood_still = seen.stood_still.saturating_add(since);
        seen.stood_still
    }
}

/// A process is asked about only if it is another one: a second scheduler in this one is known by its lease alone.
fn gone(other: &ProcessIdentity, here: &ProcessIdentity) -> bool {
    other != here && process::is_gone(other, here)
}

/// So often a lease is renewed, and others are looked at, within its length.
pub(crate) const RENEWALS_PER_LEASE: u32 = 3;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use azoth_scheduler_core::time::Timestamp;

    use super::*;

    const EVERY: Duration = Duration::from_secs(5);

    fn row(renewals: u64) -> WorkerRow {
        let process = ProcessIdentity { pid: 1, started: 0, boot_id: "elsewhere".to_owned() };
        let lease_ms = NonZeroU64::new(15_000).unwrap();
        let info = WorkerInfo { worker: WorkerId::from_u128(7), process, lease_ms, task_types: [].into() };
        WorkerRow { info, renewals, renewed_at: Timestamp::UNIX_EPOCH }
    }

    fn is_dead(tower: &mut Watchtower, renewals: u64, second: u64) -> bool {
        let me = WorkerId::from_u128(1);
        !tower.dead(&[row(renewals)], me, Duration::from_secs(second), EVERY).is_empty()
    }

    #[test]
    fn worker_is_dead_after_a_whole_lease_without_a_sign_of_life() {
        let mut tower = Watchtower::default();
        let seen: Vec<bool> = [0, 5, 10, 14].map(|second| is_dead(&mut tower, 3, second)).to_vec();
        assert_eq!(seen, [false; 4]);
        assert!(is_dead(&mut tower, 3, 15));
    }

    #[test]
    fn sign_of_life_starts_the_lease_anew() {
        let mut tower = Watchtower::default();
        for (renewals, second) in [(3, 0), (3, 10), (4, 14), (4, 20), (4, 28)] {
            assert!(!is_dead(&mut tower, renewals, second), "at {second}");
        }
        assert!(is_dead(&mut tower, 4, 29));
    }

    #[test]
    fn worker_that_ended_between_two_looks_is_missed_once() {
        let mut tower = Watchtower::default();
        assert!(!is_dead(&mut tower, 3, 0) && !tower.misses_any(&[row(4)]));
        assert!(tower.misses_any(&[]));
        tower.dead(&[], WorkerId::from_u128(1), Duration::from_secs(5), EVERY);
        assert!(!tower.misses_any(&[]));
    }

    #[test]
    fn machine_that_slept_calls_nobody_dead_on_waking() {
        let mut tower = Watchtower::default();
        assert!(!is_dead(&mut tower, 3, 0));
        assert!(!is_dead(&mut tower, 3, 86_400));
        assert!(!is_dead(&mut tower, 4, 86_405));
    }

    #[test]
    fn worker_of_a_process_that_is_gone_is_dead_at_once() {
        let mut tower = Watchtower::default();
        let here = process::identity();
        if here.boot_id.is_empty() {
            return;
        }
        let mut dead = row(0);
        dead.info.process = ProcessIdentity { pid: 4_194_304, started: 1, ..here };
        let found = tower.dead(&[dead], WorkerId::from_u128(1), Duration::ZERO, EVERY);
        assert_eq!(found.len(), 1);
    }
}
