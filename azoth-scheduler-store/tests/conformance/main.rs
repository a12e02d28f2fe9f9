//! Every store of this crate, and what every store must pass.

mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;
mod walk;
