//! By when a call has its answer.
//!
//! [`within`] gives the call its deadline. Each wait of the call looks at it by itself: for its turn, for a connection,
//! for a statement's answer. So the error says what the call had waited for, and what may have been written. The
//! deadline belongs to the future that is polled, so it does not have to pass through everything in between. A task that
//! serves several calls has none; it stops when no call waits for it any more.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

tokio::task_local! {
    static DEADLINE: Option<Instant>;
}

/// Runs `call`, which has its answer after `limit` at the latest. With `None` there is no bound.
pub(crate) fn within<R>(limit: Option<Duration>, call: impl Future<Output = R>) -> impl Future<Output = R> {
    // An instant that cannot be represented is never reached.
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    DEADLINE.scope(deadline, call)
}

/// Returns by when the call that is being polled has its answer, if it has a bound.
pub(crate) fn current() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok().flatten()
}

/// Returns what `wait` returns, or `None` if the deadline passes first. Then `wait` is dropped.
pub(crate) async fn bound<R>(wait: impl Future<Output = R>) -> Option<R> {
    match current() {
        Some(deadline) => tokio::time::timeout_at(deadline, wait).await.ok(),
        None => Some(wait.await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_call_that_it_is_part_of() {
        let begun = Instant::now();
        let waited = within(Some(3 * SECOND), async {
            tokio::time::sleep(SECOND).await;
            bound(std::future::pending::<()>()).await
        });
        assert_eq!((waited.await, begun.elapsed()), (None, 3 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_a_bound_waits_for_as_long_as_it_takes() {
        for limit in [None, Some(Duration::MAX)] {
            let wait = async {
                tokio::time::sleep(1_000 * SECOND).await;
                7
            };
            assert_eq!(within(limit, bound(wait)).await, Some(7));
        }
        assert_eq!((bound(async { 7 }).await, current()), (Some(7), None));
    }
}
