//! A wall clock that goes far back was wrong before: tasks that it led astray are found, and go on from the right time.

use std::sync::Arc;

use azoth_scheduler_core::command::{TaskCommand, Wish};
use azoth_scheduler_core::decide::CLOCK_AHEAD_MS_MAX;
use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::{Batch, StoreError, TaskFilter};

use super::Poller;
use crate::clock_watch::Search;
use crate::observe;
use crate::shared::Shared;

impl Poller {
    /// Corrects the next page of tasks, if the clock was seen to go far back. What is left comes with the next pass.
    pub(super) async fn watch_clock(&mut self) {
        let now = self.shared.clock().now();
        let Some(search) = self.clock_watch.look(now) else { return };
        if self.rests() {
            return;
        }
        match correct(&Arc::clone(&self.shared), search, now).await {
            Ok(rest) => {
                self.ask |= rest.is_some();
                self.clock_watch.search = rest;
            }
            Err(error) => self.store_fails(&error),
        }
    }
}

/// Corrects a page of tasks. What is left to be searched.
async fn correct(shared: &Shared, search: Search, now: Timestamp) -> Result<Option<Search>, StoreError> {
    let beyond = now.saturating_add_ms(CLOCK_AHEAD_MS_MAX);
    let filter = TaskFilter::new().enabled(true).ahead_of(beyond).limit(PAGE_TASKS);
    let filter = match search {
        Search::FromTheFirst => filter,
        Search::After(task) => filter.after(task),
    };
    let tasks = shared.in_time(shared.store.tasks(&filter)).await?;
    let rest = tasks.last().filter(|_| tasks.len() == PAGE_TASKS);
    let rest = rest.map(|state| Search::After(state.id.clone()));
    let correct = |task: TaskId| TaskCommand { task, wish: Wish::CorrectClock };
    let commands: Vec<_> = tasks.into_iter().map(|state| correct(state.id)).collect();
    if !commands.is_empty() {
        observe::tasks_corrected(commands.len());
        shared.in_time(shared.store.apply(Batch::new(commands, now))).await?;
    }
    Ok(rest)
}

/// So many tasks are corrected in one transaction.
const PAGE_TASKS: usize = 500;
