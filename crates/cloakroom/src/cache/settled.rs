use super::cache_entry::ReadMark;
use super::clock_reading::ClockReading;
use crate::sync::Mutex;

/// Marks of the past, to find out what was revoked within a span that ends now.
pub(super) struct Settled(Mutex<Marks>);

#[derive(Default)]
struct Marks {
    /// At least a span old.
    earlier: Option<ReadMark>,
    latest: Option<ReadMark>,
}

impl Settled {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Marks::default()))
    }

    /// Returns a mark that was taken at least `span` nanoseconds ago, if there is one, and takes one now if the latest
    /// is that old.
    pub(super) fn earlier(
        &self,
        now: ClockReading,
        span: u64,
        mark: impl FnOnce() -> ReadMark,
    ) -> Option<ReadMark> {
        let mut marks = self.0.lock();
        let is_old = |mark: ReadMark| now.monotonic.saturating_sub(mark.at.monotonic) > span;
        if marks.latest.is_none_or(is_old) {
            marks.earlier = marks.latest;
            marks.latest = Some(mark());
        }
        marks.earlier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_given_out_once_it_is_old_enough() {
        let settled = Settled::new();
        let at = |monotonic| ClockReading { monotonic, wall: 0 };
        let earlier = |now: u64| {
            let mark = || ReadMark { version: now, at: at(now) };
            settled.earlier(at(now), 10, mark).map(|mark| mark.version)
        };
        assert_eq!([0, 5, 10].map(earlier), [None; 3]);
        // The mark of 0 is old enough, and that of 11 is taken.
        assert_eq!([11, 15, 21].map(earlier), [Some(0); 3]);
        assert_eq!([22, 32].map(earlier), [Some(11); 2]);
        assert_eq!(earlier(100), Some(22));
    }
}
