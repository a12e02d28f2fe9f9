//! Where in a distributed trace a task was scheduled.

use core::fmt;
use core::num::{NonZeroU64, NonZeroU128};
use core::str::FromStr;

/// A W3C `traceparent`, version 00: which trace, which span of it, and its flags.
///
/// It is kept with the scheduling of a task, so that whoever runs the task can link to it. It is no part of the task's
/// definition: the same wish from another span is the same wish. Its text is 55 bytes long.
///
/// ```
/// use azoth_scheduler_core::trace::TraceParent;
///
/// let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// assert_eq!(parent.span_id().get(), 0x00f0_67aa_0ba9_02b7);
/// assert!(parent.is_sampled());
/// assert_eq!(parent.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
/// assert!("00-4bf9-00f0-01".parse::<TraceParent>().is_err());
/// # Ok::<(), azoth_scheduler_core::trace::TraceParentError>(())
/// ```
///
/// Source: <https://www.w3.org/TR/trace-context/#traceparent-header>.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceParent {
    trace_id: NonZeroU128,
    span_id: NonZeroU64,
    flags: u8,
}

/// A text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a traceparent is `00-`, 32 hexadecimal digits, `-`, 16 hexadecimal digits, `-`, 2 hexadecimal digits, in lower case, neither id all zero"
)]
pub struct TraceParentError;

impl TraceParent {
    /// Puts its parts together.
    pub const fn new(trace_id: NonZeroU128, span_id: NonZeroU64, flags: u8) -> Self {
        Self { trace_id, span_id, flags }
    }

    /// Which trace.
    pub const fn trace_id(self) -> NonZeroU128 {
        self.trace_id
    }

    /// Which span of it.
    pub const fn span_id(self) -> NonZeroU64 {
        self.span_id
    }

    /// All eight flags, those without a meaning yet too.
    pub const fn flags(self) -> u8 {
        self.flags
    }

    /// Whether whoever made the span may have recorded it.
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl FromStr for TraceParent {
    type Err = TraceParentError;

    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        parsed(text).ok_or(TraceParentError)
    }
}

fn parsed(text: &str) -> Option<TraceParent> {
    let mut parts = text.split('-');
    let version = parts.next()?;
    let trace_id = u128::from_str_radix(digits(parts.next()?, 32)?, 16).ok()?;
    let span_id = u64::from_str_radix(digits(parts.next()?, 16)?, 16).ok()?;
    let flags = u8::from_str_radix(digits(parts.next()?, 2)?, 16).ok()?;
    if version != "00" || parts.next().is_some() {
        return None;
    }
    Some(TraceParent { trace_id: NonZeroU128::new(trace_id)?, span_id: NonZeroU64::new(span_id)?, flags })
}

/// The part, if it is so many hexadecimal digits in lower case.
fn digits(part: &str, count: usize) -> Option<&str> {
    let fits = part.len() == count && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    fits.then_some(part)
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

const SAMPLED: u8 = 0b0000_0001;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn only_what_the_standard_allows_is_taken() {
        for good in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000001-0000000000000001-00",
            "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-ff",
        ] {
            assert_eq!(good.parse::<TraceParent>().map(|parent| parent.to_string()), Ok(good.to_string()));
        }
        for bad in [
            "",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-02",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(TraceParentError), "{bad:?}");
        }
    }
}
