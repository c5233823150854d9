use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgNotification, PgPoolOptions};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use super::SessionCache;
use super::announcement::{self, CHANNEL};
use super::clock_reading::ClockReading;
use super::revocations::Scope;
use crate::error::{Error, ErrorKind, Result};

/// How long the listener waits after a failure before it tries again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// How long a connection may take to be opened.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many heartbeats there are in a lease.
const HEARTBEATS_IN_A_LEASE: u32 = 4;

/// The longest time between two heartbeats. At each one the listener also checks whether it is still needed.
const MAX_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Starts the task that receives the revocations of other processes, unless it runs already. It ends with the cache and
/// with the pool.
pub(crate) fn start(cache: &Arc<SessionCache>, pool: &PgPool, table: &str) {
    if cache.begin_listening() {
        let listener = Listener { cache: Arc::downgrade(cache), pool: pool.clone(), table: table.to_owned() };
        tokio::spawn(listener.run());
    }
}

struct Listener {
    cache: Weak<SessionCache>,
    pool: PgPool,
    table: String,
}

/// The next lookup starts another task, no matter how this one ended.
impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(cache) = self.cache.upgrade() {
            lapse(&cache);
            cache.is_listening.store(false, Ordering::SeqCst);
        }
    }
}

impl Listener {
    async fn run(self) {
        let mut pause = PAUSES.0;
        while self.is_needed()
            && let Some(error) = self.follow(&mut pause).await.err()
        {
            let Some(cache) = self.cache.upgrade() else {
                return;
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
            pause = PAUSES.1.min(pause * 2);
        }
    }

    fn is_needed(&self) -> bool {
        self.cache.strong_count() > 0 && !self.pool.is_closed()
    }

    /// Listens for as long as the connection lives. Returns `Ok` if the listener is no longer needed.
    ///
    /// First it voids all answers, since earlier revocations were not heard. Then it goes round: it sends a heartbeat,
    /// hears announcements until the heartbeat has come back, renews the lease from when the heartbeat was *sent*, and
    /// hears announcements until the next heartbeat is due. If a step fails or takes longer than the lease, the
    /// connection is given up: it may have missed announcements.
    async fn follow(&self, pause: &mut Duration) -> Result<()> {
        let mut subscription = within(PATIENCE, Subscription::open(&self.pool)).await?;
        if let Some(cache) = self.cache.upgrade() {
            cache.validity.revoke(Scope::All);
            cache.metrics.listener_connected();
        }
        while let Some((lease, sent)) = self.clock_heartbeat() {
            let next = Instant::now() + MAX_HEARTBEAT_INTERVAL.min(lease / HEARTBEATS_IN_A_LEASE);
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

    /// Reads the clocks for a heartbeat that is about to be sent. Returns the length of the lease and the reading, or
    /// `None` if the listener is no longer needed.
    fn clock_heartbeat(&self) -> Option<(Duration, ClockReading)> {
        let cache = self.cache.upgrade().filter(|_| !self.pool.is_closed())?;
        Some((cache.settings().lease, cache.now()))
    }

    /// Hears announcements until a heartbeat comes back. Only one is on its way at a time, so it is the last one.
    async fn hear_until_heartbeat(&self, subscription: &mut Subscription) -> Result<()> {
        while self.hear(subscription).await? != Heard::Heartbeat {}
        Ok(())
    }

    /// Waits for the next notification. If it announces a revocation of this table's sessions, records that.
    async fn hear(&self, subscription: &mut Subscription) -> Result<Heard> {
        let notification = subscription.next().await?;
        if notification.channel() == subscription.heartbeats {
            return Ok(Heard::Heartbeat);
        }
        if let Some(revoked) = announcement::read(notification.payload(), &self.table)
            && let Some(cache) = self.cache.upgrade()
        {
            cache.validity.revoke(revoked.into());
            cache.metrics.heard();
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

/// A connection that listens to announcements and to its own heartbeats.
struct Subscription {
    connection: PgListener,
    /// The channel of the heartbeats.
    heartbeats: String,
}

impl Subscription {
    async fn open(pool: &PgPool) -> Result<Self> {
        let heartbeats = format!("{CHANNEL}_{}", Uuid::now_v7().simple());
        // It has a pool of its own, so that it takes none of the application's connections.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with((*pool.connect_options()).clone());
        let mut connection = PgListener::connect_with(&pool).await.map_err(Error::from_opening)?;
        // A silent reconnect would hide that announcements were missed.
        connection.eager_reconnect(false);
        connection.listen_all([CHANNEL, &heartbeats]).await.map_err(Error::from_opening)?;
        Ok(Self { connection, heartbeats })
    }

    async fn send_heartbeat(&mut self) -> Result<()> {
        let heartbeat = sqlx::query("SELECT pg_notify($1, '')").bind(&self.heartbeats);
        heartbeat.execute(&mut self.connection).await.map_err(lost)?;
        Ok(())
    }

    async fn next(&mut self) -> Result<PgNotification> {
        // If there is no notification, the connection was lost, and its announcements with it.
        self.connection.try_recv().await.map_err(lost)?.ok_or_else(silent)
    }
}

/// Returns what `step` returns, or an error if that takes longer than `limit`.
async fn within<T>(limit: Duration, step: impl Future<Output = Result<T>>) -> Result<T> {
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
