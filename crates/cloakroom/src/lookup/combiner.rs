use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::queue::{self, Queue, Turn};
use crate::error::{Error, ErrorKind, Result};

/// How often a statement looks whether anybody still waits for it, and those who wait whether a slot is stuck.
const LOOK_AROUND: Duration = queue::STUCK;

/// For how long statements go out on one connection, before others whom the pool keeps waiting have their turn.
const LONGEST_HOLD: Duration = Duration::from_millis(50);

/// What callers can share a statement for.
pub(super) trait Work: Send + Sync + 'static {
    type Question: Send + 'static;
    type Answer: Send + 'static;
    type Store: Connections;

    /// What it is asked of.
    fn store(&self) -> &Self::Store;

    /// How many statements may be out at once.
    fn max_in_flight(&self) -> usize;

    /// How many of `waiting` questions one statement takes: at least one, and one alone where nothing is
    /// shared.
    fn fit(&self, waiting: usize) -> usize;

    /// The answer to one question, on whatever connection is free.
    fn answer(&self, question: Self::Question) -> impl Future<Output = Result<Self::Answer>> + Send;

    /// The answers to all questions, in their order.
    fn answer_all(
        &self,
        connection: &mut ConnectionOf<Self>,
        questions: Vec<Self::Question>,
    ) -> impl Future<Output = Vec<Result<Self::Answer>>> + Send;
}

/// Has the connections on which shared statements run, one after another.
pub(super) trait Connections: Sync {
    type Connection: Send;

    fn connect(&self) -> impl Future<Output = Result<Self::Connection>> + Send;

    /// Closes a connection that did not answer.
    fn discard(connection: Self::Connection);
}

type ConnectionOf<W> = <<W as Work>::Store as Connections>::Connection;

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
    since: Instant,
    /// Where it waits, and so what is driven as long as it does.
    runtime: Handle,
}

impl<W: Work> Combiner<W> {
    pub(super) fn new(work: W) -> Self {
        let queue = Queue::new(work.max_in_flight());
        Self { shared: Arc::new(Shared { work, queue }) }
    }

    pub(super) async fn ask(&self, question: W::Question) -> Result<W::Answer> {
        let shared = &self.shared;
        let runtime = match Handle::try_current() {
            Ok(runtime) if shared.work.fit(usize::MAX) > 1 => runtime,
            // Who is nowhere cannot wait, and others cannot count on them.
            _ => return shared.work.answer(question).await,
        };
        let since = now();
        let turn = shared.queue.enter(question, since, Waiting::wants, |question| {
            let (answer, answered) = oneshot::channel();
            (Waiting { question, answer, since, runtime }, answered)
        });
        match turn {
            Turn::Now(question, slot) => {
                let _slot = Slot(Some((Arc::clone(shared), slot)));
                shared.work.answer(question).await
            }
            Turn::Later(answered) => self.wait(answered).await,
        }
    }

    async fn wait(&self, mut answered: oneshot::Receiver<Result<W::Answer>>) -> Result<W::Answer> {
        loop {
            if let Ok(answer) = tokio::time::timeout(LOOK_AROUND, &mut answered).await {
                return answer.unwrap_or_else(|_| Err(stopped()));
            }
            if let Some(slot) = self.shared.queue.rescue(now(), Waiting::wants) {
                // On this runtime, which is driven: that of whoever waits longest may not be.
                tokio::spawn(serve(Slot(Some((Arc::clone(&self.shared), slot)))));
            }
        }
    }
}

/// By the runtime's clock, which stands still in tests.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A taken slot. Dropped, whatever the reason, it goes to those who gathered meanwhile, in a task of their own:
/// none of them depends on another's future, or on a runtime on which nobody waits.
struct Slot<W: Work>(Option<(Arc<Shared<W>>, queue::Slot)>);

impl<W: Work> Drop for Slot<W> {
    fn drop(&mut self) {
        let Some((shared, slot)) = self.0.take() else {
            return;
        };
        let mut refused = None;
        while let Some(runtime) = shared.queue.hand_on(
            slot,
            now(),
            |waiting| waiting.wants() && refused != Some(waiting.runtime.id()),
            |waiting| waiting.runtime.clone(),
        ) {
            refused = Some(runtime.id());
            let (give, given) = oneshot::channel();
            runtime.spawn(async move {
                if let Ok(slot) = given.await {
                    serve(slot).await;
                }
            });
            // A runtime that shuts down drops the task here: its callers hear of it, and the slot is for the
            // next, in a loop, since there may be many such.
            match give.send(Self(Some((Arc::clone(&shared), slot)))) {
                Ok(()) => return,
                Err(mut back) => drop(back.0.take()),
            }
        }
    }
}

