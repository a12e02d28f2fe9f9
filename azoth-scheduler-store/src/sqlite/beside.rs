//! Files beside the database: their names, their making, and what their errors say.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// A file beside another one.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// An error of the operating system with a file, as the store tells it.
pub(super) fn io_error(path: &Path, error: &io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::StorageFull {
        return StoreError::Full;
    }
    StoreError::Io { detail: format!("{}: {error}", path.display()) }
}

/// Makes a file that is not there yet, for its owner's eyes only.
#[cfg(unix)]
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn disk_without_room_is_told_from_one_that_fails() {
        let path = Path::new("/dev/full");
        let error = fs::write(path, "more than there is room for").unwrap_err();
        assert_eq!(io_error(path, &error), StoreError::Full);
    }
}
