//! The system's clocks, as each answer of a cache reads them.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::clock_reading::ClockReading;
use super::nanoseconds;

/// For how many nanoseconds a reading of the wall clock is carried on by the monotonic clock. To read a clock takes a tenth of
/// the time of an answer from memory. A wall clock that was set, or that went on while the machine was suspended, is noticed so
/// much later: sooner than what was answered before has been used.
const CARRIED_ON: u64 = 1_000_000;

/// How many nanoseconds apart the two clocks may have been read, if the one is to be carried on by the other.
const APART: u64 = 50_000;

static WALL: Wall = Wall::new();

/// Returns the time since some fixed instant.
pub(crate) fn monotonic() -> Duration {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    ORIGIN.elapsed()
}

/// Returns the microseconds since 1970.
pub(crate) fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Reads both clocks.
#[inline]
pub(crate) fn reading() -> ClockReading {
    let now = nanoseconds(monotonic());
    ClockReading { monotonic: now, wall: WALL.at(now, || (wall(), nanoseconds(monotonic()))) }
}

/// The last reading of the wall clock.
struct Wall {
    /// When it was read, by the monotonic clock.
    read: AtomicU64,
    /// How many microseconds it was ahead of the monotonic clock. It is stored first, so that no older one is seen.
    ahead: AtomicI64,
}

impl Wall {
    const fn new() -> Self {
        Self { read: AtomicU64::new(u64::MAX), ahead: AtomicI64::new(0) }
    }

    /// Returns what the wall clock shows at `now`. `ask` reads it, and then the monotonic clock.
    #[inline]
    fn at(&self, now: u64, ask: impl FnOnce() -> (i64, u64)) -> i64 {
        let read = self.read.load(Ordering::Acquire);
        let micros = (now / 1_000).cast_signed();
        // Another thread may have read it since this one read the monotonic clock.
        if now.checked_sub(read).is_some_and(|since| since < CARRIED_ON) {
            return micros.saturating_add(self.ahead.load(Ordering::Relaxed));
        }
        let (wall, then) = ask();
        // Or this thread may have waited in between.
        if then.saturating_sub(now) <= APART {
            self.ahead.store(wall.saturating_sub(micros), Ordering::Relaxed);
            self.read.store(now, Ordering::Release);
        }
        wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks at `now` while the wall clock shows `wall`.
    fn ask(clock: &Wall, now: u64, wall: i64) -> i64 {
        clock.at(now, || (wall, now))
    }

    #[test]
    fn the_wall_clock_is_carried_on_and_read_again_in_time() {
        let clock = Wall::new();
        assert_eq!(ask(&clock, 5_000, 1_000_000), 1_000_000);
        assert_eq!(ask(&clock, 5_000 + CARRIED_ON - 1_000, 77), 1_000_999);
        // It was set back.
        assert_eq!(ask(&clock, 5_000 + CARRIED_ON, 77), 77);
        assert_eq!(ask(&clock, 7_000 + CARRIED_ON, 1_000_000), 79);
    }

    #[test]
    fn a_reading_that_was_interrupted_is_not_carried_on() {
        let clock = Wall::new();
        assert_eq!(clock.at(0, || (1_000_000, APART + 1)), 1_000_000);
        assert_eq!(ask(&clock, 1_000, 500), 500);
        assert_eq!(ask(&clock, 2_000, 77), 501);
    }

    #[test]
    fn a_thread_that_read_its_clock_earlier_reads_the_wall_clock_too() {
        let clock = Wall::new();
        ask(&clock, 9_000, 1_000_000);
        assert_eq!(ask(&clock, 8_000, 999_999), 999_999);
    }

    #[test]
    fn the_readings_are_those_of_the_clocks() {
        let [first, second] = [reading(), reading()];
        assert!(first.monotonic <= second.monotonic);
        assert!((wall() - second.wall).abs() < 60_000_000, "the reading is far from the wall clock");
    }
}
