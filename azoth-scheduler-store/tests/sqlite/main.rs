//! Tests of the SQLite store that need a file, several handles or several processes.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic in a test is its failure")]
#![cfg(feature = "sqlite")]

mod abort;
mod bits;
mod checkpoint;
mod commits;
mod copies;
mod cutting;
mod damage;
mod disk;
mod enqueue;
mod flow;
mod handler;
mod kill;
mod model;
mod opening;
mod power;
mod process;
mod rebuild;
mod replaced;
mod salvage;
mod share;
mod support;
mod wal;
