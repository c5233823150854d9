//! How long reads past the pool take, and when the pool is asked instead.

use std::time::{Duration, Instant};

/// If reads take longer than this, they wait for the disk. That is a mean over about [so many](MEAN_OVER) reads, because
/// a single one may have waited for a processor.
const SLOW: Duration = Duration::from_millis(1);

const MEAN_OVER: u32 = 16;

/// For how long reads go to the pool when they are slow, at first and at most. If they are slow afterwards, it doubles.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(5)];

/// How long reads take, and what follows from it.
pub(super) struct Speed {
    /// The mean of the last reads, of which later ones count for more.
    mean: Duration,
    /// Until when the pool is asked.
    paused_until: Option<Instant>,
    /// For how long it is asked next time.
    pause: Duration,
}

impl Speed {
    pub(super) fn new() -> Self {
        Self { mean: Duration::ZERO, paused_until: None, pause: PAUSES[0] }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused_until.is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn note(&mut self, took: Duration, now: Instant) {
        self.mean = (self.mean * (MEAN_OVER - 1) + took) / MEAN_OVER;
        if self.mean >= SLOW {
            self.paused_until = Some(now + self.pause);
            self.pause = (self.pause * 2).min(PAUSES[1]);
            // The next reads show whether they are slow still.
            self.mean = SLOW / 2;
        } else {
            self.paused_until = None;
            if self.mean < SLOW / 4 {
                self.pause = PAUSES[0];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_that_are_slow_pause_for_longer_and_longer() {
        let (mut speed, begun) = (Speed::new(), Instant::now());
        let [fast, late, slow] = [7, 12_000, 3_000].map(Duration::from_micros);
        for read in 0..1000 {
            // One had to wait for a processor.
            speed.note(if read % 100 == 0 { late } else { fast }, begun);
            assert_eq!(speed.paused_until, None);
        }
        let mut pause = PAUSES[0];
        for _ in 0..12 {
            let reads = (1..=2 * MEAN_OVER).find(|_| {
                speed.note(slow, begun);
                speed.paused_until.is_some()
            });
            assert!(reads.is_some_and(|reads| reads <= MEAN_OVER));
            assert_eq!(speed.paused_until, Some(begun + pause));
            pause = (pause * 2).min(PAUSES[1]);
        }
        assert_eq!(pause, PAUSES[1]);
        (0..100).for_each(|_| speed.note(fast, begun));
        assert_eq!((speed.paused_until, speed.pause), (None, PAUSES[0]));
    }
}
