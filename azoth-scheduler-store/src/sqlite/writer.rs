//! The writer: one thread that owns the connection that writes.
//!
//! It takes a job that waits, begins a transaction, and then takes every further job that waits, up to a bound in
//! events and milliseconds; after the commit it answers them all. So a lonely caller pays one sync, and a thousand
//! callers share one. Callers wait in a bounded queue without holding a thread.
//!
//! - A job that fails takes nobody with it: the transaction is rolled back and each of its jobs is done again alone. So
//!   is one that panics; its caller is told [`StoreError::Defect`].
//! - After a commit whose outcome is not known the connection is dropped. The next job opens a new one, and a commit of
//!   its own comes first: frames of the failed commit can no longer come back after a crash then.
//! - No error ends the thread. It ends when the last handle of the store is dropped.

mod failure;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use azoth_scheduler_core::id::TaskId;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

pub(super) use self::failure::message_of;
use self::failure::{Failure, defect, give_up, is_of_a_job, kept_after, put_down, rolled_back};
use super::cell;
use super::checkpoint;
use super::claim::{self, Standing};
use super::courtesy::Courtesy;
use super::error::of_file;
use super::files::Files;
use super::group::Group;
use super::guard;
use super::head::Head;
use super::job::{Job, Request};
use super::mailbox::{self, Inbox, Mailbox};
use super::memory::Memory;
use super::meter;
use super::place::{Place, run};
use super::wake::{UnderWay, Wake};
use crate::error::StoreError;
use crate::record::LogPosition;
use crate::standing::{OfferInHand, StandingOffers};

/// The writer, as the store's handle holds it.
pub(super) struct Writer {
    files: Arc<Files>,
    mailbox: Option<Mailbox>,
    thread: Option<JoinHandle<()>>,
    stopping: Arc<AtomicBool>,
    wake: Arc<Wake>,
    standing: Arc<StandingOffers>,
    counters: Arc<Counters>,
}

/// What the writer did since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Transactions that appended events.
    pub(super) commits: AtomicU64,
    pub(super) events: AtomicU64,
    /// Events of the largest of them.
    pub(super) largest: AtomicU64,
}

impl Writer {
    /// Starts the thread on an open connection.
    pub(super) fn start(place: Place, conn: Connection, head: &Head) -> Result<Self, StoreError> {
        let (mailbox, jobs) = mailbox::open();
        let stopping = Arc::new(AtomicBool::new(false));
        let counters = Arc::new(Counters::default());
        let wake = Arc::new(Wake::new(LogPosition::from_number(head.position)));
        let files = Arc::clone(&place.files);
        let standing = Arc::new(StandingOffers::default());
        guard::lift(&conn).map_err(|error| of_file(error.into(), &place.path))?;
        let mut thread = WriterThread {
            place,
            conn: Some(conn),
            database: head.database,
            newest: head.position,
            memory: Memory::default(),
            wake: Arc::clone(&wake),
            standing: Arc::clone(&standing),
            claims_for_standing: false,
            under_way: None,
            uncounted: None,
            courtesy: Courtesy::default(),
            yields_since: None,
            stopping: Arc::clone(&stopping),
            counters: Arc::clone(&counters),
        };
        let thread = thread::Builder::new()
            .name("azoth-writer".to_owned())
            .spawn(move || thread.serve(jobs))
            .map_err(|error| StoreError::Io { detail: format!("no thread for the writer: {error}") })?;
        let (mailbox, thread) = (Some(mailbox), Some(thread));
        Ok(Self { files, mailbox, thread, stopping, wake, standing, counters })
    }

    /// Has something done in a write transaction, and waits until that is committed.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Group<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.files.check_process()?;
        let (reply, answer) = oneshot::channel();
        let mailbox = self.mailbox.as_ref().ok_or_else(closed)?;
        mailbox.put(Box::new(Request::new(work, reply))).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    pub(super) fn wake(&self) -> &Arc<Wake> {
        &self.wake
    }

