//! Why an event cannot be encoded, or a record not be decoded.

use super::kind::EventKind;
use crate::error::StoreError;
use crate::record::LogPosition;

/// Why an event cannot be encoded, or a record not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    /// The code beside the record names no kind that this library knows.
    #[error("kind {code} is not known: a newer version of this library wrote it, or it is damaged")]
    UnknownKind { code: u8 },
    /// The format byte names no format that this library knows.
    #[error("format {found} is not known: a newer version of this library wrote it, or it is damaged")]
    UnknownFormat { found: u8 },
    /// The version byte is greater than the newest version of the kind.
    #[error(
        "it has version {found}, this library knows versions up to {supported} of {kind}: update the program"
    )]
    NewerVersion { kind: EventKind, found: u8, supported: u8 },
    /// The record is larger than records are.
    #[error("a record of {bytes} bytes is over the limit of {limit}")]
    TooLarge { bytes: u64, limit: u64 },
    /// The record goes on behind its end.
    #[error("bytes follow the end of the {kind}")]
    TrailingBytes { kind: EventKind },
    /// The bytes are no record of this kind, or hold a value that it cannot have.
    #[error("it is no {kind}: {detail}")]
    Malformed { kind: EventKind, detail: String },
}

impl CodecError {
    /// The error of whoever read the record of this kind at this position of the log.
    pub(crate) fn reading(self, position: LogPosition, kind: u8) -> StoreError {
        let kind = EventKind::from_code(kind).map_or_else(|| kind.to_string(), |kind| kind.name().to_owned());
        StoreError::Undecodable { position, kind, detail: self.to_string() }
    }

    /// The error of whoever was about to write the record.
    pub(crate) fn writing(self) -> StoreError {
        match self {
            CodecError::TooLarge { bytes, limit } => StoreError::TooLarge { bytes, limit },
            CodecError::UnknownKind { .. }
            | CodecError::UnknownFormat { .. }
            | CodecError::NewerVersion { .. }
            | CodecError::TrailingBytes { .. }
            | CodecError::Malformed { .. } => {
                StoreError::Corrupt { what: format!("an event cannot be encoded: {self}") }
            }
        }
    }
}
