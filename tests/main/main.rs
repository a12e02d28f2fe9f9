//! The library as its users see it, through the facade, in one binary.
#![cfg(all(feature = "sqlite", feature = "macros"))]
#![allow(clippy::unwrap_used, reason = "a panic in a test is its failure")]

mod bad_input;
mod cancelled;
mod child;
mod defects;
mod enqueue;
mod full_disk;
mod killed;
mod macros;
mod one_file;
mod paused;
mod poison;
mod queue;
mod schedules;
mod support;
mod ui;
