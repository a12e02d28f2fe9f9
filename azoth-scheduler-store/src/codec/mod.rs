//! Events as bytes: the one place that knows how they are encoded.
//!
//! A record is a format byte, a version byte and the encoded struct of that version; its kind is stored beside it.
//! Formats are free until the first release. From then on each version is frozen and decodes for ever: a new one gets
//! a module beside [`v1`], and the old one stays.
//!
//! Bytes of payloads are not in records; those hold their digests. A record may come from a damaged file, so decoding
//! checks all that core's types rely on, and panics on no bytes whatever.

mod bytes;
mod encoding;
mod error;
mod kind;
mod recent;
#[cfg(feature = "sqlite")]
mod scope;
mod v1;

#[cfg(test)]
mod tests;

use azoth_scheduler_core::event::Event;
use bincode::{ErrorKind, Options};
use serde::Deserialize;

pub(crate) use self::encoding::RECORD_BYTES_MAX;
use self::encoding::{BODY_BYTES_MAX, FORMAT, HEADER_BYTES, VERSION, options};
pub(crate) use self::error::CodecError;
pub(crate) use self::kind::EventKind;
#[cfg(feature = "sqlite")]
pub(crate) use self::kind::Subject;
#[cfg(feature = "sqlite")]
pub(crate) use self::scope::{decode_scope, encode_scope};
use self::v1::{IntoEvent, Memory, Record};

/// Appends the record of an event to `out`. After an error `out` is as it was.
///
/// # Errors
/// [`CodecError::TooLarge`] over [`RECORD_BYTES_MAX`].
pub(crate) fn encode(event: &Event, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = out.len();
    out.extend([FORMAT, VERSION]);
    let record = Record::of(event);
    let written = options().with_limit(BODY_BYTES_MAX).serialize_into(&mut *out, &record);
    written.map_err(|error| {
        out.truncate(start);
        not_written(EventKind::of(event), &record, &error)
    })
}

/// What a record holds, for whoever reads it without this library.
#[cfg(feature = "sqlite")]
pub(crate) fn readable(event: &Event) -> serde_json::Value {
    serde_json::to_value(Record::of(event)).expect("structs, numbers and texts are values")
}

/// The event that a record of this kind holds.
///
/// # Errors
/// [`CodecError`] says why it holds none.
pub(crate) fn decode(kind: u8, record: &[u8]) -> Result<Event, CodecError> {
    decode_with(&mut Memory::of_one(), kind, record)
}

/// Decodes one record after the other: what they have in common is made once.
#[cfg(feature = "sqlite")]
#[derive(Debug)]
pub(crate) struct Decoder {
    memory: Memory,
}

#[cfg(feature = "sqlite")]
impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "sqlite")]
impl Decoder {
    pub(crate) fn new() -> Self {
        Self { memory: Memory::of_many() }
    }

    /// As [`decode`].
    ///
    /// # Errors
    /// As [`decode`].
    pub(crate) fn decode(&mut self, kind: u8, record: &[u8]) -> Result<Event, CodecError> {
        decode_with(&mut self.memory, kind, record)
    }
}

fn decode_with(memory: &mut Memory, kind: u8, record: &[u8]) -> Result<Event, CodecError> {
    let kind = EventKind::from_code(kind).ok_or(CodecError::UnknownKind { code: kind })?;
    decode_v1(memory, kind, body(kind, record)?)
}

/// What stands behind the leading bytes, which say the version.
fn body(kind: EventKind, record: &[u8]) -> Result<&[u8], CodecError> {
    let bytes = record.len() as u64;
    if bytes > RECORD_BYTES_MAX {
        return Err(CodecError::TooLarge { bytes, limit: RECORD_BYTES_MAX });
    }
    let (format, version, body) = match record {
        [format, version, body @ ..] => (*format, *version, body),
        [] | [_] => return Err(malformed(kind, &"it ends before its version")),
    };
    match (format, version) {
        (FORMAT, 0) => Err(malformed(kind, &"it has version 0, which was never written")),
        (FORMAT, VERSION) => Ok(body),
        (FORMAT, found) => Err(CodecError::NewerVersion { kind, found, supported: VERSION }),
        (found, _) => Err(CodecError::UnknownFormat { found }),
    }
}

