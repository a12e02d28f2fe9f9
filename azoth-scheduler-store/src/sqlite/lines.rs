//! The log as lines of JSON: what an export writes and an import reads. `docs/export.md` describes the format.

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::payload::PayloadDigest;
use azoth_scheduler_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hash::Hash;
use super::log::LogRow;
use crate::codec::{self, EventKind};

/// The word by which an export is known.
pub(super) const FORMAT: &str = "azoth-scheduler log";
/// The version of the lines that is written, and the only one so far.
pub(super) const VERSION: u32 = 1;

/// The first line: which log this is, and from where to where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderLine {
    pub(super) format: String,
    pub(super) version: u32,
    pub(super) database: Hex<16>,
    /// The events behind this position are in the export, up to `through`.
    pub(super) after: u64,
    pub(super) after_hash: Hex<32>,
    pub(super) through: u64,
    pub(super) through_hash: Hex<32>,
}

/// An event: every column of its row, what it means, and the bytes that belong to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventLine {
    pub(super) position: u64,
    pub(super) at_ms: i64,
    pub(super) ordered_at_ms: i64,
    pub(super) subject: u64,
    pub(super) previous: Option<u64>,
    pub(super) kind: u8,
    pub(super) name: String,
    /// What the record holds, for readers. An import compares it with the record.
    pub(super) event: Value,
    pub(super) record: HexBytes,
    pub(super) payload: PayloadLine,
    pub(super) link: Option<Hex<32>>,
}

/// The bytes that belong to an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PayloadLine {
    /// None, or none any more.
    None,
    /// Bytes that are UTF-8.
    Text(String),
    /// Others.
    Hex(HexBytes),
}

impl HeaderLine {
    /// What is wrong with the words that say what this is.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("has the format {:?} instead of {FORMAT:?}", self.format));
        }
        if self.version != VERSION {
            let found = self.version;
            return Err(format!(
                "has version {found}, this library knows version {VERSION}: update the program"
            ));
        }
        Ok(())
    }
}

impl EventLine {
    /// The line of an event, if its record could be read, and of its bytes.
    pub(super) fn of(row: LogRow, event: Option<&Event>, payload: Option<Vec<u8>>) -> Self {
        Self {
            position: row.position,
            at_ms: row.at.unix_ms(),
            ordered_at_ms: row.ordered_at.unix_ms(),
            subject: row.subject,
            previous: row.previous,
            kind: row.kind,
            name: event.map_or("unreadable", Event::name).to_owned(),
            event: event.map_or(Value::Null, codec::readable),
            record: HexBytes(row.record),
            payload: PayloadLine::of(payload),
            link: row.link.map(Hex),
        }
    }

    /// The row, the event in it and its bytes; or what is wrong with the line.
    pub(super) fn take_apart(self) -> Result<(LogRow, Event, Option<Vec<u8>>), String> {
        let record = self.record.0;
        let event = codec::decode(self.kind, &record)
            .map_err(|error| format!("holds a record that is none: {error}"))?;
        if codec::readable(&event) != self.event || self.name != EventKind::of(&event).name() {
            return Err("tells another event than its record holds".to_owned());
        }
        let instant = |ms| {
            Timestamp::from_unix_ms(ms).map_err(|error| format!("holds an instant that is none: {error}"))
        };
        let payload = self.payload.bytes();
        check_payload(event.payload(), payload.as_deref())?;
        let row = LogRow {
            position: self.position,
            at: instant(self.at_ms)?,
            ordered_at: instant(self.ordered_at_ms)?,
            subject: self.subject,
            previous: self.previous,
            kind: self.kind,
            record,
            link: self.link.map(|Hex(hash)| hash),
        };
        Ok((row, event, payload))
    }
}

fn check_payload(digest: Option<PayloadDigest>, bytes: Option<&[u8]>) -> Result<(), String> {
    match (digest, bytes) {
        (_, None) => Ok(()),
        (Some(digest), Some(bytes)) if PayloadDigest::of(bytes) == digest => Ok(()),
        (Some(_), Some(_)) => Err("holds another payload than its record refers to".to_owned()),
        (None, Some(_)) => Err("holds a payload and its record refers to none".to_owned()),
    }
}

impl PayloadLine {
    fn of(bytes: Option<Vec<u8>>) -> Self {
        match bytes.map(String::from_utf8) {
            None => PayloadLine::None,
            Some(Ok(text)) => PayloadLine::Text(text),
            Some(Err(other)) => PayloadLine::Hex(HexBytes(other.into_bytes())),
        }
    }

    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            PayloadLine::None => None,
            PayloadLine::Text(text) => Some(text.into_bytes()),
            PayloadLine::Hex(HexBytes(bytes)) => Some(bytes),
        }
    }
}

/// So many bytes, as hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct Hex<const N: usize>(pub(super) [u8; N]);

/// Bytes as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct HexBytes(pub(super) Vec<u8>);

/// The digits are not what bytes look like.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotHex(String);

impl<const N: usize> From<Hex<N>> for String {
    fn from(Hex(bytes): Hex<N>) -> Self {
        digits(&bytes)
    }
}

impl<const N: usize> TryFrom<String> for Hex<N> {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        let bytes = undigits(&text)?;
        bytes.try_into().map(Hex).map_err(|_| NotHex(format!("{text:?} is not {N} bytes in hexadecimal")))
    }
}

impl From<HexBytes> for String {
    fn from(HexBytes(bytes): HexBytes) -> Self {
        digits(&bytes)
    }
}

impl TryFrom<String> for HexBytes {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        undigits(&text).map(HexBytes)
    }
}

/// A hash as its digits.
pub(super) fn shown(hash: &Hash) -> String {
    digits(hash)
}

fn digits(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(half), 16));
        }
    }
    text
}

/// Small letters only: an export has one form.
fn undigits(text: &str) -> Result<Vec<u8>, NotHex> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    bytes.ok_or_else(|| NotHex("these are no pairs of the digits 0 to 9 and a to f".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_pairs_of_small_letters() {
        assert_eq!(digits(&[0x00, 0x9a, 0xff]), "009aff");
        assert_eq!(undigits("009aff").unwrap(), [0x00, 0x9a, 0xff]);
        for wrong in ["0", "0g", "9A", "ä"] {
            assert!(undigits(wrong).is_err(), "{wrong}");
        }
        assert!(Hex::<16>::try_from("00".repeat(15)).is_err());
    }
}
