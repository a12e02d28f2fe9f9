//! Where jobs wait for the writer: a bounded queue with a caller's end and the writer's.

use std::time::Instant;

use tokio::sync::mpsc;

use super::job::Job;
use super::lull::Lull;

/// The callers' end. Once it is dropped, the writer's has no more jobs than those that wait.
pub(super) struct Mailbox {
    queue: mpsc::Sender<Box<dyn Job>>,
}

/// The writer's end.
pub(super) struct Inbox {
    queue: mpsc::Receiver<Box<dyn Job>>,
    lull: Lull,
}

/// The writer is gone.
#[derive(Debug)]
pub(super) struct Closed;

/// Both ends.
pub(super) fn open() -> (Mailbox, Inbox) {
    let (sender, receiver) = mpsc::channel(JOBS_MAX);
    (Mailbox { queue: sender }, Inbox { queue: receiver, lull: Lull::default() })
}

impl Mailbox {
    /// Leaves a job; waits for room where too many wait.
    pub(super) async fn put(&self, job: Box<dyn Job>) -> Result<(), Closed> {
        self.queue.send(job).await.map_err(|_| Closed)
    }
}

impl Inbox {
    /// Waits for the next job; `None` once there will be none.
    pub(super) fn next(&mut self) -> Option<Box<dyn Job>> {
        let free_since = Instant::now();
        let job = self.lull.wait(|| self.queue.try_recv().ok()).or_else(|| self.queue.blocking_recv());
        self.lull.ended_after(free_since.elapsed());
        job
    }

    /// A job that waits already.
    pub(super) fn next_that_waits(&mut self) -> Option<Box<dyn Job>> {
        self.queue.try_recv().ok()
    }
}

/// So many jobs wait at most; further callers wait before the queue.
const JOBS_MAX: usize = 1_024;
