//! What a task is given and what a handler gives back: bytes, known by their digest.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// Length and BLAKE3 hash of some bytes. Events and states hold this; the bytes have a place of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PayloadDigest {
    /// How many bytes.
    pub bytes: u64,
    /// Their BLAKE3 hash.
    pub blake3: [u8; 32],
}

impl PayloadDigest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, blake3: *blake3::hash(bytes).as_bytes() }
    }
}

impl fmt::Debug for PayloadDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.blake3;
        write!(f, "{} bytes, blake3 {a:02x}{b:02x}{c:02x}{d:02x}..", self.bytes)
    }
}

/// Bytes with their digest. Cheap to clone; `Debug` shows the digest, never the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    bytes: Arc<[u8]>,
    digest: PayloadDigest,
}

impl Payload {
    /// Takes the bytes and digests them once.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let digest = PayloadDigest::of(&bytes);
        Self { bytes, digest }
    }

    /// No bytes at all, which is a legal payload.
    pub fn empty() -> Self {
        Self::new(Vec::new())
    }

    /// The bytes.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Their length and hash.
    pub fn digest(&self) -> PayloadDigest {
        self.digest
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.digest, f)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn debug_shows_no_byte_of_a_payload() {
        let text = format!("{:?}", Payload::new(b"hunter2-secret".to_vec()));
        assert!(!text.contains("hunter2") && text.contains("14 bytes"), "{text}");
    }

    #[test]
    fn digest_is_the_published_blake3_of_nothing() {
        let [a, b, c, d, ..] = Payload::empty().digest().blake3;
        assert_eq!([a, b, c, d], [0xaf, 0x13, 0x49, 0xb9]);
    }
}
