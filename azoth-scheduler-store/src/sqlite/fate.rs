//! What the operating system tells of the fate of files: that one lost its name or got another, or that its mode was changed.
//! Linux has it; elsewhere it is never told.

#[cfg(target_os = "linux")]
pub(super) use self::linux::Fate;
#[cfg(not(target_os = "linux"))]
pub(super) use self::none::Fate;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::path::Path;

    use inotify::{Inotify, WatchMask};

    /// What becomes of the files that are watched. It is known before the call that does it returns.
    ///
    /// What is done to a folder above them is not told, nor what another machine does.
    #[derive(Debug)]
    pub(crate) struct Fate {
        system: Inotify,
    }

    impl Fate {
        /// That of no file yet.
        ///
        /// # Errors
        /// Where the user has as many of these as the system allows.
        pub(crate) fn new() -> io::Result<Self> {
            Inotify::init().map(|system| Self { system })
        }

        /// Watches the file that has this name now, whatever it is called later. It is not opened, and one that is watched
        /// already is not watched twice.
        pub(crate) fn watch(&self, file: &Path) -> io::Result<()> {
            // An open file that loses its name is changed in its attributes: it has a link less.
            let told = WatchMask::ATTRIB | WatchMask::MOVE_SELF | WatchMask::DELETE_SELF;
            self.system.watches().add(file, told).map(drop)
        }

        /// Whether something was told since this was last asked. What was told is forgotten, so whoever asks has to look; a
        /// forked process would take it from its parent.
        pub(crate) fn is_told(&mut self) -> bool {
            let mut room = [0; ROOM];
            // What is not understood is no good news. What has no room is told the next time.
            !matches!(self.system.read_events(&mut room), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
        }
    }

    /// Some sixty events: without names they are small.
    const ROOM: usize = 1_024;
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::io;
    use std::path::Path;

    /// None: nobody can be made.
    #[derive(Debug)]
    pub(crate) struct Fate(std::convert::Infallible);

    impl Fate {
        pub(crate) fn new() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn watch(&self, _file: &Path) -> io::Result<()> {
            match self.0 {}
        }

        pub(crate) fn is_told(&mut self) -> bool {
            match self.0 {}
        }
    }
}
