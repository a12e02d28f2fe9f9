//! Whether the log is in order, and whether the projection is what it adds up to.

use std::collections::BTreeSet;

use azoth_scheduler_core::ledger::Imbalance;
use azoth_scheduler_core::payload::PayloadDigest;

use super::projection::Projection;
use super::tables::{Tables, damaged};
use crate::codec::{self, EventKind};
use crate::error::StoreError;
use crate::record::{LogPosition, RecordedEvent, RecordedPayload};
use crate::report::{Finding, RebuildReport, VerifyReport};

impl Tables {
    pub(super) fn verify(&self) -> VerifyReport {
        let mut findings = self.check_log();
        let (replayed, unbalanced) = Projection::audit(&self.log);
        // I17
        findings.extend(
            unbalanced
                .into_iter()
                .map(|Imbalance { position, what }| found(Some(LogPosition::from_number(position)), what)),
        );
        match replayed {
            Ok(replayed) => findings.extend(self.check_projection(&replayed)),
            Err((position, error)) => findings.push(found(Some(position), error.to_string())),
        }
        findings.sort_by_key(|finding| (finding.position.is_none(), finding.position));
        findings.truncate(VerifyReport::FINDINGS_MAX);
        VerifyReport {
            events: self.events_there(),
            tasks: self.projection.rows.len() as u64,
            head: self.head(),
            head_hash: [0; 32],
            findings,
        }
    }

    pub(super) fn rebuild_projection(&mut self) -> Result<RebuildReport, StoreError> {
        self.projection = Projection::replay(&self.log).map_err(|(_, error)| damaged(&error))?;
        Ok(RebuildReport { events: self.events_there(), tasks: self.projection.rows.len() as u64 })
    }

    fn events_there(&self) -> u64 {
        self.head().number().saturating_sub(self.cut_through().number())
    }

    fn check_log(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let needed = self.projection.needed_payloads();
        let mut newest = None;
        for (event, number) in self.log.iter().zip(1..) {
            let ordered_at = newest.map_or(event.at, |newest| event.at.max(newest));
            newest = Some(ordered_at);
            if event.position != LogPosition::from_number(number) {
                let what = format!("position {} stands in place {number}", event.position);
                findings.push(found(Some(event.position), what));
            }
            if event.ordered_at != ordered_at {
                let what = format!("ordered instant is {}, it should be {ordered_at}", event.ordered_at);
                findings.push(found(Some(event.position), what));
            }
            findings.extend(self.check_dropped(event, &needed));
            findings.extend(check_payload(event));
            findings.extend(check_record(event));
        }
        findings
    }

    /// Only what may be missing is, and nothing that a task needs.
    fn check_dropped(&self, event: &RecordedEvent, needed: &BTreeSet<LogPosition>) -> Option<Finding> {
        let RecordedPayload::Dropped(_) = event.payload else { return None };
        let log = &self.projection.log;
        let may = event.position.number() <= log.payloads_dropped.max(log.cut);
        let what = "payload is missing and was not dropped".to_owned();
        (!may || needed.contains(&event.position)).then(|| found(Some(event.position), what))
    }

    fn check_projection(&self, replayed: &Projection) -> Vec<Finding> {
        let mut findings = Vec::new();
        let keys: BTreeSet<_> = self.projection.rows.keys().chain(replayed.rows.keys()).collect();
        for key in keys {
            let (kept, right) = (self.projection.rows.get(key), replayed.rows.get(key));
            if kept != right {
                let id = kept.or(right).map(|row| &row.state.id);
                findings.push(found(None, format!("task {id:?} is not what its events add up to")));
            }
        }
        if self.projection.log != replayed.log {
            findings.push(found(None, "the log's own state is not what its events add up to".to_owned()));
        }
        if self.projection.scopes != replayed.scopes {
            findings.push(found(None, "the scopes are not what their events add up to".to_owned()));
        }
        if self.projection.keys != replayed.keys || self.projection.indexes != replayed.indexes {
            findings.push(found(None, "an index is not what the tasks add up to".to_owned()));
        }
        findings
    }
}

fn check_payload(event: &RecordedEvent) -> Option<Finding> {
    let found_digest = match &event.payload {
        RecordedPayload::Absent => None,
        RecordedPayload::Held(bytes) => Some(PayloadDigest::of(bytes)),
        RecordedPayload::Dropped(digest) => Some(*digest),
    };
    let wrong = found_digest != event.event.payload();
    wrong.then(|| found(Some(event.position), "payload is not the one that the event refers to".to_owned()))
}

fn check_record(event: &RecordedEvent) -> Option<Finding> {
    let kind = EventKind::of(&event.event).code();
    let mut record = Vec::new();
    let read = codec::encode(&event.event, &mut record).and_then(|()| codec::decode(kind, &record));
    let what = match read {
        Ok(read) if read == event.event => return None,
        Ok(_) => "as a record it would be another event".to_owned(),
        Err(error) => error.reading(event.position, kind).to_string(),
    };
    Some(found(Some(event.position), what))
}

fn found(position: Option<LogPosition>, what: String) -> Finding {
    Finding { position, what }
}
