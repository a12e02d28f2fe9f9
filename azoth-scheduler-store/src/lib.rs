//! Stores of azoth-scheduler: the canonical log and its projection.
//!
//! | room | what it holds |
//! |---|---|
//! | [`store`] | the [`Store`] trait: what every store promises |
//! | [`record`], [`report`], [`filter`], [`error`] | events in their envelopes, answers, questions, errors |
#![warn(clippy::indexing_slicing, clippy::wildcard_enum_match_arm)]
#![cfg_attr(test, allow(clippy::indexing_slicing, reason = "a panic in a test is its failure"))]

#[cfg(test)]
mod arbitrary;
#[allow(dead_code, reason = "the stores come next")]
mod codec;
pub mod error;
pub mod filter;
pub mod record;
pub mod report;
pub mod store;

pub use error::StoreError;
pub use filter::TaskFilter;
pub use record::{LogPosition, RecordedEvent, RecordedPayload, Subject};
pub use report::{ConsumerLag, Finding, RebuildReport, StoreStats, TaskCount, VerifyReport};
pub use store::{
    Applied, Batch, ClaimOffer, Claimed, Claims, DeadLetter, Orphan, ProcessIdentity, Renewal, StartFrom,
    Store, StoredTask, WorkerInfo, WorkerRow,
};
