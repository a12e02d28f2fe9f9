//! For tests: a world in which a month takes milliseconds, and crashes, pauses and failing disks are at hand.
//!
//! | what | is |
//! |---|---|
//! | [`Simulator`] | schedulers under a clock that jumps, in an order that follows from a seed |
//! | [`Run`], [`RunEnd`] | what ran, as the log says |
//! | [`StoreFault`], [`StoreCall`] | what may befall a call of the store |
//! | [`Chance`] | numbers that follow from a seed |
//!
//! Behind the feature `testing`. A [`ManualClock`](crate::ManualClock) alone needs no feature.

mod chance;
mod executor;
mod run;
mod simulator;
mod store;

pub use self::chance::Chance;
pub use self::run::{Run, RunEnd};
pub use self::simulator::Simulator;
pub use self::store::{StoreCall, StoreFault};
