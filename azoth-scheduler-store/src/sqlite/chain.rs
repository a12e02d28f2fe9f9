//! The chain: a hash over everything that was ever appended, so that an edit, a removal or a swap shows.
//!
//! One link per append. A link is BLAKE3 in key-derivation mode with the context string
//! `azoth-scheduler 2026-11 log chain 1`, over these bytes, integers little-endian:
//!
//! 1. the previous link, 32 bytes; all zero for the first append;
//! 2. the database's id, 16 bytes;
//! 3. how many events were appended, `u64`;
//! 4. for each of them, in order: position `u64`, instant in ms `i64`, ordered instant in ms `i64`, subject `u64`,
//!    position of the subject's event before this one `u64` (0 for none), kind `u64`, length of the record in bytes
//!    `u64`, the record.
//!
//! All fields but the record have a fixed width and the record is led by its length, so no two different appends give
//! the same bytes. The link stands in the row of the last event of its append. An unkeyed chain tells damage and
//! careless edits; whoever can write the file can also recompute it, so keep the head's hash elsewhere where that
//! matters.

use super::log::LogRow;

/// A link of the chain.
pub(super) type Hash = [u8; 32];

/// The chain before the first event.
pub(super) const GENESIS: Hash = [0; 32];

/// The link of an append.
pub(super) fn link(previous: &Hash, database: &[u8; 16], appended: &[LogRow]) -> Hash {
    debug_assert!(!appended.is_empty(), "an append holds at least one event");
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(previous);
    hasher.update(database);
    hasher.update(&(appended.len() as u64).to_le_bytes());
    for row in appended {
        hasher.update(&row.position.to_le_bytes());
        hasher.update(&row.at.unix_ms().to_le_bytes());
        hasher.update(&row.ordered_at.unix_ms().to_le_bytes());
        hasher.update(&row.subject.to_le_bytes());
        hasher.update(&row.previous.unwrap_or(0).to_le_bytes());
        hasher.update(&u64::from(row.kind).to_le_bytes());
        hasher.update(&(row.record.len() as u64).to_le_bytes());
        hasher.update(&row.record);
    }
    *hasher.finalize().as_bytes()
}

const CONTEXT: &str = "azoth-scheduler 2026-11 log chain 1";

#[cfg(test)]
mod tests {
    use azoth_scheduler_core::time::Timestamp;

    use super::*;

    fn row(position: u64, previous: Option<u64>, record: &[u8]) -> LogRow {
        let at = Timestamp::from_unix_ms(1_700_000_000_123).unwrap();
        LogRow {
            position,
            at,
            ordered_at: at,
            subject: 1,
            previous,
            kind: 1,
            record: record.to_vec(),
            link: None,
        }
    }

    /// Computed by another implementation, from the description above alone. They never change.
    #[test]
    fn golden_vectors_hold() {
        let first = link(&GENESIS, &[7; 16], &[row(1, None, b"abc")]);
        let second = link(&first, &[7; 16], &[row(2, Some(1), b""), row(3, Some(2), &[0xff; 40])]);
        assert_eq!(hex(&first), "40c976f6bee30bacc33452497c623ced4377e02bb6b093bccd7f22d28d918af9");
        assert_eq!(hex(&second), "c6191392ff811c2f6f051688a5182c92527e3e42bd7ad41e0ca74387c0dfc3fe");
    }

    #[test]
    fn bytes_cannot_move_between_records() {
        let one = link(&GENESIS, &[0; 16], &[row(1, None, b"ab"), row(2, Some(1), b"c")]);
        let other = link(&GENESIS, &[0; 16], &[row(1, None, b"a"), row(2, Some(1), b"bc")]);
        assert_ne!(one, other);
    }

    #[test]
    fn splitting_an_append_changes_the_chain() {
        let rows = [row(1, None, b"a"), row(2, Some(1), b"b")];
        let whole = link(&GENESIS, &[0; 16], &rows);
        let split = link(&link(&GENESIS, &[0; 16], &rows[..1]), &[0; 16], &rows[1..]);
        assert_ne!(whole, split);
    }

    fn hex(hash: &Hash) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
