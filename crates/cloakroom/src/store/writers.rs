//! How many connections of a pool writes may hold at once, so that reads have some, no matter what the writes wait for.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::database::Database;

/// The write permits of one pool. All handles on the pool share them, for all tables and schemas.
pub(crate) struct Writers {
    /// One permit for each connection that writes may hold.
    all: Arc<Semaphore>,
    /// One permit fewer, for writes that may wait for locks. Statements that wait for none get their turn meanwhile.
    patient: Arc<Semaphore>,
    /// For writes that announce revocations.
    announcing: Arc<Semaphore>,
    /// How long the pool lets its callers wait for a connection.
    patience: Duration,
}

/// How many announcing statements of one pool are out at once. PostgreSQL commits such statements one after another, in
/// the whole cluster. More of them would only wait for each other, each on a connection that others could use.
const MAX_ANNOUNCING: usize = 2;

/// How long a statement counts as one of those that announce. A statement that is out for longer waits for a row, or
/// for a server that is slow for all.
const LONGEST_ANNOUNCING: Duration = Duration::from_millis(250);

/// Lets its holder announce.
pub(crate) struct Announcing(Option<OwnedSemaphorePermit>);

impl Announcing {
    /// Returns what `write` returns. If that takes long, the next may announce meanwhile.
    pub(crate) async fn during<R>(&mut self, write: impl Future<Output = R>) -> R {
        let mut write = pin!(write);
        if self.0.is_some() {
            if let Ok(written) = tokio::time::timeout(LONGEST_ANNOUNCING, &mut write).await {
                return written;
            }
            self.0 = None;
        }
        write.await
    }
}

/// Lets its holder write on one connection.
pub(crate) struct Permit(
    #[expect(dead_code, reason = "held until it is dropped")] [Option<OwnedSemaphorePermit>; 2],
);

/// Whether a write may wait for rows that another transaction has locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    ForLocks,
    ForNone,
}

/// Returns how many of `connections` writes may hold: three quarters, but at least one.
fn may_write(connections: u32) -> u32 {
    (connections - connections.div_ceil(4)).max(1)
}

impl Writers {
    /// Returns the write permits of this pool. They must not outlive it.
    pub(crate) fn on(pool: &Database) -> Arc<Self> {
        static POOLS: LazyLock<Mutex<HashMap<usize, Weak<Writers>>>> = LazyLock::new(Mutex::default);
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writers) = pools.get(&pool.address()).and_then(Weak::upgrade) {
            return writers;
        }
        pools.retain(|_, writers| writers.strong_count() > 0);
        let writers = Arc::new(Self::new(pool.max_connections(), pool.patience()));
        pools.insert(pool.address(), Arc::downgrade(&writers));
        writers
    }

    fn new(connections: u32, patience: Duration) -> Self {
        let permits =
            |count: u32| Arc::new(Semaphore::new(count.try_into().unwrap_or(Semaphore::MAX_PERMITS)));
        let all = may_write(connections);
        let announcing = Arc::new(Semaphore::new(MAX_ANNOUNCING));
        Self { all: permits(all), patient: permits(all.saturating_sub(1).max(1)), announcing, patience }
    }

    /// Returns how long the pool lets its callers wait for a connection.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits until a write may announce, if it does.
    pub(crate) async fn announcing(&self, announces: bool) -> Announcing {
        Announcing(if announces { Arc::clone(&self.announcing).acquire_owned().await.ok() } else { None })
    }

    /// Waits until a write may hold one more connection.
    pub(crate) async fn permit(&self, waits: Waits) -> Permit {
        // Neither semaphore is ever closed. They are taken in this order, so that a write that waits for the first does
        // not hold the second.
        let patient = match waits {
            Waits::ForLocks => Arc::clone(&self.patient).acquire_owned().await.ok(),
            Waits::ForNone => None,
        };
        Permit([Arc::clone(&self.all).acquire_owned().await.ok(), patient])
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn reads_keep_a_quarter_of_the_connections_and_writes_have_one_at_least() {
        let of = [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (8, 6), (10, 7), (100, 75)];
        assert_eq!(of.map(|(connections, _)| (connections, may_write(connections))), of);
        assert_eq!(may_write(0), 1);
    }

    #[test]
    fn those_who_wait_for_locks_leave_one_to_those_who_do_not() {
        let writers = Writers::new(4, Duration::ZERO);
        let permit = |waits| writers.permit(waits).now_or_never();
        let patient = [permit(Waits::ForLocks), permit(Waits::ForLocks)];
        assert!(patient.iter().all(Option::is_some));
        assert!(permit(Waits::ForLocks).is_none());
        let quick = permit(Waits::ForNone);
        assert!(quick.is_some() && permit(Waits::ForNone).is_none());
        drop(patient);
        assert!(permit(Waits::ForLocks).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn two_announce_at_once_unless_one_takes_long() {
        let writers = Writers::new(8, Duration::ZERO);
        let announcing = || writers.announcing(true).now_or_never();
        let (mut long, short) = (announcing().unwrap(), announcing().unwrap());
        assert!(announcing().is_none());
        assert!(writers.announcing(false).now_or_never().is_some());
        drop(short);
        assert!(announcing().is_some());
        let (mut hangs, third) = (announcing().unwrap(), async {
            assert!(announcing().is_none());
            tokio::time::sleep(LONGEST_ANNOUNCING).await;
            tokio::task::yield_now().await;
            announcing().is_some()
        });
        let hung = hangs.during(std::future::pending::<()>());
        tokio::select! {
            () = hung => unreachable!(),
            is_next = third => assert!(is_next),
        }
        assert_eq!(long.during(async { 7 }).await, 7);
    }

    #[test]
    fn of_one_connection_each_has_its_turn() {
        let writers = Writers::new(1, Duration::ZERO);
        for waits in [Waits::ForLocks, Waits::ForNone] {
            let held = writers.permit(waits).now_or_never();
            assert!(held.is_some() && writers.permit(Waits::ForLocks).now_or_never().is_none());
        }
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn handles_on_one_pool_share_its_writers_and_those_on_another_do_not() {
        let pool = || {
            sqlx::sqlite::SqlitePoolOptions::new().max_connections(8).connect_lazy("sqlite::memory:").unwrap()
        };
        let (one, other) = (Database::from(pool()), Database::from(pool()));
        let writers = Writers::on(&one);
        assert!(Arc::ptr_eq(&writers, &Writers::on(&one.clone())));
        assert!(!Arc::ptr_eq(&writers, &Writers::on(&other)));
    }
}
