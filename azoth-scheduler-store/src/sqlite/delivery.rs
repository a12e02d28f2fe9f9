//! The loop of one event handler: read behind the cursor, handle, move the cursor, commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use azoth_scheduler_core::execution::ErrorText;
use azoth_scheduler_core::id::ConsumerName;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::watch;

use super::consumer;
use super::error::{is_busy, of_file};
use super::event_handler::{HandlerError, TransactionalEventHandler};
use super::fence::Fence;
use super::head::Head;
use super::place::Place;
use super::read;
use super::readers::in_snapshot;
use super::wake::Wake;
use super::writer::message_of;
use crate::error::StoreError;
use crate::record::{LogPosition, RecordedEvent};
use crate::store::DeadLetter;

/// One handler on its own thread and connection.
pub(super) struct Delivery {
    place: Place,
    /// `None` after an error that leaves open what is in the file.
    conn: Option<Connection>,
    name: ConsumerName,
    handler: Arc<dyn TransactionalEventHandler>,
    wake: Arc<Wake>,
    control: Arc<Control>,
    cursor: watch::Sender<LogPosition>,
    trouble: Trouble,
}

/// What the handle and the thread share.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) stopped: AtomicBool,
    pub(super) ended_by: Mutex<Option<StoreError>>,
}

impl Control {
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn end_by(&self, error: StoreError) {
        *self.ended_by.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// How often the events behind the cursor failed so far.
#[derive(Debug, Default)]
struct Trouble {
    /// Failures in a row.
    failures: u32,
    /// Up to here events are handled one by one, since their batch failed too often.
    alone_through: LogPosition,
    /// So often each of those failed as part of its batch.
    as_batch: u32,
}

/// What one round came to.
enum Round {
    /// Nothing is behind the cursor.
    Idle(LogPosition),
    /// The cursor is here now.
    Moved(LogPosition),
    /// The handler failed on events up to here.
    Failed { through: LogPosition, several: bool, error: String },
}

impl Delivery {
    /// Opens the connection and finds the cursor, or makes it.
    pub(super) fn new(
        place: Place,
        name: ConsumerName,
        handler: Arc<dyn TransactionalEventHandler>,
        wake: Arc<Wake>,
        control: Arc<Control>,
    ) -> Result<Self, StoreError> {
        let conn = place.connect().map_err(|error| of_file(error, &place.path))?;
        place.begin(&conn, || false)?;
        let head = LogPosition::from_number(Head::read(&conn)?.position);
        let found = consumer::find_or_make(&conn, &name, handler.start_from(), head)?;
        place.vitals.watch(|| {
            place.files.recheck()?;
            Ok(conn.execute_batch("COMMIT")?)
        })?;
        let (cursor, _) = watch::channel(found);
        Ok(Self {
            place,
            conn: Some(conn),
            name,
            handler,
            wake,
            control,
            cursor,
            trouble: Trouble::default(),
        })
    }

    pub(super) fn watch_cursor(&self) -> watch::Receiver<LogPosition> {
        self.cursor.subscribe()
    }

    /// Goes on until the handle is dropped, or until it meets damage.
    pub(super) fn run(&mut self) {
        while !self.control.is_stopped() {
            match self.round() {
                Ok(Round::Idle(cursor)) => {
                    self.publish(cursor);
                    self.wake.wait_beyond(cursor, POLL, || self.control.is_stopped());
                }
                Ok(Round::Moved(cursor)) => {
                    self.trouble.failures = 0;
                    self.publish(cursor);
                }
                Ok(Round::Failed { through, several, error }) => self.failed(through, several, &error),
                Err(error) if is_lasting(&error) => {
                    tracing::error!(%error, handler = %self.name, "an event handler ends");
                    return self.control.end_by(error);
                }
                Err(error) => {
                    tracing::warn!(%error, handler = %self.name, "an event handler waits");
                    self.wake.wait(POLL, || self.control.is_stopped());
                }
            }
        }
    }

    fn publish(&self, cursor: LogPosition) {
        self.cursor.send_if_modified(|known| std::mem::replace(known, cursor) != cursor);
    }

    fn round(&mut self) -> Result<Round, StoreError> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.place.connect().map_err(|error| of_file(error, &self.place.path))?,
        };
        let round = self.round_on(&conn);
        // After an error the file is looked at afresh; dropping the connection rolls back whatever is open.
        self.conn = round.is_ok().then_some(conn);
        round
    }

