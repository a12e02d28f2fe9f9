//! Who this process is, and whether another one still lives.

use std::fs;
use std::io::ErrorKind;
use std::sync::{Mutex, PoisonError};

use azoth_scheduler_store::ProcessIdentity;

/// This process. Outside Linux only its number is known, and then nobody is called gone because of it.
pub(crate) fn identity() -> ProcessIdentity {
    static HERE: Mutex<Option<ProcessIdentity>> = Mutex::new(None);
    let mut here = HERE.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = std::process::id();
    // It stays the same until a fork.
    let known = here.take().filter(|here| here.pid == pid);
    here.insert(known.unwrap_or_else(|| looked_up(pid))).clone()
}

fn looked_up(pid: u32) -> ProcessIdentity {
    let started = start_time(pid).unwrap_or(None).unwrap_or(0);
    ProcessIdentity { pid, started, boot_id: world().unwrap_or_default() }
}

/// Whether the process has ended for certain. `false` also where that cannot be known: another machine, another boot,
/// another container, another operating system.
pub(crate) fn is_gone(other: &ProcessIdentity, me: &ProcessIdentity) -> bool {
    let comparable = !me.boot_id.is_empty() && other.boot_id == me.boot_id && other.started != 0;
    // Where `/proc` hides other users' processes, the first process is hidden too.
    if !comparable || !matches!(start_time(1), Ok(Some(_))) {
        return false;
    }
    match start_time(other.pid) {
        Ok(Some(started)) => started != other.started,
        Ok(None) => true,
        Err(_) => false,
    }
}

/// The boot, and the space of process numbers: two containers on one machine share the former alone.
fn world() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), numbers.display()))
}

/// When a process was started, in ticks since the boot; `None` when there is none of this number.
fn start_time(pid: u32) -> Result<Option<u64>, ErrorKind> {
    let stat = match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.kind()),
    };
    // The name in parentheses may hold anything, so fields are counted from its end: state is field 3, start is 22.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).ok_or(ErrorKind::InvalidData)?;
    let start = fields.split_whitespace().nth(22 - 3).and_then(|text| text.parse().ok());
    start.map(Some).ok_or(ErrorKind::InvalidData)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn process_that_lives_is_not_gone() {
        let me = identity();
        assert!(me.started > 0 && !me.boot_id.is_empty());
        assert!(!is_gone(&me, &me));
    }

    #[test]
    fn process_that_ended_is_gone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let started = start_time(child.id()).unwrap().unwrap();
        let other = ProcessIdentity { pid: child.id(), started, ..identity() };
        assert!(!is_gone(&other, &identity()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_gone(&other, &identity()));
    }

    #[test]
    fn number_that_was_given_to_a_later_process_is_gone() {
        let me = identity();
        assert!(is_gone(&ProcessIdentity { started: me.started + 1, ..me.clone() }, &me));
    }

    #[test]
    fn process_of_another_boot_or_container_is_not_judged() {
        let me = identity();
        let other = ProcessIdentity { pid: u32::MAX, boot_id: "another".to_owned(), ..me.clone() };
        assert!(!is_gone(&other, &me));
    }
}
