//! The time between two jobs of the writer: it is waited for the next one awake where that is likely to come at once.
//!
//! To wake a thread takes about as long as a caller needs between an answer and his next call. So while jobs follow each other
//! like that, the writer looks for the next one for a moment before it sleeps. One that does not come in time puts an end to
//! that: a store at which somebody calls now and then sleeps from the first instant.

use std::thread;
use std::time::{Duration, Instant};

/// How soon the last job came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lull {
    was_short: bool,
}

impl Lull {
    /// Waits awake as long as is worth it. `None`: nothing came, and it is time to sleep.
    pub(super) fn wait<T>(self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let begun = Instant::now();
        while self.stays_awake(begun.elapsed()) {
            if let Some(found) = look() {
                return Some(found);
            }
            // Whoever wants this processor may have it: the caller may be among them.
            thread::yield_now();
        }
        None
    }

    /// Whether it is still waited awake after so long.
    fn stays_awake(self, waited: Duration) -> bool {
        self.was_short && waited < SHORT
    }

    /// The next job came after so long.
    pub(super) fn ended_after(&mut self, waited: Duration) {
        self.was_short = waited < SHORT;
    }
}

/// A lull is short up to here: about what it takes to wake a caller, to hear of his next call, and to be woken by it.
const SHORT: Duration = Duration::from_micros(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writer_stays_awake_only_where_the_last_job_came_soon_and_not_for_long() {
        let mut lull = Lull::default();
        assert!(!lull.stays_awake(Duration::ZERO));
        lull.ended_after(SHORT - Duration::from_nanos(1));
        assert!(lull.stays_awake(Duration::ZERO) && !lull.stays_awake(SHORT));
        lull.ended_after(SHORT);
        assert!(!lull.stays_awake(Duration::ZERO));
    }

    #[test]
    fn writer_that_sleeps_at_once_does_not_look() {
        assert_eq!(Lull::default().wait(|| -> Option<()> { panic!("it looked") }), None);
    }

    #[test]
    fn writer_that_is_awake_finds_what_comes_meanwhile() {
        let mut lull = Lull::default();
        lull.ended_after(Duration::ZERO);
        let mut looks = 0;
        let found = std::iter::repeat_with(|| {
            lull.wait(|| {
                looks += 1;
                (looks == 3).then_some("a job")
            })
        });
        assert_eq!(found.flatten().next(), Some("a job"));
    }
}
