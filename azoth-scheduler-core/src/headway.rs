//! What an execution says while it runs: how far it has come, and what the next attempt goes on from.
//!
//! Users call the first one progress. Here that word is taken by what is decided of a schedule's occurrences.

use alloc::string::String;
use core::fmt;

use crate::execution::cut;
use crate::payload::PayloadDigest;
use crate::time::Timestamp;

/// How far an execution says that it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headway {
    /// Which part of its work is done.
    pub done: Share,
    /// What it says of it; may be empty.
    pub note: Note,
}

/// A headway, and when it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// How far it had come.
    pub headway: Headway,
    /// When.
    pub at: Timestamp,
}

/// What an attempt left for the next one: bytes, known by their digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which bytes.
    pub payload: PayloadDigest,
    /// When they were recorded.
    pub at: Timestamp,
}

impl Checkpoint {
    /// One checkpoint has at most so many bytes (256 KiB).
    pub const BYTES_MAX: usize = 256 * 1024;
}

/// A part of a whole, in hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u16);

impl Share {
    /// Nothing of it.
    pub const NONE: Share = Share(0);
    /// All of it.
    pub const WHOLE: Share = Share(10_000);

    /// The share nearest to a fraction of 1. What is below 0 or no number counts as 0, what is above 1 as 1.
    pub fn of(fraction: f64) -> Self {
        let clamped = if fraction > 0.0 { fraction.min(1.0) } else { 0.0 };
        // At most 10,000.5, so nothing is lost but what comes behind the point.
        Self((clamped * f64::from(Self::WHOLE.0) + 0.5) as u16).min(Self::WHOLE)
    }

    /// So many hundredths of a percent; `None` over 10,000.
    pub fn from_hundredths(hundredths: u16) -> Option<Self> {
        Some(Self(hundredths)).filter(|share| *share <= Self::WHOLE)
    }

    /// In hundredths of a percent, 0 to 10,000.
    pub fn hundredths(self) -> u16 {
        self.0
    }

    /// As a fraction, 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE.0)
    }
}

/// A few words, cut at [`Note::BYTES_MAX`] bytes on a character boundary.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Note(String);

impl Note {
    /// The most bytes that are kept of it.
    pub const BYTES_MAX: usize = 256;

    /// The text, or its start with a mark where it is longer than is kept.
    pub fn new(text: impl Into<String>) -> Self {
        Self(cut(text.into(), Self::BYTES_MAX))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_is_the_nearest_one_and_what_lies_outside_is_moved_to_the_border() {
        let hundredths = |fraction| Share::of(fraction).hundredths();
        let found = [0.0, 0.4, 0.000_06, 0.999_96, 1.0, 7.5, -3.0, f64::NAN, f64::INFINITY].map(hundredths);
        assert_eq!(found, [0, 4_000, 1, 10_000, 10_000, 10_000, 0, 0, 10_000]);
        assert_eq!(Share::of(0.25).fraction(), 0.25);
    }

    #[test]
    fn share_beyond_the_whole_is_none() {
        assert_eq!(Share::from_hundredths(10_000), Some(Share::WHOLE));
        assert_eq!(Share::from_hundredths(10_001), None);
    }

    #[test]
    fn long_note_is_cut_and_says_so() {
        let note = Note::new("ü".repeat(200));
        assert!(note.as_str().len() <= Note::BYTES_MAX && note.as_str().ends_with(" [cut]"), "{note}");
    }
}
