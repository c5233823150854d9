use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::queue::{self, Admission, Queue, SlotId};
use crate::database::TimedOut;
use crate::deadline;
use crate::error::{self, Error, ErrorKind, Result};
use crate::observe::note_batch_size;
use crate::store::LONGEST_HOLD;

/// How often a statement checks whether a caller still waits for it, and how often a waiting call checks whether a slot
/// is stuck.
const LOOK_AROUND: Duration = queue::STUCK;

/// How often the holder of a slot reports that the slot is not stuck: long before a waiting call thinks that it is.
const OFTEN: Duration = Duration::from_millis(50);

/// A kind of query for which callers can share a statement.
pub(super) trait BatchedQuery: Send + Sync + 'static {
    type Question: Send + Sync + 'static;
    type Answer: Send + 'static;
    /// The connection on which shared statements run, one after another.
    type Connection: Send;

    /// Returns how many statements may be out at once.
    fn max_in_flight(&self) -> usize;

    /// Returns how many of `waiting` questions one statement takes: at least one, and only one if nothing is shared.
    fn batch_size(&self, waiting: usize) -> usize;

    /// Returns `true` if a statement may wait long for a lock that any other statement would wait for too. Then no
    /// other statement is sent in its place.
    fn waits_in_line(&self) -> bool {
        false
    }

    /// Returns how long a question waits for its turn.
    fn patience(&self) -> Duration;

    /// Returns the error for a question that has waited too long.
    fn out_of_patience(&self) -> Error;

    /// Is told of each statement, and of how many questions share it.
    fn sent(&self, questions: usize) {
        let _ = questions;
    }

    /// Is told how long a question that is sent now has waited for its turn.
    fn waited(&self, span: Duration) {
        let _ = span;
    }

    /// Answers one question, on any free connection. Returns `None` if the question may have to wait long for a lock
    /// that concerns no other question; then it is answered [alone](Self::answer_alone).
    fn answer(&self, question: &Self::Question) -> impl Future<Output = Option<Result<Self::Answer>>> + Send;

    /// Answers one question, on any connection that is free by `until`, in no slot, for as long as it takes.
    fn answer_alone(
        &self,
        question: Self::Question,
        until: Instant,
    ) -> impl Future<Output = Result<Self::Answer>> + Send;

    fn connect(&self) -> impl Future<Output = Result<Self::Connection>> + Send;

    /// Returns how long the connection has been away from its pool.
    fn held_for(&self, connection: &Self::Connection) -> Duration {
        let _ = connection;
        Duration::ZERO
    }

    /// Takes back a connection that no call waits for any more.
    fn release(&self, connection: Self::Connection) {
        drop(connection);
    }

    /// Closes a connection that did not answer.
    fn discard(connection: Self::Connection);

    /// Answers all questions with one statement.
    fn answer_all(
        &self,
        connection: &mut Self::Connection,
        questions: &[Self::Question],
    ) -> impl Future<Output = BatchOutcome<Self::Answer>> + Send;
}

/// The outcome of a statement for several questions.
pub(super) enum BatchOutcome<A> {
    /// The answers, in the order of the questions.
    Each(Vec<Result<A>>),
    /// The statement failed, perhaps because of one question: each half is sent by itself.
    Halve,
    /// Each question is answered alone.
    Alone,
}

impl<A> BatchOutcome<A> {
    /// Returns the answer to the only question, or `None` if it is answered alone.
    pub(super) fn of_one(self) -> Option<Result<A>> {
        match self {
            Self::Each(answers) => answers.into_iter().next(),
            Self::Halve | Self::Alone => None,
        }
    }
}

/// What a waiting call is told.
enum Reply<W: BatchedQuery> {
    /// The answer, and how many calls shared the statement.
    Answer(Result<W::Answer>, usize),
    /// The question is to be answered alone.
    Alone(W::Question),
}

/// Runs one kind of query for callers that share statements.
pub(super) struct Batcher<W: BatchedQuery> {
    shared: Arc<Shared<W>>,
}

struct Shared<W: BatchedQuery> {
    work: W,
    queue: Queue<Waiting<W>>,
    /// How many calls have waited so far.
    tickets: AtomicU64,
}

struct Waiting<W: BatchedQuery> {
    question: W::Question,
    reply: oneshot::Sender<Reply<W>>,
    ticket: u64,
    since: Instant,
    /// The runtime on which the call waits, which is driven while it does.
    runtime: Handle,
}

