use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::queue::{self, Admission, Queue};
use crate::error::{self, Error, ErrorKind, Result};

/// How often a statement looks whether anybody still waits for it, and those who wait whether a slot is stuck.
const LOOK_AROUND: Duration = queue::STUCK;

/// How often the holder of a slot that is not stuck says so: long before others think that it is.
const OFTEN: Duration = Duration::from_millis(50);

/// For how long statements go out on one connection, before others whom the pool keeps waiting have their turn.
pub(super) const LONGEST_HOLD: Duration = Duration::from_millis(50);

/// What callers can share a statement for.
pub(super) trait BatchedQuery: Send + Sync + 'static {
    type Question: Send + Sync + 'static;
    type Answer: Send + 'static;
    /// Where shared statements run, one after another.
    type Connection: Send;

    /// How many statements may be out at once.
    fn max_in_flight(&self) -> usize;

    /// How many of `waiting` questions one statement takes: at least one, and one alone where nothing is
    /// shared.
    fn batch_size(&self, waiting: usize) -> usize;

    /// Whether a statement may wait for long for what any other would wait for too. Then none is sent to make up for
    /// it.
    fn waits_in_line(&self) -> bool {
        false
    }

    /// How long a question waits for its turn.
    fn patience(&self) -> Duration;

    /// What the caller hears whose question has waited for too long.
    fn out_of_patience(&self) -> Error;

    /// The answer to one question, on whatever connection is free. `None` if it may have to wait for long for what
    /// concerns no other, which it does [alone](Self::answer_alone).
    fn answer(&self, question: &Self::Question) -> impl Future<Output = Option<Result<Self::Answer>>> + Send;

    /// The answer to one question, on whatever connection is free by then, in no slot: for as long as it takes.
    fn answer_alone(
        &self,
        question: Self::Question,
        until: Instant,
    ) -> impl Future<Output = Result<Self::Answer>> + Send;

    fn connect(&self) -> impl Future<Output = Result<Self::Connection>> + Send;

    /// Takes back a connection that nothing waits for any more.
    fn release(&self, connection: Self::Connection) {
        drop(connection);
    }

    /// Closes a connection that did not answer.
    fn discard(connection: Self::Connection);

    /// What one statement for all questions came to.
    fn answer_all(
        &self,
        connection: &mut Self::Connection,
        questions: &[Self::Question],
    ) -> impl Future<Output = BatchOutcome<Self::Answer>> + Send;
}

/// What a statement for several questions came to.
pub(super) enum BatchOutcome<A> {
    /// The answers, in the order of the questions.
    Each(Vec<Result<A>>),
    /// It failed, perhaps for one of them: each half goes by itself.
    Halve,
    /// Each is answered alone.
    Alone,
}

impl<A> BatchOutcome<A> {
    /// The answer to the only question; `None` if it is answered alone.
    pub(super) fn of_one(self) -> Option<Result<A>> {
        match self {
            Self::Each(answers) => answers.into_iter().next(),
            Self::Halve | Self::Alone => None,
        }
    }
}

/// What whoever waits hears.
enum Reply<W: BatchedQuery> {
    Answer(Result<W::Answer>),
    /// The question is to be answered alone.
    Alone(W::Question),
}

/// Runs one kind of work for callers that share statements.
pub(super) struct Batcher<W: BatchedQuery> {
    shared: Arc<Shared<W>>,
}

struct Shared<W: BatchedQuery> {
    work: W,
    queue: Queue<Waiting<W>>,
    /// How many have waited so far.
    tickets: AtomicU64,
}

struct Waiting<W: BatchedQuery> {
    question: W::Question,
    reply: oneshot::Sender<Reply<W>>,
    ticket: u64,
    since: Instant,
    /// Where it waits, and so what is driven as long as it does.
    runtime: Handle,
}

/// One who waits, to itself.
struct Ticket<W: BatchedQuery> {
    number: u64,
    replied: oneshot::Receiver<Reply<W>>,
}

impl<W: BatchedQuery> Batcher<W> {
    pub(super) fn new(work: W) -> Self {
        let queue = Queue::new(work.max_in_flight());
        Self { shared: Arc::new(Shared { work, queue, tickets: AtomicU64::new(0) }) }
    }

