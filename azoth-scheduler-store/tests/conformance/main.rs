//! Every store of this crate, and what every store must pass.

mod memory;
mod walk;
