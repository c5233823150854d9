use super::sync::{AtomicU64, Ordering};

/// How far this process is known to have heard everything that others revoked.
///
/// The listener sends itself a message through the queue in which the database keeps announcements, in the
/// order of their commits. When it comes back, everything that was committed before it was *sent* has been
/// heard. The lease runs from that instant on, so neither a lost connection nor a process that stood still
/// can make an answer look current that is not.
pub(crate) struct Lease {
    length: u64,
    /// On the monotonic clock; zero where nothing is known.
    heard_until: AtomicU64,
}

impl Lease {
    pub(crate) fn new(length: u64) -> Self {
        Self { length, heard_until: AtomicU64::new(0) }
    }

    /// Everything that was committed before `sent` has been heard.
    pub(crate) fn renew(&self, sent: u64) {
        // Zero means something else.
        self.heard_until.fetch_max(sent.max(1), Ordering::SeqCst);
    }

    /// Announcements may have been missed.
    pub(crate) fn lapse(&self) {
        self.heard_until.store(0, Ordering::SeqCst);
    }

    pub(crate) fn holds(&self, now: u64) -> bool {
        let heard_until = self.heard_until.load(Ordering::SeqCst);
        heard_until > 0 && now.saturating_sub(heard_until) <= self.length
    }
}