    fn round_on(&self, conn: &Connection) -> Result<Round, StoreError> {
        self.place.vitals.may_write()?;
        let (cursor, events) = in_snapshot(conn, |conn| self.next_events(conn))?;
        let Some(last) = events.last() else { return self.again(conn, cursor) };
        let through = last.position;
        let tx = self.begin(conn)?;
        if consumer::find(&tx, &self.name)? != Some(cursor) {
            // Another process serves the same cursor.
            tx.rollback()?;
            return Ok(Round::Moved(cursor));
        }
        if let Err(error) = self.handle(&tx, &events) {
            self.roll_back(tx)?;
            return Ok(Round::Failed { through, several: events.len() > 1, error: described(&*error) });
        }
        consumer::advance(&tx, &self.name, cursor, through, None)?;
        self.commit(tx, events.len())?;
        Ok(Round::Moved(through))
    }

    /// Handles one event again that had been given up, where somebody asked for that and there is nothing new. It is
    /// tried once: it is known for an event that fails.
    fn again(&self, conn: &Connection, cursor: LogPosition) -> Result<Round, StoreError> {
        let letters = in_snapshot(conn, |conn| consumer::dead_letters(conn, &self.name, true, 1))?;
        let Some(letter) = letters.into_iter().next() else { return Ok(Round::Idle(cursor)) };
        let position = letter.position;
        let before = LogPosition::from_number(position.number().saturating_sub(1));
        let events = in_snapshot(conn, |conn| read::events(conn, before, 1, BATCH_BYTES))?;
        let tx = self.begin(conn)?;
        let handled = self.handle(&tx, &events);
        let dead = match handled {
            Ok(()) if consumer::settle_requeued(&tx, &self.name, position, None)? => {
                self.commit(tx, 1)?;
                return Ok(Round::Moved(cursor));
            }
            // Another process has settled it.
            Ok(()) => return self.roll_back(tx).map(|()| Round::Moved(cursor)),
            Err(error) => {
                self.roll_back(tx)?;
                let attempts = letter.attempts.saturating_add(1);
                DeadLetter { attempts, error: bounded(&described(&*error)), ..letter }
            }
        };
        let tx = self.begin(conn)?;
        consumer::settle_requeued(&tx, &self.name, position, Some(&dead))?;
        self.commit(tx, 1)?;
        Ok(Round::Moved(cursor))
    }

    /// Where the cursor stands, and what is behind it. The log never changes, so this needs no lock.
    fn next_events(&self, conn: &Connection) -> Result<(LogPosition, Vec<RecordedEvent>), StoreError> {
        let cursor = consumer::find(conn, &self.name)?;
        let cursor = cursor.ok_or_else(|| super::cell::corrupt(format!("cursor {:?} is gone", self.name)))?;
        let limit = if cursor < self.trouble.alone_through { 1 } else { BATCH_EVENTS };
        Ok((cursor, read::events(conn, cursor, limit, BATCH_BYTES)?))
    }

