//! What all calls have in common: each has its answer by its deadline.

use std::time::Duration;

use super::Operations;
use crate::database::TimedOut;
use crate::deadline;
use crate::error::{Error, Result};
use crate::table::SessionFields;

/// A call that is about to run.
#[must_use]
pub(crate) struct Call {
    limit: Option<Duration>,
}

impl<T: SessionFields> Operations<'_, T> {
    /// Begins a call. It has no bound on a connection of the caller's, because a statement that is given up midway can
    /// leave the connection in the middle of an answer.
    pub(crate) fn call(&self) -> Call {
        Call { limit: self.limit() }
    }

    /// Returns how long a call on this connection waits for the database.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.config().timeout().filter(|_| self.connection.is_pool())
    }
}

impl Call {
    /// Begins a call of many steps, which has no bound. Each step has [one](Operations::limit) for itself.
    pub(crate) fn long() -> Self {
        Self { limit: None }
    }

    /// Runs the call.
    pub(crate) async fn of<R>(self, call: impl Future<Output = Result<R>>) -> Result<R> {
        deadline::within(self.limit, call).await
    }
}

/// Returns what a step in a transaction of this library's own returns, or an error if it takes longer than `limit`. The
/// transaction must then be given up.
pub(crate) async fn bounded<R>(limit: Option<Duration>, step: impl Future<Output = Result<R>>) -> Result<R> {
    let answer = deadline::within(limit, deadline::bound(step)).await;
    answer.unwrap_or_else(|| Err(Error::from_sqlx(TimedOut::WithoutAnswer.error(), "")))
}
