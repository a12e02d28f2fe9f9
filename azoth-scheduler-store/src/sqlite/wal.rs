//! The write-ahead log, as those who commit and the one who copies tell each other of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What those who commit and the one who copies tell each other.
#[derive(Debug)]
pub(super) struct Wal {
    pub(super) limits: Limits,
    told: Mutex<Told>,
    pub(super) bell: Condvar,
    /// The writer is to copy the rest.
    pub(super) rest: AtomicBool,
    /// The log is over its hard limit.
    over: AtomicBool,
}

/// Lengths of the write-ahead log, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// From here on it is warned of.
    pub(super) soft: u64,
    /// From here on no new work is taken in.
    pub(super) hard: u64,
}

/// What was told since the thread last looked.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Counts commits.
    pub(super) commits: u64,
    /// Roughly so many pages were written since the thread last looked.
    pub(super) weight: u64,
    /// The log's length when the thread was last woken for it.
    bytes: u64,
    pub(super) look: bool,
    pub(super) stop: bool,
}

impl Wal {
    pub(super) fn new(limits: Limits) -> Self {
        let told = Mutex::new(Told::default());
        Self {
            limits,
            told,
            bell: Condvar::new(),
            rest: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }
    }

    /// Somebody has committed so many events, and the log is so long now.
    pub(super) fn committed(&self, events: u64, bytes: u64) {
        if bytes > self.limits.hard {
            self.over.store(true, Ordering::Relaxed);
        }
        let mut told = self.lock();
        told.commits = told.commits.wrapping_add(1);
        told.weight = told.weight.saturating_add(events.saturating_add(PAGES_PER_COMMIT));
        let grown = bytes.saturating_sub(told.bytes) >= self.limits.copy_from();
        if !told.look && (grown || told.weight >= LOOK_AFTER_PAGES) {
            told.look = true;
            told.bytes = bytes;
            self.bell.notify_one();
        }
    }

    /// Some of the log may have been copied or cut, and this is its length now.
    pub(super) fn measured(&self, bytes: u64) {
        self.lock().bytes = bytes;
        self.over.store(bytes > self.limits.hard, Ordering::Relaxed);
    }

    /// Whether the log is too long to take new work in, and then how long it may be.
    pub(super) fn hard_limit(&self) -> Option<u64> {
        self.over.load(Ordering::Relaxed).then_some(self.limits.hard)
    }

    /// Whether the writer is to copy the rest; asks only once.
    pub(super) fn take_rest(&self) -> bool {
        self.rest.load(Ordering::Relaxed) && self.rest.swap(false, Ordering::Relaxed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.bell.notify_one();
    }
}

impl Limits {
    /// From so many bytes on the log is copied, and is to start again.
    pub(super) fn copy_from(self) -> u64 {
        self.soft / COPIES_PER_SOFT_LIMIT
    }

    /// From so many bytes on the log is cut when nobody writes.
    pub(super) fn cut_from(self) -> u64 {
        self.soft / CUTS_PER_SOFT_LIMIT
    }
}

/// The log is copied once it holds this part of its soft limit: a thousand pages by default, as the engine would.
const COPIES_PER_SOFT_LIMIT: u64 = 16;
/// The log is cut, when nobody writes, once it is this part of its soft limit long. Else it stays as long as it has become:
/// to write over what is there costs half of what it costs to make a file longer.
const CUTS_PER_SOFT_LIMIT: u64 = 4;
/// The thread looks at the log after about so many pages.
const LOOK_AFTER_PAGES: u64 = 512;
/// About so many pages are written by a commit, beside one for each event.
const PAGES_PER_COMMIT: u64 = 8;