/// A waiting call's own side.
struct Ticket<W: BatchedQuery> {
    number: u64,
    replied: oneshot::Receiver<Reply<W>>,
}

impl<W: BatchedQuery> Batcher<W> {
    pub(super) fn new(work: W) -> Self {
        let queue = Queue::new(work.max_in_flight());
        Self { shared: Arc::new(Shared { work, queue, tickets: AtomicU64::new(0) }) }
    }

    /// Returns the answer to `question`. The future may be dropped at each await:
    ///
    /// - While the call has a slot, its own statement is given up, and [`HeldSlot`] hands the slot on.
    /// - While the call waits, its question is [left out](Waiting::wants), or its answer if that is on its way.
    /// - While it is answered alone, it has no slot, and no other call depends on it.
    ///
    /// The futures of statements are on the heap: a call that waits has none, and would be copied with room for them.
    pub(super) async fn ask(&self, question: W::Question) -> Result<W::Answer> {
        let shared = &self.shared;
        let since = now();
        let until = since + shared.work.patience();
        let runtime = match Handle::try_current() {
            Ok(runtime) if shared.work.batch_size(usize::MAX) > 1 => runtime,
            // Outside a tokio runtime a call cannot wait in the queue, and other calls cannot rely on it.
            _ => {
                shared.work.sent(1);
                return Box::pin(shared.work.answer_alone(question, until)).await;
            }
        };
        let turn = shared.queue.enter(question, since, Waiting::wants, |question| {
            let (reply, replied) = oneshot::channel();
            let number = shared.tickets.fetch_add(1, Ordering::Relaxed);
            (Waiting { question, reply, ticket: number, since, runtime }, Ticket { number, replied })
        });
        let reply = match turn {
            Admission::Now(question, slot) => {
                let _held = HeldSlot::new(shared, slot);
                shared.work.sent(1);
                match Box::pin(shared.answer_in(slot, &question)).await {
                    Some(answer) => Reply::Answer(answer, 1),
                    None => Reply::Alone(question),
                }
            }
            Admission::Later(ticket) => self.wait(ticket, until).await,
        };
        match reply {
            Reply::Answer(answer, shared_by) => {
                note_batch_size(shared_by);
                answer
            }
            Reply::Alone(question) => {
                shared.work.sent(1);
                Box::pin(shared.work.answer_alone(question, until)).await
            }
        }
    }

    async fn wait(&self, Ticket { number, mut replied }: Ticket<W>, until: Instant) -> Reply<W> {
        let queue = &self.shared.queue;
        let deadline = deadline::current().map(tokio::time::Instant::into_std);
        let mut may_leave = true;
        loop {
            let end = if may_leave { Some(earlier(until, deadline)) } else { deadline };
            let patience = end.map_or(LOOK_AROUND, |end| end.saturating_duration_since(now()));
            if let Ok(reply) = tokio::time::timeout(patience.min(LOOK_AROUND), &mut replied).await {
                return reply.unwrap_or_else(|_| unanswered(stopped().with_outcome(error::Outcome::Unknown)));
            }
            let is_over = deadline.is_some_and(|deadline| now() >= deadline);
            if may_leave && (is_over || now() >= until) {
                if queue.leave(|waiting| waiting.ticket == number).is_some() {
                    return unanswered(if is_over {
                        timed_out(TimedOut::WithoutConnection)
                    } else {
                        self.shared.work.out_of_patience()
                    });
                }
                // The call's statement is out, or about to be.
                may_leave = false;
            }
            if is_over {
                return unanswered(timed_out(TimedOut::WithoutAnswer));
            }
            if let Some(slot) = queue.rescue(now(), Waiting::wants) {
                // The task runs on this runtime, which is driven. That of the call that waits longest may not be.
                tokio::spawn(serve(HeldSlot::new(&self.shared, slot)));
            }
        }
    }
}

/// Returns the instant of the runtime's clock, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A slot and the duty to hand it on. If it is dropped for any reason, the slot goes to the calls that gathered
/// meanwhile, in a task of their own. So none of them depends on another call's future, or on a runtime on which no call
/// waits.
struct HeldSlot<W: BatchedQuery> {
    shared: Arc<Shared<W>>,
    slot: SlotId,
    /// `false` if nothing is left to do, because the slot is free or another holder's.
    is_held: bool,
}

