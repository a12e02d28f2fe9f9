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

use super::hash::Hash;
use super::log::LogRow;

/// The link of an append.
pub(super) fn link(previous: &Hash, database: &[u8; 16], appended: &[LogRow]) -> Hash {
    debug_assert!(!appended.is_empty(), "an append holds at least one event");
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(previous);
    hasher.update(database);
    hasher.update(&(appended.len() as u64).to_le_bytes());
    // Many bytes at once are hashed several times as fast as a few at a time.
    let mut bytes = Vec::with_capacity(appended.iter().map(bytes_of).sum::<usize>().min(PIECE_BYTES));
    for row in appended {
        if bytes.len() + bytes_of(row) > PIECE_BYTES {
            hasher.update(&bytes);
            bytes.clear();
        }
        bytes.extend_from_slice(&row.position.to_le_bytes());
        bytes.extend_from_slice(&row.at.unix_ms().to_le_bytes());
        bytes.extend_from_slice(&row.ordered_at.unix_ms().to_le_bytes());
        bytes.extend_from_slice(&row.subject.to_le_bytes());
        bytes.extend_from_slice(&row.previous.unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(&u64::from(row.kind).to_le_bytes());
        bytes.extend_from_slice(&(row.record.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&row.record);
    }
    hasher.update(&bytes);
    *hasher.finalize().as_bytes()
}

fn bytes_of(row: &LogRow) -> usize {
    FIELDS_BYTES + row.record.len()
}

/// The fields of an event before its record.
const FIELDS_BYTES: usize = 7 * 8;
/// So many bytes are hashed at once; a greater record alone.
const PIECE_BYTES: usize = 64 * 1024;

const CONTEXT: &str = "azoth-scheduler 2026-11 log chain 1";

#[cfg(test)]
mod tests {
    use azoth_scheduler_core::time::Timestamp;

    use super::*;
    use crate::sqlite::hash::GENESIS;

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

    /// An append of several pieces is the same hash as that of all its bytes at once, by the description above.
    #[test]
    fn large_appends_are_hashed_like_small_ones() {
        let rows: Vec<LogRow> = (1..=900)
            .map(|position| row(position, Some(position), &[7; 200]))
            .chain([row(901, None, &[9; 80_000])])
            .collect();
        let mut plain = blake3::Hasher::new_derive_key(CONTEXT);
        plain.update(&GENESIS).update(&[5; 16]).update(&901_u64.to_le_bytes());
        for row in &rows {
            let at = row.at.unix_ms();
            for field in
                [row.position.to_le_bytes(), at.to_le_bytes(), at.to_le_bytes(), row.subject.to_le_bytes()]
            {
                plain.update(&field);
            }
            for field in [row.previous.unwrap_or(0), u64::from(row.kind), row.record.len() as u64] {
                plain.update(&field.to_le_bytes());
            }
            plain.update(&row.record);
        }
        assert_eq!(link(&GENESIS, &[5; 16], &rows), *plain.finalize().as_bytes());
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
