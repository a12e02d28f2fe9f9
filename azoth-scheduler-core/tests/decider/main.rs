//! Every rule of `decide` and `evolve`, by example and over random histories.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its failure")]

mod after;
mod asked;
mod clock;
mod conflict;
mod failure;
mod history;
mod ledger;
mod life;
mod noting;
mod protocol;
mod scopes;
mod walk;
