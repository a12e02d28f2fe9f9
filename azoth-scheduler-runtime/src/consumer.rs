//! Reading the log for the event handlers: their cursors, attempts and dead letters.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_store::{DeadLetter, LogPosition, RecordedEvent, StoreError};
use tokio::sync::watch;

use crate::caught::caught;
use crate::event_handler::Consumer;
use crate::head_watch::HeadWatch;
use crate::observe;
use crate::patience::patience;
use crate::shared::{Shared, sleep_or_shutdown};
use crate::task_error::TaskError;

/// Reads the log for one event handler.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    consumer: Consumer,
    party: usize,
    cursor: LogPosition,
    head: HeadWatch,
    nudge: watch::Receiver<u64>,
    /// Something may have been requeued, which no commit to the log tells of: whoever does it here says so by a nudge.
    may_be_requeued: bool,
}

impl Reader {
    /// Serves the event handler until a shutdown is asked for.
    pub(crate) async fn run(shared: Arc<Shared>, party: usize, consumer: Consumer) {
        let (head, nudge) = (HeadWatch::new(&shared), shared.listen_for_nudges());
        let (cursor, may_be_requeued) = (LogPosition::START, true);
        let mut reader = Self { shared, consumer, party, cursor, head, nudge, may_be_requeued };
        let mut failures: u32 = 0;
        let (mut opened, mut heard) = (false, 0);
        while !reader.shared.shutdown.is_requested() {
            let ticket = *reader.nudge.borrow_and_update();
            reader.may_be_requeued |= std::mem::replace(&mut heard, ticket) != ticket;
            reader.head.mark_seen();
            let read = if opened { reader.read_page().await } else { reader.open().await };
            match read {
                Ok(more) => {
                    (opened, failures) = (true, 0);
                    if !more {
                        reader.shared.pulse(party, ticket, true, None);
                        reader.wait().await;
                    }
                }
                Err(error) => {
                    // Another process moved the cursor: read where it stands.
                    let moved = matches!(error, StoreError::CursorMoved { .. });
                    opened &= !moved;
                    if failures == 0 && !moved {
                        observe::event_handler_waits(&reader.consumer.name, &error);
                    }
                    reader.rest(patience(failures)).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }

    /// Reads where the cursor stands.
    async fn open(&mut self) -> Result<bool, StoreError> {
        let start = self.consumer.handler.start_from();
        self.cursor = self.shared.in_time(self.shared.store.cursor(&self.consumer.name, start)).await?;
        Ok(true)
    }

    /// Handles the next events. Whether there may be more.
    async fn read_page(&mut self) -> Result<bool, StoreError> {
        let events = self.shared.in_time(self.shared.store.events(self.cursor, PAGE)).await?;
        if events.is_empty() {
            return if self.may_be_requeued { self.handle_again().await } else { Ok(false) };
        }
        self.shared.pulse(self.party, 0, false, None);
        let mut reached = self.cursor;
        for event in &events {
            match self.handle(event).await {
                Handled::Done => reached = event.position,
                Handled::GivenUp(letter) => {
                    reached = event.position;
                    self.move_to(reached, Some(letter)).await?;
                }
                // What was handled is not handled again by the next process.
                Handled::ShutDown => break,
            }
        }
        self.move_to(reached, None).await?;
        let knows_all = events.len() < PAGE && self.shared.store.hears_every_commit();
        Ok(!knows_all || self.may_be_requeued || self.head.goes_beyond(self.cursor))
    }

    /// Handles what had been given up and was requeued, where there is nothing new. Whether there was something.
    async fn handle_again(&mut self) -> Result<bool, StoreError> {
        let (shared, name) = (Arc::clone(&self.shared), self.consumer.name.clone());
        let letters = shared.in_time(shared.store.requeued(&name, PAGE)).await?;
        let any = !letters.is_empty();
        self.may_be_requeued = any;
        for letter in letters {
            self.shared.pulse(self.party, 0, false, None);
            let before = LogPosition::from_number(letter.position.number().saturating_sub(1));
            let events = shared.in_time(shared.store.events(before, 1)).await?;
            let Some(event) = events.first() else { continue };
            let dead = match self.handle(event).await {
                Handled::Done => None,
                Handled::GivenUp(again) => {
                    Some(DeadLetter { attempts: letter.attempts.saturating_add(again.attempts), ..again })
                }
                Handled::ShutDown => return Ok(false),
            };
            shared.in_time(shared.store.settle_requeued(&name, letter.position, dead)).await?;
        }
        Ok(any)
    }

    async fn move_to(&mut self, to: LogPosition, dead: Option<DeadLetter>) -> Result<(), StoreError> {
        if to != self.cursor {
            let (store, name) = (&self.shared.store, &self.consumer.name);
            self.shared.in_time(store.move_cursor(name, self.cursor, to, dead)).await?;
            self.cursor = to;
        }
        Ok(())
    }

    /// Tries one event until it is done or given up.
    async fn handle(&mut self, event: &RecordedEvent) -> Handled {
        let handler = Arc::clone(&self.consumer.handler);
        let (mut attempt, attempts) = (1, handler.max_attempts().max(1));
        loop {
            if self.shared.shutdown.is_requested() {
                return Handled::ShutDown;
            }
            let attempted = async { if handler.wants(event) { handler.handle(event).await } else { Ok(()) } };
            let failed = match self.shared.unless_overdue(caught(attempted)).await {
                None => return Handled::ShutDown,
                Some(Ok(Ok(()))) => return Handled::Done,
                Some(Ok(Err(error))) => Failed::from(error),
                Some(Err(message)) => Failed { text: message.to_string(), ..Failed::default() },
            };
            if failed.snooze.is_none() && (failed.permanent || attempt >= attempts) {
                return Handled::GivenUp(self.give_up(event, attempt, failed.text));
            }
            observe::event_handler_failed(&self.consumer.name, event.position, attempt);
            let usual = handler.backoff().delay_ms(self.consumer.name.as_str(), attempt);
            attempt += u32::from(failed.snooze.is_none());
            let wait = failed.snooze.or(failed.delay).unwrap_or(Duration::from_millis(usual));
            self.rest(wait).await;
        }
    }

    fn give_up(&self, event: &RecordedEvent, attempts: u32, error: String) -> DeadLetter {
        observe::event_given_up(&self.consumer.name, event.position, attempts);
        DeadLetter { position: event.position, attempts, error, at: self.shared.clock().now() }
    }

    /// Waits for a commit, a nudge, or until it is time to look whether anything was missed.
    async fn wait(&mut self) {
        tokio::select! {
            biased;
            _ = self.head.moved() => {}
            _ = self.nudge.changed() => {}
            () = sleep_or_shutdown(&self.shared, self.shared.look_interval()) => self.may_be_requeued = true,
        }
    }

    /// Waits before the next attempt. There is nothing else to do meanwhile, which is told to whoever asks.
    async fn rest(&mut self, span: Duration) {
        let until = self.shared.clock().elapsed().saturating_add(span);
        loop {
            let ticket = *self.nudge.borrow_and_update();
            self.shared.pulse(self.party, ticket, true, Some(until));
            tokio::select! {
                biased;
                () = self.shared.clock().sleep_until(until) => break,
                () = self.shared.shutdown.requested() => break,
                _ = self.nudge.changed() => {}
            }
        }
        self.shared.pulse(self.party, 0, false, None);
    }
}

enum Handled {
    Done,
    GivenUp(DeadLetter),
    /// There is no time left for it.
    ShutDown,
}

/// What a failed attempt at an event asks for.
#[derive(Default)]
struct Failed {
    text: String,
    permanent: bool,
    delay: Option<Duration>,
    snooze: Option<Duration>,
}

impl From<TaskError> for Failed {
    fn from(error: TaskError) -> Self {
        Self {
            text: error.text().to_string(),
            permanent: error.is_permanent(),
            delay: error.retry_delay(),
            snooze: error.snoozed_for(),
        }
    }
}

/// The events of a page, read but not yet handed out.
pub(crate) type Page = VecDeque<RecordedEvent>;

/// So many events are read at once. A cursor moves once a page, so a crash repeats no more than these.
pub(crate) const PAGE: usize = 128;
