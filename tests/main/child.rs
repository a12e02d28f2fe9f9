//! Another process: this test binary itself, in the test named `child_..`, which does nothing unless it was started as one.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};

/// A process that was started for a test. It is killed when this is dropped.
pub(crate) struct Child {
    pub(crate) process: std::process::Child,
    told: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Runs a test, named by its path, on a file.
    pub(crate) fn start(test: &str, file: impl AsRef<OsStr>) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(FILE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, told }
    }

    /// What it tells next; `None` once it has ended.
    pub(crate) fn next_told(&mut self) -> Option<String> {
        // The harness writes to the same lines.
        let told = self.told.by_ref().map_while(Result::ok);
        told.filter_map(|line| line.split_once(MARK).map(|(_, told)| told.to_owned())).next()
    }

    /// What it tells next, which must come.
    pub(crate) fn hear(&mut self) -> String {
        self.next_told().expect("the child has something to tell before it ends")
    }

    /// Ends its input: see [`input_ends`].
    pub(crate) fn end_input(&mut self) {
        drop(self.process.stdin.take());
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.end_input();
        while self.next_told().is_some() {}
        self.process.wait().unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended, and then there is nobody to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The file that this process is to work on, if it was started as a child.
pub(crate) fn file() -> Option<PathBuf> {
    std::env::var_os(FILE).map(|file| Path::new(&file).to_owned())
}

/// Tells the process that started this one.
pub(crate) fn tell(what: impl Display) {
    let mut out = std::io::stdout().lock();
    // Whoever was to hear it may have gone.
    let _ = writeln!(out, "{MARK}{what}").and_then(|()| out.flush());
}

/// Waits until the process that started this one ends its input.
pub(crate) fn input_ends() {
    // Its end by an error is one too.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

const FILE: &str = "AZOTH_TEST_CHILD_FILE";
const MARK: &str = "child tells: ";