impl<W: BatchedQuery> HeldSlot<W> {
    fn new(shared: &Arc<Shared<W>>, slot: SlotId) -> Self {
        Self { shared: Arc::clone(shared), slot, is_held: true }
    }

    /// Drops the slot without handing it on.
    fn forget(mut self) {
        self.is_held = false;
    }

    /// Starts a task that serves the slot on `runtime`. Returns `false` if the runtime is shutting down.
    fn start_on(&self, runtime: &Handle) -> bool {
        let (give, given) = oneshot::channel();
        runtime.spawn(async move {
            if let Ok(held) = given.await {
                serve(held).await;
            }
        });
        // A runtime that is shutting down has dropped the task by now. If the slot had been in it, it would have been
        // handed on from in there, and so on for each such runtime.
        match give.send(Self::new(&self.shared, self.slot)) {
            Ok(()) => true,
            Err(refused) => {
                refused.forget();
                false
            }
        }
    }
}

impl<W: BatchedQuery> Drop for HeldSlot<W> {
    fn drop(&mut self) {
        if !self.is_held {
            return;
        }
        let queue = &self.shared.queue;
        let mut refused = None;
        // The slot goes to the runtime of the call that waits longest. If that runtime refuses it, the calls on it are
        // left out, which tells them that they were stopped, and the next call is asked for.
        while let Some(runtime) = queue.hand_on(
            self.slot,
            now(),
            |waiting| waiting.wants() && refused != Some(waiting.runtime.id()),
            |waiting| waiting.runtime.clone(),
        ) {
            if self.start_on(&runtime) {
                return;
            }
            refused = Some(runtime.id());
        }
    }
}

/// Answers all waiting calls, and those that arrive meanwhile, one statement after another.
///
/// The connection comes first and the calls second: no call joins a statement that has been sent, but a call can still
/// join those that wait for the connection.
///
/// The task may be dropped at each await, as its runtime shuts down. [`HeldSlot`] then hands the slot on, and the
/// connection goes back to its pool:
///
/// - While it waits for a connection, all calls are still in the queue. The next holder serves them.
/// - While a statement is out, its calls are no longer in the queue. Their callers are told that the task was stopped,
///   and no call is sent twice.
/// - Between two statements it has no calls.
async fn serve<W: BatchedQuery>(held: HeldSlot<W>) {
    let (shared, slot) = (Arc::clone(&held.shared), held.slot);
    let mut last = None;
    loop {
        let begun = now();
        match shared.connection(slot, last.take(), begun).await {
            Ok(mut taken) => {
                let Some(calls) = shared.next(slot) else {
                    shared.work.release(taken.connection);
                    break;
                };
                if shared.answer_all(slot, &mut taken.connection, calls).await {
                    last = Some(taken);
                } else {
                    W::discard(taken.connection);
                }
            }
            Err(error) if shared.fail(slot, begun, &error) => {}
            Err(_) => break,
        }
        // A caller that was answered may have its next question already, which can then join the next statement.
        tokio::task::yield_now().await;
    }
    // The queue has said that the slot is free, or is no longer this task's.
    held.forget();
}

/// A connection, and when it was taken from its pool.
struct Taken<C> {
    connection: C,
    since: Instant,
}

impl<W: BatchedQuery> Shared<W> {
    /// Answers one question, in a slot of its own; see [`BatchedQuery::answer`].
    async fn answer_in(&self, slot: SlotId, question: &W::Question) -> Option<Result<W::Answer>> {
        let mut answer = pin!(self.work.answer(question));
        if !self.work.waits_in_line() {
            return answer.await;
        }
        loop {
            match tokio::time::timeout(OFTEN, &mut answer).await {
                Ok(answer) => return answer,
                Err(_) => self.queue.beat(slot, now()),
            }
        }
    }

    /// Returns the connection of the last statement, or another one if that has been away from its pool for too long.
    async fn connection(
        &self,
        slot: SlotId,
        last: Option<Taken<W::Connection>>,
        now: Instant,
    ) -> Result<Taken<W::Connection>> {
        match last {
            Some(last) if now.duration_since(last.since) < LONGEST_HOLD => Ok(last),
            long => {
                // It goes back first: it may be the only one that the pool has.
                drop(long);
                self.connect(slot).await
            }
        }
    }

