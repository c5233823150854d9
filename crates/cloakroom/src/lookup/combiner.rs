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
    /// Where it waits, and so what is driven as long as it does.
    runtime: Option<Handle>,
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
            (Waiting { question, answer, runtime: Handle::try_current().ok() }, answered)
        });
        match turn {
            Turn::Now(question) => {
                let _slot = Slot(Some(Arc::clone(shared)));
                shared.work.answer(question).await
            }
            Turn::Later(answered) => self.wait(answered).await,
        }
    }

    async fn wait(&self, mut answered: oneshot::Receiver<Result<W::Answer>>) -> Result<W::Answer> {
        loop {
            let turns = self.shared.queue.turns();
            match tokio::time::timeout(LOOK_AROUND, &mut answered).await {
                Ok(answer) => return answer.unwrap_or_else(|_| Err(stopped())),
                // Whoever has a slot may be a future that nobody polls any more.
                Err(_) if self.shared.queue.open_if_stuck(turns) => {
                    drop(Slot(Some(Arc::clone(&self.shared))));
                }
                Err(_) => {}
            }
        }
    }
}

/// A taken slot. Dropped, whatever the reason, it goes to those who gathered meanwhile, in a task of their own:
/// none of them depends on another's future, or on a runtime on which nobody waits.
struct Slot<W: Work>(Option<Arc<Shared<W>>>);

impl<W: Work> Drop for Slot<W> {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else {
            return;
        };
        while let Some(runtime) = shared.queue.hand_on(Waiting::wants, |waiting| waiting.runtime.clone()) {
            let (give, taken) = oneshot::channel();
            if let Some(runtime) = runtime {
                runtime.spawn(async move {
                    if let Ok(slot) = taken.await {
                        serve(slot).await;
                    }
                });
            }
            // A runtime that shuts down drops the task here: its callers hear of it, and the slot is for the
            // next, in a loop, since there may be many.
            match give.send(Self(Some(Arc::clone(&shared)))) {
                Ok(()) => return,
                Err(mut refused) => drop(refused.0.take()),
            }
            if shared.next().is_none() {
                return;
            }
        }
    }
}

/// Answers all who wait, and those who come meanwhile, on one connection.
async fn serve<W: Work>(mut slot: Slot<W>) {
    let Some(shared) = slot.0.clone() else {
        return;
    };
    let mut connection = None;
    // Connected first and gathered afterwards: nobody joins a statement, but they join those who wait for one.
    loop {
        let connected = match connection.take() {
            Some(connected) => Ok(connected),
            None => shared.work.store().connect().await,
        };
        let Some(waiting) = shared.next() else {
            // The slot is free.
            slot.0 = None;
            return;
        };
        match connected {
            Ok(connected) => connection = shared.answer_all(connected, waiting).await,
            Err(error) => waiting.into_iter().for_each(|waiting| waiting.hear(Err(error.clone()))),
        }
        // Whoever was answered may have the next question already, and then it can come along.
        tokio::task::yield_now().await;
    }
}

impl<W: Work> Shared<W> {
    /// Those who go next, or `None`, and the slot is free.
    fn next(&self) -> Option<Vec<Waiting<W>>> {
        self.queue.next(Waiting::wants, |waiting| self.work.fit(self.share(waiting)))
    }

    /// How many of those who wait one slot takes, so that the others have some too; few are not divided.
    fn share(&self, waiting: usize) -> usize {
        const FEW: usize = 32;
        waiting.div_ceil(self.work.max_in_flight()).max(FEW).min(waiting)
    }

