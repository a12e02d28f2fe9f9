//! Threads for blocking handlers.
//!
//! Not the async runtime's own blocking pool: dropping a runtime waits for that pool, so one handler that hangs would
//! keep the whole process from ending. These threads are left behind instead.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send + 'static>;

/// Threads that are started when they are needed, and kept for a while. Their number is bounded by the slots.
pub(crate) struct Threads {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

impl Threads {
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default() }
    }

    /// Runs the job on a thread of its own. It must not panic.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut queue = self.shared.queue();
        queue.jobs.push_back(Box::new(job));
        if queue.idle >= queue.jobs.len() {
            self.shared.changed.notify_one();
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new().name("azoth-handler".to_owned()).spawn(move || shared.serve());
        if let Err(error) = started {
            queue.jobs.pop_back();
            return Err(error);
        }
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn serve(&self) {
        while let Some(job) = self.next_job() {
            job();
        }
    }

    /// The next job; `None` when none came for a while or the pool is closed.
    fn next_job(&self) -> Option<Job> {
        let mut queue = self.queue();
        if let Some(job) = queue.jobs.pop_front() {
            return Some(job);
        }
        queue.idle += 1;
        let nothing = |queue: &mut Queue| queue.jobs.is_empty() && !queue.closed;
        let waited = self.changed.wait_timeout_while(queue, KEPT_IDLE, nothing);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.idle -= 1;
        queue.jobs.pop_front()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread without work ends after this.
const KEPT_IDLE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn each_job_of_several_runs_although_others_block() {
        let threads = Threads::new();
        let (release, blocked) = mpsc::channel::<()>();
        let (done, results) = mpsc::channel();
        threads.run(move || blocked.recv().unwrap()).unwrap();
        for number in 0..10 {
            let done = done.clone();
            threads.run(move || done.send(number).unwrap()).unwrap();
        }
        let mut numbers: Vec<i32> = results.iter().take(10).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
        release.send(()).unwrap();
    }
}