    /// Returns a connection for the waiting calls.
    async fn connect(&self, slot: SlotId) -> Result<Taken<W::Connection>> {
        let mut connected = pin!(self.work.connect());
        loop {
            match tokio::time::timeout(OFTEN, &mut connected).await {
                Ok(connected) => {
                    let connection = connected?;
                    let since = now().checked_sub(self.work.held_for(&connection)).unwrap_or_else(now);
                    return Ok(Taken { connection, since });
                }
                Err(_) if self.queue.keep(slot, now(), Waiting::wants) => {}
                Err(_) => return Err(stopped()),
            }
        }
    }

    /// Returns the calls that are sent next. With `None`, the slot is free or another holder's.
    fn next(&self, slot: SlotId) -> Option<Vec<Waiting<W>>> {
        self.queue.next(slot, now(), Waiting::wants, |waiting| self.work.batch_size(self.fair_share(waiting)))
    }

    /// Returns how many of the waiting calls one slot takes, so that the other slots have some too. A few calls are not
    /// divided.
    fn fair_share(&self, waiting: usize) -> usize {
        const FEW: usize = 32;
        waiting.div_ceil(self.work.max_in_flight()).max(FEW).min(waiting)
    }

    /// Tells the calls that waited for this connection why there is none, unless another slot serves them. Returns
    /// `true` if the slot goes on.
    fn fail(&self, slot: SlotId, since: Instant, error: &Error) -> bool {
        let hears = |waiting: &Waiting<W>| waiting.since <= since;
        let (waiting, goes_on) = self.queue.fail(slot, since, now(), Waiting::wants, hears);
        for waiting in waiting {
            waiting.hear(Err(error.clone()));
        }
        goes_on
    }

    /// Tells each call its answer as soon as it is known. Returns `true` if the connection can be used further.
    async fn answer_all(
        &self,
        slot: SlotId,
        connection: &mut W::Connection,
        waiting: Vec<Waiting<W>>,
    ) -> bool {
        let sent = now();
        for one in &waiting {
            self.work.waited(sent.saturating_duration_since(one.since));
        }
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
                    let shared_by = answers.len();
                    for (caller, answer) in part.callers.into_iter().zip(answers) {
                        // A caller that went away does not need the answer.
                        let _ = caller.send(Reply::Answer(answer, shared_by));
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

    /// Runs a statement for one part while others are still to come. Returns `None` if no caller waits for any of them
    /// any more.
    async fn run(
        &self,
        slot: SlotId,
        connection: &mut W::Connection,
        part: &Batch<W>,
        others: &[Batch<W>],
    ) -> Option<BatchOutcome<W::Answer>> {
        self.work.sent(part.questions.len());
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

/// The calls that share a statement.
struct Batch<W: BatchedQuery> {
    questions: Vec<W::Question>,
    callers: Vec<oneshot::Sender<Reply<W>>>,
}

impl<W: BatchedQuery> Batch<W> {
    fn is_wanted(&self) -> bool {
        !self.callers.iter().all(oneshot::Sender::is_closed)
    }

    /// Returns the second half and the first half. The first half is taken first, from the end.
    fn halves(mut self) -> [Self; 2] {
        let half = self.questions.len() / 2;
        let second =
            Self { questions: self.questions.split_off(half), callers: self.callers.split_off(half) };
        [second, self]
    }
}

fn is_lost<A>(answer: &Result<A>) -> bool {
    let is_unclear = |error: &Error| error.outcome() == error::Outcome::Unknown && !error.is_reported();
    matches!(answer, Err(error) if error.kind() == ErrorKind::Unavailable || is_unclear(error))
}

impl<W: BatchedQuery> Waiting<W> {
    fn wants(&self) -> bool {
        !self.reply.is_closed()
    }

    fn hear(self, answer: Result<W::Answer>) {
        let _ = self.reply.send(Reply::Answer(answer, 0));
    }
}

fn unanswered<W: BatchedQuery>(error: Error) -> Reply<W> {
    Reply::Answer(Err(error), 0)
}

fn earlier(until: Instant, deadline: Option<Instant>) -> Instant {
    deadline.map_or(until, |deadline| until.min(deadline))
}

fn timed_out(how: TimedOut) -> Error {
    Error::from_sqlx(how.error(), "")
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the task that asked the database was stopped before it had an answer")
}

#[cfg(test)]
#[path = "tests/batcher.rs"]
mod tests;