    /// Has all of them hear their answers. The connection comes back if it is good for more.
    async fn answer_all(
        &self,
        mut connection: ConnectionOf<W>,
        waiting: Vec<Waiting<W>>,
    ) -> Option<ConnectionOf<W>> {
        let mut callers = Vec::with_capacity(waiting.len());
        let mut questions = Vec::with_capacity(waiting.len());
        for Waiting { question, answer, .. } in waiting {
            questions.push(question);
            callers.push(answer);
        }
        let answers = {
            let mut answers = pin!(self.work.answer_all(&mut connection, questions));
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
        if is_good {
            return Some(connection);
        }
        W::Store::discard(connection);
        None
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
mod tests {
    use std::sync::Mutex;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Answers with twice the number, once it may.
    #[derive(Default)]
    struct Twice {
        is_held: Mutex<bool>,
        statements: Mutex<Vec<Vec<u32>>>,
    }

    impl Work for Twice {
        type Question = u32;
        type Answer = u32;
        type Store = ();

        fn store(&self) -> &() {
            &()
        }

        fn max_in_flight(&self) -> usize {
            1
        }

        fn fit(&self, waiting: usize) -> usize {
            waiting.min(4)
        }

        async fn answer(&self, number: u32) -> Result<u32> {
            self.statements.lock().unwrap().push(vec![number]);
            std::future::poll_fn(
                |_| if *self.is_held.lock().unwrap() { Poll::Pending } else { Poll::Ready(()) },
            )
            .await;
            assert_ne!(number, 13, "of all numbers");
            Ok(number * 2)
        }

        async fn answer_all(&self, (): &mut (), numbers: Vec<u32>) -> Vec<Result<u32>> {
            self.statements.lock().unwrap().push(numbers.clone());
            assert!(!numbers.contains(&13), "of all numbers");
            numbers.into_iter().map(|number| Ok(number * 2)).collect()
        }
    }

    impl Connections for () {
        type Connection = ();

        async fn connect(&self) -> Result<()> {
            Ok(())
        }

        fn discard((): ()) {}
    }

    fn poll<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> Poll<F::Output> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    /// There is no runtime here, and so neither a task nor a timer.
    #[test]
    fn a_lone_caller_needs_nothing_but_its_own_future() {
        let combiner = Combiner::new(Twice::default());
        for number in 0..3 {
            assert!(
                matches!(poll(&mut Box::pin(combiner.ask(number))), Poll::Ready(Ok(twice)) if twice == 2 * number)
            );
        }
    }

    #[tokio::test]
    async fn callers_that_gather_go_together_and_each_hears_its_own() {
        let combiner = Combiner::new(Twice::default());
        *combiner.shared.work.is_held.lock().unwrap() = true;
        let mut first = Box::pin(combiner.ask(0));
        assert!(poll(&mut first).is_pending());
        let mut others: Vec<_> = (1..=6).map(|number| Box::pin(combiner.ask(number))).collect();
        for other in &mut others {
            assert!(poll(other).is_pending());
        }
        // The last asks and goes away.
        drop(others.pop());
        *combiner.shared.work.is_held.lock().unwrap() = false;
        assert_eq!(first.await.unwrap(), 0);
        for (number, other) in (1..).zip(others) {
            assert_eq!(other.await.unwrap(), 2 * number);
        }
        let statements = combiner.shared.work.statements.lock().unwrap().clone();
        assert_eq!(statements, [vec![0], vec![1, 2, 3, 4], vec![5]]);
    }

    #[tokio::test]
    async fn a_panic_is_no_more_than_trouble_to_those_who_share_it() {
        let combiner = Arc::new(Combiner::new(Twice::default()));
        *combiner.shared.work.is_held.lock().unwrap() = true;
        let mut first = Box::pin(combiner.ask(0));
        assert!(poll(&mut first).is_pending());
        let mut others: Vec<_> = (11..=17).map(|number| Box::pin(combiner.ask(number))).collect();
        for other in &mut others {
            assert!(poll(other).is_pending());
        }
        *combiner.shared.work.is_held.lock().unwrap() = false;
        assert_eq!(first.await.unwrap(), 0);
        for (number, other) in (11..).zip(others) {
            match other.await {
                Ok(twice) => assert!(number > 14 && twice == 2 * number),
                Err(error) => assert!(number <= 14 && error.kind() == ErrorKind::Unavailable),
            }
        }
        // And alone it is the caller's own.
        let alone = tokio::spawn({
            let combiner = Arc::clone(&combiner);
            async move { combiner.ask(13).await }
        });
        assert!(alone.await.unwrap_err().is_panic());
        assert_eq!(combiner.ask(1).await.unwrap(), 2);
    }
}
