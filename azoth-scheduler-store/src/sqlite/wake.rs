//! Waking whoever waits for the log to grow: threads here, tasks through a watch.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use azoth_scheduler_core::id::TaskId;
use tokio::sync::watch;

use super::hints::Ear;
use super::vigil::OwnWriter;
use crate::record::LogPosition;
use crate::touched::Touched;

/// The newest position that this process knows of, told by the writer and by the [`Watch`](super::commits::Watch).
#[derive(Debug)]
pub(super) struct Wake {
    known: Mutex<Known>,
    moved: Condvar,
    told: watch::Sender<LogPosition>,
    touched: Touched,
    hearing: OnceLock<Hearing>,
}

/// The ear of the watch on the file, which is covered while our own writer commits: its hints would wake a thread in the middle
/// of it.
#[derive(Debug)]
struct Hearing {
    ear: Ear,
    /// Commits are heard of by hints. Before that is known, our own are to show it.
    hears: Arc<AtomicBool>,
    /// The ear could not be uncovered.
    is_deaf: AtomicBool,
}

#[derive(Debug)]
struct Known {
    head: LogPosition,
    /// Up to here it was told which tasks were touched.
    told_tasks: LogPosition,
    writer: OwnWriter,
}

/// A commit of the writer that is under way, until this is dropped.
pub(super) struct UnderWay {
    wake: Arc<Wake>,
    /// Where the log ends since the commit; `None` where nothing came of it.
    head: Option<LogPosition>,
}

impl Wake {
    /// The log ends here for now.
    pub(super) fn new(head: LogPosition) -> Self {
        let known = Known { head, told_tasks: head, writer: OwnWriter::default() };
        let (moved, told, touched) = (Condvar::new(), watch::Sender::new(head), Touched::default());
        Self { known: Mutex::new(known), moved, told, touched, hearing: OnceLock::new() }
    }

    /// The watch on the file hears with this ear; `hears` says that commits are heard so.
    pub(super) fn lend(&self, ear: Ear, hears: Arc<AtomicBool>) {
        let _ = self.hearing.set(Hearing { ear, hears, is_deaf: AtomicBool::new(false) });
    }

