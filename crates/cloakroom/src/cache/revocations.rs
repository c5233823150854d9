use super::cache_entry::ReadMark;
use super::clock_reading::ClockReading;
use super::sync::{AtomicU64, Ordering, STRIPES};

/// Tells which answers of the database still hold, as far as this process has revoked sessions.
///
/// Each revocation has a version. A lookup notes the last version *before* it asks the database, and its answer holds
/// as long as its session is revoked under no later version. An answer that is on its way while its session is revoked
/// is therefore void whenever it arrives. Single sessions need not be remembered: sessions fall into stripes, and each
/// stripe has the version of its last revocation. The floor has the version of the last revocation of all sessions.
///
/// If the commit of a revocation cannot be seen, because the caller's own transaction commits it or because its outcome
/// was lost, the revocation also puts its stripe into quarantine: no answer that is asked for before its end is kept.
pub(crate) struct Revocations {
    /// The version of the last revocation.
    last: AtomicU64,
    /// Of all sessions.
    floor: Stripe,
    stripes: Box<[Stripe]>,
}

#[derive(Default)]
struct Stripe {
    version: AtomicU64,
    /// An instant on the monotonic clock. Answers that were asked for before it are void.
    quarantined_until: AtomicU64,
}

/// What a revocation is about: all sessions, or the one with this hash of its id.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    All,
    One(u64),
}

impl Revocations {
    pub(crate) fn new() -> Self {
        Self {
            last: AtomicU64::new(0),
            floor: Stripe::default(),
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
        }
    }

    /// Returns the mark of a lookup. Must be called before the database is asked.
    pub(crate) fn mark(&self, at: ClockReading) -> ReadMark {
        ReadMark { version: self.last.load(Ordering::SeqCst), at }
    }

    /// Records a revocation. Must be called after it was committed, and before its caller is told.
    pub(crate) fn revoke(&self, scope: Scope) {
        let version = self.last.fetch_add(1, Ordering::SeqCst) + 1;
        self.stripe(scope).version.fetch_max(version, Ordering::SeqCst);
    }

    /// Records a revocation that is committed after this call, if at all, and at `until` on the monotonic clock at the
    /// latest: no answer that is asked for until then is kept.
    pub(crate) fn quarantine(&self, scope: Scope, until: u64) {
        self.stripe(scope).quarantined_until.fetch_max(until.saturating_add(1), Ordering::SeqCst);
        self.revoke(scope);
    }

    /// Returns `true` if an answer about this session, asked for at `mark`, still holds.
    #[inline]
    pub(crate) fn hold(&self, mark: ReadMark, session: u64) -> bool {
        [&self.floor, self.stripe(Scope::One(session))].into_iter().all(|stripe| {
            stripe.version.load(Ordering::SeqCst) <= mark.version
                && stripe.quarantined_until.load(Ordering::SeqCst) <= mark.at.monotonic
        })
    }

    #[inline]
    fn stripe(&self, scope: Scope) -> &Stripe {
        match scope {
            Scope::All => &self.floor,
            // The remainder is less than the number of stripes.
            #[expect(clippy::cast_possible_truncation, reason = "a remainder is a place in the list")]
            Scope::One(session) => &self.stripes[(session % STRIPES as u64) as usize],
        }
    }
}
