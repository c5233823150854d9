//! Deletes what ended long ago.

use std::time::Duration;

use cloakroom::{SessionFields, Sessions, Status};
use tokio::task::JoinHandle;

use crate::app::App;

/// How long what has ended is still shown. An application that shows none takes `cloakroom::Pruner`, which
/// deletes what has expired at once.
const KEPT: Duration = Duration::from_hours(30 * 24);

const EVERY: Duration = Duration::from_hours(1);

const BATCH: u64 = 1_000;

/// The task in the background; it ends when this is dropped.
#[derive(Debug)]
pub struct Retention(JoinHandle<()>);

impl Retention {
    /// Starts it. Must be called within a tokio runtime.
    pub fn spawn(app: &App) -> Self {
        let app = app.clone();
        Self(tokio::spawn(async move {
            let mut interval = tokio::time::interval(EVERY);
            loop {
                interval.tick().await;
                match run(&app).await {
                    Ok(deleted) => tracing::info!(deleted, "deleted what ended long ago"),
                    Err(error) => tracing::warn!(%error, "what ended long ago could not be deleted"),
                }
            }
        }))
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        // A batch in the middle is done or is not.
        self.0.abort();
    }
}

/// Deletes, from both tables, what ended more than thirty days ago; how much that was.
pub async fn run(app: &App) -> cloakroom::Result<u64> {
    Ok(delete_old(&app.sessions).await? + delete_old(&app.keys).await?)
}

/// In batches, so that no lock is held for long.
async fn delete_old<T: SessionFields>(sessions: &Sessions<T>) -> cloakroom::Result<u64> {
    let mut total = 0;
    loop {
        let limit = sessions.config().now() - KEPT;
        let old = sessions.query().status(Status::Expired).filter(T::EXPIRES_AT.lt(limit));
        let deleted = old.limit(BATCH).delete_all().await?;
        total += deleted;
        if deleted < BATCH {
            return Ok(total);
        }
    }
}
