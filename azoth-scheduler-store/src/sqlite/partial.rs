//! A file, or a folder of files, that appears under its name only once it is whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::beside::{beside, io_error, private_file};
use crate::error::StoreError;

/// A file in the making. Unless it is [finished](Self::finish) it goes with this.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    finally: PathBuf,
}

impl Partial {
    /// Makes the file, empty, under a name beside its own.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] where a file has the name that it is to get.
    pub(super) fn create(finally: &Path) -> Result<Self, StoreError> {
        let (path, finally) = names(finally)?;
        // Of one that was killed.
        remove(&path);
        private_file(&path).map_err(|error| io_error(&path, &error))?;
        Ok(Self { path, finally })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The name that the file is to get.
    pub(super) fn finally(&self) -> &Path {
        &self.finally
    }

    /// Gives the file its name, once all of it is on the disk. Nobody may have it open.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        let failed = |error: &std::io::Error| io_error(&self.path, error);
        // Windows syncs only what may be written.
        let file = File::options().write(true).open(&self.path).map_err(|error| failed(&error))?;
        file.sync_all().map_err(|error| failed(&error))?;
        drop(file);
        fs::rename(&self.path, &self.finally).map_err(|error| failed(&error))?;
        sync_folder(&self.finally).map_err(|error| failed(&error))
    }
}

impl Drop for Partial {
    /// After [`finish`](Self::finish) there is nothing left to remove.
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// A folder in the making, with files in it and no folders. Unless it is [finished](Self::finish) it goes with this.
#[derive(Debug)]
pub(super) struct PartialFolder {
    path: PathBuf,
    finally: PathBuf,
}

impl PartialFolder {
    /// Makes the folder, empty, under a name beside its own.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] where something has the name that it is to get.
    pub(super) fn create(finally: &Path) -> Result<Self, StoreError> {
        let (path, finally) = names(finally)?;
        // Of one that was killed.
        let _ = fs::remove_dir_all(&path);
        private_folder(&path).map_err(|error| io_error(&path, &error))?;
        Ok(Self { path, finally })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The name that the folder is to get.
    pub(super) fn finally(&self) -> &Path {
        &self.finally
    }

    /// Gives the folder its name, once all that is in it is on the disk.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        let finish = || -> std::io::Result<()> {
            for entry in fs::read_dir(&self.path)? {
                File::options().write(true).open(entry?.path())?.sync_all()?;
            }
            sync_folder(&self.path.join("any"))?;
            fs::rename(&self.path, &self.finally)?;
            sync_folder(&self.finally)
        };
        finish().map_err(|error| io_error(&self.path, &error))
    }
}

impl Drop for PartialFolder {
    /// After [`finish`](Self::finish) there is nothing left to remove.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The name of what is in the making, beside the one that it is to get, which nothing may have.
fn names(finally: &Path) -> Result<(PathBuf, PathBuf), StoreError> {
    let finally = std::path::absolute(finally).map_err(|error| io_error(finally, &error))?;
    if finally.symlink_metadata().is_ok() {
        return Err(StoreError::AlreadyExists { path: finally });
    }
    Ok((beside(&finally, ".partial"), finally))
}

#[cfg(unix)]
fn private_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn private_folder(path: &Path) -> std::io::Result<()> {
    fs::create_dir(path)
}

/// Removes a file and what a database leaves beside it. What cannot be removed is so by the next one of this name.
fn remove(path: &Path) {
    for ending in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(beside(path, ending));
    }
}

/// Syncs the folder that a file is in.
#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// A folder cannot be opened here, and need not be.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}
