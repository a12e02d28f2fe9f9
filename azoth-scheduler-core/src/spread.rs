//! Jitter without chance: a number that looks drawn, but follows from a name and a counter.
//!
//! Delays of occurrences (`schedule::jitter`) and of retries (`retry`) are made of it.

/// A number that depends on nothing but its arguments, evenly spread over `u64`.
pub(crate) fn draw(name: &str, counter: u64) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&counter.to_le_bytes());
    hasher.update(name.as_bytes());
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// Maps a draw evenly onto `0..=widest`.
pub(crate) fn scale(draw: u64, widest: u64) -> u64 {
    let scaled = (u128::from(draw).saturating_mul(u128::from(widest).saturating_add(1))) >> 64;
    u64::try_from(scaled).unwrap_or(widest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_reaches_both_ends_and_no_further() {
        assert_eq!(scale(0, 10), 0);
        assert_eq!(scale(u64::MAX, 10), 10);
        assert_eq!(scale(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(scale(u64::MAX, 0), 0);
    }

    #[test]
    fn draws_are_spread_evenly() {
        let mut seen = [0_u32; 4];
        for counter in 0..1_000 {
            seen[usize::try_from(scale(draw("task", counter), 3)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|number| (200..300).contains(number)), "{seen:?}");
    }
}
