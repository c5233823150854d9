use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::nanoseconds;

/// How long extensions are left out after the database has refused one.
const PAUSE: Duration = Duration::from_secs(10);

/// Whether the database takes no writes, so that reads need not try to extend what they read.
///
/// A standby takes none until it is promoted. Without this, each read of a session that is due would send a second
/// statement only to be refused.
#[derive(Default)]
pub(crate) struct ReadOnly {
    /// The instant from which an extension is tried again, in nanoseconds on the monotonic clock. Zero if none was
    /// refused since the last one that was written.
    until: AtomicU64,
}

impl ReadOnly {
    /// Returns `true` if the database has refused a write a moment ago.
    pub(crate) fn is_known(&self, now: Duration) -> bool {
        nanoseconds(now) < self.until.load(Ordering::Relaxed)
    }

    /// Records that a write was refused. Returns `true` if the ones before were not.
    pub(crate) fn refused(&self, now: Duration) -> bool {
        self.until.swap(nanoseconds(now + PAUSE), Ordering::Relaxed) == 0
    }

    /// Records that a write was done. Returns `true` if the ones before were refused.
    pub(crate) fn written(&self) -> bool {
        self.until.load(Ordering::Relaxed) > 0 && self.until.swap(0, Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_write_is_left_out_for_a_while_and_said_once() {
        let state = ReadOnly::default();
        assert!(!state.is_known(Duration::ZERO) && !state.written());
        assert!(state.refused(Duration::from_secs(1)));
        assert!(state.is_known(Duration::from_secs(10)) && !state.is_known(Duration::from_secs(11)));
        assert!(!state.refused(Duration::from_secs(11)));
        assert!(state.is_known(Duration::from_secs(20)));
        assert!(state.written() && !state.written());
        assert!(!state.is_known(Duration::ZERO));
    }
}