    /// # Errors
    /// The ear was covered and could not be uncovered.
    pub(super) fn still_hears(&self) -> io::Result<()> {
        match self.hearing.get() {
            Some(hearing) if hearing.is_deaf.load(Ordering::Acquire) => {
                Err(io::Error::other("writes to the file are not told of any more"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The log has grown up to here, by whomever. `find` looks which tasks were touched between two positions.
    pub(super) fn publish(
        &self,
        head: LogPosition,
        find: impl FnOnce(LogPosition, LogPosition) -> Option<Vec<TaskId>>,
    ) {
        let told_tasks = self.lock().told_tasks;
        if head > told_tasks {
            if self.is_watched() {
                self.touched.tell(find(told_tasks, head).as_deref(), head);
            }
            let mut known = self.lock();
            known.told_tasks = head.max(known.told_tasks);
        }
        self.tell_threads(|known| known.head = head.max(known.head));
        self.tell_tasks(head);
    }

    /// The writer, which holds the lock, begins to commit.
    pub(super) fn committing(self: &Arc<Self>) -> UnderWay {
        let hearing = self.hearing.get().filter(|hearing| hearing.hears.load(Ordering::Acquire));
        {
            let mut known = self.lock();
            (known.writer.committing, known.writer.is_unheard) = (true, hearing.is_some());
        }
        if let Some(hearing) = hearing {
            hearing.ear.cover();
        }
        UnderWay { wake: Arc::clone(self), head: None }
    }

    /// The writer has committed: the log went on from `began_at` up to here, and these tasks were touched.
    fn committed(&self, began_at: LogPosition, head: LogPosition, touched: Option<&[TaskId]>) {
        if head > began_at {
            self.touched.tell(touched, head);
            let mut known = self.lock();
            // What others did before it is yet to be looked for.
            if known.told_tasks == began_at {
                known.told_tasks = head;
            }
        }
        self.tell_tasks(head);
    }

    /// Whether anybody waits for a task.
    pub(super) fn is_watched(&self) -> bool {
        self.touched.is_watched()
    }

    /// The newest position of a task, for those who wait without a thread.
    pub(super) fn listen_for(&self, task: &TaskId) -> watch::Receiver<LogPosition> {
        self.touched.listen(task, *self.told.borrow())
    }

    fn tell_threads(&self, news: impl FnOnce(&mut Known)) {
        news(&mut self.lock());
        self.moved.notify_all();
    }

    fn tell_tasks(&self, head: LogPosition) {
        self.told.send_if_modified(|told| {
            let newer = head > *told;
            *told = head.max(*told);
            newer
        });
    }

    /// What the writer does.
    pub(super) fn writer(&self) -> OwnWriter {
        self.lock().writer
    }

    /// The newest position, for those who wait without a thread.
    pub(super) fn listen(&self) -> watch::Receiver<LogPosition> {
        self.told.subscribe()
    }

    /// Wakes everybody, so that whoever is to stop looks whether it is.
    pub(super) fn nudge(&self) {
        // Under the lock, so that nobody is between looking and sleeping.
        let known = self.lock();
        drop(known);
        self.moved.notify_all();
    }

    /// Sleeps until the log goes beyond a position, `stopped` says so, or the time is up.
    pub(super) fn wait_beyond(&self, seen: LogPosition, at_most: Duration, stopped: impl Fn() -> bool) {
        self.wait_while(at_most, |known| known.head <= seen && !stopped());
    }

    /// Sleeps until `stopped` says so, or the time is up.
    pub(super) fn wait(&self, at_most: Duration, stopped: impl Fn() -> bool) {
        self.wait_while(at_most, |_| !stopped());
    }

    fn wait_while(&self, at_most: Duration, idle: impl Fn(&Known) -> bool) {
        // Nothing is done with what is known here: the log itself is asked next.
        drop(self.moved.wait_timeout_while(self.lock(), at_most, |known| idle(known)));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// The log went on from `began_at` up to here, and these tasks of it were touched. Tasks of the runtime hear of it at once;
    /// threads, which have to be woken one by one, when this is dropped: whoever waits for an answer comes first.
    pub(super) fn succeeded(&mut self, began_at: LogPosition, head: LogPosition, touched: Option<&[TaskId]>) {
        self.head = Some(head);
        self.wake.committed(began_at, head, touched);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let hearing = self.wake.hearing.get().filter(|_| self.wake.writer().is_unheard);
        if let Some(hearing) = hearing
            && hearing.ear.uncover().is_err()
        {
            hearing.is_deaf.store(true, Ordering::Release);
        }
        let head = self.head;
        self.wake.tell_threads(|known| {
            known.writer.committing = false;
            let ends = &mut known.writer.ends;
            match head {
                Some(head) => {
                    ends.committed += 1;
                    known.head = head.max(known.head);
                }
                None => ends.failed += 1,
            }
        });
        // Others may have begun to commit before there were hints again.
        if let Some(hearing) = hearing {
            hearing.ear.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::vigil::Ends;
    use super::*;

    #[test]
    fn commit_is_told_of_by_its_end_whether_or_not_it_came_to_something() {
        let wake = Arc::new(Wake::new(LogPosition::START));
        let ends = |committed, failed| OwnWriter { ends: Ends { committed, failed }, ..OwnWriter::default() };
        let mut commit = wake.committing();
        let head = LogPosition::from_number(1);
        commit.succeeded(LogPosition::START, head, None);
        assert!(wake.writer().committing, "those who wait for its answers come first");
        drop(commit);
        assert_eq!(wake.writer(), ends(1, 0));
        drop(wake.committing());
        assert_eq!((wake.writer(), *wake.listen().borrow()), (ends(1, 1), head));
    }
}
