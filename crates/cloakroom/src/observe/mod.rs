//! What operators see of the calls: a span of `tracing` for each, and metrics. `docs/observability.md` lists them, and a
//! test compares.
//!
//! Without the feature `metrics` there is a [`Metrics`] all the same, which does nothing and takes no room.

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "no_metrics.rs"]
mod metrics;
mod operation;
mod outcome;
mod span;

use std::sync::Arc;

use tracing::{Instrument, Span};

use metrics::Stopwatch;
pub(crate) use metrics::{Metrics, connection_failed, event_lost, statement_retried};
pub(crate) use operation::Operation;
pub(crate) use outcome::{outcome, outcome_of_search};
pub(crate) use span::note_batch_size;

use crate::error::Result;

/// What the statements of a batcher do: the `kind` of its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batched {
    Lookup,
    Insert,
    Extension,
}

/// What became of a lookup in the cache: the `outcome` of its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheLookup {
    Hit,
    /// There was no entry.
    Absent,
    /// There was an entry, which no longer held.
    Void,
    /// The listener's lease did not hold, so no entry was looked for.
    Lapsed,
}

/// What became of the extension of a session that was read or asked for: the `outcome` of its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extended {
    Written,
    /// Another write had come first.
    Lost,
    /// It could not be written; the session was read all the same.
    Failed,
}

/// What became of the last use of a session that was to be recorded: the `outcome` of its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    Written,
    /// A write of any number of them failed. It is tried again.
    Failed,
    /// It was given up: there was no room to note it, or the database refuses it.
    Dropped,
}

/// What a device asks for.
#[cfg(feature = "dbsc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    Registration,
    Renewal,
}

/// Why a connection of the pool could not be had, or was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionFailure {
    /// None became free in time.
    Exhausted,
    /// It could not be opened.
    Refused,
    /// It ended in the middle of a statement.
    Lost,
    /// It did not answer in time.
    Silent,
}

/// Why a statement was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The database rolled it back in favour of another.
    Deadlock,
    /// Its connection had ended.
    Reconnected,
    /// It was prepared before its table changed.
    Stale,
}

/// What observes the calls on one table.
pub(crate) struct Instruments {
    /// The table's name, with its schema.
    table: String,
    pub(crate) metrics: Arc<Metrics>,
}

impl Instruments {
    /// Makes those of the table of this name. The metrics have the name without the schema, because there may be
    /// a schema for each tenant.
    pub(crate) fn new(table: String, without_schema: &str) -> Self {
        Self { table, metrics: Arc::new(Metrics::new(without_schema)) }
    }

    /// Begins to observe a call.
    pub(crate) fn begin(&self, operation: Operation) -> Observed {
        Observed {
            metrics: Arc::clone(&self.metrics),
            operation,
            span: span::of_call(&self.table, operation),
            stopwatch: Stopwatch::start(),
            outcome: outcome::DROPPED,
            batch_size: 0,
        }
    }
}

/// A call that is observed. When it is dropped, the call has ended.
#[must_use]
pub(crate) struct Observed {
    metrics: Arc<Metrics>,
    operation: Operation,
    span: Span,
    stopwatch: Stopwatch,
    outcome: &'static str,
    batch_size: usize,
}

impl Observed {
    /// Runs the call; `outcome` tells how it ended.
    pub(crate) async fn of<R>(
        mut self,
        call: impl Future<Output = Result<R>>,
        outcome: fn(&Result<R>) -> &'static str,
    ) -> Result<R> {
        let (result, batch_size) = span::with_batch_size(call).instrument(self.span.clone()).await;
        (self.outcome, self.batch_size) = (outcome(&result), batch_size);
        result
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        span::end(&self.span, self.outcome, self.batch_size);
        self.metrics.called(self.operation, self.outcome, &self.stopwatch);
    }
}
