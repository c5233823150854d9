//! Many tasks on the same rows at once: what must hold whatever the order in which the database takes them.

mod bulk;
mod clocks;
mod exchanges;
mod keys;
mod observed;
mod seen;
mod single;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Barrier;

/// Runs a task for each of `0..count` at once, begun together; what they answered.
pub(crate) async fn at_once<F>(count: usize, task: impl Fn(usize) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(count));
    let begun = (0..count).map(|number| {
        let (barrier, task) = (Arc::clone(&barrier), task(number));
        tokio::spawn(async move {
            barrier.wait().await;
            task.await
        })
    });
    let begun: Vec<_> = begun.collect();
    let mut answers = Vec::with_capacity(count);
    for task in begun {
        answers.push(task.await.expect("no task panics"));
    }
    answers
}
