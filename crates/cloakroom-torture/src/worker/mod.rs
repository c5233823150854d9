//! A worker: one task that does one operation after another, and records each of its calls.

mod operations;
mod transactions;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cloakroom::{ErrorKind, Sessions};

use crate::faults::leaving::{Ending, Leaving, until};
use crate::journal::{Action, Call, Digest, Outcome, Seen, Tick, TransactionId};
use crate::journal_file::{JournalFile, Line, News};
use crate::known::{Change, Known};
use crate::pools::{Coat, Open};
use crate::settings::Settings;

/// After this time the application gives up a call of its own.
const OWN_PATIENCE: Duration = Duration::from_secs(20);

/// How many users the sessions belong to.
const USERS: u32 = 150;

/// The order of all calls.
#[derive(Debug)]
enum Ticks {
    /// One process counts.
    OfProcess(AtomicU64),
    /// Several processes of one machine read its monotonic clock. This is the last reading.
    OfMachine(AtomicU64),
}

impl Ticks {
    fn next(&self) -> Tick {
        match self {
            Self::OfProcess(count) => count.fetch_add(1, Ordering::SeqCst),
            Self::OfMachine(last) => {
                let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
                let now = u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).unwrap_or_default();
                // No two calls of a process begin at one place.
                let before =
                    last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(now.max(last + 1)));
                before.map_or(now, |before| now.max(before + 1))
            }
        }
    }
}

/// When places in the order were drawn.
#[derive(Debug, Default)]
struct Moments(VecDeque<(Instant, Tick)>);

/// A handle, as a process has one.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    /// On each of the tables.
    pub(crate) tables: [Sessions<Coat>; 2],
    pub(crate) number: usize,
    /// How old an answer of its cache may be, if it has one.
    pub(crate) staleness: Option<Duration>,
}