/// The name of the task's type, where a record of this kind schedules one, and nothing else of it.
///
/// # Errors
/// [`CodecError`] says why it has none. A record that has one need not be one that can be decoded.
#[cfg(feature = "sqlite")]
pub(crate) fn type_named(kind: u8, record: &[u8]) -> Result<Option<&str>, CodecError> {
    let kind = EventKind::from_code(kind).ok_or(CodecError::UnknownKind { code: kind })?;
    if kind != EventKind::TaskScheduled {
        return Ok(None);
    }
    let body = body(kind, record)?;
    let begins = options().allow_trailing_bytes();
    let named =
        begins.deserialize(body).and_then(|begin: v1::ScheduledBegin<'_>| begins.deserialize(begin.common));
    named.map(Some).map_err(|error| malformed(kind, &error))
}

fn decode_v1(memory: &mut Memory, kind: EventKind, body: &[u8]) -> Result<Event, CodecError> {
    match kind {
        EventKind::TaskScheduled => read::<v1::TaskScheduled<'_, &[u8]>>(memory, kind, body),
        EventKind::ExecutionStarted => read::<v1::ExecutionStarted>(memory, kind, body),
        EventKind::TaskExecuted => read::<v1::TaskExecuted<'_>>(memory, kind, body),
        EventKind::TaskEventEmitted => read::<v1::TaskEventEmitted<'_>>(memory, kind, body),
        EventKind::ExecutionAbandoned => read::<v1::ExecutionAbandoned<'_>>(memory, kind, body),
        EventKind::OccurrencesPassed => read::<v1::OccurrencesPassed<'_>>(memory, kind, body),
        EventKind::TaskCancelled => read::<v1::TaskCancelled<'_>>(memory, kind, body),
        EventKind::TaskPaused => read::<v1::TaskPaused<'_>>(memory, kind, body),
        EventKind::TaskResumed => read::<v1::TaskResumed<'_>>(memory, kind, body),
        EventKind::TaskDisabled => read::<v1::TaskDisabled<'_>>(memory, kind, body),
        EventKind::ClockCorrected => read::<v1::ClockCorrected<'_>>(memory, kind, body),
        EventKind::LimitsChanged => read::<v1::LimitsChanged<'_>>(memory, kind, body),
        EventKind::ScopePaused => read::<v1::ScopePaused<'_>>(memory, kind, body),
        EventKind::ScopeResumed => read::<v1::ScopeResumed<'_>>(memory, kind, body),
        EventKind::TasksForgotten => read::<v1::TasksForgotten<'_>>(memory, kind, body),
        EventKind::PayloadsDropped => read::<v1::PayloadsDropped>(memory, kind, body),
        EventKind::LogCut => read::<v1::LogCut>(memory, kind, body),
        EventKind::DependencyEnded => read::<v1::DependencyEnded<'_>>(memory, kind, body),
        EventKind::RunRequested => read::<v1::RunRequested<'_>>(memory, kind, body),
        EventKind::TaskRetried => read::<v1::TaskRetried<'_>>(memory, kind, body),
        EventKind::ProgressReported => read::<v1::ProgressReported<'_>>(memory, kind, body),
        EventKind::CheckpointSaved => read::<v1::CheckpointSaved>(memory, kind, body),
    }
}

fn read<'a, T: Deserialize<'a> + IntoEvent>(
    memory: &mut Memory,
    kind: EventKind,
    body: &'a [u8],
) -> Result<Event, CodecError> {
    // No limit is counted down: nothing is read but these bytes, which are not too many.
    match options().deserialize::<T>(body) {
        Ok(stored) => stored.into_event(memory).map_err(|invalid| malformed(kind, &invalid)),
        // The encoder has no error of its own for this, so it is asked a second time.
        Err(error) => Err(match options().allow_trailing_bytes().deserialize::<T>(body) {
            Ok(_) => CodecError::TrailingBytes { kind },
            Err(_) => malformed(kind, &error),
        }),
    }
}

#[cold]
fn malformed(kind: EventKind, detail: &dyn std::fmt::Display) -> CodecError {
    CodecError::Malformed { kind, detail: detail.to_string() }
}

fn not_written(kind: EventKind, record: &Record<'_>, error: &ErrorKind) -> CodecError {
    match (error, options().serialized_size(record)) {
        (ErrorKind::SizeLimit, Ok(body)) => {
            let bytes = body.saturating_add(HEADER_BYTES);
            CodecError::TooLarge { bytes, limit: RECORD_BYTES_MAX }
        }
        _ => CodecError::Malformed { kind, detail: error.to_string() },
    }
}
