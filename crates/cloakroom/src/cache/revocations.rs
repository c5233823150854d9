use super::entry::Asked;
use super::moment::Moment;
use super::sync::{AtomicU64, Ordering, STRIPES};

/// Which answers of the database still hold, as far as this process has revoked anything.
///
/// Revocations are numbered. A lookup notes the last number *before* it asks, and its answer holds as long as
/// its session was revoked under no later one. So an answer that was on its way while its session was
/// revoked is void whenever it arrives, and nothing need be remembered of single sessions: each stripe of
/// them has the number of its last revocation, and a number stands for all of them.
///
/// A revocation whose commit cannot be seen, because it is the caller's own transaction that commits it or
/// because its outcome was lost, also says until when no answer may be kept.
pub(crate) struct Revocations {
    last: AtomicU64,
    of_all: Stripe,
    stripes: Box<[Stripe]>,
}

#[derive(Default)]
struct Stripe {
    number: AtomicU64,
    /// On the monotonic clock. Answers that were asked for before are void.
    open_from: AtomicU64,
}

/// What a revocation is about: all sessions, or the one whose id has this hash.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    All,
    One(u64),
}

impl Revocations {
    pub(crate) fn new() -> Self {
        Self {
            last: AtomicU64::new(0),
            of_all: Stripe::default(),
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
        }
    }

    /// To be called before the database is asked.
    pub(crate) fn asked(&self, at: Moment) -> Asked {
        Asked { number: self.last.load(Ordering::SeqCst), at }
    }

    /// To be called after the revocation has been committed, and before its caller hears of it.
    pub(crate) fn revoke(&self, scope: Scope) {
        let number = self.last.fetch_add(1, Ordering::SeqCst) + 1;
        self.stripe(scope).number.fetch_max(number, Ordering::SeqCst);
    }

    /// For a revocation that is committed later than now, if at all, but no later than `until` on the monotonic
    /// clock: no answer that is asked for till then is kept.
    pub(crate) fn close(&self, scope: Scope, until: u64) {
        self.stripe(scope).open_from.fetch_max(until.saturating_add(1), Ordering::SeqCst);
        self.revoke(scope);
    }

    /// Whether an answer about one session, or about all of them, still holds.
    #[inline]
    pub(crate) fn hold(&self, asked: Asked, session: u64) -> bool {
        [&self.of_all, self.stripe(Scope::One(session))].into_iter().all(|stripe| {
            stripe.number.load(Ordering::SeqCst) <= asked.number
                && stripe.open_from.load(Ordering::SeqCst) <= asked.at.monotonic
        })
    }

    #[inline]
    fn stripe(&self, scope: Scope) -> &Stripe {
        match scope {
            Scope::All => &self.of_all,
            // The remainder is less than the number of stripes.
            #[expect(clippy::cast_possible_truncation, reason = "a remainder is a place in the list")]
            Scope::One(session) => &self.stripes[(session % STRIPES as u64) as usize],
        }
    }
}
