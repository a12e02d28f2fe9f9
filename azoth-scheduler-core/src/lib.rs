//! The pure part of azoth-scheduler.
//!
//! Nothing here reads a clock, a file, an environment variable or a random number: the crate is `no_std` + `alloc`,
//! `now` is an argument, and ids are minted outside.
#![no_std]
#![warn(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        reason = "a panic in a test is its failure"
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod id;
#[cfg(feature = "parse")]
pub mod schedule;
#[cfg(feature = "engine")]
pub mod time;