    pub(super) async fn ask(&self, question: W::Question) -> Result<W::Answer> {
        let shared = &self.shared;
        let since = now();
        let until = since + shared.work.patience();
        let runtime = match Handle::try_current() {
            Ok(runtime) if shared.work.batch_size(usize::MAX) > 1 => runtime,
            // Who is nowhere cannot wait, and others cannot count on them.
            _ => return shared.work.answer_alone(question, until).await,
        };
        let turn = shared.queue.enter(question, since, Waiting::wants, |question| {
            let (reply, replied) = oneshot::channel();
            let number = shared.tickets.fetch_add(1, Ordering::Relaxed);
            (Waiting { question, reply, ticket: number, since, runtime }, Ticket { number, replied })
        });
        let reply = match turn {
            Admission::Now(question, slot) => {
                let _slot = HeldSlot(Some((Arc::clone(shared), slot)));
                match shared.answer_in(slot, &question).await {
                    Some(answer) => Reply::Answer(answer),
                    None => Reply::Alone(question),
                }
            }
            Admission::Later(ticket) => self.wait(ticket, until).await,
        };
        match reply {
            Reply::Answer(answer) => answer,
            Reply::Alone(question) => shared.work.answer_alone(question, until).await,
        }
    }

    async fn wait(&self, Ticket { number, mut replied }: Ticket<W>, until: Instant) -> Reply<W> {
        let queue = &self.shared.queue;
        let mut may_leave = true;
        loop {
            let patience = if may_leave { until.saturating_duration_since(now()) } else { LOOK_AROUND };
            if let Ok(reply) = tokio::time::timeout(patience.min(LOOK_AROUND), &mut replied).await {
                return reply
                    .unwrap_or_else(|_| Reply::Answer(Err(stopped().with_outcome(error::Outcome::Unknown))));
            }
            if may_leave && now() >= until {
                if queue.leave(|waiting| waiting.ticket == number).is_some() {
                    return Reply::Answer(Err(self.shared.work.out_of_patience()));
                }
                // Its statement is out, or on its way.
                may_leave = false;
            }
            if let Some(slot) = queue.rescue(now(), Waiting::wants) {
                // On this runtime, which is driven: that of whoever waits longest may not be.
                tokio::spawn(serve(HeldSlot(Some((Arc::clone(&self.shared), slot)))));
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
struct HeldSlot<W: BatchedQuery>(Option<(Arc<Shared<W>>, queue::SlotId)>);

impl<W: BatchedQuery> Drop for HeldSlot<W> {
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
async fn serve<W: BatchedQuery>(mut held: HeldSlot<W>) {
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
                let Some(waiting) = shared.next(slot) else {
                    shared.work.release(connection);
                    break;
                };
                if shared.answer_all(slot, &mut connection, waiting).await {
                    kept = Some((connection, since));
                } else {
                    W::discard(connection);
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

impl<W: BatchedQuery> Shared<W> {
    /// The answer to one question, in a slot of its own; see [`BatchedQuery::answer`].
    async fn answer_in(&self, slot: queue::SlotId, question: &W::Question) -> Option<Result<W::Answer>> {
        let answer = self.work.answer(question);
        if !self.work.waits_in_line() {
            return answer.await;
        }
        let mut answer = pin!(answer);
        loop {
            match tokio::time::timeout(OFTEN, &mut answer).await {
                Ok(answer) => return answer,
                Err(_) => self.queue.beat(slot, now()),
            }
        }
    }

    /// A connection for those who wait, and since when.
    async fn connect(&self, slot: queue::SlotId) -> Result<(W::Connection, Instant)> {
        let mut connected = pin!(self.work.connect());
        loop {
            match tokio::time::timeout(OFTEN, &mut connected).await {
                Ok(connected) => return Ok((connected?, now())),
                Err(_) if self.queue.keep(slot, now(), Waiting::wants) => {}
                Err(_) => return Err(stopped()),
            }
        }
    }

    /// Those who go next, or `None`, and the slot is free, or another's.
    fn next(&self, slot: queue::SlotId) -> Option<Vec<Waiting<W>>> {
        self.queue.next(slot, now(), Waiting::wants, |waiting| self.work.batch_size(self.fair_share(waiting)))
    }

    /// How many of those who wait one slot takes, so that the others have some too; few are not divided.
    fn fair_share(&self, waiting: usize) -> usize {
        const FEW: usize = 32;
        waiting.div_ceil(self.work.max_in_flight()).max(FEW).min(waiting)
    }

    /// Has those hear why who waited for this connection, unless another slot serves them; whether the slot goes
    /// on.
    fn fail(&self, slot: queue::SlotId, since: Instant, error: &Error) -> bool {
        let hears = |waiting: &Waiting<W>| waiting.since <= since;
        let (waiting, goes_on) = self.queue.fail(slot, since, now(), Waiting::wants, hears);
        for waiting in waiting {
            waiting.hear(Err(error.clone()));
        }
        goes_on
    }

    /// Has all of them hear their answers, each as soon as it is known; whether the connection is good for more.
    async fn answer_all(
        &self,
        slot: queue::SlotId,
        connection: &mut W::Connection,
        waiting: Vec<Waiting<W>>,
    ) -> bool {
        let (questions, callers) = waiting.into_iter().map(|one| (one.question, one.reply)).unzip();
        let mut parts = vec![Batch { questions, callers }];
        let mut is_good = true;
        while let Some(part) = parts.pop() {
            if !part.is_wanted() {
                continue;
            }
            let Some(outcome) = self.run(slot, connection, &part, &parts).await else {
                return false;
            };
            match outcome {
                BatchOutcome::Each(answers) => {
                    is_good &= !answers.iter().any(is_lost);
                    for (caller, answer) in part.callers.into_iter().zip(answers) {
                        // Whoever went away has no use for it.
                        let _ = caller.send(Reply::Answer(answer));
                    }
                }
                BatchOutcome::Halve => parts.extend(part.halves()),
                BatchOutcome::Alone => {
                    for (caller, question) in part.callers.into_iter().zip(part.questions) {
                        let _ = caller.send(Reply::Alone(question));
                    }
                }
            }
        }
        is_good
    }

    /// Runs a statement for one part, with others to come; `None` if nobody waits for any of them any more.
    async fn run(
        &self,
        slot: queue::SlotId,
        connection: &mut W::Connection,
        part: &Batch<W>,
        others: &[Batch<W>],
    ) -> Option<BatchOutcome<W::Answer>> {
        let waits_in_line = self.work.waits_in_line();
        let mut outcome = pin!(self.work.answer_all(connection, &part.questions));
        loop {
            let look_around = if waits_in_line { OFTEN } else { LOOK_AROUND };
            match tokio::time::timeout(look_around, &mut outcome).await {
                Ok(outcome) => return Some(outcome),
                Err(_) if !part.is_wanted() && !others.iter().any(Batch::is_wanted) => return None,
                Err(_) if waits_in_line => self.queue.beat(slot, now()),
                Err(_) => {}
            }
        }
    }
}

/// Those who share a statement.
struct Batch<W: BatchedQuery> {
    questions: Vec<W::Question>,
    callers: Vec<oneshot::Sender<Reply<W>>>,
}

impl<W: BatchedQuery> Batch<W> {
    fn is_wanted(&self) -> bool {
        !self.callers.iter().all(oneshot::Sender::is_closed)
    }

    /// The second half, and the first, which goes first from the end.
    fn halves(mut self) -> [Self; 2] {
        let half = self.questions.len() / 2;
        let second =
            Self { questions: self.questions.split_off(half), callers: self.callers.split_off(half) };
        [second, self]
    }
}

fn is_lost<A>(answer: &Result<A>) -> bool {
    matches!(answer, Err(error) if error.kind() == ErrorKind::Unavailable)
}

impl<W: BatchedQuery> Waiting<W> {
    fn wants(&self) -> bool {
        !self.reply.is_closed()
    }

    fn hear(self, answer: Result<W::Answer>) {
        let _ = self.reply.send(Reply::Answer(answer));
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the task that asked the database was stopped before it had an answer")
}

#[cfg(test)]
#[path = "tests/batcher.rs"]
mod tests;
