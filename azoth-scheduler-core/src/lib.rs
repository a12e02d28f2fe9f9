//! The pure part of azoth-scheduler: what a schedule means, and every rule of what may happen to a task.
//!
//! Nothing here reads a clock, a file, an environment variable or a random number: the crate is `no_std` + `alloc`,
//! `now` is an argument, and ids are minted outside. Commands are wishes, events are facts, and only two functions
//! lead from the ones to the others: [`decide`](fn@decide::decide) holds every rule and writes its choice into the
//! events, [`evolve`](fn@evolve::evolve) copies events into state.
//!
//! | room | what it holds |
//! |---|---|
//! | [`id`], [`time`], [`payload`] | names, ids, instants and bytes: parsed once, then trusted |
//! | [`schedule`] | when a task runs: cron, interval, one-time, immediate; zones, windows, misfires, overlaps |
//! | [`task`], [`retry`], [`execution`] | a task's definition, its policies, one run of it and how it ended |
//! | [`command`], [`event`], [`rejection`] | the vocabularies: wishes, facts, and lawful refusals |
//! | [`scope`] | limits and pauses of a task type, a concurrency key, or everything |
//! | [`retention`] | what is let go of old tasks, payloads and events, and when |
//! | [`state`], [`decide`], [`evolve`] | what events add up to, every rule, and the reducer that only copies |
//! | [`headway`] | what an execution says while it runs: its progress, its checkpoints |
//! | [`ledger`] | whether the events of a task account for every occurrence |
#![no_std]
#![warn(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::wildcard_enum_match_arm)]
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
mod abandonment;
#[cfg(feature = "engine")]
pub mod carry_out;
#[cfg(feature = "engine")]
pub mod command;
#[cfg(feature = "engine")]
pub mod decide;
#[cfg(feature = "engine")]
pub mod dependency;
#[cfg(feature = "engine")]
mod ending;
#[cfg(feature = "engine")]
pub mod event;
#[cfg(feature = "engine")]
pub mod evolve;
#[cfg(feature = "engine")]
pub mod execution;
#[cfg(feature = "engine")]
pub mod headway;
#[cfg(feature = "engine")]
mod horizon;
#[cfg(feature = "engine")]
pub mod ledger;
#[cfg(feature = "engine")]
mod new_task;
#[cfg(feature = "engine")]
pub mod payload;
#[cfg(feature = "engine")]
pub mod rejection;
#[cfg(feature = "engine")]
pub mod retention;
#[cfg(feature = "engine")]
pub mod retry;
#[cfg(feature = "engine")]
pub mod scope;
#[cfg(feature = "engine")]
mod spread;
#[cfg(feature = "engine")]
pub mod state;
#[cfg(feature = "engine")]
pub mod task;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "engine")]
pub mod time;
#[cfg(feature = "engine")]
pub mod trace;
#[cfg(feature = "engine")]
pub mod unique;
