//! The scheduler as its users see it, under a clock that they move.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its failure")]

mod ahead;
mod cancelling;
mod clock_jumps;
mod composing;
mod declaring;
mod event_handlers;
mod idling;
mod leases;
mod limits;
mod listening;
mod noting;
mod observing;
mod operating;
mod outcomes;
mod prompt;
mod retaining;
mod running;
mod scheduling;
mod shutting_down;
mod store_failures;
mod support;
mod suspects;
mod unhandled;
