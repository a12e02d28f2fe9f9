//! Who looks after the file as a whole, and the lock that keeps them apart: several may read all of the log at a time,
//! but one that replaces or removes something of it does so alone.
//!
//! The lock is an advisory one on a file beside the database. The engine's own locks are held for a moment at a time, this
//! one for as long as the work takes; it goes with its process. Commands neither take it nor wait for it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::beside::{beside, io_error};
use super::place::Place;
use crate::error::StoreError;

/// The lock, as long as this lives.
#[derive(Debug)]
pub(super) struct Upkeep {
    file: File,
    path: PathBuf,
    work: Work,
}

/// What is done with the file as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Verify,
    Export,
    Salvage,
    /// Somebody looks at the tasks as they were, for as long as he likes.
    Past,
    Rebuild,
    Cut,
}

impl Work {
    /// Whether it only reads, and so may be done beside others that do.
    fn is_shared(self) -> bool {
        match self {
            Work::Verify | Work::Export | Work::Salvage | Work::Past => true,
            Work::Rebuild | Work::Cut => false,
        }
    }

    /// Who does it where this process does.
    fn by_this_process(self) -> &'static str {
        match self {
            Work::Verify => "this process verifies it",
            Work::Export => "this process exports its log",
            Work::Salvage => "this process salvages its log",
            Work::Past => "this process looks at its past",
            Work::Rebuild => "this process makes its projection anew",
            Work::Cut => "this process cuts its log",
        }
    }
}

impl Upkeep {
    /// Takes the lock; waits for others as long as a write would.
    ///
    /// # Errors
    /// [`StoreError::InUse`] says who holds it, [`StoreError::Io`].
    pub(super) fn take(place: &Place, work: Work) -> Result<Self, StoreError> {
        let path = beside(&place.path, "-upkeep");
        let begun = Instant::now();
        loop {
            let file = lock_file(&path).map_err(|error| io_error(&path, &error))?;
            let locked = if work.is_shared() { file.try_lock_shared() } else { file.try_lock() };
            match locked {
                // Whoever held it before has removed it meanwhile: the next one would lock another file.
                Ok(()) if !is_at(&file, &path) => continue,
                Ok(()) => {
                    held().push((path.clone(), work));
                    return Ok(Self { file, path, work });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(io_error(&path, &error)),
            }
            let waited = begun.elapsed();
            if waited >= place.options.longest_wait() {
                return Err(in_use(&path, work, waited));
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Upkeep {
    /// The last one removes the file.
    fn drop(&mut self) {
        let mut held = held();
        if let Some(place) = held.iter().position(|(path, work)| (path, *work) == (&self.path, self.work)) {
            held.swap_remove(place);
        }
        drop(held);
        if self.file.try_lock().is_ok() {
            // Where this fails, an empty file stays behind.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What this process does at the moment, and beside which file its lock is.
fn held() -> MutexGuard<'static, Vec<(PathBuf, Work)>> {
    static HELD: Mutex<Vec<(PathBuf, Work)>> = Mutex::new(Vec::new());
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who keeps somebody from this work. A view of the past comes first: it alone stays until the program lets go of it.
fn in_use(path: &Path, work: Work, waited: Duration) -> StoreError {
    let waited_ms = waited.as_millis().try_into().unwrap_or(u64::MAX);
    let here: Vec<Work> = held()
        .iter()
        .filter(|(held, other)| held == path && !(work.is_shared() && other.is_shared()))
        .map(|(_, other)| *other)
        .collect();
    let (by, remedy) = match here.first() {
        _ if here.contains(&Work::Past) => {
            (Work::Past.by_this_process(), "drop what `as_of` gave, and try again")
        }
        Some(other) => (other.by_this_process(), "try again once that is done"),
        None => (
            "another process verifies, exports, rebuilds or cuts it, or looks at its past",
            "try again once that is done",
        ),
    };
    StoreError::InUse { waited_ms, by, remedy }
}

/// Does long work on a thread of its own.
pub(super) async fn in_background<T, F>(name: &'static str, work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let thread = thread::Builder::new().name(format!("azoth-{name}")).spawn(move || {
        // Whoever gave up waiting needs no answer.
        let _ = reply.send(work());
    });
    thread.map_err(|error| StoreError::Io { detail: format!("no thread to {name} on: {error}") })?;
    answer.await.map_err(|_| StoreError::Defect { detail: format!("the thread to {name} on panicked") })?
}

fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(ours), Ok(theirs)) = (file.metadata(), fs::metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())
}

/// An open file cannot be removed here.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// One wait for the lock.
const PAUSE: Duration = Duration::from_millis(5);
