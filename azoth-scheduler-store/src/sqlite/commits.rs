//! Noticing the commits of other connections, of this process and of others, without asking all the time.
//!
//! The operating system says when somebody writes to the write-ahead log. That is a hint and comes early: the frames are
//! written before the commit is visible, and a sync may lie between. So after a hint the engine's own counter,
//! `data_version`, is looked at again for as long as a [`Vigil`] lasts; only when it has moved is the head read, and told to
//! whoever waits. Without hints nothing is asked at all.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use super::files::{Files, wal_of};
use super::head::Head;
use super::hints::{Ear, Hints};
use super::place::Place;
use super::readers;
use super::touched;
use super::vigil::{Ends, Next, Vigil};
use super::wake::Wake;
use crate::error::StoreError;
use crate::record::LogPosition;

/// A thread that watches the file. It ends when this is dropped.
pub(super) struct Watch {
    files: Arc<Files>,
    wake: Arc<Wake>,
    stopping: Arc<AtomicBool>,
    hears: Arc<AtomicBool>,
    ear: Ear,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts to watch. `None` where that cannot be done; commits of others are then noticed by whoever asks next.
    pub(super) fn start(place: &Place, wake: &Arc<Wake>) -> Option<Self> {
        let started = Hints::of(&wal_of(&place.path)).and_then(|hints| {
            let (stopping, hears) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let ear = hints.ear();
            wake.lend(ear.clone(), Arc::clone(&hears));
            let watcher = Watcher {
                place: place.clone(),
                wake: Arc::clone(wake),
                stopping: Arc::clone(&stopping),
                hears: Arc::clone(&hears),
                eye: None,
                ends: Ends::default(),
            };
            let thread = thread::Builder::new().name("azoth-watch".to_owned());
            let thread = Some(thread.spawn(move || watcher.serve(hints))?);
            Ok(Self { files: Arc::clone(&place.files), wake: Arc::clone(wake), stopping, hears, ear, thread })
        });
        let told = |error: &std::io::Error| {
            tracing::warn!(%error, path = ?place.path, "commits of other processes are noticed by polling alone");
        };
        started.inspect_err(told).ok()
    }

    /// Whether commits are heard here: one was. A file system that tells of no writes is found out by this.
    pub(super) fn hears(&self) -> bool {
        self.hears.load(Ordering::Acquire)
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
        self.ear.ring();
        self.wake.nudge();
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
    hears: Arc<AtomicBool>,
    eye: Option<Eye>,
    /// How the commits of the writer had ended when it was looked last.
    ends: Ends,
}

/// A connection that notices what others commit.
struct Eye {
    conn: Connection,
    version: i64,
}

impl Watcher {
    fn serve(mut self, hints: Hints) {
        // What was committed before the watch stood.
        self.look();
        while !self.stops() {
            if let Err(error) = hints.wait().and_then(|hinted| self.keep_vigil(&hints, hinted)) {
                self.hears.store(false, Ordering::Release);
                tracing::warn!(%error, path = ?self.place.path, "the watch on the file ended");
                return;
            }
        }
    }

    /// Looks, after a hint or a commit of our own, until nothing is left to be found.
    fn keep_vigil(&mut self, hints: &Hints, mut hinted: bool) -> io::Result<()> {
        let mut vigil = Vigil::new(self.ends);
        while !self.stops() {
            self.wake.still_hears()?;
            let writer = self.wake.writer();
            self.ends = writer.ends;
            // Taken in before the look, so that what is told during it counts for the next one.
            hinted |= hints.take()?;
            if vigil.wants_look(hinted, writer) {
                let new = self.look();
                vigil.looked(new);
                self.hears.fetch_or(new, Ordering::AcqRel);
            }
            hinted = false;
            match vigil.next(self.wake.writer()) {
                Next::Sleep(span) => thread::park_timeout(span),
                Next::Listen(span) => hinted = hints.wait_at_most(span)?,
                Next::Rest => break,
            }
        }
        Ok(())
    }

    fn stops(&self) -> bool {
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
        let find = |after: LogPosition, through: LogPosition| {
            touched::between(&eye.conn, after.number(), through.number()).unwrap_or(None)
        };
        self.wake.publish(LogPosition::from_number(head.position), find);
        Ok(true)
    }
}

/// No counter of the engine's has this value.
const NO_VERSION: i64 = -1;
