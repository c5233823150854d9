use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Decode, Executor, PgConnection, Postgres, Row, Type};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use uuid::Uuid;

use super::SessionCache;
use super::announcement;
use super::clock_reading::ClockReading;
use super::revocations::Scope;
use crate::database::CHANNEL;
use crate::error::{Error, ErrorKind, Result};

/// How long the listener waits after a failure before it tries again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// How long a connection may take to be opened.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many heartbeats there are in a lease.
const HEARTBEATS_IN_A_LEASE: u32 = 4;

/// The longest time between two heartbeats. At each one the listener also checks whether it is still needed.
const MAX_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Returns how long to wait after one more failure.
fn longer(pause: Duration) -> Duration {
    PAUSES.1.min(pause * 2)
}

/// Returns when the heartbeat after the one that is sent at `now` is due.
fn next_heartbeat(now: Instant, lease: Duration) -> Instant {
    now + MAX_HEARTBEAT_INTERVAL.min(lease / HEARTBEATS_IN_A_LEASE)
}

/// Starts the task that receives the revocations of other processes, unless it runs already. It ends with the cache and
/// with the pool.
pub(crate) fn start(cache: &Arc<SessionCache>, pool: &PgPool, table: &str) {
    if cache.begin_listening() {
        let (cache, table) = (Arc::downgrade(cache), table.to_owned());
        let listener = Listener { cache, pool: pool.clone(), table, is_deaf: false };
        tokio::spawn(listener.run());
    }
}

struct Listener {
    cache: Weak<SessionCache>,
    pool: PgPool,
    table: String,
    /// Whether the connections lead to a pooler that does not pass announcements on.
    is_deaf: bool,
}

/// The next lookup starts another task, no matter how this one ended, unless no task would hear anything.
impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(cache) = self.cache.upgrade()
            && !self.is_deaf
        {
            lapse(&cache);
            cache.is_listening.store(false, Ordering::SeqCst);
        }
    }
}

impl Listener {
    async fn run(mut self) {
        let mut pause = PAUSES.0;
        // The cache or the pool may have gone while it waited.
        while self.clock_heartbeat().is_some()
            && let Some(silence) = self.follow(&mut pause).await.err()
        {
            let Some(cache) = self.cache.upgrade() else {
                return;
            };
            let error = match silence {
                Silence::Pooled => {
                    self.is_deaf = true;
                    return self.give_up(&cache);
                }
                Silence::Lost(error) => error,
            };
            lapse(&cache);
            cache.metrics.listener_failed();
            drop(cache);
            tracing::warn!(
                table = self.table,
                error = &error as &dyn std::error::Error,
                "the cache answers nothing until it hears again of what others revoke",
            );
            sleep(pause).await;
            pause = longer(pause);
        }
    }

    /// Makes the cache do without a listener.
    fn give_up(&self, cache: &SessionCache) {
        cache.validity.lease().inspect(|lease| lease.waive());
        tracing::warn!(
            table = self.table,
            max_staleness = ?cache.settings().max_staleness,
            "the connections lead to a transaction pooler, which does not pass on what others revoke: the cache does not \
             listen, and only max_staleness bounds the age of its answers",
        );
    }

    /// Listens for as long as the connection lives. Returns `Ok` if the listener is no longer needed.
    ///
    /// First it voids all answers, since earlier revocations were not heard. Then it goes round: it sends a heartbeat,
    /// hears announcements until the heartbeat has come back, renews the lease from when the heartbeat was *sent*, and
    /// hears announcements until the next heartbeat is due. If a step fails or takes longer than the lease, the
    /// connection is given up: it may have missed announcements.
    async fn follow(&self, pause: &mut Duration) -> Heeded<()> {
        let mut subscription = within(PATIENCE, Subscription::open(&self.pool)).await?;
        if !self.wait_for_promotion(&mut subscription, pause).await? {
            return Ok(());
        }
        within(PATIENCE, subscription.listen()).await?;
        if let Some(cache) = self.cache.upgrade() {
            cache.validity.revoke(Scope::All);
            cache.metrics.listener_connected();
        }
        while let Some((lease, sent)) = self.clock_heartbeat() {
            let next = next_heartbeat(Instant::now(), lease);
            within(lease, subscription.send_heartbeat()).await?;
            within(lease, self.hear_until_heartbeat(&mut subscription)).await?;
            if let Some(cache) = self.cache.upgrade() {
                cache.validity.lease().inspect(|lease| lease.renew(sent));
                cache.note_lease(true);
            }
            *pause = PAUSES.0;
            while let Ok(heard) = timeout_at(next, self.hear(&mut subscription)).await {
                heard?;
            }
        }
        Ok(())
    }

