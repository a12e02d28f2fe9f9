//! What a piece of work costs: time that passes, time of the processor, bytes written.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// What something has cost, the whole process counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Seconds that passed.
    pub(crate) wall: f64,
    /// Seconds of the processor, all threads together.
    pub(crate) cpu: f64,
    /// Bytes handed to the file system; 0 where the system does not tell.
    pub(crate) written: f64,
}

/// Does it and says what it cost.
pub(crate) fn measure<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Cost)> {
    let (written, cpu, started) = (bytes_written(), cpu_seconds(), Instant::now());
    let done = work()?;
    let wall = started.elapsed().as_secs_f64();
    let cost = Cost { wall, cpu: cpu_seconds() - cpu, written: bytes_written() - written };
    Ok((done, cost))
}

/// Seconds of the processor that this process has used.
pub(crate) fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn bytes_written() -> f64 {
    let text = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

/// Memory of this process in KiB: what it holds now, and the most that it held.
pub(crate) fn memory_kib() -> Result<(f64, f64)> {
    let text = fs::read_to_string("/proc/self/status").context("failed to read what this process holds")?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").trim().parse().ok()
    };
    of("VmRSS:").zip(of("VmHWM:")).context("the system does not say what this process holds")
}

/// The value in the middle, and the least and the greatest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    /// # Panics
    /// Of no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        assert!(!values.is_empty(), "a spread is one of values");
        Self { median: values[values.len() / 2], least: values[0], greatest: values[values.len() - 1] }
    }
}

/// The value that so many percent of all are not above.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or(f64::NAN)
}
