//! The loop itself: it looks around, asks the store, and waits for whatever is next.

use std::sync::Arc;

use azoth_scheduler_store::{LogPosition, StandingOffer};

use super::Poller;
use crate::error::Result;
use crate::transaction::{answer_to, answered};

impl Poller {
    /// Works until a shutdown is asked for.
    pub(crate) async fn serve(&mut self) -> Result<()> {
        while !self.shared.shutdown.is_requested() {
            if *self.heartbeat.lost.borrow() {
                self.finish().await;
                self.start_anew().await?;
                continue;
            }
            let ticket = self.hear_nudges();
            self.look_around().await;
            self.watch_clock().await;
            self.poll().await;
            self.begin().await;
            self.wait(ticket).await;
        }
        Ok(())
    }

    /// The newest nudge. One that was not heard before, whatever woke the loop, has it ask the store: who nudged waits until
    /// it has.
    fn hear_nudges(&mut self) -> u64 {
        let nudge = self.nudge.borrow_and_update();
        self.ask |= nudge.has_changed();
        *nudge
    }

    /// Waits for whatever is next. `ticket` is the newest nudge that was heard before it was looked for work.
    async fn wait(&mut self, ticket: u64) {
        let standing = self.stand();
        let started = self.executions.started();
        self.listen(standing.as_deref(), Some(ticket)).await;
        self.take_back(standing).await;
        self.collect_ended();
        if self.executions.started() > started && self.transaction.is_none() && !self.ask {
            // What was started goes first: there is nothing to be done that could not wait for it. Where it blocks its thread,
            // the loop goes on elsewhere with whatever happens next.
            self.listen(None, None).await;
            self.collect_ended();
        }
    }

    /// Listens for what is next. Without a `ticket` no longer than others on this thread have something to do.
    async fn listen(&mut self, standing: Option<&StandingOffer>, ticket: Option<u64>) {
        let shared = Arc::clone(&self.shared);
        loop {
            let deadline = self.deadline(standing, ticket.is_none());
            let at_rest = self.transaction.is_none();
            if let Some(ticket) = ticket.filter(|_| at_rest) {
                let trouble = self.trouble.as_ref().map(|trouble| trouble.until);
                let due_at = trouble.or(self.due_at_of(standing));
                let quiet = self.executions.is_empty() && self.queue.is_empty();
                shared.pulse(0, ticket, quiet, due_at);
            }
            let sleep = match ticket {
                Some(_) => self.nap.until(deadline, shared.clock()),
                None => self.nap.no_longer_than(deadline, shared.clock()),
            };
            tokio::select! {
                biased;
                answer = answer_to(&mut self.transaction) => self.settle(answer),
                () = answered(standing) => {}
                Some(joined) = self.executions.join_next() => self.collect(joined),
                head = self.head.moved(), if at_rest => {
                    if !self.is_news(head, standing) {
                        continue;
                    }
                }
                _ = self.nudge.changed() => self.ask = true,
                _ = self.heartbeat.lost.changed() => {}
                () = shared.slots.returned.notified() => self.ask = true,
                () = shared.shutdown.requested() => {}
                () = sleep => {
                    self.nap.is_over();
                    self.woke(standing);
                }
                () = shared.workshop.host.give_way(), if ticket.is_none() => {}
            }
            break;
        }
    }

    /// Whether that the log ends here is a reason to ask the store.
    fn is_news(&mut self, head: LogPosition, standing: Option<&StandingOffer>) -> bool {
        // Somebody may have cancelled what runs here. Our own commits come by here too, so not at each of them.
        self.check_held_at = self.check_held_at.min(self.next_check_of_held());
        self.seen = standing.map_or(self.seen, |standing| self.seen.max(standing.seen()));
        let news = head > self.seen;
        self.ask |= news;
        news
    }

    fn collect_ended(&mut self) {
        while let Some(joined) = self.executions.try_join_next() {
            self.collect(joined);
        }
    }
}
