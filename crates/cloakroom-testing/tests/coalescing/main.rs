//! Concurrent calls share statements: what must hold all the same, and what it saves.

mod creates;
mod dropped;
mod extensions;
mod foreign_rows;
mod gate;
mod in_memory;
mod locks;
mod lookups;
mod pool;
mod revocations;
mod runtimes;
#[path = "../conformance/statements.rs"]
mod statements;
mod strict;
mod trouble;
mod warm_connection;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::JoinHandle;

/// What is long enough for anything that does not hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls `future` once: it has asked, and waits.
pub(crate) fn poll_once<F: Future>(future: &mut Pin<Box<F>>) {
    assert!(poll(future).is_pending(), "answered at once");
}

/// Polls `future` once, and leaves the rest to a task: callers begun one after another ask in this order.
pub(crate) fn begin<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut future = Box::pin(future);
    match poll(&mut future) {
        Poll::Ready(answer) => tokio::spawn(async { answer }),
        Poll::Pending => tokio::spawn(future),
    }
}

/// What `future` comes to, which takes no longer than [`PATIENCE`].
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("a caller hangs")
}

/// What the tasks answered, none of which takes long.
pub(crate) async fn all<R>(tasks: Vec<JoinHandle<R>>) -> Vec<R> {
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        answers.push(soon(task).await.expect("no task panics"));
    }
    answers
}
