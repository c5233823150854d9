//! A generator that is random enough to pick rows by, and the same in every run.

/// A xorshift generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero, and similar seeds would begin alike.
        Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Returns the generator of one caller in a round: another in every round, and the same for every contestant in it.
    pub fn of(round: u64, caller: u64) -> Self {
        Self::new(Self::new(round).next().rotate_left(32) ^ Self::new(caller).next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_and_repeatable() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            std::array::from_fn::<u64, 1000, _>(|_| random.next() % 10)
        };
        assert_eq!(draw(0), draw(0));
        assert_ne!(draw(0), draw(1));
        for digit in 0..10 {
            let count = draw(7).iter().filter(|drawn| **drawn == digit).count();
            assert!((60..140).contains(&count), "{digit} was drawn {count} times");
        }
    }

    #[test]
    fn every_caller_has_numbers_of_its_own_in_every_round() {
        let mut firsts: Vec<u64> =
            (0..20).flat_map(|round| (0..1024).map(move |caller| Random::of(round, caller).next())).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 20 * 1024);
        assert_eq!(Random::of(3, 5).next(), Random::of(3, 5).next());
    }
}
