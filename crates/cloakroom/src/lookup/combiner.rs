use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::queue::{Queue, Turn};
use crate::error::{Error, ErrorKind, Result};

/// How often a statement looks whether anybody still waits for it.
const LOOK_AROUND: Duration = Duration::from_millis(250);

/// What callers can share a statement for.
pub(super) trait Work: Send + Sync + 'static {
    type Question: Send + 'static;
    type Answer: Send + 'static;

    /// How many statements may be out at once.
    fn max_in_flight(&self) -> usize;

    /// How many of `waiting` questions one statement takes: at least one, and one alone where nothing is
    /// shared.
    fn fit(&self, waiting: usize) -> usize;

    fn answer(&self, question: Self::Question) -> impl Future<Output = Result<Self::Answer>> + Send;

    /// The answers to all questions, in their order.
    fn answer_all(
        &self,
        questions: Vec<Self::Question>,
    ) -> impl Future<Output = Vec<Result<Self::Answer>>> + Send;
}

/// Runs one kind of work for callers that share statements.
pub(super) struct Combiner<W: Work> {
    shared: Arc<Shared<W>>,
}

struct Shared<W: Work> {
    work: W,
    queue: Queue<Waiting<W>>,
}

struct Waiting<W: Work> {
    question: W::Question,
    answer: oneshot::Sender<Result<W::Answer>>,
}

impl<W: Work> Combiner<W> {
    pub(super) fn new(work: W) -> Self {
        let queue = Queue::new(work.max_in_flight());
        Self { shared: Arc::new(Shared { work, queue }) }
    }

    pub(super) async fn ask(&self, question: W::Question) -> Result<W::Answer> {
        let shared = &self.shared;
        if shared.work.fit(usize::MAX) == 1 {
            return shared.work.answer(question).await;
        }
        let turn = shared.queue.enter(question, |question| {
            let (answer, answered) = oneshot::channel();
            (Waiting { question, answer }, answered)
        });
        match turn {
            Turn::Now(question) => {
                let _slot = Slot(Arc::clone(shared));
                shared.work.answer(question).await
            }
            Turn::Later(answered) => answered.await.unwrap_or_else(|_| Err(stopped())),
        }
    }
}

/// A taken slot. Dropped, whatever the reason, it goes to those who gathered meanwhile, in a task of their own:
/// none of them depends on another's future.
struct Slot<W: Work>(Arc<Shared<W>>);

impl<W: Work> Drop for Slot<W> {
    fn drop(&mut self) {
        let wants = |waiting: &Waiting<W>| !waiting.answer.is_closed();
        let Some(waiting) = self.0.queue.next(wants, |waiting| self.0.work.fit(waiting)) else {
            return;
        };
        let task = serve(Self(Arc::clone(&self.0)), waiting);
        // Without a runtime, or on one that shuts down, the task is dropped here: its callers hear of it, and
        // its slot goes on to the next.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(task);
        }
    }
}

async fn serve<W: Work>(slot: Slot<W>, waiting: Vec<Waiting<W>>) {
    let (questions, callers): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|waiting| (waiting.question, waiting.answer)).unzip();
    let mut answers = pin!(slot.0.answer_all(questions));
    loop {
        match tokio::time::timeout(LOOK_AROUND, &mut answers).await {
            Ok(answers) => {
                for (caller, answer) in callers.into_iter().zip(answers) {
                    // Whoever went away has no use for it.
                    let _ = caller.send(answer);
                }
                return;
            }
            Err(_) if callers.iter().all(oneshot::Sender::is_closed) => return,
            Err(_) => {}
        }
    }
}

impl<W: Work> Shared<W> {
    async fn answer_all(&self, questions: Vec<W::Question>) -> Vec<Result<W::Answer>> {
        match <[W::Question; 1]>::try_from(questions) {
            Ok([question]) => vec![self.work.answer(question).await],
            Err(questions) => self.work.answer_all(questions).await,
        }
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the task that asked the database was stopped before it had an answer")
}
