//! By when a call has its answer.
//!
//! [`within`] gives the call its deadline. Each wait of the call looks at it by itself: for its turn, for a connection,
//! for a statement's answer. So the error says what the call had waited for, and what may have been written. The
//! deadline belongs to the future that is polled, so it does not have to pass through everything in between. A task that
//! serves several calls has none; it stops when no call waits for it any more.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep_until};

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
pub(crate) fn bound<W: Future>(wait: W) -> Bound<W> {
    Bound { wait, begun: Begun::No }
}

pin_project! {
    /// A wait that ends at the deadline. An `async fn` would hold `wait` three times, and each call would copy all of
    /// that from one place to the next: a statement's future has some kilobytes.
    pub(crate) struct Bound<W> {
        #[pin]
        wait: W,
        #[pin]
        begun: Begun,
    }
}

pin_project! {
    #[project = BegunPinned]
    enum Begun {
        No,
        Unbounded,
        Until { #[pin] deadline: Sleep },
    }
}

impl<W: Future> Future for Bound<W> {
    type Output = Option<W::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if matches!(*this.begun, Begun::No) {
            this.begun.set(match current() {
                Some(deadline) => Begun::Until { deadline: sleep_until(deadline) },
                None => Begun::Unbounded,
            });
        }
        if let Poll::Ready(answer) = this.wait.poll(context) {
            return Poll::Ready(Some(answer));
        }
        let BegunPinned::Until { deadline } = this.begun.project() else { return Poll::Pending };
        // A wait that uses up its turn each time must not hide that the deadline has passed.
        pin!(coop::unconstrained(deadline)).poll(context).map(|()| None)
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
    async fn a_wait_that_uses_up_its_turn_ends_too() {
        let mut polls = 0;
        let greedy = std::future::poll_fn(move |context| {
            polls += 1;
            assert!(polls < 1_000, "the deadline is never seen");
            while let Poll::Ready(coop) = coop::poll_proceed(context) {
                coop.made_progress();
            }
            Poll::<()>::Pending
        });
        let waited = within(Some(SECOND), bound(greedy));
        let (waited, ()) = tokio::join!(waited, tokio::time::advance(2 * SECOND));
        assert_eq!(waited, None);
    }

    #[test]
    fn a_bound_takes_little_more_room_than_the_wait() {
        let wait = async {
            let room = [0_u8; 4096];
            std::future::pending::<()>().await;
            room.len()
        };
        let room = size_of_val(&wait);
        assert!(room >= 4096 && size_of_val(&bound(wait)) < room + 512);
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
