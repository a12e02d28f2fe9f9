//! When the loop wakes although nobody tells it anything, and what it asks the store then.
//!
//! It knows when the next task is due, hears of commits, and is told by the heartbeat when the wall clock was set. So the poll
//! interval is for what it cannot know: whether others have written, where the store does not hear of it, and whether
//! something due that it was not given can be had by now. Only the second needs a claim.

use std::time::Duration;

use azoth_scheduler_store::StandingOffer;

use super::Poller;
use super::nap::Deadline;
use crate::shared::SLEEP_MAX;

impl Poller {
    /// The store is asked for due tasks.
    pub(super) fn asks(&mut self) {
        let now = self.shared.clock().elapsed();
        self.alarm.poll_at = now.saturating_add(self.shared.poll_interval());
        self.alarm.ask_at = now.saturating_add(SLEEP_MAX);
    }

    /// There is no room, so the store is not asked for due tasks.
    pub(super) fn asks_for_nothing(&mut self) {
        self.asks();
        self.alarm.set(None, true);
    }

    /// When something is to be done that nobody tells of. `gives_way`: to what runs on this thread; so long it is not looked
    /// whether that is still ours. Whoever takes it away commits, and that is heard of.
    pub(super) fn deadline(&self, standing: Option<&StandingOffer>, gives_way: bool) -> Deadline {
        let about = |at| Deadline { at, exact: false };
        let now = self.shared.clock().elapsed();
        let look_at = self.next_look(gives_way);
        let resting_until = self.resting_until();
        if self.transaction.is_some() {
            // What is asked of the store is asked already.
            return about(look_at.max(resting_until));
        }
        if resting_until > now {
            return about(resting_until);
        }
        let others_at = look_at.min(if self.knows_all(now) { self.alarm.ask_at } else { self.alarm.poll_at });
        match self.due_at_of(standing) {
            Some(due_at) if due_at < others_at => Deadline { at: due_at, exact: true },
            Some(_) | None => about(others_at),
        }
    }

    /// The deadline has come: asks for what is due.
    pub(super) fn woke(&mut self, standing: Option<&StandingOffer>) {
        // Looked at again: the clock has gone on since.
        let due = self.due_at_of(standing).is_some_and(|due_at| due_at <= self.shared.clock().elapsed());
        self.ask |= self.transaction.is_none() && (due || self.trouble.is_some());
    }

    /// Looks, once a poll interval, whether anything was missed.
    pub(super) async fn poll(&mut self) {
        let now = self.shared.clock().elapsed();
        let may = !self.ask && self.transaction.is_none() && !self.rests();
        if !may || self.knows_all(now) || now < self.alarm.poll_at {
            return;
        }
        self.alarm.poll_at = now.saturating_add(self.shared.poll_interval());
        if self.alarm.left_behind || now >= self.alarm.ask_at {
            self.ask = true;
            return;
        }
        match self.shared.in_time(self.shared.store.head()).await {
            Ok(head) if head > self.seen => {
                self.check_held_at = self.check_held_at.min(self.next_check_of_held());
                self.ask = true;
            }
            Ok(_) => {}
            Err(error) => self.store_fails(&error),
        }
    }

    /// Whether nothing can have been missed since the store was asked.
    fn knows_all(&self, now: Duration) -> bool {
        !self.alarm.left_behind && now < self.alarm.ask_at && self.shared.store.hears_every_commit()
    }

    /// When to look at other workers, at what runs here unless it `gives_way`, or at what waits.
    fn next_look(&self, gives_way: bool) -> Duration {
        let check_held_at = (!self.executions.is_empty() && !gives_way).then_some(self.check_held_at);
        let others = [check_held_at, self.queue.overdue_at()].into_iter().flatten();
        others.fold(self.look_at, Duration::min)
    }

    /// When the next task is due, as far as this loop and the offer that stands know; by the monotonic clock, as the wall clock
    /// stands now.
    pub(super) fn due_at_of(&self, standing: Option<&StandingOffer>) -> Option<Duration> {
        let clock = self.shared.clock();
        let due = [self.alarm.due, standing.and_then(StandingOffer::next_due)].into_iter().flatten().min()?;
        Some(clock.elapsed().saturating_add(clock.until(due)))
    }

    fn resting_until(&self) -> Duration {
        self.trouble.as_ref().map_or(Duration::ZERO, |trouble| trouble.until)
    }
}
