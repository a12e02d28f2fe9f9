//! Chance that follows from a seed.

/// Numbers that look drawn and follow from a seed (SplitMix64).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to one less than `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound as u64) as usize
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(super) fn ms(&mut self, bound: usize) -> i64 {
        self.below(bound) as i64
    }

    pub(super) fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        let index = self.below(all.len());
        all.get(index).cloned().expect("the index lies within")
    }
}