    /// The offers that stand, to be taken up by whatever is committed.
    pub(super) fn standing(&self) -> &StandingOffers {
        &self.standing
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }
}

impl Drop for Writer {
    /// Lets the thread end and waits for it: it is at most one commit away from its end.
    fn drop(&mut self) {
        if self.files.check_process().is_err() {
            // The thread is that of another process.
            return;
        }
        self.stopping.store(true, Ordering::Relaxed);
        self.mailbox = None;
        let Some(thread) = self.thread.take() else { return };
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the writer thread had panicked");
        }
    }
}

struct WriterThread {
    place: Place,
    /// `None` after an error that leaves open what is in the file.
    conn: Option<Connection>,
    database: [u8; 16],
    /// The log went up to here when this writer last saw it.
    newest: u64,
    memory: Memory,
    wake: Arc<Wake>,
    standing: Arc<StandingOffers>,
    /// What is done at the moment is done for offers that stand, not for a job.
    claims_for_standing: bool,
    /// The last commit, until those who wait for it have their answers.
    under_way: Option<UnderWay>,
    /// So many events of the last commit are yet to be counted for the write-ahead log.
    uncounted: Option<u64>,
    courtesy: Courtesy,
    /// When the last transaction was committed, if other processes work on the file and the lock is to be left to them.
    yields_since: Option<Instant>,
    stopping: Arc<AtomicBool>,
    counters: Arc<Counters>,
}

impl WriterThread {
    fn serve(&mut self, mut inbox: Inbox) {
        while let Some(first) = inbox.next() {
            let round = catch_unwind(AssertUnwindSafe(|| self.round(first, &mut inbox)));
            if let Err(panic) = round {
                // Those whose jobs are gone learn that it is not known what became of them.
                defect(panic.as_ref());
                self.under_way = None;
                self.memory.forget();
                self.conn = None;
            }
        }
    }

    fn round(&mut self, first: Box<dyn Job>, inbox: &mut Inbox) {
        let mut jobs = vec![first];
        let outcome = self.watched(&mut jobs, Some(inbox));
        match outcome {
            Err(failure) if failure.by_a_job && (jobs.len() > 1 || self.claims_for_standing) => {
                for job in jobs {
                    let mut alone = vec![job];
                    let outcome = self.watched(&mut alone, None);
                    self.answer(alone, outcome);
                }
            }
            outcome => self.answer(jobs, outcome),
        }
        if self.place.wal.take_rest() {
            self.copy_rest();
        }
    }

    /// Tells those who wait for a transaction what came of it, then everybody else; and leaves others the lock for a while.
    fn answer(&mut self, jobs: Vec<Box<dyn Job>>, outcome: Result<(), Failure>) {
        let outcome = outcome.map_err(|failure| failure.error);
        for job in jobs {
            job.answer(outcome.clone());
        }
        self.under_way = None;
        if let Some(events) = self.uncounted.take() {
            self.place.committed(events);
        }
        self.leave_gap();
    }

    /// A transaction, unless too many have failed; how it ends is noted.
    fn watched(&mut self, jobs: &mut Vec<Box<dyn Job>>, inbox: Option<&mut Inbox>) -> Result<(), Failure> {
        self.place.vitals.may_write().map_err(Failure::of_all)?;
        let outcome = self.transaction(jobs, inbox);
        self.place.vitals.note(outcome.as_ref().err().map(|failure| &failure.error));
        outcome
    }

