/// An instant on both clocks of a machine.
///
/// The monotonic clock cannot be set back, but stands still while a machine is suspended. The wall clock goes on then,
/// but can be set. So a span has passed if either clock says so. If the wall clock was set back, there is no way to
/// know how much time has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// In nanoseconds.
    pub(crate) monotonic: u64,
    /// In microseconds since 1970; negative before then.
    pub(crate) wall: i64,
}

impl ClockReading {
    /// Returns `true` if, at `now`, no more than `span` nanoseconds have passed since this reading, on either clock.
    #[inline]
    pub(crate) fn is_within(self, span: u64, now: Self) -> bool {
        let by_wall = now.wall.checked_sub(self.wall).and_then(|age| u64::try_from(age).ok());
        now.monotonic.saturating_sub(self.monotonic) <= span
            && by_wall.is_some_and(|age| age.saturating_mul(1_000) <= span)
    }
}
