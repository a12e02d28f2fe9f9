//! A pass of the loop: what has ended is recorded and what is due is claimed, in one transaction, while handlers go on.

use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::id::ExecutionId;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::store::CLAIM_BATCH_MAX;
use azoth_scheduler_store::{Ahead, Batch, ClaimOffer, Claims, StandingOffer, Suspects};

use super::Poller;
use crate::host::counted_on;
use crate::meter;
use crate::transaction::{Answer, Transaction, answer_to};

impl Poller {
    /// Records and claims, in one transaction, and waits for it. Whether to do it again at once.
    pub(super) async fn pass(&mut self) -> bool {
        self.ask = true;
        self.begin().await;
        self.finish().await && std::mem::take(&mut self.ask)
    }

    /// Asks for a transaction that records and claims, unless one is under way or there is no reason to.
    pub(super) async fn begin(&mut self) {
        if self.transaction.is_some() || !self.ask || self.rests() {
            return;
        }
        if self.unsure && !self.find_unstarted().await {
            return;
        }
        self.ask = false;
        let commands = self.recorder.batch();
        let offer = self.offer(commands.len());
        if commands.is_empty() && offer.is_none() {
            self.asks_for_nothing();
            return;
        }
        let (sent, offered) = (commands.len(), offer.is_some());
        if offered {
            self.asks();
        }
        let (now, begun) = (self.shared.clock().now(), self.shared.clock().elapsed());
        let shared = Arc::clone(&self.shared);
        let batch = Batch { offer, ..Batch::new(commands, now) };
        let answer = Box::pin(async move { shared.in_time(shared.store.apply(batch)).await });
        self.transaction = Some(Transaction { sent, offered, now, begun, answer });
    }

    /// Waits for the transaction that is under way. Whether there was one.
    pub(super) async fn finish(&mut self) -> bool {
        if self.transaction.is_none() {
            return false;
        }
        let answer = answer_to(&mut self.transaction).await;
        self.settle(answer);
        true
    }

    /// Takes in what a transaction came to.
    pub(super) fn settle(&mut self, answer: Answer) {
        let Answer { sent, offered, now, begun, applied } = answer;
        match applied {
            Ok(applied) => {
                let claims = applied.claims.as_ref().map_or(0, |claims| claims.claimed.len());
                if sent > 0 || claims > 0 {
                    meter::committed(self.shared.clock().elapsed().saturating_sub(begun), sent, claims);
                }
                self.store_works();
                self.recorder.settle(&applied.answers);
                if let Some(claims) = applied.claims {
                    self.take(claims, now);
                }
                self.ask |= !self.recorder.is_empty();
            }
            Err(error) => {
                self.unsure |= offered && error.is_unknown();
                self.recorder.failed(sent, &error);
                self.store_fails(&error);
                self.ask = true;
            }
        }
    }

    /// Leaves the free slots with the store while the loop sleeps.
    pub(super) fn stand(&self) -> Option<Arc<StandingOffer>> {
        if self.transaction.is_some() || self.unsure || self.rests() {
            return None;
        }
        let offer = self.standing_offer()?;
        Some(self.shared.shutdown.ends(self.shared.store.stand(offer, self.seen)))
    }

    /// Takes back what the slots that stood with the store have brought.
    pub(super) async fn take_back(&mut self, standing: Option<Arc<StandingOffer>>) {
        let Some(standing) = standing else { return };
        self.seen = self.seen.max(standing.seen());
        self.alarm.also(standing.next_due());
        let shared = Arc::clone(&self.shared);
        match shared.in_time(standing.withdraw()).await {
            Ok(Some(claims)) => self.take(claims, shared.clock().now()),
            Ok(None) => {}
            Err(error) => {
                self.unsure |= error.is_unknown();
                self.store_fails(&error);
                self.ask = true;
            }
        }
    }

    /// An offer of the slots that are free, and of those that will be once so many results are recorded.
    fn offer(&self, recorded: usize) -> Option<ClaimOffer> {
        let suspects = match self.suspects(recorded) {
            Appetite::None => return None,
            // Nothing is claimed, but heard whether somebody else has taken the suspect meanwhile.
            Appetite::MakingRoom => return self.offer_of(Vec::new()),
            Appetite::For(suspects) => suspects,
        };
        // What is recorded in the same transaction makes room for what is claimed in it.
        let free = self.shared.slots.free() + self.recorder.releases();
        let free = free.saturating_sub(self.queue.len()).min(CLAIM_BATCH_MAX);
        let ahead = self.ahead(recorded).filter(|_| suspects != Suspects::First);
        if free == 0 && ahead.is_none() {
            return None;
        }
        self.offer_of(self.mint(free)).map(|offer| ClaimOffer { suspects, ahead, ..offer })
    }