/// The state that all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    ticks: Ticks,
    /// Labels, marks, and numbers of tokens and transactions.
    numbers: AtomicU64,
    /// Where calls are written as they begin and end, if this process may be killed.
    journal: Option<JournalFile>,
    /// How many operations are still to begin.
    pub(crate) left: AtomicI64,
    pub(crate) calls: AtomicU64,
    pub(crate) dropped: AtomicU64,
    /// When the last call began that has succeeded.
    success: AtomicU64,
    moments: Mutex<Moments>,
    known: Mutex<Known>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known(…)")
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings, operations: i64) -> Self {
        Self {
            settings,
            ticks: Ticks::OfProcess(AtomicU64::new(1)),
            numbers: AtomicU64::new(1),
            journal: None,
            left: AtomicI64::new(operations),
            calls: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            success: AtomicU64::new(0),
            moments: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// The state of one of several processes, which share an order.
    pub(crate) fn of_process(settings: Settings, process: u64, journal: Option<JournalFile>) -> Self {
        Self {
            ticks: Ticks::OfMachine(AtomicU64::new(0)),
            // No number is drawn by two processes.
            numbers: AtomicU64::new(process << 32),
            journal,
            ..Self::new(settings, i64::MAX)
        }
    }

    pub(crate) fn tick(&self) -> Tick {
        self.ticks.next()
    }

    /// Notes that a call that began then has succeeded.
    pub(crate) fn succeed(&self, start: Tick) {
        self.success.fetch_max(start, Ordering::SeqCst);
    }

    /// Applies a change, and tells the other processes.
    fn apply(&self, change: Change) {
        if let (Some(journal), Some(news)) = (&self.journal, change.news()) {
            journal.write(&Line::Learned(news));
        }
        self.known().apply(change);
    }

    /// Takes in what other processes tell.
    pub(crate) fn hear(&self, news: News) {
        self.known().hear(news);
    }

    fn write(&self, line: impl FnOnce() -> Line) {
        if let Some(journal) = &self.journal {
            journal.write(&line());
        }
    }

    /// Returns `true` if no operation is to begin any more.
    pub(crate) fn is_over(&self) -> bool {
        self.left.load(Ordering::SeqCst) <= 0
    }

    /// Returns when the last call began that has succeeded.
    pub(crate) fn last_success(&self) -> Tick {
        self.success.load(Ordering::SeqCst)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::SeqCst)
    }

    /// Returns a new number for a label or a mark, which the table holds.
    fn signed_number(&self) -> i64 {
        i64::try_from(self.number()).unwrap_or(i64::MAX)
    }

    /// Returns the place in the order before which everything is at least this old.
    fn tick_before(&self, age: Duration) -> Tick {
        let now = Instant::now();
        let tick = self.tick();
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.0.push_back((now, tick));
        // What is older than the youngest that is old enough is needed no more.
        let is_old = |moment: &(Instant, Tick)| now.saturating_duration_since(moment.0) > age;
        while moments.0.get(1).is_some_and(is_old) {
            moments.0.pop_front();
        }
        moments.0.front().filter(|moment| is_old(moment)).map_or(0, |(_, tick)| *tick)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an operation runs.
pub(crate) enum Place<'o, 'c> {
    Pool,
    Within(&'o mut Open<'c>, TransactionId),
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// An error: a transaction may be unusable.
    Failed,
    /// The call was dropped.
    Dropped,
}

/// An error, sorted by what it says about its write.
#[derive(Debug)]
pub(crate) struct Trouble {
    outcome: Outcome,
    name: String,
}

impl From<cloakroom::Error> for Trouble {
    fn from(error: cloakroom::Error) -> Self {
        // The library's own statement is checked, too: after "not done" nothing may have been done.
        let outcome = match (error.kind(), error.outcome()) {
            (ErrorKind::NotFound | ErrorKind::Expired, _) => Outcome::No,
            (_, cloakroom::Outcome::NotDone) => Outcome::Refused,
            (_, cloakroom::Outcome::Done) => Outcome::Yes,
            _ => Outcome::Unknown,
        };
        // The database's own message, from which the library has removed values.
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        Self { outcome, name: format!("{:?}: {error}{cause}", error.kind()) }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self { outcome: Outcome::Unknown, name: format!("sqlx: {error}") }
    }
}

pub(crate) struct Worker {
    tables: [Sessions<Coat>; 2],
    handle: usize,
    staleness: Option<Duration>,
    shared: Arc<Shared>,
    random: fastrand::Rng,
    calls: Vec<Call>,
    /// How the last call failed.
    last: Outcome,
    /// The digest that the next call will write, if its caller knows it.
    expected: Option<Digest>,
    /// What the open transaction changes, if it is committed.
    changes: Vec<Change>,
}

impl Worker {
    pub(crate) fn new(number: u64, handle: Handle, shared: Arc<Shared>) -> Self {
        let Handle { tables, number: handle, staleness } = handle;
        let mut seeds = fastrand::Rng::with_seed(shared.settings.seed);
        let seed = (0..=number).map(|_| seeds.u64(..)).last().unwrap_or_default();
        let random = fastrand::Rng::with_seed(seed);
        Self {
            tables,
            handle,
            staleness,
            shared,
            random,
            calls: Vec::new(),
            last: Outcome::Yes,
            expected: None,
            changes: Vec::new(),
        }
    }

    /// Works until no operation is left to begin. Returns its part of the journal.
    pub(crate) async fn work(mut self) -> Vec<Call> {
        while self.shared.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            match self.random.u8(0..100) {
                0..86 => {
                    // The outcome is in the journal.
                    let _ = self.operation(&mut Place::Pool).await;
                    for change in std::mem::take(&mut self.changes) {
                        self.shared.apply(change);
                    }
                }
                86..94 => Box::pin(self.transaction()).await,
                _ => Box::pin(self.abandoned_transaction()).await,
            }
        }
        self.calls
    }

    /// Runs one call until it answers or is dropped, and records it. `judge` says what the answer means.
    async fn perform<V, E: Into<Trouble>>(
        &mut self,
        action: Action,
        within: Option<TransactionId>,
        call: impl Future<Output = Result<V, E>>,
        judge: impl FnOnce(&V) -> (Outcome, Seen),
    ) -> Result<V, Stop> {
        // Drivers are weakest where a transaction begins.
        let weight = match action {
            Action::Begin { .. } | Action::OwnBegin { .. } => 4.0,
            Action::InnerBegin { .. } => 12.0,
            _ => 1.0,
        };
        let mut leaving = Leaving::draw(&mut self.random, &self.shared.settings, weight);
        if matches!(leaving, Leaving::Never) && action.is_applications() {
            // The library bounds its own calls. An application that does not bound its calls waits for ever.
            leaving = Leaving::After(OWN_PATIENCE);
        }
        let knows = self.staleness.map(|age| self.shared.tick_before(age));
        let (begun, start) = (Instant::now(), self.shared.tick());
        let (handle, knows) = (self.handle, knows.unwrap_or(start));
        // What the caller knows of the token before there is an answer.
        let expected = Seen { digest: self.expected.take(), ..Seen::default() };
        self.shared.write(|| {
            Line::Began(Call {
                start,
                end: start,
                within,
                handle,
                knows,
                action,
                outcome: Outcome::Dropped,
                error: None,
                seen: expected.clone(),
                took: Duration::ZERO,
            })
        });
        let ending = until(leaving, call).await;
        let (end, took) = (self.shared.tick(), begun.elapsed());
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let (outcome, seen, error, result) = match ending {
            Ending::Answered(Ok(value)) => {
                let (outcome, seen) = judge(&value);
                (outcome, seen, None, Ok(value))
            }
            Ending::Answered(Err(error)) => {
                let trouble = error.into();
                self.last = trouble.outcome;
                (trouble.outcome, expected, Some(trouble.name), Err(Stop::Failed))
            }
            Ending::Dropped => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                self.last = Outcome::Dropped;
                (Outcome::Dropped, expected, None, Err(Stop::Dropped))
            }
            Ending::Hung => {
                self.last = Outcome::Hung;
                (Outcome::Hung, expected, None, Err(Stop::Dropped))
            }
        };
        if outcome == Outcome::Yes {
            self.shared.succeed(start);
        }
        let call = Call { start, end, within, handle, knows, action, outcome, error, seen, took };
        if self.shared.journal.is_some() {
            self.shared.write(|| Line::Ended(call));
        } else {
            self.calls.push(call);
        }
        result
    }
}

/// For calls with an answer that says nothing but success.
fn done<V>(_: &V) -> (Outcome, Seen) {
    (Outcome::Yes, Seen::default())
}
