//! The end of the loop: what runs is waited for, what still runs then is stopped, and all of it is recorded.

use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::command::AbandonReason;

use super::Poller;
use crate::clock::Clock;
use crate::observe;
use crate::shutdown::GRACE_EXTRA;

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

/// An async handler that was stopped is waited for no longer than this.
const STOP_WAIT: Duration = Duration::from_millis(100);
