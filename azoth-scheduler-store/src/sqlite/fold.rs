//! Folding the whole log: what a rebuild writes and a verification compares.
//!
//! The log is read in pages, but the tasks that come of it are all held in memory, about a kilobyte each.

use std::collections::BTreeMap;

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::TaskType;

use super::entry::{Entry, Place};
use super::log::LogRow;

/// So many events are read at once.
pub(super) const REPLAY_PAGE_EVENTS: usize = 1_000;

/// What the events so far add up to.
#[derive(Debug, Default)]
pub(super) struct Fold {
    /// Tasks by key.
    pub(super) tasks: BTreeMap<u64, Entry>,
    types: BTreeMap<TaskType, u64>,
}

impl Fold {
    /// Folds one more event. Says what is wrong with it; it is left out then.
    pub(super) fn add(&mut self, row: &LogRow, event: &Event) -> Result<(), String> {
        let before = self.tasks.remove(&row.subject);
        let previous = before.as_ref().map(|entry| entry.last);
        if previous != row.previous {
            let found = row.previous.unwrap_or(0);
            self.tasks.extend(before.map(|entry| (entry.key, entry)));
            return Err(format!(
                "it follows event {found} of its task, and the one before it is {}",
                previous.unwrap_or(0)
            ));
        }
        let type_key = if let Event::TaskScheduled { definition, .. } = event {
            self.type_key(&definition.task_type, row.position)
        } else {
            0
        };
        let place = Place { position: row.position, at: row.at, type_key };
        let kept = before.clone();
        match Entry::after(before, event, place) {
            Ok(entry) if entry.key == row.subject => {
                self.tasks.insert(entry.key, entry);
                Ok(())
            }
            Ok(entry) => Err(format!("it creates task {} under the key of another", entry.key)),
            Err(error) => {
                self.tasks.extend(kept.map(|entry| (entry.key, entry)));
                Err(error.to_string())
            }
        }
    }

    /// Types by key.
    pub(super) fn types(&self) -> BTreeMap<u64, &TaskType> {
        self.types.iter().map(|(name, key)| (*key, name)).collect()
    }

    fn type_key(&mut self, name: &TaskType, position: u64) -> u64 {
        *self.types.entry(name.clone()).or_insert(position)
    }
}
