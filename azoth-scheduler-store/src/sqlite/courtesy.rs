//! Going second: the writer leaves its processor to a worker that it has woken with a claim.
//!
//! A thread that is woken often waits for the processor of the one that woke it, although another is idle. So the writer steps
//! back once, before it tells everybody else of the commit: what was claimed starts sooner by as much as that takes. On a busy
//! machine others take that turn, and callers would wait for it; then it stays away for a while.

use std::thread;
use std::time::{Duration, Instant};

/// Whether it is worth it to step back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Courtesy {
    /// So many times more it is not.
    passes: u32,
}

impl Courtesy {
    /// Lets whoever waits for this processor go first.
    pub(super) fn step_back(&mut self) {
        if self.is_worth_it() {
            let begun = Instant::now();
            thread::yield_now();
            self.took(begun.elapsed());
        }
    }

    fn is_worth_it(&mut self) -> bool {
        let is_worth_it = self.passes == 0;
        self.passes = self.passes.saturating_sub(1);
        is_worth_it
    }

    /// It had the processor back after so long.
    fn took(&mut self, span: Duration) {
        if span >= LONG {
            self.passes = PASSES;
        }
    }
}

/// To start what was claimed takes a fraction of this; a turn of somebody else takes milliseconds.
const LONG: Duration = Duration::from_micros(500);
/// After a turn of somebody else it steps back again only behind so many claims.
const PASSES: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writer_steps_back_until_it_had_to_wait_for_long_and_then_one_time_in_a_hundred() {
        let mut courtesy = Courtesy::default();
        courtesy.took(LONG - Duration::from_nanos(1));
        assert!(courtesy.is_worth_it() && courtesy.is_worth_it());
        courtesy.took(LONG);
        assert_eq!((0..=PASSES).position(|_| courtesy.is_worth_it()), Some(100));
        assert!(courtesy.is_worth_it(), "once it took no longer");
    }
}
