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
/// While a revocation is open, from before its statement is sent until its outcome is known, no answer about its stripe
/// holds: the statement may have been committed at any moment of that time.
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
    /// The version of the last revocation, and how many are open, in units of [`OPEN`]. Together in one number, so that
    /// a hit reads and compares no more than the version.
    state: AtomicU64,
    /// An instant on the monotonic clock. Answers that were asked for before it are void.
    quarantined_until: AtomicU64,
}

/// One open revocation in [`Stripe::state`]. It is larger than any version: at a hundred thousand revocations a second
/// a process gets there after five years.
const OPEN: u64 = 1 << 44;

/// The most open revocations that are counted: a million. A stripe that once has so many counts no more, and never holds
/// again.
const MOST_OPEN: u64 = u64::MAX / OPEN;

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

    /// Records that a revocation is about to be sent. Until it is [closed](Self::close), no answer about it holds.
    pub(crate) fn open(&self, scope: Scope) {
        self.stripe(scope).change(|open, version| (open + 1, version));
    }

    /// Records a revocation that was opened. Must be called after it was committed, and before its caller is told.
    pub(crate) fn close(&self, scope: Scope) {
        let new = self.next_version();
        self.stripe(scope).change(|open, version| (open.saturating_sub(1), version.max(new)));
    }

    /// Records a revocation that was opened and is committed after this call, if at all, and at `until` on the monotonic
    /// clock at the latest: no answer that is asked for until then is kept.
    pub(crate) fn quarantine(&self, scope: Scope, until: u64) {
        self.stripe(scope).quarantined_until.fetch_max(until.saturating_add(1), Ordering::SeqCst);
        self.close(scope);
    }

    /// Records a revocation that was not opened here, but heard of.
    pub(crate) fn revoke(&self, scope: Scope) {
        let new = self.next_version();
        self.stripe(scope).change(|open, version| (open, version.max(new)));
    }

    fn next_version(&self) -> u64 {
        self.last.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Returns `true` if an answer about this session, asked for at `mark`, still holds.
    #[inline]
    pub(crate) fn hold(&self, mark: ReadMark, session: u64) -> bool {
        [&self.floor, self.stripe(Scope::One(session))].into_iter().all(|stripe| {
            // With an open revocation, the state is larger than any version.
            stripe.state.load(Ordering::SeqCst) <= mark.version
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

impl Stripe {
    /// Changes the number of open revocations and the last version together.
    fn change(&self, change: impl Fn(u64, u64) -> (u64, u64)) {
        let changed = |state: u64| {
            let (open, version) = change(state / OPEN, state % OPEN);
            let is_over = state / OPEN == MOST_OPEN;
            Some(if is_over { state } else { open * OPEN + version })
        };
        let _ = self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, changed);
    }
}
