//! Faults for the tests of azoth-scheduler. Nothing of this is in a release.
//!
//! | room | what it holds |
//! |---|---|
//! | [`vfs`] | a file system for SQLite around the default one, registered by a name of its own |
//! | [`fault`] | what it does wrong, and when: errors, a full disk, the end of the process |
//! | [`recording`] | what was written and synced, and what a power cut leaves of it |
//! | [`process`] | stopping, resuming and forking processes |
//!
//! ```
//! use azoth_scheduler_faults::{Call, Effect, Fault, FaultyVfs, Part};
//!
//! let vfs = FaultyVfs::register();
//! vfs.inject(Fault::at(Call::Sync, Part::Wal, Effect::IoError).nth(3));
//! // A connection that is opened by `vfs.name()` now fails at its third sync of the write-ahead log.
//! vfs.heal();
//! ```

pub mod fault;
#[cfg(unix)]
pub mod process;
pub mod recording;
pub mod vfs;

pub use fault::{Call, Effect, Fault, Part};
pub use recording::{Fate, Image, Recording};
pub use vfs::FaultyVfs;
