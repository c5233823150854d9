//! Deletes sessions that ended long ago.

use std::time::Duration;

use cloakroom::{Pruner, PrunerBuilder};

use crate::app::App;

/// How long ended sessions are still shown.
const KEPT: Duration = Duration::from_hours(30 * 24);

const EVERY: Duration = Duration::from_hours(1);

/// The pruners of both tables. They stop when this is dropped.
#[derive(Debug)]
pub struct Retention {
    _sessions: Pruner,
    _keys: Pruner,
}

impl Retention {
    /// Starts the pruners. Must be called within a tokio runtime.
    pub fn spawn(app: &App) -> Self {
        Self { _sessions: pruner().spawn(app.sessions.clone()), _keys: pruner().spawn(app.keys.clone()) }
    }
}

fn pruner() -> PrunerBuilder {
    Pruner::builder(EVERY).keep(KEPT)
}

/// Deletes from both tables the sessions that expired at least thirty days ago. Returns their number.
pub async fn run(app: &App) -> cloakroom::Result<u64> {
    let sessions = app.sessions.delete_expired_for(KEPT, |_| {}).await?;
    Ok(sessions + app.keys.delete_expired_for(KEPT, |_| {}).await?)
}
