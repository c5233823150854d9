//! Random numbers to pick rows by, the same in every run.

use fastrand::Rng;

/// Returns the generator of one caller in a round: another in every round, and the same for every contestant in it.
pub fn generator(round: u64, caller: u64) -> Rng {
    let [round, caller] = [round, caller].map(|seed| Rng::with_seed(seed).u64(..));
    // Similar seeds would begin alike, and the same two numbers would undo each other.
    Rng::with_seed(round.rotate_left(32) ^ caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_caller_has_numbers_of_its_own_in_every_round() {
        let firsts = (0..20).flat_map(|round| (0..1024).map(move |caller| generator(round, caller).u64(..)));
        let mut firsts: Vec<u64> = firsts.collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 20 * 1024);
        assert_eq!(generator(3, 5).u64(..), generator(3, 5).u64(..));
    }
}
