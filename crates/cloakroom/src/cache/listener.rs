use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use super::SessionCache;
use super::announcement::{self, CHANNEL};
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
    async fn follow(&self, pause: &mut Duration) -> Result<()> {
        let heartbeats = format!("{CHANNEL}_{}", Uuid::now_v7().simple());
        let opened = timeout(PATIENCE, self.open(&heartbeats)).await.map_err(|_| silent())?;
        let mut listener = opened.map_err(Error::from_opening)?;
        if let Some(cache) = self.cache.upgrade() {
            // Earlier revocations were not heard.
            cache.validity.revoke(Scope::All);
        }
        loop {
            let (lease, sent) = match self.cache.upgrade() {
                Some(cache) if !self.pool.is_closed() => (cache.settings().lease, cache.now()),
                _ => return Ok(()),
            };
            let next = Instant::now() + MAX_HEARTBEAT_INTERVAL.min(lease / HEARTBEATS_IN_A_LEASE);
            let heartbeat = sqlx::query("SELECT pg_notify($1, '')").bind(&heartbeats).execute(&mut listener);
            timeout(lease, heartbeat).await.map_err(|_| silent())?.map_err(lost)?;
            // Only one heartbeat is on its way at a time, so this is the one that was just sent.
            let came_back = async {
                while !self.hear(&mut listener, &heartbeats).await? {}
                Ok(())
            };
            timeout(lease, came_back).await.map_err(|_| silent())??;
            if let Some(cache) = self.cache.upgrade() {
                cache.validity.lease().inspect(|lease| lease.renew(sent));
            }
            *pause = PAUSES.0;
            while let Ok(heard) = timeout_at(next, self.hear(&mut listener, &heartbeats)).await {
                heard?;
            }
        }
    }

    async fn open(&self, heartbeats: &str) -> Result<PgListener, sqlx::Error> {
        // It has a pool of its own, so that it takes none of the application's connections.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with((*self.pool.connect_options()).clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        // A silent reconnect would hide that announcements were missed.
        listener.eager_reconnect(false);
        listener.listen_all([CHANNEL, heartbeats]).await?;
        Ok(listener)
    }

    /// Waits for the next notification. Returns `true` if it is a heartbeat of this listener.
    async fn hear(&self, listener: &mut PgListener, heartbeats: &str) -> Result<bool> {
        // If there is no notification, the connection was lost, and its announcements with it.
        let notification = listener.try_recv().await.map_err(lost)?.ok_or_else(silent)?;
        if notification.channel() == heartbeats {
            return Ok(true);
        }
        if let Some(revoked) = announcement::read(notification.payload(), &self.table)
            && let Some(cache) = self.cache.upgrade()
        {
            cache.validity.revoke(revoked.into());
        }
        Ok(false)
    }
}

fn lapse(cache: &SessionCache) {
    cache.validity.lease().inspect(|lease| lease.lapse());
}

fn lost(error: sqlx::Error) -> Error {
    Error::from_sqlx(error, CHANNEL)
}

fn silent() -> Error {
    Error::new(ErrorKind::Unavailable, "the connection that listens for revocations has fallen silent")
}
