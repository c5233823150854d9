use super::moment::Moment;
use super::sync::Mutex;

/// How far this process is known to have heard everything that others revoked.
///
/// The listener sends itself signs through the queue in which the database keeps announcements, in the order of
/// their commits. When one comes back, everything that was committed before it was *sent* has been heard. The
/// lease runs from that moment on, so neither a lost connection nor a process that stood still can make an
/// answer look current that is not.
pub(crate) struct Lease {
    length: u64,
    heard: Mutex<Option<Moment>>,
}

impl Lease {
    /// A lease of so many nanoseconds, which does not hold yet.
    pub(crate) fn new(length: u64) -> Self {
        Self { length, heard: Mutex::new(None) }
    }

    /// Everything that was committed before `sent` has been heard.
    pub(crate) fn renew(&self, sent: Moment) {
        *self.heard.lock() = Some(sent);
    }

    /// Announcements may have been missed.
    pub(crate) fn lapse(&self) {
        *self.heard.lock() = None;
    }

    pub(crate) fn holds(&self, now: Moment) -> bool {
        self.heard.lock().is_some_and(|heard| heard.is_within(self.length, now))
    }
}
