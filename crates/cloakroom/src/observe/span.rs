use std::cell::Cell;

use tracing::Span;
use tracing::field::Empty;

use super::Operation;

tokio::task_local! {
    /// How many calls shared the first statement of the call that is polled; zero if it is not known.
    static BATCH_SIZE: Cell<usize>;
}

/// Returns the span of a call.
pub(super) fn of_call(table: &str, operation: Operation) -> Span {
    tracing::debug_span!(
        target: "cloakroom::operation",
        "cloakroom::operation",
        table,
        operation = operation.name(),
        outcome = Empty,
        batch_size = Empty,
    )
}

/// Returns what the call returns, and how many calls shared its statement.
pub(super) async fn with_batch_size<R>(call: impl Future<Output = R>) -> (R, usize) {
    let counted = async { (call.await, BATCH_SIZE.with(Cell::get)) };
    BATCH_SIZE.scope(Cell::new(0), counted).await
}

/// Notes how many calls shared a statement of the call that is being polled.
pub(crate) fn note_batch_size(calls: usize) {
    // A batcher may be asked outside of every call, in tests.
    let _ = BATCH_SIZE.try_with(|size| {
        if size.get() == 0 {
            size.set(calls);
        }
    });
}

pub(super) fn end(span: &Span, outcome: &'static str, batch_size: usize) {
    span.record("outcome", outcome);
    if batch_size > 0 {
        span.record("batch_size", batch_size);
    }
}
