//! Going second: the writer leaves its processor to a worker that it has woken with a claim.
//!
//! A thread that is woken often waits for the processor of the one that woke it, although another is idle. So the writer steps
//! back once, before it tells everybody else of the commit: what was claimed starts sooner by as much as that takes. On a busy
//! machine others take that turn, and callers would wait for it; so it does so less and less there.

use std::thread;
use std::time::{Duration, Instant};

/// Whether it is worth it to step back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Courtesy {
    /// So many times more it is not.
    passes: u32,
    /// So many times it was not after the last turn, which took long.
    passed: u32,
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
        self.passed = if span < LONG { 0 } else { (self.passed * 2).clamp(1, PASSES_MAX) };
        self.passes = self.passed;
    }
}

/// To start what was claimed takes a fraction of this; a turn of somebody else takes milliseconds.
const LONG: Duration = Duration::from_micros(500);
/// However busy the machine is, it is tried again after so many claims.
const PASSES_MAX: u32 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    /// Behind how many claims it is not worth it, until it is.
    fn passes(courtesy: &mut Courtesy) -> usize {
        (0..=PASSES_MAX).position(|_| courtesy.is_worth_it()).expect("it is tried again")
    }

    #[test]
    fn writer_steps_back_less_and_less_where_each_turn_takes_long_and_each_time_where_it_does_not() {
        let mut courtesy = Courtesy::default();
        let long = [1, 2, 4, 8, 16, 32, 64, 128, 128].map(|passes| (LONG, passes));
        let short = [(LONG - Duration::from_nanos(1), 0); 3];
        for (span, expected) in [&long[..], &short, &long, &short].concat() {
            courtesy.took(span);
            assert_eq!(passes(&mut courtesy), expected);
        }
    }
}
