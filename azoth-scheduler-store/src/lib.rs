//! Stores of azoth-scheduler: the canonical log and its projection.
//!
//! | room | what it holds |
//! |---|---|
//! | [`store`] | the [`Store`] trait: what every store promises |
//! | `sqlite` | the `SqliteStore`: log and projection in one SQLite file (feature `sqlite`) |
//! | [`memory`] | the [`MemoryStore`]: plain maps, the reference for all others |
//! | `conformance` | what every store must pass (feature `conformance`) |
//! | [`standing`] | offers that a worker leaves with its store |
//! | [`record`], [`report`], [`filter`], [`error`] | events in their envelopes, answers, questions, errors |
#![warn(clippy::indexing_slicing, clippy::wildcard_enum_match_arm)]
#![cfg_attr(test, allow(clippy::indexing_slicing, reason = "a panic in a test is its failure"))]

#[cfg(test)]
mod arbitrary;
mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
pub mod filter;
pub mod memory;
mod offer;
pub mod record;
pub mod report;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod standing;
pub mod store;
mod touched;

pub use error::StoreError;
pub use filter::TaskFilter;
pub use memory::MemoryStore;
pub use record::{LogPosition, RecordedEvent, RecordedPayload, Subject};
pub use report::{
    BackupReport, ConsumerLag, CutReport, Damage, ExportReport, Finding, Health, RebuildProgress,
    RebuildReport, RetentionReport, SalvageReport, SalvagedPart, StoreStats, TaskCount, UnhandledType,
    VerifyReport,
};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use standing::StandingOffer;
pub use store::{
    Ahead, Applied, AsOf, Batch, ClaimOffer, Claimed, Claims, DeadLetter, Orphan, Past, Prepared,
    ProcessIdentity, Renewal, StartFrom, Store, StoredTask, Suspects, WorkerInfo, WorkerRow,
};