    fn begin<'a>(&self, conn: &'a Connection) -> Result<Transaction<'a>, StoreError> {
        let tx = self.wait_to_begin(conn)?;
        self.place.check_head(&Head::read(&tx)?)?;
        Ok(tx)
    }

    fn wait_to_begin<'a>(&self, conn: &'a Connection) -> Result<Transaction<'a>, StoreError> {
        let begun = Instant::now();
        loop {
            match Transaction::new_unchecked(conn, TransactionBehavior::Immediate) {
                Err(error) if is_busy(&error) && !self.control.is_stopped() => {
                    let waited = begun.elapsed();
                    if waited >= self.place.options.longest_wait() {
                        return Err(StoreError::Busy { waited_ms: waited.as_millis() as u64 });
                    }
                }
                other => return Ok(other?),
            }
        }
    }

    /// Commits what a handler has made of so many events, unless the files are not those any more that were opened.
    fn commit(&self, tx: Transaction<'_>, events: usize) -> Result<(), StoreError> {
        self.place.vitals.watch(|| {
            self.place.files.recheck()?;
            Ok(tx.commit()?)
        })?;
        self.place.committed(events as u64);
        Ok(())
    }

    /// Lends the transaction to the handler. It is whole only after `Ok`.
    fn handle(&self, tx: &Transaction<'_>, events: &[RecordedEvent]) -> Result<(), HandlerError> {
        let fence = Fence::put_up(tx, self.handler.time_limit());
        let handled = catch_unwind(AssertUnwindSafe(|| self.handler.handle(tx, events)));
        let overdue = fence.is_overdue();
        drop(fence);
        let limit = self.handler.time_limit();
        match handled {
            Err(panic) => Err(format!("it panicked: {}", message_of(&*panic)).into()),
            Ok(Err(error)) if overdue => Err(format!("it took longer than {limit:?}: {error}").into()),
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) if overdue => Err(format!("it took longer than {limit:?}").into()),
            Ok(Ok(())) if tx.is_autocommit() => Err("it lost its transaction".into()),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// The engine may have rolled back already.
    fn roll_back(&self, tx: Transaction<'_>) -> Result<(), StoreError> {
        if tx.is_autocommit() {
            return Ok(());
        }
        Ok(tx.rollback()?)
    }

    /// Waits and tries again, handles one by one, or gives the event up.
    fn failed(&mut self, through: LogPosition, several: bool, error: &str) {
        self.trouble.failures = self.trouble.failures.saturating_add(1);
        let failures = self.trouble.failures;
        tracing::warn!(error, handler = %self.name, %through, failures, "an event handler failed");
        if failures < self.handler.attempts().get() {
            let backoff = self.handler.backoff().saturating_mul(1 << (failures - 1).min(16));
            return self.wake.wait(backoff.min(BACKOFF_MAX), || self.control.is_stopped());
        }
        if several {
            self.trouble = Trouble { failures: 0, alone_through: through, as_batch: failures };
            return;
        }
        match self.give_up(through, error) {
            Ok(()) => {
                self.trouble.failures = 0;
                self.publish(through);
            }
            Err(error) => {
                tracing::warn!(%error, handler = %self.name, "a dead letter could not be written");
                self.wake.wait(POLL, || self.control.is_stopped());
            }
        }
    }

    /// Moves the cursor over an event, which becomes a dead letter.
    fn give_up(&mut self, position: LogPosition, error: &str) -> Result<(), StoreError> {
        let alone = self.trouble.failures;
        let as_batch = if position <= self.trouble.alone_through { self.trouble.as_batch } else { 0 };
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.place.connect().map_err(|error| of_file(error, &self.place.path))?,
        };
        let tx = self.begin(&conn)?;
        let dead = DeadLetter {
            position,
            attempts: alone.saturating_add(as_batch),
            error: bounded(error),
            // The newest instant that the log knows: a store has no clock.
            at: Head::read(&tx)?.ordered_at,
        };
        let before = LogPosition::from_number(position.number().saturating_sub(1));
        match consumer::advance(&tx, &self.name, before, position, Some(&dead)) {
            // Another process has dealt with it.
            Err(StoreError::CursorMoved { .. }) => tx.rollback()?,
            other => other.and_then(|()| self.commit(tx, 1))?,
        }
        self.conn = Some(conn);
        Ok(())
    }
}

/// Whether trying again later is of no use.
fn is_lasting(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Undecodable { .. }
            | StoreError::Corrupt { .. }
            | StoreError::NotADatabase { .. }
            | StoreError::Failed { .. }
            | StoreError::NewerLayout { .. }
    )
}

fn bounded(error: &str) -> String {
    ErrorText::new(error).as_str().to_owned()
}

/// The message of an error and of its sources.
fn described(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source.filter(|_| text.len() < ErrorText::BYTES_MAX) {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// A batch holds at most so many events.
const BATCH_EVENTS: usize = 256;
/// A batch takes no further event once its payloads hold so many bytes.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// So often a handler looks for commits of other processes.
const POLL: Duration = Duration::from_millis(500);
/// No wait between two tries is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
