use super::clock_reading::ClockReading;
use super::sync::{AtomicU64, Ordering};

/// How far this process is known to have heard the revocations of other processes.
///
/// The listener sends itself heartbeats through the queue in which the database keeps announcements, in the order of
/// their commits. When one comes back, everything that was committed before it was *sent* has been heard. The
/// lease runs from that moment on, so neither a lost connection nor a process that stood still can make an
/// answer look current that is not.
///
/// The moment is stored in two parts, so that no call waits for another. While one renewal follows another, a call may
/// see the earlier part of one and the later part of the other. This does no harm: both heartbeats have come back by
/// then, and the two parts together look no younger than the later heartbeat is.
pub(crate) struct Lease {
    length: u64,
    /// Zero if nothing is known, and [`WAIVED`] if nothing will be.
    monotonic: AtomicU64,
    /// The bits of the moment's wall clock.
    wall: AtomicU64,
}

/// No clock shows this.
const WAIVED: u64 = u64::MAX;

impl Lease {
    /// Makes a lease of `length` nanoseconds, which does not hold yet.
    pub(crate) fn new(length: u64) -> Self {
        Self { length, monotonic: AtomicU64::new(0), wall: AtomicU64::new(0) }
    }

    /// Records that everything that was committed before `sent` has been heard.
    pub(crate) fn renew(&self, sent: ClockReading) {
        self.wall.store(sent.wall.cast_unsigned(), Ordering::SeqCst);
        // Zero means that nothing is known. Only a clock that has just started shows zero.
        self.monotonic.store(sent.monotonic.max(1), Ordering::SeqCst);
    }

    /// Ends the lease, because announcements may have been missed.
    pub(crate) fn lapse(&self) {
        self.monotonic.store(0, Ordering::SeqCst);
    }

    /// Makes the lease hold for good, because nothing can be heard here. Only the age of an answer is a limit then.
    pub(crate) fn waive(&self) {
        self.monotonic.store(WAIVED, Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn holds(&self, now: ClockReading) -> bool {
        let monotonic = self.monotonic.load(Ordering::SeqCst);
        let heard = ClockReading { monotonic, wall: self.wall.load(Ordering::SeqCst).cast_signed() };
        monotonic > 0 && (heard.is_within(self.length, now) || monotonic == WAIVED)
    }
}
