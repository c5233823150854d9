use crate::Rules;

/// How long ago something was, by a node's two clocks.
///
/// The model knows no points in time, only ages, and no age beyond the one that is too old. So its states are finite in
/// number although time has no end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Age {
    monotonic: u8,
    wall: u8,
}

impl Age {
    pub const NOW: Self = Self { monotonic: 0, wall: 0 };

    pub fn within(self, limit: u8, rules: &Rules) -> bool {
        (!rules.monotonic_clock || self.monotonic <= limit) && (!rules.wall_clock || self.wall <= limit)
    }

    /// Adds a tick. Ages beyond `limit` are all alike.
    pub fn tick(&mut self, limit: u8, suspended: bool) {
        if !suspended {
            self.monotonic = (self.monotonic + 1).min(limit + 1);
        }
        self.wall = (self.wall + 1).min(limit + 1);
    }

    pub fn set_back(&mut self) {
        self.wall = 0;
    }
}