/// Answers all who wait, and those who come meanwhile.
async fn serve<W: Work>(mut held: Slot<W>) {
    let Some((shared, slot)) = held.0.clone() else {
        return;
    };
    let mut kept = None;
    // Connected first and gathered afterwards: nobody joins a statement, but they join those who wait for one.
    loop {
        let begun = now();
        let connected = match kept.take() {
            Some((connection, since)) if begun.duration_since(since) < LONGEST_HOLD => {
                Ok((connection, since))
            }
            long => {
                drop(long);
                shared.connect(slot).await
            }
        };
        match connected {
            Ok((mut connection, since)) => {
                let Some(waiting) = shared.next(slot) else { break };
                if shared.answer_all(&mut connection, waiting).await {
                    kept = Some((connection, since));
                } else {
                    W::Store::discard(connection);
                }
            }
            Err(error) if shared.fail(slot, begun, &error) => {}
            Err(_) => break,
        }
        // Whoever was answered may have the next question already, and then it can come along.
        tokio::task::yield_now().await;
    }
    // The slot is free, or no longer this task's.
    held.0 = None;
}

impl<W: Work> Shared<W> {
    /// A connection for those who wait, and since when.
    async fn connect(&self, slot: queue::Slot) -> Result<(ConnectionOf<W>, Instant)> {
        // Long before others think the slot is stuck.
        const OFTEN: Duration = Duration::from_millis(50);
        let mut connected = pin!(self.work.store().connect());
        loop {
            match tokio::time::timeout(OFTEN, &mut connected).await {
                Ok(connected) => return Ok((connected?, now())),
                Err(_) if self.queue.keep(slot, now(), Waiting::wants) => {}
                Err(_) => return Err(stopped()),
            }
        }
    }

    /// Those who go next, or `None`, and the slot is free, or another's.
    fn next(&self, slot: queue::Slot) -> Option<Vec<Waiting<W>>> {
        self.queue.next(slot, now(), Waiting::wants, |waiting| self.work.fit(self.share(waiting)))
    }

    /// How many of those who wait one slot takes, so that the others have some too; few are not divided.
    fn share(&self, waiting: usize) -> usize {
        const FEW: usize = 32;
        waiting.div_ceil(self.work.max_in_flight()).max(FEW).min(waiting)
    }

    /// Has those hear why who waited for this connection, unless another slot serves them; whether the slot goes
    /// on.
    fn fail(&self, slot: queue::Slot, since: Instant, error: &Error) -> bool {
        let hears = |waiting: &Waiting<W>| waiting.since <= since;
        let (waiting, goes_on) = self.queue.fail(slot, since, now(), Waiting::wants, hears);
        for waiting in waiting {
            waiting.hear(Err(error.clone()));
        }
        goes_on
    }

    /// Has all of them hear their answers; whether the connection is good for more.
    async fn answer_all(&self, connection: &mut ConnectionOf<W>, waiting: Vec<Waiting<W>>) -> bool {
        let mut callers = Vec::with_capacity(waiting.len());
        let mut questions = Vec::with_capacity(waiting.len());
        for Waiting { question, answer, .. } in waiting {
            questions.push(question);
            callers.push(answer);
        }
        let answers = {
            let mut answers = pin!(self.work.answer_all(connection, questions));
            loop {
                match tokio::time::timeout(LOOK_AROUND, &mut answers).await {
                    Ok(answers) => break Some(answers),
                    Err(_) if callers.iter().all(oneshot::Sender::is_closed) => break None,
                    Err(_) => {}
                }
            }
        };
        let is_lost = |answer: &Result<W::Answer>| matches!(answer, Err(error) if error.kind() == ErrorKind::Unavailable);
        let is_good = answers.as_ref().is_some_and(|answers| !answers.iter().any(is_lost));
        for (caller, answer) in callers.into_iter().zip(answers.into_iter().flatten()) {
            // Whoever went away has no use for it.
            let _ = caller.send(answer);
        }
        is_good
    }
}

impl<W: Work> Waiting<W> {
    fn wants(&self) -> bool {
        !self.answer.is_closed()
    }

    fn hear(self, answer: Result<W::Answer>) {
        let _ = self.answer.send(answer);
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the task that asked the database was stopped before it had an answer")
}

#[cfg(test)]
#[path = "combiner_tests.rs"]
mod tests;
