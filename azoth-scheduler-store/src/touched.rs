//! Who waits for what happens to one task: told of the commits that touched it, and not of all the others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::TaskId;
use tokio::sync::watch;

use crate::record::LogPosition;

/// The tasks that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    tasks: HashMap<TaskId, watch::Sender<LogPosition>>,
    /// With so many tasks it is looked who has gone.
    sweep_at: usize,
}

impl Touched {
    /// The newest position at which something happened to a task since this was called, as far as this process hears of it;
    /// `head` before that.
    pub(crate) fn listen(&self, task: &TaskId, head: LogPosition) -> watch::Receiver<LogPosition> {
        let mut watched = self.lock();
        if watched.tasks.len() >= watched.sweep_at {
            watched.tasks.retain(|_, told| told.receiver_count() > 0);
            watched.sweep_at = watched.tasks.len().saturating_mul(2).max(SWEEP_MIN);
        }
        watched.tasks.entry(task.clone()).or_insert_with(|| watch::Sender::new(head)).subscribe()
    }

    /// Whether anybody waits. Who begins to after this was asked looks at the store after whatever comes next.
    pub(crate) fn is_watched(&self) -> bool {
        self.lock().tasks.values().any(|told| told.receiver_count() > 0)
    }

    /// Something happened to these tasks, at this position at the latest; `None` where it is not known to which.
    pub(crate) fn tell(&self, tasks: Option<&[TaskId]>, head: LogPosition) {
        let mut watched = self.lock();
        let Some(tasks) = tasks else { return watched.tasks.values().for_each(|told| tell(told, head)) };
        for task in tasks {
            let Some(told) = watched.tasks.get(task) else { continue };
            tell(told, head);
            if told.receiver_count() == 0 {
                watched.tasks.remove(task);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever waits looks at the store then, also where the same position was told before.
fn tell(told: &watch::Sender<LogPosition>, head: LogPosition) {
    told.send_modify(|told| *told = head.max(*told));
}

/// The tasks that leave by an event of the log itself.
pub(crate) fn leaving(event: &Event) -> &[TaskId] {
    if let Event::TasksForgotten { tasks, .. } = event { tasks } else { &[] }
}

/// Fewer tasks are never looked through.
const SWEEP_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> TaskId {
        TaskId::new(format!("task-{number}")).unwrap()
    }

    fn position(number: u64) -> LogPosition {
        LogPosition::from_number(number)
    }

    #[test]
    fn who_waits_for_a_task_is_told_of_that_one_and_of_what_may_be_any() {
        let touched = Touched::default();
        let mut waits = touched.listen(&id(1), position(5));
        touched.tell(Some(&[id(2), id(3)]), position(6));
        assert!(!waits.has_changed().unwrap());
        touched.tell(Some(&[id(2), id(1)]), position(8));
        assert_eq!(*waits.borrow_and_update(), position(8));
        touched.tell(None, position(8));
        assert!(waits.has_changed().unwrap(), "it may be news, wherever it stands");
    }

    #[test]
    fn those_who_have_gone_are_forgotten() {
        let touched = Touched::default();
        let stays = touched.listen(&id(0), position(0));
        for number in 1..10_000 {
            drop(touched.listen(&id(number), position(0)));
            assert!(touched.lock().tasks.len() <= SWEEP_MIN, "they go in time");
        }
        assert!(touched.is_watched());
        drop(stays);
        assert!(!touched.is_watched());
    }
}
