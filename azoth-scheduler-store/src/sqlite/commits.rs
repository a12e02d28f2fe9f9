//! Noticing the commits of other connections, of this process and of others, without asking all the time.
//!
//! The operating system says when somebody writes to the write-ahead log. That is a hint and comes early: the frames are
//! written before the commit is visible, and a sync may lie between. So after a hint the engine's own counter,
//! `data_version`, is looked at again and again for a short while, in ever longer steps; only when it has moved is the
//! head read, and told to whoever waits. Without hints nothing is asked at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use super::files::{Files, wal_of};
use super::head::Head;
use super::hints::{Bell, Hints};
use super::open::Place;
use super::readers;
use super::wake::Wake;
use crate::error::StoreError;
use crate::record::LogPosition;

/// A thread that watches the file. It ends when this is dropped.
pub(super) struct Watch {
    files: Arc<Files>,
    stopping: Arc<AtomicBool>,
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts to watch. `None` where that cannot be done; commits of others are then noticed by whoever asks next.
    pub(super) fn start(place: &Place, wake: &Arc<Wake>) -> Option<Self> {
        let started = Hints::of(&wal_of(&place.path)).and_then(|hints| {
            let stopping = Arc::new(AtomicBool::new(false));
            let bell = hints.bell();
            let watcher = Watcher {
                place: place.clone(),
                wake: Arc::clone(wake),
                stopping: Arc::clone(&stopping),
                eye: None,
            };
            let thread = thread::Builder::new().name("azoth-watch".to_owned());
            let thread = Some(thread.spawn(move || watcher.serve(hints))?);
            Ok(Self { files: Arc::clone(&place.files), stopping, bell, thread })
        });
        let told = |error: &std::io::Error| {
            tracing::warn!(%error, path = ?place.path, "commits of other processes are noticed by polling alone");
        };
        started.inspect_err(told).ok()
    }
}

impl Drop for Watch {
    /// Lets the thread end and waits for it: it is at most one look away from its end.
    fn drop(&mut self) {
        if self.files.check_process().is_err() {
            // The thread is that of another process.
            return;
        }
        self.stopping.store(true, Ordering::Release);
        self.bell.ring();
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the thread that watches the file had panicked");
        }
    }
}

struct Watcher {
    place: Place,
    wake: Arc<Wake>,
    stopping: Arc<AtomicBool>,
    eye: Option<Eye>,
}

/// A connection that notices what others commit.
struct Eye {
    conn: Connection,
    version: i64,
}

impl Watcher {
    fn serve(mut self, mut hints: Hints) {
        // What was committed before the watch stood.
        self.look();
        while !self.stopping.load(Ordering::Acquire) {
            if let Err(error) = hints.wait() {
                tracing::warn!(%error, path = ?self.place.path, "the watch on the file ended");
                return;
            }
            self.look_for_a_while(&mut hints);
        }
    }

    /// While the writer commits, it sees what others committed before, and nothing is asked here but at the end.
    fn look_for_a_while(&mut self, hints: &mut Hints) {
        let mut rounds = self.wake.rounds();
        let mut seen = self.look();
        for (step, pause) in SOON.into_iter().enumerate() {
            if self.pause(pause) {
                return;
            }
            let before = std::mem::replace(&mut rounds, self.wake.rounds());
            if rounds == before || step + 1 == SOON.len() {
                seen |= self.look();
            }
        }
        for pause in LATE {
            // What wrote since is answered by the next round.
            if seen || hints.any() || self.pause(pause) {
                return;
            }
            seen = self.look();
        }
    }

    /// Sleeps. Whether the watch is to end.
    fn pause(&self, span: Duration) -> bool {
        if !self.stopping.load(Ordering::Acquire) {
            thread::park_timeout(span);
        }
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether somebody has committed since the last look.
    fn look(&mut self) -> bool {
        match self.committed() {
            Ok(committed) => committed,
            Err(error) => {
                // Whoever reads or writes next meets the same error, and is the one to tell.
                tracing::debug!(%error, path = ?self.place.path, "the watched file cannot be read");
                self.eye = None;
                false
            }
        }
    }

    fn committed(&mut self) -> Result<bool, StoreError> {
        let eye = match &mut self.eye {
            Some(eye) => eye,
            none => none.insert(Eye { conn: readers::connect(&self.place)?, version: NO_VERSION }),
        };
        let version = eye.conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if std::mem::replace(&mut eye.version, version) == version {
            return Ok(false);
        }
        let head = Head::read(&eye.conn)?;
        self.wake.publish(LogPosition::from_number(head.position));
        Ok(true)
    }
}

/// No counter of the engine's has this value.
const NO_VERSION: i64 = -1;
/// After a hint the engine is asked at once, and then after each of these pauses: 20 ms in all. Hints that come meanwhile
/// wait, so that a busy file costs no more than these looks.
const SOON: [Duration; 15] = {
    const fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }
    [
        us(250),
        us(250),
        us(500),
        us(1_000),
        us(1_000),
        us(1_000),
        us(2_000),
        us(2_000),
        us(2_000),
        us(2_000),
        us(2_000),
        us(2_000),
        us(2_000),
        us(1_000),
        us(1_000),
    ]
};
/// And then, if nothing has come to be seen: a slow disk may take its time to sync.
const LATE: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(160),
];
