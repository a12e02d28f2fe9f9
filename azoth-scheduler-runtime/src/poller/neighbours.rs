//! Other workers on the same store: those that died, and those that took something from us.

use std::collections::BTreeSet;
use std::time::Duration;

use azoth_scheduler_core::command::{AbandonReason, TaskCommand, Wish};
use azoth_scheduler_core::id::{ExecutionId, TaskId};
use azoth_scheduler_core::state::PhaseKind;
use azoth_scheduler_store::{Batch, Orphan, StoreError, TaskFilter};

use super::{Poller, incarnate};
use crate::error::Result;
use crate::lease::RENEWALS_PER_LEASE;
use crate::observe;

impl Poller {
    pub(super) async fn look_around(&mut self) {
        let now = self.shared.clock().elapsed();
        if self.rests() {
            return;
        }
        let every = self.shared.config.lease / RENEWALS_PER_LEASE;
        if self.look_at <= now {
            self.look_at = now.saturating_add(every);
            self.check_held_at = now;
            let thoroughly = self.search_at <= now;
            let looked = self.bury_the_dead(every, thoroughly).await;
            if thoroughly && looked.is_ok() {
                self.search_at = now.saturating_add(self.shared.config.lease);
                let named = self.name_unhandled().await;
                self.note(named);
            }
            self.note(looked);
        }
        if self.queue.overdue_at().is_some_and(|at| at <= now) {
            self.queue.slow_down();
            self.give_back_queue();
        }
        if self.check_held_at <= now && !self.executions.is_empty() {
            self.check_held_at = now.saturating_add(every);
            let checked = self.stop_what_is_not_ours().await;
            self.note(checked);
        }
    }

    /// Names the task types that nobody handles, each once.
    async fn name_unhandled(&mut self) -> Result<(), StoreError> {
        let clock = self.shared.clock();
        let (now, elapsed) = (clock.now(), clock.elapsed());
        let due = self.shared.in_time(self.shared.store.unhandled_due(now)).await?;
        for (task_type, since) in self.unhandled.look(due, elapsed, self.shared.config.lease) {
            observe::nobody_handles(&task_type, since);
        }
        Ok(())
    }

    /// Ends workers that are dead, and takes their executions from them. Where no worker has gone since the last look, those
    /// of workers that ended unseen are searched for only if it is to be looked `thoroughly`.
    async fn bury_the_dead(&mut self, every: Duration, thoroughly: bool) -> Result<(), StoreError> {
        let store = &self.shared.store;
        let workers = self.shared.in_time(store.workers()).await?;
        let older = workers.iter().filter(|row| row.info.worker < self.worker).count();
        self.rank = u32::try_from(older).unwrap_or(u32::MAX);
        let elapsed = self.shared.clock().elapsed();
        self.some_are_gone |= thoroughly || self.watchtower.misses_any(&workers);
        for dead in self.watchtower.dead(&workers, self.worker, elapsed, every) {
            observe::worker_is_dead(&dead);
            self.some_are_gone = true;
            self.shared.in_time(store.end_worker(dead.worker)).await?;
        }
        if self.some_are_gone {
            self.abandon_orphans().await?;
            self.some_are_gone = false;
        }
        Ok(())
    }

    async fn abandon_orphans(&mut self) -> Result<(), StoreError> {
        let store = &self.shared.store;
        loop {
            let orphans = self.shared.in_time(store.orphans(ORPHANS_PAGE)).await?;
            let commands: Vec<_> = orphans.into_iter().map(abandon).collect();
            let full = commands.len() == ORPHANS_PAGE;
            if commands.is_empty() {
                return Ok(());
            }
            let batch = Batch::new(commands, self.shared.clock().now());
            let applied = self.shared.in_time(store.apply(batch)).await?;
            if !full || applied.answers.iter().all(Result::is_err) {
                return Ok(());
            }
        }
    }

    async fn stop_what_is_not_ours(&mut self) -> Result<(), StoreError> {
        // What is under way now was claimed before the store is asked, so it would be named if it still were ours.
        let under_way = self.shared.running.ids();
        let held = self.shared.in_time(self.shared.store.held_by(self.worker)).await?;
        let held: BTreeSet<ExecutionId> = held.into_iter().collect();
        let gone = under_way.difference(&held).copied().collect();
        self.shared.running.stop_these(&gone, "it does not hold its task any more");
        Ok(())
    }

    /// Gives back what a commit of unknown fate may have claimed. Whether the store answered.
    pub(super) async fn find_unstarted(&mut self) -> bool {
        let found = self.unstarted().await;
        let now = self.shared.clock().now();
        match found {
            Ok(unstarted) => {
                self.unsure = false;
                for (task, execution) in unstarted {
                    self.recorder.give_back(task, execution, AbandonReason::NotStarted, now, None);
                }
                true
            }
            Err(error) => {
                self.store_fails(&error);
                false
            }
        }
    }

    async fn unstarted(&mut self) -> Result<Vec<(TaskId, ExecutionId)>, StoreError> {
        let under_way = self.shared.running.ids();
        let mut unstarted = Vec::new();
        let running = TaskFilter::new().phase(PhaseKind::Running).limit(TaskFilter::LIMIT_MAX);
        let mut filter = running.clone();
        loop {
            let page = self.shared.in_time(self.shared.store.tasks(&filter)).await?;
            let Some(last) = page.last().map(|state| state.id.clone()) else {
                return Ok(unstarted);
            };
            let ours = page.into_iter().filter_map(|state| {
                let running = state.running().filter(|running| running.worker == self.worker)?;
                Some((running.execution, state.id.clone()))
            });
            let lost = ours
                .filter(|(execution, _)| !under_way.contains(execution) && !self.recorder.holds(*execution));
            unstarted.extend(lost.map(|(execution, task)| (task, execution)));
            filter = running.clone().after(last);
        }
    }

    /// The worker was declared dead: its executions are stopped, and another incarnation takes its place.
    pub(super) async fn start_anew(&mut self) -> Result<()> {
        observe::worker_lost(self.worker);
        self.drop_queue();
        self.shared.running.stop_all("its worker was declared dead");
        if let Some((worker, heartbeat)) = incarnate(&self.shared).await? {
            (self.worker, self.heartbeat) = (worker, heartbeat);
            self.unsure = false;
            self.look_at = self.shared.clock().elapsed();
            self.search_at = self.look_at;
        }
        Ok(())
    }
}

fn abandon(orphan: Orphan) -> TaskCommand {
    let Orphan { task, execution, last_seen, worker: _ } = orphan;
    TaskCommand { task, wish: Wish::Abandon { execution, why: AbandonReason::WorkerLost, last_seen } }
}

/// So many executions are taken from dead workers in one transaction.
const ORPHANS_PAGE: usize = 1_000;
