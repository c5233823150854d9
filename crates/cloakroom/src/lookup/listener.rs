use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgNotification, PgPoolOptions};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use super::announcement::{self, CHANNEL};
use super::revocations::Scope;
use super::session_cache::SessionCache;
use crate::error::{Error, ErrorKind, Result};

/// How long it waits after a failure before it tries again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// How many signs of life there are in a lease.
const SIGNS_IN_A_LEASE: u32 = 4;

/// Starts the task that hears of others' revocations, unless it runs. It ends with the cache and with the pool.
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

/// However the task ends, the next lookup starts another.
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
        while let Some(error) = self.follow(&mut pause).await.err() {
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

    /// Listens for as long as the connection lives; `Ok` when nobody needs it any more.
    async fn follow(&self, pause: &mut Duration) -> Result<()> {
        // Of its own, so that it takes none of the application's connections.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with((*self.pool.connect_options()).clone());
        let signs = format!("{CHANNEL}_{}", Uuid::now_v7().simple());
        let mut listener = PgListener::connect_with(&pool).await.map_err(Error::from_opening)?;
        listener.eager_reconnect(false);
        listener.listen_all([CHANNEL, &signs]).await.map_err(Error::from_opening)?;
        let mut last_heard = Instant::now();
        if let Some(cache) = self.cache.upgrade() {
            // What was revoked before was not heard of.
            cache.revocations.revoke(Scope::All);
        }
        loop {
            let (sent, lease) = match self.cache.upgrade() {
                Some(cache) if !self.pool.is_closed() => (cache.monotonic(), cache.settings().lease),
                _ => return Ok(()),
            };
            let sign = sqlx::query("SELECT pg_notify($1, $2)").bind(&signs).bind(sent.to_string());
            timeout(lease, sign.execute(&mut listener)).await.map_err(|_| silent())?.map_err(lost)?;
            let next_sign = Instant::now() + lease / SIGNS_IN_A_LEASE;
            while let Ok(received) = timeout_at(next_sign, listener.try_recv()).await {
                let notification = received.map_err(lost)?.ok_or_else(silent)?;
                if notification.channel() == signs {
                    last_heard = Instant::now();
                    *pause = PAUSES.0;
                }
                self.hear(&notification);
            }
            if last_heard.elapsed() > lease {
                return Err(silent());
            }
        }
    }

    fn hear(&self, notification: &PgNotification) {
        let Some(cache) = self.cache.upgrade() else {
            return;
        };
        if notification.channel() != CHANNEL {
            if let (Some(lease), Ok(sent)) = (&cache.lease, notification.payload().parse()) {
                lease.renew(sent);
            }
        } else if let Some(revoked) = announcement::read(notification.payload(), &self.table) {
            cache.revocations.revoke(revoked.into());
        }
    }
}

fn lapse(cache: &SessionCache) {
    cache.lease.as_ref().inspect(|lease| lease.lapse());
}

fn lost(error: sqlx::Error) -> Error {
    Error::from_sqlx(error, CHANNEL)
}

fn silent() -> Error {
    Error::new(ErrorKind::Unavailable, "the connection that listens for revocations has fallen silent")
}
