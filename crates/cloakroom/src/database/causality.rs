//! Makes statements on a cluster see what was committed on any of its nodes before they were sent.

#[cfg(feature = "mysql")]
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
#[cfg(feature = "mysql")]
use std::sync::{Arc, LazyLock};
#[cfg(feature = "mysql")]
use std::time::{Duration, Instant};
use std::{error::Error as StdError, fmt};

/// Whether and how the statements of a pool wait until their node has applied what the cluster has committed.
///
/// A server is asked once whether it is a node. If it is, all statements of the pool wait from then on, which does no
/// harm should one of its servers be none. If it is not, each new connection asks again, at most once a
/// [`LEAST_PAUSE`], and some connection does every [`LONGEST_PAUSE`]: a server that joins a cluster restarts, and its
/// name may come to stand for another server.
#[derive(Clone)]
pub(crate) struct Causality(#[cfg(feature = "mysql")] Option<Arc<Known>>);

/// How statements wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "mysql"), allow(dead_code, reason = "only Galera's nodes wait"))]
pub(crate) enum Waiting {
    /// They do not: there is no cluster.
    No,
    /// Each statement says so itself.
    ByStatement,
    /// The connection does, from its first statement on.
    BySession,
}

#[cfg(feature = "mysql")]
#[derive(Default)]
struct Known {
    /// 0 if nothing is known, otherwise one more than the number of a [`Waiting`].
    waiting: AtomicU8,
    /// When a server was asked last, by [`now`].
    asked: AtomicU64,
}

#[cfg(feature = "mysql")]
const LEAST_PAUSE: Duration = Duration::from_secs(1);
#[cfg(feature = "mysql")]
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

impl Causality {
    /// Asks the server what it is, and waits if it is a node of a cluster.
    pub(crate) fn automatic() -> Self {
        Self(
            #[cfg(feature = "mysql")]
            Some(Arc::default()),
        )
    }

    /// Asks nothing, and never waits.
    pub(crate) fn off() -> Self {
        Self(
            #[cfg(feature = "mysql")]
            None,
        )
    }
}

impl Causality {
    /// Returns `true` if the server is known to be a node of a cluster.
    #[cfg(feature = "mysql")]
    pub(crate) fn is_cluster(&self) -> bool {
        self.0.as_ref().is_some_and(|known| known.waiting.load(Ordering::Acquire) > 1)
    }

    /// Returns `true` if the server is known to be a node of a cluster.
    #[cfg(not(feature = "mysql"))]
    #[expect(clippy::unused_self, reason = "it depends on what the server is, where there are clusters")]
    pub(crate) fn is_cluster(&self) -> bool {
        false
    }
}

#[cfg(feature = "mysql")]
impl Causality {
    /// Returns how the statements of a connection wait that was just taken from its pool, or `None` if its server has
    /// to be asked. `may_be_new` says whether the connection may be new.
    pub(super) fn known(&self, may_be_new: bool) -> Option<Waiting> {
        let Some(known) = &self.0 else {
            return Some(Waiting::No);
        };
        match known.waiting.load(Ordering::Acquire) {
            0 => None,
            1 => {
                let age = now().saturating_sub(known.asked.load(Ordering::Relaxed));
                let longest = if may_be_new { LEAST_PAUSE } else { LONGEST_PAUSE };
                (u128::from(age) < longest.as_millis()).then_some(Waiting::No)
            }
            2 => Some(Waiting::ByStatement),
            _ => Some(Waiting::BySession),
        }
    }

    /// Records what a server has answered.
    pub(super) fn learn(&self, waiting: Waiting) {
        let Some(known) = &self.0 else {
            return;
        };
        let number = match waiting {
            Waiting::No => 1,
            Waiting::ByStatement => 2,
            Waiting::BySession => 3,
        };
        known.asked.store(now(), Ordering::Relaxed);
        if known.waiting.swap(number, Ordering::Release) != number && waiting != Waiting::No {
            tracing::info!(
                "the database is a Galera cluster: statements wait until their node has caught up"
            );
        }
    }
}

/// Returns the milliseconds since an hour before this was first asked.
#[cfg(feature = "mysql")]
fn now() -> u64 {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    (Duration::from_hours(1) + FIRST.elapsed()).as_millis().try_into().unwrap_or(u64::MAX)
}

/// A read failed because its node did not apply in time what the cluster had committed.
#[derive(Debug)]
pub(crate) struct NotCaughtUp(pub(crate) sqlx::Error);

impl fmt::Display for NotCaughtUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node of the cluster did not apply in time what the other nodes have committed")
    }
}

impl StdError for NotCaughtUp {}

#[cfg(all(test, feature = "mysql"))]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_once_and_a_cluster_is_not_forgotten() {
        let causality = Causality::automatic();
        assert_eq!(causality.known(false), None);
        causality.learn(Waiting::No);
        assert_eq!([causality.known(false), causality.known(true)], [Some(Waiting::No); 2]);
        causality.learn(Waiting::ByStatement);
        assert_eq!(causality.known(true), Some(Waiting::ByStatement));
        assert_eq!(Causality::off().known(true), Some(Waiting::No));
    }

    #[test]
    fn a_server_that_is_no_node_is_asked_again_by_new_connections_first() {
        let causality = Causality::automatic();
        causality.learn(Waiting::No);
        let asked = causality.0.as_ref().unwrap();
        for (ago, old, new) in [(2_000, Some(Waiting::No), None), (11_000, None, None)] {
            asked.asked.store(now() - ago, Ordering::Relaxed);
            assert_eq!((causality.known(false), causality.known(true)), (old, new), "{ago}");
        }
    }
}