    /// An offer of the slots that are free while nothing is recorded.
    fn standing_offer(&self) -> Option<ClaimOffer> {
        let Appetite::For(suspects) = self.suspects(0) else { return None };
        let free = self.shared.slots.free().saturating_sub(self.queue.len()).min(STANDING_MAX);
        if free == 0 {
            return None;
        }
        self.offer_of(self.mint(free)).map(|offer| ClaimOffer { suspects, ..offer })
    }

    fn offer_of(&self, executions: Vec<ExecutionId>) -> Option<ClaimOffer> {
        let task_types = &self.shared.task_types;
        let none = task_types.is_empty() || self.shared.shutdown.is_requested();
        (!none).then(|| ClaimOffer::new(self.worker, Arc::clone(task_types), executions))
    }

    /// What may be claimed for the sake of suspects, once so many results are recorded.
    fn suspects(&self, recorded: usize) -> Appetite {
        if self.alone.is_some() {
            return Appetite::None;
        }
        // What has ended and is not recorded is lost with its process too. A thread that was set aside is not: its outcome is.
        let is_idle = self.executions.is_empty() && self.queue.is_empty() && self.recorder.len() <= recorded;
        let waited = self.suspect_since.map_or(0, |since| self.shared.clock().now().ms_since(since));
        // One process after the other, the one that has lived for longest first.
        let patience_ms = SUSPECT_WAIT_MS.saturating_mul(i64::from(self.rank).saturating_add(1));
        match (is_idle, waited) {
            (true, waited) if waited >= SUSPECT_WAIT_MS => Appetite::For(Suspects::First),
            (true, _) => Appetite::For(Suspects::IfNothingElse),
            (false, waited) if waited >= patience_ms => Appetite::MakingRoom,
            (false, _) => Appetite::For(Suspects::Refused),
        }
    }

    /// Room for more of what takes hardly any time, while so many results are recorded. While something waits also where there
    /// is none: to hear whether it may go on waiting.
    fn ahead(&self, recorded: usize) -> Option<Ahead> {
        let room = self.queue.room(self.recorder.len().saturating_sub(recorded));
        let task_types = self.queue.quick_types();
        let some = !task_types.is_empty() && room > 0;
        let executions = if some { self.mint(room) } else { Vec::new() };
        (some || !self.queue.is_empty()).then_some(Ahead { task_types, executions })
    }

    fn mint(&self, executions: usize) -> Vec<ExecutionId> {
        let first = self.shared.mint(self.shared.clock().now());
        counted_on(first, executions).map(ExecutionId::from).collect()
    }

    /// Starts what was claimed at `now`, and asks again if there is more to be had at once.
    fn take(&mut self, claims: Claims, now: Timestamp) {
        if claims.worker_ended {
            self.heartbeat.give_up();
        }
        self.seen = self.seen.max(claims.seen);
        let some = !claims.claimed.is_empty();
        self.suspect_since = claims.next_suspect;
        if !claims.held_back.is_empty() {
            self.give_back_of(&claims.held_back);
        }
        for claimed in claims.claimed {
            self.queue(claimed, now);
        }
        self.start_queued();
        let has_room = self.shared.slots.free() > 0 && self.alone.is_none();
        meter::slots(self.shared.slots.taken(), self.shared.slots.max());
        let oldest = [claims.next_due, claims.next_suspect].into_iter().flatten().min();
        let late_ms = oldest.map_or(0, |due| now.ms_since(due).max(0));
        meter::oldest_due(Duration::from_millis(late_ms.unsigned_abs()));
        let clock = self.shared.clock();
        // One look at the clock for each: what is due by none of two looks would be neither asked nor waited for.
        let look = |due: Timestamp| (due, clock.until(due) == Duration::ZERO);
        let [next_due, next_suspect] = [claims.next_due, claims.next_suspect].map(|due| due.map(look));
        let next = || next_due.into_iter().chain(next_suspect);
        // What was due and was not given to us is none of our business until something changes; what came due since then is.
        let came_due = next().any(|(due, is_due)| is_due && due > now);
        let more = some && next_due.is_some_and(|(_, is_due)| is_due);
        self.ask |= has_room && (more || came_due);
        let due = next().filter(|(_, is_due)| has_room && !is_due).map(|(due, _)| due).min();
        self.alarm.set(due, !has_room || next().any(|(_, is_due)| is_due));
    }
}

/// What may be claimed.
enum Appetite {
    /// Nothing: a suspect runs here.
    None,
    /// Nothing: a suspect has waited for long, and what runs here is let end first.
    MakingRoom,
    /// What is due, and suspects as said.
    For(Suspects),
}

/// So many slots stand with the store while the loop sleeps; what more is due is claimed by the transaction that follows.
const STANDING_MAX: usize = 16;
/// When a suspect has waited for so many milliseconds, one process claims nothing more until it is idle; after as many again
/// the next one.
const SUSPECT_WAIT_MS: i64 = 60_000;