    /// Does jobs in one transaction, and those that wait in the queue as far as they fit.
    fn transaction(
        &mut self,
        jobs: &mut Vec<Box<dyn Job>>,
        inbox: Option<&mut Inbox>,
    ) -> Result<(), Failure> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.reopen().map_err(Failure::of_all)?,
        };
        let stopping = Arc::clone(&self.stopping);
        if let Err(error) = self.place.begin(&conn, move || stopping.load(Ordering::Relaxed)) {
            self.conn = kept_after(conn, &error);
            return Err(Failure::of_all(self.blamed(error)));
        }
        let done = catch_unwind(AssertUnwindSafe(|| self.fill(&conn, jobs, inbox)));
        let done = done.unwrap_or_else(|panic| Err(defect(panic.as_ref())));
        match done {
            Ok(filled) => self.commit(conn, filled),
            Err(error) => {
                self.memory.forget();
                self.conn = rolled_back(conn).and_then(|conn| kept_after(conn, &error));
                let error = self.blamed(of_file(error, &self.place.path));
                let by_a_job = is_of_a_job(&error);
                Err(Failure { error, by_a_job })
            }
        }
    }

    /// What a failure is laid to: to the files, where they are not those any more that were opened.
    fn blamed(&self, error: StoreError) -> StoreError {
        self.place.files.check().err().unwrap_or(error)
    }

    fn fill(
        &mut self,
        conn: &Connection,
        jobs: &mut Vec<Box<dyn Job>>,
        mut inbox: Option<&mut Inbox>,
    ) -> Result<Filled, StoreError> {
        let begun = Instant::now();
        self.claims_for_standing = false;
        let alone = inbox.is_none();
        let head = self.memory.head(conn)?;
        self.place.check_head(&head)?;
        if head.position < self.newest {
            let (found, newest) = (head.position, self.newest);
            return Err(cell::corrupt(format!(
                "the log ends at event {found}, and event {newest} was committed"
            )));
        }
        let mut group = Group::new(conn, &mut self.memory, head)?;
        if self.wake.is_watched() {
            group.note_touched();
        }
        let mut next = 0;
        loop {
            while let Some(job) = jobs.get_mut(next) {
                if !job.is_abandoned() {
                    // Whoever comes next finds the rows of those before him.
                    group.settle()?;
                    job.run(&mut group)?;
                }
                next += 1;
            }
            let full = group.events() >= GROUP_EVENTS || begun.elapsed() >= GROUP_TIME || next >= GROUP_JOBS;
            let Some(inbox) = inbox.as_mut().filter(|_| !full) else { break };
            let Some(job) = inbox.next_that_waits() else { break };
            jobs.push(job);
        }
        let mut offers = Vec::new();
        // Jobs that are done again alone do without: what failed may have been a claim. So does everybody while the
        // write-ahead log is too long for new work.
        if group.events() > 0 && !alone && self.place.wal.hard_limit().is_none() {
            self.claims_for_standing = true;
            for in_hand in self.standing.take() {
                let standing = claim::claim_for_standing(&mut group, in_hand.offer())?;
                offers.push((in_hand, standing));
            }
            self.claims_for_standing = false;
        }
        let others = group.others_wrote() || group.memory().others_live(conn)?;
        let (events, began_at) = (group.events(), LogPosition::from_number(group.began_at()));
        let touched = group.take_touched();
        Ok(Filled { events, others, offers, began_at, touched, head: group.finish()? })
    }

    /// Commits, unless the files are not those any more that were opened: that is asked last, so that it counts for each of
    /// the jobs.
    fn commit(&mut self, conn: Connection, filled: Filled) -> Result<(), Failure> {
        if let Err(error) = self.place.files.recheck() {
            self.memory.forget();
            self.conn = rolled_back(conn);
            return Err(Failure::of_all(error));
        }
        let begun = Instant::now();
        let mut under_way = self.wake.committing();
        let committed = run(&conn, "COMMIT");
        if let Err(error) = committed {
            self.memory.forget();
            let error = self.commit_failed(conn, &error);
            put_down(filled.offers, &error);
            return Err(Failure::of_all(error));
        }
        let took = begun.elapsed();
        self.conn = Some(conn);
        self.uncounted = Some(filled.events);
        self.memory.keep(&filled.head);
        self.newest = filled.head.position;
        if filled.events > 0 {
            self.counters.commits.fetch_add(1, Ordering::Relaxed);
            self.counters.events.fetch_add(filled.events, Ordering::Relaxed);
            self.counters.largest.fetch_max(filled.events, Ordering::Relaxed);
            meter::committed(took, filled.events);
        }
        let head = LogPosition::from_number(filled.head.position);
        let mut has_claimed = false;
        for (in_hand, standing) in filled.offers {
            match standing {
                Standing::Brought(claims) => {
                    has_claimed |= !claims.claimed.is_empty();
                    in_hand.bring(claims);
                }
                Standing::Nothing { next_due } => in_hand.stand_on(filled.began_at, head, next_due),
                Standing::Unseen => {}
            }
        }
        if has_claimed {
            self.courtesy.step_back();
        }
        under_way.succeeded(filled.began_at, head, filled.touched.as_deref());
        self.under_way = Some(under_way);
        self.yields_since = filled.others.then(Instant::now);
        Ok(())
    }

    /// Leaves the lock free for the rest of [`GAP`]: without it another process would hardly ever find it so. The callers
    /// have their answers by then.
    fn leave_gap(&mut self) {
        if let Some(since) = self.yields_since.take() {
            thread::sleep(GAP.saturating_sub(since.elapsed()));
        }
    }

    /// The rest of a checkpoint: what was committed while others copied.
    fn copy_rest(&self) {
        let Some(conn) = &self.conn else { return };
        if let Err(error) = checkpoint::copy_rest(conn, &self.place) {
            tracing::warn!(%error, path = ?self.place.path, "a checkpoint failed; the log keeps what it holds");
        }
    }

    /// Without room on the disk the frame that makes a commit one was not written, so nothing happened. After all other
    /// errors it is not known, and syncing again would only pretend.
    fn commit_failed(&mut self, conn: Connection, error: &rusqlite::Error) -> StoreError {
        tracing::error!(%error, path = ?self.place.path, "a commit failed");
        let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        match rolled_back(conn) {
            Some(conn) if full => {
                self.conn = Some(conn);
                StoreError::Full
            }
            Some(conn) => {
                give_up(conn);
                StoreError::Unknown { detail: error.to_string() }
            }
            None => StoreError::Unknown { detail: error.to_string() },
        }
    }

    /// A new connection to the same database, with a commit behind whatever there is.
    fn reopen(&mut self) -> Result<Connection, StoreError> {
        self.memory.forget();
        let conn = self.place.connect().map_err(|error| of_file(error, &self.place.path))?;
        guard::lift(&conn).map_err(|error| of_file(error.into(), &self.place.path))?;
        let stopping = Arc::clone(&self.stopping);
        self.place.begin(&conn, move || stopping.load(Ordering::Relaxed))?;
        let head = Head::read(&conn)?;
        if head.database != self.database {
            return Err(cell::corrupt("another database has taken the place of the one that was opened"));
        }
        self.place.files.note()?;
        Head::touch(&conn)?;
        conn.execute_batch("COMMIT").map_err(|error| StoreError::Unknown { detail: error.to_string() })?;
        tracing::info!(path = ?self.place.path, head = head.position, "the database was opened again");
        Ok(conn)
    }
}

struct Filled {
    head: Head,
    events: u64,
    others: bool,
    began_at: LogPosition,
    touched: Option<Vec<TaskId>>,
    offers: Vec<(OfferInHand, Standing)>,
}

fn closed() -> StoreError {
    StoreError::Closed { detail: "its writer has stopped".to_owned() }
}

/// A transaction takes no further job once it has so many.
const GROUP_JOBS: usize = 4_096;
/// A transaction takes no further job once it has so many events.
const GROUP_EVENTS: u64 = 4_096;
/// A transaction takes no further job once it is so old.
const GROUP_TIME: Duration = Duration::from_millis(20);
/// So long the lock is left free between two transactions while other processes work on the file.
const GAP: Duration = Duration::from_micros(100);
