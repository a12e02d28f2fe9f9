//! What the operating system tells of writes to a file. Linux has it; elsewhere there are none.

#[cfg(target_os = "linux")]
pub(super) use self::linux::{Bell, Hints};
#[cfg(not(target_os = "linux"))]
pub(super) use self::none::{Bell, Hints};

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use inotify::{EventMask, Events, Inotify, WatchDescriptor, WatchMask, Watches};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;

    /// Writes to one file, whether or not it is there at the moment.
    ///
    /// The file itself is watched for writes and its folder for new names, so that one that is removed and made anew is
    /// found again, and other files in the folder wake nobody while they are written.
    pub(crate) struct Hints {
        system: Inotify,
        file: PathBuf,
        folder: WatchDescriptor,
    }

    /// Ends a wait for hints.
    pub(crate) struct Bell {
        watches: Watches,
        folder: WatchDescriptor,
    }

    impl Hints {
        pub(crate) fn of(file: &Path) -> io::Result<Self> {
            let system = Inotify::init()?;
            let folder = file.parent().unwrap_or(Path::new("/"));
            let folder = system.watches().add(folder, WatchMask::CREATE | WatchMask::MOVED_TO)?;
            watch(&system, file);
            Ok(Self { system, file: file.to_owned(), folder })
        }

        pub(crate) fn bell(&self) -> Bell {
            Bell { watches: self.system.watches(), folder: self.folder.clone() }
        }

        /// Sleeps until somebody has written.
        pub(crate) fn wait(&mut self) -> io::Result<()> {
            while !self.take()? {
                self.sleep(None)?;
            }
            Ok(())
        }

        /// Sleeps until somebody has written, but no longer than this. Whether somebody has.
        pub(crate) fn wait_at_most(&mut self, span: Duration) -> io::Result<bool> {
            self.sleep(Some(span))?;
            self.take()
        }

        /// Takes in everything that was told since the last time. Whether there was anything.
        pub(crate) fn take(&mut self) -> io::Result<bool> {
            let mut buffer = [0; BUFFER];
            let mut any = false;
            loop {
                match self.system.read_events(&mut buffer) {
                    Ok(events) => {
                        let some = take_in(&self.system, &self.file, events);
                        any |= some > 0;
                        if some < FEW {
                            return Ok(any);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(any),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }

        fn sleep(&self, at_most: Option<Duration>) -> io::Result<()> {
            let at_most = at_most.and_then(|span| Timespec::try_from(span).ok());
            match poll(&mut [PollFd::new(&self.system, PollFlags::IN)], at_most.as_ref()) {
                Ok(_) | Err(Errno::INTR) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
    }

    /// How many events there were. A file that was made is watched from now on.
    fn take_in(system: &Inotify, file: &Path, events: Events<'_>) -> usize {
        let named = EventMask::CREATE | EventMask::MOVED_TO;
        let (mut some, mut made) = (0, false);
        for event in events {
            some += 1;
            made |= event.mask.intersects(named);
        }
        if made {
            watch(system, file);
        }
        some
    }

    /// The file may be missing; then its folder tells when it is made. The same file is not watched twice.
    fn watch(system: &Inotify, file: &Path) {
        let _ = system.watches().add(file, WatchMask::MODIFY);
    }

    impl Bell {
        /// The end of a watch is an event too.
        pub(crate) fn ring(&mut self) {
            let _ = self.watches.remove(self.folder.clone());
        }
    }

    /// Room for events; more of them come with the next read.
    const BUFFER: usize = 4096;
    /// Where fewer come at once there are no more: so many have room, however long the names are that they tell.
    const FEW: usize = 8;
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::io;
    use std::path::Path;

    /// None: nobody can be made.
    pub(crate) struct Hints(std::convert::Infallible);

    /// None either.
    pub(crate) struct Bell;

    impl Hints {
        pub(crate) fn of(_file: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn bell(&self) -> Bell {
            match self.0 {}
        }

        pub(crate) fn wait(&mut self) -> io::Result<()> {
            match self.0 {}
        }

        pub(crate) fn wait_at_most(&mut self, _span: std::time::Duration) -> io::Result<bool> {
            match self.0 {}
        }

        pub(crate) fn take(&mut self) -> io::Result<bool> {
            match self.0 {}
        }
    }

    impl Bell {
        pub(crate) fn ring(&mut self) {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::Hints;

    #[test]
    fn file_that_is_removed_and_made_anew_is_watched_again() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("log-wal"), folder.path().join("other"));
        fs::write(&other, b"").unwrap();
        let mut hints = Hints::of(&file).unwrap();
        fs::write(&other, b"nothing of ours").unwrap();
        assert!(!hints.take().unwrap());
        for _ in 0..3 {
            fs::write(&file, b"made").unwrap();
            hints.wait().unwrap();
            fs::write(&file, b"written").unwrap();
            assert!(hints.take().unwrap());
            assert!(!hints.take().unwrap(), "what was taken in is not told again");
            fs::remove_file(&file).unwrap();
            hints.wait().unwrap();
        }
    }

    #[test]
    fn wait_with_an_end_is_over_with_the_first_hint_or_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log-wal");
        fs::write(&file, b"made").unwrap();
        let mut hints = Hints::of(&file).unwrap();
        assert!(!hints.wait_at_most(Duration::from_millis(1)).unwrap());
        fs::write(&file, b"written").unwrap();
        assert!(hints.wait_at_most(Duration::MAX).unwrap());
    }
}
