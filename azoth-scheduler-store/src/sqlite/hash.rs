//! The hashes of which the [chain](super::chain) is made.

/// A link of the chain.
pub(super) type Hash = [u8; 32];

/// The chain before the first event.
pub(super) const GENESIS: Hash = [0; 32];
