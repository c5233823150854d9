//! What all calls have in common: each has its answer by its deadline, and is observed.

use std::time::Duration;

use super::Operations;
use crate::database::TimedOut;
use crate::deadline;
use crate::error::{Error, Result};
use crate::observe::{self, Observed, Operation};
use crate::table::SessionFields;

/// A call that is about to run.
#[must_use]
pub(crate) struct Call {
    limit: Option<Duration>,
    observed: Observed,
}

impl<T: SessionFields> Operations<'_, T> {
    /// Begins a call. It has no bound on a connection of the caller's, because a statement that is given up midway can
    /// leave the connection in the middle of an answer.
    pub(crate) fn call(&self, operation: Operation) -> Call {
        Call { limit: self.limit(), observed: self.handle.store().instruments.begin(operation) }
    }

    /// Begins a call of many steps, which has no bound. Each step has [one](Self::limit) for itself.
    pub(crate) fn long_call(&self, operation: Operation) -> Call {
        Call { limit: None, ..self.call(operation) }
    }

    /// Returns how long a call on this connection waits for the database.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.config().timeout().filter(|_| self.connection.is_pool())
    }
}

impl Call {
    /// Runs the call.
    pub(crate) fn of<R>(self, call: impl Future<Output = Result<R>>) -> impl Future<Output = Result<R>> {
        self.run(call, observe::outcome)
    }

    /// Runs a call that looks for something.
    pub(crate) fn finding<R>(
        self,
        call: impl Future<Output = Result<Option<R>>>,
    ) -> impl Future<Output = Result<Option<R>>> {
        self.run(call, observe::outcome_of_search)
    }

    /// The call's future is on the heap: each layer around it would otherwise hold it once more.
    fn run<R>(
        self,
        call: impl Future<Output = Result<R>>,
        outcome: fn(&Result<R>) -> &'static str,
    ) -> impl Future<Output = Result<R>> {
        let call = Box::pin(call);
        self.observed.of(deadline::within(self.limit, call), outcome)
    }
}

/// Returns what a step in a transaction of this library's own returns, or an error if it takes longer than `limit`. The
/// transaction must then be given up.
pub(crate) async fn bounded<R>(limit: Option<Duration>, step: impl Future<Output = Result<R>>) -> Result<R> {
    let answer = deadline::within(limit, deadline::bound(step)).await;
    answer.unwrap_or_else(|| Err(Error::from_sqlx(TimedOut::WithoutAnswer.error(), "")))
}
