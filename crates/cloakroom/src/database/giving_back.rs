//! Gives the connection of a transaction that was dropped back to its pool.
//!
//! The pool of sqlx 0.9 asks each connection that comes back whether it still answers, and waits for that without a limit.
//! The answer never comes from a server that has fallen silent. On MariaDB and MySQL it may not come from one that answers
//! either, if a statement was given up (see [`Pooled`](super::Pooled)). The pool then has one connection fewer.
//!
//! A transaction of sqlx does not give its connection away, so that it could be closed. But its connection can change
//! places with another one of the same pool, which closes the one that does not answer.

use std::mem;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::pool::PoolConnection;

use super::pooled::SILENT;
use crate::observe::{self, ConnectionFailure};

/// How long to wait before the pool is asked again for another connection.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits until the connection answers, and drops the transaction. If it does not answer, it is closed, as soon as the
/// pool has another connection to spare. The only connection of a pool is left as it is.
pub(super) async fn give_back<DB: sqlx::Database>(
    mut transaction: sqlx::Transaction<'static, DB>,
    pool: sqlx::Pool<DB>,
    database: &'static str,
) {
    let other = tokio::select! {
        biased;
        answer = transaction.ping() => match answer {
            // The pool's own question will have an answer too, or the same error.
            Ok(()) | Err(sqlx::Error::Io(_)) => return,
            Err(_) => another(&pool).await,
        },
        other = another_if_silent(&pool) => other,
    };
    let Some(mut other) = other else { return };
    observe::connection_failed(database, ConnectionFailure::Silent);
    mem::swap(&mut *transaction, &mut *other);
    other.close_on_drop();
}

/// Returns another connection once the first one has been silent for long, or `None` if the pool was closed.
async fn another_if_silent<DB: sqlx::Database>(pool: &sqlx::Pool<DB>) -> Option<PoolConnection<DB>> {
    tokio::time::sleep(SILENT).await;
    loop {
        if let Some(other) = another(pool).await {
            return Some(other);
        }
        if pool.is_closed() {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn another<DB: sqlx::Database>(pool: &sqlx::Pool<DB>) -> Option<PoolConnection<DB>> {
    if pool.options().get_max_connections() == 1 { None } else { pool.acquire().await.ok() }
}