    /// Waits until the server takes writes, if it is a standby. Returns `false` if the listener is no longer needed.
    ///
    /// A standby lets no connection listen, and nothing is revoked there. The cache's answers are then as old as they
    /// may be, and as the standby is behind its primary: the lease is renewed for as long as the server answers.
    async fn wait_for_promotion(
        &self,
        subscription: &mut Subscription,
        pause: &mut Duration,
    ) -> Heeded<bool> {
        let mut is_said = false;
        while let Some((lease, sent)) = self.clock_heartbeat() {
            let next = next_heartbeat(Instant::now(), lease);
            if !within(lease, subscription.is_on_standby()).await? {
                return Ok(true);
            }
            if !is_said {
                is_said = true;
                tracing::warn!(
                    table = self.table,
                    "the cache hears of no revocation, since the server is a standby: what it answers may be as old as \
                     `max_staleness` and the standby's lag together",
                );
            }
            if let Some(cache) = self.cache.upgrade() {
                cache.validity.lease().inspect(|lease| lease.renew(sent));
            }
            *pause = PAUSES.0;
            sleep_until(next).await;
        }
        Ok(false)
    }

    /// Reads the clocks for a heartbeat that is about to be sent. Returns the length of the lease and the reading, or
    /// `None` if the listener is no longer needed.
    fn clock_heartbeat(&self) -> Option<(Duration, ClockReading)> {
        let cache = self.cache.upgrade().filter(|_| !self.pool.is_closed())?;
        Some((cache.settings().lease, cache.now()))
    }

    /// Hears announcements until a heartbeat comes back. Only one is on its way at a time, so it is the last one.
    async fn hear_until_heartbeat(&self, subscription: &mut Subscription) -> Heeded<()> {
        while self.hear(subscription).await? != Heard::Heartbeat {}
        Ok(())
    }

    /// Waits for the next notification. If it announces a revocation of this table's sessions, records that.
    async fn hear(&self, subscription: &mut Subscription) -> Heeded<Heard> {
        let notification = subscription.next().await?;
        if notification.channel() == subscription.heartbeats {
            return Ok(Heard::Heartbeat);
        }
        if let Some(cache) = self.cache.upgrade() {
            for revoked in announcement::read(notification.payload(), &self.table) {
                cache.validity.revoke(revoked.into());
                cache.metrics.heard();
            }
        }
        Ok(Heard::Announcement)
    }
}

/// What a notification was.
#[derive(PartialEq, Eq)]
enum Heard {
    /// A heartbeat of this listener.
    Heartbeat,
    /// An announcement about any table.
    Announcement,
}

/// Why nothing is heard.
enum Silence {
    /// The connection was lost, or cannot be had.
    Lost(Error),
    /// The connections are a pooler's, which gives each transaction whichever connection of the server is free. `LISTEN`
    /// would stay behind on one of those, where others would get the notifications.
    Pooled,
}

type Heeded<T> = Result<T, Silence>;

impl From<Error> for Silence {
    fn from(error: Error) -> Self {
        Self::Lost(error)
    }
}

/// A connection that listens to announcements and to heartbeats, and another one that sends the heartbeats.
///
/// There are two because a heartbeat must come by the way by which the announcements of other processes come. A pooler may
/// pass what a connection sends itself back to it, and nothing else.
struct Subscription {
    connection: PgListener,
    sender: PgConnection,
    /// The process of the server that is behind the connection that listens.
    listening: i32,
    /// The channel of the heartbeats.
    heartbeats: String,
}

