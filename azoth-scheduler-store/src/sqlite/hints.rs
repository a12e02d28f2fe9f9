//! What the operating system tells of writes to a file. Linux has it; elsewhere there are none.

#[cfg(target_os = "linux")]
pub(super) use self::linux::{Ear, Hints};
#[cfg(not(target_os = "linux"))]
pub(super) use self::none::{Ear, Hints};

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use inotify::{EventMask, Events, Inotify, WatchMask};
    use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
    use rustix::io::{Errno, read, write};

    /// Writes to one file, whether or not it is there at the moment.
    ///
    /// The file itself is watched for writes and its folder for new names, so that one that is removed and made anew is
    /// found again, and other files in the folder wake nobody while they are written.
    pub(crate) struct Hints(Arc<Hearing>);

    /// What others do with the hints: they end a wait for them, and cover the ear while they write themselves.
    #[derive(Clone, Debug)]
    pub(crate) struct Ear(Arc<Hearing>);

    #[derive(Debug)]
    struct Hearing {
        told: Mutex<Told>,
        /// Can be read while something was told that nobody has taken in, unless the ear is covered.
        drum: OwnedFd,
        bell: OwnedFd,
        file: PathBuf,
    }

    /// What the system tells.
    #[derive(Debug)]
    struct Told {
        system: Inotify,
        is_covered: bool,
    }

    impl Hints {
        pub(crate) fn of(file: &Path) -> io::Result<Self> {
            let system = Inotify::init()?;
            let folder = file.parent().unwrap_or(Path::new("/"));
            system.watches().add(folder, WatchMask::CREATE | WatchMask::MOVED_TO)?;
            watch(&system, file);
            let drum = epoll::create(CreateFlags::CLOEXEC)?;
            epoll::add(&drum, &system, NO_DATA, EventFlags::IN)?;
            let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            let told = Mutex::new(Told { system, is_covered: false });
            Ok(Self(Arc::new(Hearing { told, drum, bell, file: file.to_owned() })))
        }

        pub(crate) fn ear(&self) -> Ear {
            Ear(Arc::clone(&self.0))
        }

        /// Sleeps until somebody has written or the bell is rung. Whether somebody has written.
        pub(crate) fn wait(&self) -> io::Result<bool> {
            loop {
                let rung = self.take_ring()?;
                let written = self.take()?;
                if written || rung {
                    return Ok(written);
                }
                self.sleep(None)?;
            }
        }

        /// Sleeps until somebody has written or the bell is rung, but no longer than this. Whether somebody has written.
        pub(crate) fn wait_at_most(&self, span: Duration) -> io::Result<bool> {
            self.sleep(Some(span))?;
            self.take_ring()?;
            self.take()
        }

        fn take_ring(&self) -> io::Result<bool> {
            match read(&self.0.bell, &mut [0; 8]) {
                Ok(_) => Ok(true),
                Err(Errno::AGAIN | Errno::INTR) => Ok(false),
                Err(error) => Err(error.into()),
            }
        }

        /// Takes in everything that was told since the last time. Whether there was anything, while the ear is not covered.
        pub(crate) fn take(&self) -> io::Result<bool> {
            let mut told = self.0.told();
            let any = told.take_in(&self.0.file)?;
            Ok(any && !told.is_covered)
        }

        /// Whether somebody who sleeps would be woken.
        #[cfg(test)]
        pub(super) fn wakes(&self) -> bool {
            let mut ready = [&self.0.drum, &self.0.bell].map(|from| PollFd::new(from, PollFlags::IN));
            poll(&mut ready, Some(&Timespec::default())).unwrap() > 0
        }

        fn sleep(&self, at_most: Option<Duration>) -> io::Result<()> {
            let at_most = at_most.and_then(|span| Timespec::try_from(span).ok());
            let heard = |from| PollFd::from_borrowed_fd(from, PollFlags::IN);
            match poll(&mut [heard(self.0.drum.as_fd()), heard(self.0.bell.as_fd())], at_most.as_ref()) {
                Ok(_) | Err(Errno::INTR) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
    }

    impl Ear {
        /// Ends a wait.
        pub(crate) fn ring(&self) {
            // It fails only where it was rung so often that a wait ends anyway.
            let _ = write(&self.0.bell, &1_u64.to_ne_bytes());
        }

        /// From here on nothing is told of writes to the file, and they wake nobody.
        pub(crate) fn cover(&self) {
            let mut told = self.0.told();
            told.is_covered = epoll::modify(&self.0.drum, &told.system, NO_DATA, EventFlags::empty()).is_ok();
        }

        /// Forgets the writes so far, also those before it was covered that nobody has taken in: whoever holds the lock in between
        /// tells of what they came to, or that it is to be looked for. From here on they are told of again; where the file is missing, once it is made.
        pub(crate) fn uncover(&self) -> io::Result<()> {
            let mut told = self.0.told();
            told.take_in(&self.0.file)?;
            told.is_covered = false;
            // What was written since the last line is there to be read, and wakes whoever sleeps.
            Ok(epoll::modify(&self.0.drum, &told.system, NO_DATA, EventFlags::IN)?)
        }
    }

    impl Hearing {
        fn told(&self) -> MutexGuard<'_, Told> {
            self.told.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Told {
        /// Takes in everything that was told since the last time. Whether there was anything.
        fn take_in(&mut self, file: &Path) -> io::Result<bool> {
            let mut buffer = [0; BUFFER];
            let mut any = false;
            loop {
                match self.system.read_events(&mut buffer) {
                    Ok(events) => {
                        let (some, made) = counted(events);
                        any |= some > 0;
                        if made {
                            watch(&self.system, file);
                        }
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
    }

    /// How many events there are, and whether a file was made, which is watched from then on.
    fn counted(events: Events<'_>) -> (usize, bool) {
        let named = EventMask::CREATE | EventMask::MOVED_TO;
        events.fold((0, false), |(some, made), event| (some + 1, made || event.mask.intersects(named)))
    }

    /// The file may be missing; then its folder tells when it is made. The same file is not watched twice.
    fn watch(system: &Inotify, file: &Path) {
        let _ = system.watches().add(file, WatchMask::MODIFY);
    }

    /// There is only one whose events are waited for.
    const NO_DATA: EventData = EventData::new_u64(0);
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
    #[derive(Clone, Debug)]
    pub(crate) struct Ear(std::convert::Infallible);

    impl Hints {
        pub(crate) fn of(_file: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn ear(&self) -> Ear {
            match self.0 {}
        }

        pub(crate) fn wait(&self) -> io::Result<bool> {
            match self.0 {}
        }

        pub(crate) fn wait_at_most(&self, _span: std::time::Duration) -> io::Result<bool> {
            match self.0 {}
        }

        pub(crate) fn take(&self) -> io::Result<bool> {
            match self.0 {}
        }
    }

    impl Ear {
        pub(crate) fn ring(&self) {
            match self.0 {}
        }

        pub(crate) fn cover(&self) {
            match self.0 {}
        }

        pub(crate) fn uncover(&self) -> io::Result<()> {
            match self.0 {}
        }
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
        let hints = Hints::of(&file).unwrap();
        fs::write(&other, b"nothing of ours").unwrap();
        assert!(!hints.take().unwrap());
        for _ in 0..3 {
            fs::write(&file, b"made").unwrap();
            assert!(hints.wait().unwrap());
            fs::write(&file, b"written").unwrap();
            assert!(hints.take().unwrap());
            assert!(!hints.take().unwrap(), "what was taken in is not told again");
            fs::remove_file(&file).unwrap();
            assert!(hints.wait().unwrap());
        }
    }

    #[test]
    fn what_is_written_while_the_ear_is_covered_wakes_nobody_and_what_is_written_afterwards_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log-wal");
        fs::write(&file, b"made").unwrap();
        let hints = Hints::of(&file).unwrap();
        let ear = hints.ear();
        for _ in 0..3 {
            ear.cover();
            fs::write(&file, b"our own").unwrap();
            assert!(!hints.wakes() && !hints.take().unwrap());
            fs::write(&file, b"more of our own").unwrap();
            ear.uncover().unwrap();
            assert!(!hints.wakes() && !hints.take().unwrap());
            fs::write(&file, b"of another").unwrap();
            assert!(hints.wakes() && hints.take().unwrap());
        }
        ear.cover();
        fs::remove_file(&file).unwrap();
        ear.uncover().unwrap();
        assert!(!hints.take().unwrap());
        fs::write(&file, b"made anew").unwrap();
        assert!(hints.wait().unwrap());
        fs::write(&file, b"and written").unwrap();
        assert!(hints.wait().unwrap());
        ear.cover();
        fs::remove_file(&file).unwrap();
        fs::write(&file, b"made anew meanwhile").unwrap();
        ear.uncover().unwrap();
        fs::write(&file, b"and written").unwrap();
        assert!(hints.wakes() && hints.take().unwrap());
    }

    #[test]
    fn bell_ends_a_wait_once_and_is_no_hint() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log-wal");
        fs::write(&file, b"made").unwrap();
        let hints = Hints::of(&file).unwrap();
        for _ in 0..2 {
            hints.ear().ring();
            hints.ear().ring();
            assert!(!hints.wait().unwrap());
        }
        assert!(!hints.wait_at_most(Duration::from_millis(1)).unwrap());
    }

    #[test]
    fn wait_with_an_end_is_over_with_the_first_hint_or_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log-wal");
        fs::write(&file, b"made").unwrap();
        let hints = Hints::of(&file).unwrap();
        assert!(!hints.wait_at_most(Duration::from_millis(1)).unwrap());
        fs::write(&file, b"written").unwrap();
        assert!(hints.wait_at_most(Duration::MAX).unwrap());
    }
}
