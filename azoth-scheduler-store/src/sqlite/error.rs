//! What the engine's errors mean to a caller.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::StoreError;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(code) => of_code(code, detail),
            None => of_driver(&error, detail),
        }
    }
}

/// Only what a caller can do something about has a name of its own.
#[expect(clippy::wildcard_enum_match_arm, reason = "the engine has many codes, and gets more")]
fn of_code(code: ErrorCode, detail: String) -> StoreError {
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy { waited_ms: 0 },
        ErrorCode::DiskFull => StoreError::Full,
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            StoreError::ReadOnly { path: Path::new("").to_owned(), detail }
        }
        ErrorCode::NotADatabase => StoreError::NotADatabase { path: Path::new("").to_owned() },
        ErrorCode::CannotOpen => StoreError::CannotOpen { path: Path::new("").to_owned(), detail },
        ErrorCode::DatabaseCorrupt => StoreError::Corrupt { what: detail },
        ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed | ErrorCode::NoLargeFileSupport => {
            StoreError::Io { detail }
        }
        ErrorCode::TooBig => StoreError::TooLarge { bytes: u64::MAX, limit: u64::from(u32::MAX >> 1) },
        _ => StoreError::Engine { detail },
    }
}

/// Values of a wrong kind in a row are damage, all else is a defect of a statement.
fn of_driver(error: &rusqlite::Error, detail: String) -> StoreError {
    let damage = matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows
    );
    if damage { StoreError::Corrupt { what: detail } } else { StoreError::Engine { detail } }
}

/// Whether the engine said that somebody else holds the lock.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Names the file in an error that came from the engine, which does not know it.
#[expect(clippy::wildcard_enum_match_arm, reason = "three errors name a file, all others stay as they are")]
pub(super) fn of_file(error: StoreError, file: &Path) -> StoreError {
    match error {
        StoreError::ReadOnly { detail, .. } => StoreError::ReadOnly { path: file.to_owned(), detail },
        StoreError::NotADatabase { .. } => StoreError::NotADatabase { path: file.to_owned() },
        StoreError::CannotOpen { detail, .. } => StoreError::CannotOpen { path: file.to_owned(), detail },
        other => other,
    }
}
