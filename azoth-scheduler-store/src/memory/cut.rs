//! Cutting the oldest part of the log: nobody reads it from then on.
//!
//! It stays in memory all the same, since what the log adds up to is found here by folding it from its beginning. What goes
//! are the payloads that no task referred to at the cut.

use std::collections::BTreeSet;

use azoth_scheduler_core::retention;
use azoth_scheduler_core::time::Timestamp;

use super::MemoryStore;
use super::projection::Projection;
use super::tables::{Tables, damaged};
use crate::error::StoreError;
use crate::record::{LogPosition, RecordedPayload};
use crate::report::CutReport;

impl MemoryStore {
    /// Cuts the log up to a position, as `SqliteStore::cut_log` does and without an archive: reading before the cut is answered
    /// with [`StoreError::LogCut`] from then on. So a program can be tested against a log that was cut. Little memory is freed:
    /// this store folds its log from the beginning.
    ///
    /// Where the cut falls it is the end of a transaction; nothing that a consumer has yet to handle is cut, and nothing that
    /// happened after `now`.
    ///
    /// ```
    /// # use azoth_scheduler_core::time::Timestamp;
    /// # use azoth_scheduler_store::{LogPosition, MemoryStore, Store};
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let store = MemoryStore::new();
    /// let report = store.cut_log(store.head().await?, Timestamp::UNIX_EPOCH).await?;
    /// assert_eq!(report.through, LogPosition::START, "there is nothing to cut");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where anything is wrong with the store: nothing is cut then.
    pub async fn cut_log(&self, through: LogPosition, now: Timestamp) -> Result<CutReport, StoreError> {
        let mut tables = self.tables();
        let before = tables.head();
        let report = tables.cut(through, now)?;
        self.tell(&tables, before);
        Ok(report)
    }
}

impl Tables {
    fn cut(&mut self, through: LogPosition, now: Timestamp) -> Result<CutReport, StoreError> {
        let before = self.cut_through();
        let Some(end) = self.end_of_cut(through, now) else {
            return Ok(CutReport { through: before, ..CutReport::default() });
        };
        if let Some(finding) = self.verify().findings.first() {
            let what = format!("nothing is cut from a log that is not sound: {finding}");
            return Err(StoreError::Corrupt { what });
        }
        let kept = self.referred_to_at(end)?;
        for event in self.log.iter_mut().take_while(|event| event.position <= end) {
            let held = event.payload.bytes().is_some_and(|bytes| !bytes.is_empty());
            if let (true, false, Some(digest)) = (held, kept.contains(&event.position), event.event.payload())
            {
                event.payload = RecordedPayload::Dropped(digest);
            }
        }
        // There is no chain here, and no file of a snapshot.
        let event = retention::cut(&self.projection.log, end.number(), [0; 32], [0; 32]);
        event.into_iter().try_for_each(|event| self.append_to_the_log(event, now))?;
        let events = end.number().saturating_sub(before.number());
        Ok(CutReport { through: end, events, ..CutReport::default() })
    }

    /// The last event that was cut.
    pub(super) fn cut_through(&self) -> LogPosition {
        LogPosition::from_number(self.projection.log.cut)
    }

    /// Whether what is behind a position may be read.
    ///
    /// # Errors
    /// [`StoreError::LogCut`] where it was cut.
    pub(super) fn holds_behind(&self, asked: LogPosition) -> Result<(), StoreError> {
        let cut = self.cut_through();
        if asked >= cut { Ok(()) } else { Err(StoreError::LogCut { asked, cut }) }
    }

    /// The end of the last transaction that may be cut; an event that only says that the log was cut is not worth it.
    fn end_of_cut(&self, through: LogPosition, now: Timestamp) -> Option<LogPosition> {
        let happened = self.log.partition_point(|event| event.ordered_at <= now) as u64;
        let most = through.number().min(happened).min(self.confirmed());
        let ends = self.ends.partition_point(|end| end.number() <= most);
        let end = *self.ends.get(ends.checked_sub(1)?)?;
        let cut = self.cut_through().number();
        let says_it = self.log.get(usize::try_from(cut).ok()?).filter(|event| event.position == end);
        let says_it = says_it.is_some_and(|event| event.event.name() == "LogCut");
        (end.number() > cut && !says_it).then_some(end)
    }

    /// The events to which tasks referred at a position.
    fn referred_to_at(&self, end: LogPosition) -> Result<BTreeSet<LogPosition>, StoreError> {
        let events = self.log.partition_point(|event| event.position <= end);
        let log = self.log.get(..events).unwrap_or_default();
        let projection = Projection::replay(log).map_err(|(_, error)| damaged(&error))?;
        let mut referred_to = projection.needed_payloads();
        referred_to.extend(projection.rows.keys());
        Ok(referred_to)
    }
}
