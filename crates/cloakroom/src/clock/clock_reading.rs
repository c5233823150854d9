/// An instant, on both clocks of a machine.
///
/// The monotonic clock cannot be set back, but stands still while a machine is suspended; the wall clock goes on
/// then, but can be set. So a span has passed when either says so, and where the wall clock was set back nobody
/// can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// In nanoseconds.
    pub(crate) monotonic: u64,
    /// In microseconds; at first negative, before 1970.
    pub(crate) wall: i64,
}

impl ClockReading {
    /// Whether at `now` no more than `span` nanoseconds have passed since, on either clock.
    #[inline]
    pub(crate) fn is_within(self, span: u64, now: Self) -> bool {
        let by_wall = now.wall.checked_sub(self.wall).and_then(|age| u64::try_from(age).ok());
        now.monotonic.saturating_sub(self.monotonic) <= span
            && by_wall.is_some_and(|age| age.saturating_mul(1_000) <= span)
    }
}