/// How often the two connections are asked whose they are, before anything listens. A pooler that has other work may have
/// two different ones for them once, but not each time the same two.
const QUESTIONS: usize = 8;

const WHOSE: &str = "SELECT pg_backend_pid()";

impl Subscription {
    async fn open(pool: &PgPool) -> Heeded<Self> {
        let heartbeats = format!("{CHANNEL}_{}", Uuid::now_v7().simple());
        let options = (*pool.connect_options()).clone();
        let mut connection = open_listener(&options).await.map_err(Error::from_opening)?;
        let mut sender = options.connect().await.map_err(Error::from_opening)?;
        let mut found = None;
        for _ in 0..QUESTIONS {
            let both: (i32, i32) = (value(&mut connection, WHOSE).await?, value(&mut sender, WHOSE).await?);
            if both.0 == both.1 || *found.get_or_insert(both) != both {
                return Err(Silence::Pooled);
            }
        }
        let (listening, _) = found.ok_or_else(silent)?;
        Ok(Self { connection, sender, listening, heartbeats })
    }

    async fn is_on_standby(&mut self) -> Heeded<bool> {
        Ok(value(&mut self.connection, "SELECT pg_is_in_recovery()").await?)
    }

    async fn listen(&mut self) -> Heeded<()> {
        let channels = [CHANNEL, &self.heartbeats];
        Ok(self.connection.listen_all(channels).await.map_err(Error::from_opening)?)
    }

    async fn send_heartbeat(&mut self) -> Heeded<()> {
        let send = format!("SELECT pg_backend_pid(), pg_notify('{}', '')", self.heartbeats);
        if value::<i32>(&mut self.sender, &send).await? == self.listening {
            return Err(Silence::Pooled);
        }
        Ok(())
    }

    async fn next(&mut self) -> Heeded<PgNotification> {
        // If there is no notification, the connection was lost, and its announcements with it.
        Ok(self.connection.try_recv().await.map_err(lost)?.ok_or_else(silent)?)
    }
}

async fn open_listener(options: &PgConnectOptions) -> sqlx::Result<PgListener> {
    // It has a pool of its own, so that it takes none of the application's connections.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(options.clone());
    let mut connection = PgListener::connect_with(&pool).await?;
    // A silent reconnect would hide that announcements were missed.
    connection.eager_reconnect(false);
    Ok(connection)
}

/// Runs SQL that returns one value first, without preparing it: a pooler may not know what it has prepared.
async fn value<V>(on: impl Executor<'_, Database = Postgres>, sql: &str) -> Result<V>
where
    V: Type<Postgres> + for<'r> Decode<'r, Postgres>,
{
    let row = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_one(on).await;
    row.and_then(|row| row.try_get(0)).map_err(lost)
}

/// Returns what `step` returns, or an error if that takes longer than `limit`.
async fn within<T>(limit: Duration, step: impl Future<Output = Heeded<T>>) -> Heeded<T> {
    timeout(limit, step).await.map_err(|_| silent())?
}

fn lapse(cache: &SessionCache) {
    cache.validity.lease().inspect(|lease| lease.lapse());
    cache.note_lease(false);
}

fn lost(error: sqlx::Error) -> Error {
    Error::from_sqlx(error, CHANNEL)
}

fn silent() -> Error {
    Error::new(ErrorKind::Unavailable, "the connection that listens for revocations has fallen silent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_pause_up_to_five_seconds() {
        let pauses: Vec<_> =
            std::iter::successors(Some(PAUSES.0), |pause| Some(longer(*pause))).take(10).collect();
        let milliseconds = [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000];
        assert_eq!(pauses, milliseconds.map(Duration::from_millis));
    }

    #[test]
    fn there_are_four_heartbeats_in_a_lease_and_one_a_second_at_least() {
        let now = Instant::now();
        let expected = [(400, 100), (4_000, 1_000), (60_000, 1_000)];
        for (lease, interval) in expected.map(|(lease, interval)| (Duration::from_millis(lease), interval)) {
            assert_eq!(next_heartbeat(now, lease), now + Duration::from_millis(interval));
        }
        assert_eq!(next_heartbeat(now, Duration::MAX), now + Duration::from_secs(1));
    }
}
