//! Letting go: tasks that have ended, and bytes of old payloads.

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::retention::{self, Horizon, RetentionPolicy};
use azoth_scheduler_core::time::Timestamp;

use super::tables::Tables;
use crate::error::StoreError;
use crate::record::{LogPosition, RecordedPayload};
use crate::report::RetentionReport;

impl Tables {
    pub(super) fn retain(
        &mut self,
        policy: &RetentionPolicy,
        now: Timestamp,
    ) -> Result<RetentionReport, StoreError> {
        let tasks = self.forget(policy.horizon(now), now)?;
        let payloads = match policy.payloads_before(now) {
            None => 0,
            Some(before) => self.drop_payloads(before, now)?,
        };
        Ok(RetentionReport { tasks, payloads })
    }

    fn forget(&mut self, horizon: Horizon, now: Timestamp) -> Result<u64, StoreError> {
        let before = self.projection.rows.len();
        while let Some(event) =
            retention::forget(horizon, self.projection.rows.values().map(|row| &row.state))
        {
            self.append_to_the_log(event, now)?;
        }
        Ok(before.saturating_sub(self.projection.rows.len()) as u64)
    }

    fn drop_payloads(&mut self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let old = self.log.partition_point(|event| event.ordered_at < before) as u64;
        let old = old.max(self.cut_through().number());
        if let Some(event) = retention::drop_payloads(&self.projection.log, old.min(self.confirmed())) {
            self.append_to_the_log(event, now)?;
        }
        let through = LogPosition::from_number(self.projection.log.payloads_dropped);
        let needed = self.projection.needed_payloads();
        let mut dropped: u64 = 0;
        for event in self.log.iter_mut().take_while(|event| event.position <= through) {
            let digest = event.event.payload();
            let held = event.payload.bytes().is_some_and(|bytes| !bytes.is_empty());
            if let (true, false, Some(digest)) = (held, needed.contains(&event.position), digest) {
                event.payload = RecordedPayload::Dropped(digest);
                dropped = dropped.saturating_add(1);
            }
        }
        Ok(dropped)
    }

    /// Up to here every consumer has handled all events.
    pub(super) fn confirmed(&self) -> u64 {
        let handled = self.consumers.values().flat_map(|consumer| {
            let again = consumer.requeued.keys().map(|position| position.number().saturating_sub(1));
            again.chain([consumer.cursor.number()])
        });
        handled.min().unwrap_or(u64::MAX)
    }

    /// Writes down what happens to the log itself, in a transaction of its own.
    pub(super) fn append_to_the_log(&mut self, event: Event, now: Timestamp) -> Result<(), StoreError> {
        self.append(crate::record::Subject::Log, event, RecordedPayload::Absent, now)?;
        self.end_transaction();
        Ok(())
    }
}
