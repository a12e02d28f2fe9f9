//! How every record is encoded, and how large it may be.

use bincode::Options;

/// Integers as short as they come, little endian.
pub(super) fn options() -> impl Options + Copy {
    bincode::DefaultOptions::new().with_varint_encoding().with_little_endian()
}

/// The format of every record: bincode 1, with the options above.
pub(super) const FORMAT: u8 = 1;
/// The version in which every kind is written.
pub(super) const VERSION: u8 = 1;
pub(super) const HEADER_BYTES: u64 = 2;
pub(super) const BODY_BYTES_MAX: u64 = RECORD_BYTES_MAX - HEADER_BYTES;
/// The largest record, its two leading bytes included. The largest that core makes has some 75 KiB: an error with the
/// most sources, each of the greatest length.
pub(crate) const RECORD_BYTES_MAX: u64 = 256 * 1024;
