//! Stopping, resuming and forking processes.

use std::ffi::c_int;
use std::process::Child;

unsafe extern "C" {
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
}

/// Runs a check in a fork of this process, and says whether it gave `true`. It must not wait for other threads: there are
/// none in a fork.
///
/// # Panics
/// Where no process can be forked.
pub fn in_a_fork(check: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child only runs the check and ends without unwinding into what it shares with its parent.
    match unsafe { fork() } {
        0 => {
            let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).unwrap_or(false);
            // SAFETY: it ends the process at once.
            unsafe { _exit(c_int::from(!held)) }
        }
        child => {
            assert!(child > 0, "a process can be forked");
            let mut status = 0;
            // SAFETY: the status is a place of ours.
            let waited = unsafe { waitpid(child, &raw mut status, 0) };
            waited == child && status == 0
        }
    }
}

/// Lets a process stand still, as a suspended machine would.
pub fn stop(child: &Child) {
    signal(child, STOP);
}

/// Lets a process that stands still go on.
pub fn resume(child: &Child) {
    signal(child, CONTINUE);
}

fn signal(child: &Child, signal: c_int) {
    let pid = c_int::try_from(child.id()).unwrap_or(-1);
    assert!(pid > 0, "a process has a number");
    // SAFETY: it takes two numbers.
    let sent = unsafe { kill(pid, signal) };
    assert_eq!(sent, 0, "the child is there");
}

const STOP: c_int = if cfg!(target_vendor = "apple") { 17 } else { 19 };
const CONTINUE: c_int = if cfg!(target_vendor = "apple") { 19 } else { 18 };
