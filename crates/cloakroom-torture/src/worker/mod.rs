//! A worker: one task that does one operation after another, and writes down each of its calls.

mod operations;
mod transactions;

use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cloakroom::{ErrorKind, Sessions};

use crate::faults::{Ending, Leaving, until};
use crate::journal::{Action, Call, Outcome, Seen, Tick, TransactionId};
use crate::known::{Change, Known};
use crate::pools::{Coat, Open};
use crate::settings::Settings;

/// How many users the sessions belong to.
const USERS: u32 = 150;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    ticks: AtomicU64,
    /// Labels, marks, and numbers of tokens and transactions.
    numbers: AtomicU64,
    /// How many operations are still to be begun.
    pub(crate) left: AtomicI64,
    pub(crate) calls: AtomicU64,
    pub(crate) dropped: AtomicU64,
    known: Mutex<Known>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known(…)")
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings, operations: i64) -> Arc<Self> {
        Arc::new(Self {
            settings,
            ticks: AtomicU64::new(1),
            numbers: AtomicU64::new(1),
            left: AtomicI64::new(operations),
            calls: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            known: Mutex::default(),
        })
    }

    fn tick(&self) -> Tick {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::SeqCst)
    }

    /// Labels and marks, which the table holds.
    fn signed_number(&self) -> i64 {
        i64::try_from(self.number()).unwrap_or(i64::MAX)
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

/// Why a call has no answer to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// An error: a transaction may be spoilt.
    Failed,
    /// The caller has left.
    Dropped,
}

/// An error, sorted by what it says of the write that it answers.
#[derive(Debug)]
pub(crate) struct Trouble {
    outcome: Outcome,
    name: String,
}

impl From<cloakroom::Error> for Trouble {
    fn from(error: cloakroom::Error) -> Self {
        // What the library says of itself is checked, too: "not done" allows nothing to have been done.
        let outcome = match (error.kind(), error.outcome()) {
            (ErrorKind::NotFound | ErrorKind::Expired, _) => Outcome::No,
            (_, cloakroom::Outcome::NotDone) => Outcome::Refused,
            (_, cloakroom::Outcome::Done) => Outcome::Yes,
            _ => Outcome::Unknown,
        };
        // The database's own words, which the library has cleared of values.
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
    sessions: Sessions<Coat>,
    shared: Arc<Shared>,
    random: fastrand::Rng,
    calls: Vec<Call>,
    /// What the transaction that is open changes, if it is committed.
    changes: Vec<Change>,
}

impl Worker {
    pub(crate) fn new(number: u64, sessions: Sessions<Coat>, shared: Arc<Shared>) -> Self {
        let mut seeds = fastrand::Rng::with_seed(shared.settings.seed);
        let seed = (0..=number).map(|_| seeds.u64(..)).last().unwrap_or_default();
        let random = fastrand::Rng::with_seed(seed);
        Self { sessions, shared, random, calls: Vec::new(), changes: Vec::new() }
    }

    /// Works until no operation is left to be begun; its part of the journal.
    pub(crate) async fn work(mut self) -> Vec<Call> {
        while self.shared.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            match self.random.u8(0..100) {
                0..86 => {
                    // What became of it is written down.
                    let _ = self.operation(&mut Place::Pool).await;
                    for change in std::mem::take(&mut self.changes) {
                        self.shared.known().apply(change);
                    }
                }
                86..94 => Box::pin(self.transaction()).await,
                _ => Box::pin(self.abandoned_transaction()).await,
            }
        }
        self.calls
    }

    /// Runs one call to its answer or until the caller leaves, and writes it down. `judge` says what the answer
    /// tells.
    async fn perform<V, E: Into<Trouble>>(
        &mut self,
        action: Action,
        within: Option<TransactionId>,
        call: impl Future<Output = Result<V, E>>,
        judge: impl FnOnce(&V) -> (Outcome, Seen),
    ) -> Result<V, Stop> {
        // Where a transaction begins, drivers are at their weakest.
        let weight = match action {
            Action::Begin { .. } | Action::OwnBegin { .. } => 4.0,
            Action::InnerBegin { .. } => 12.0,
            _ => 1.0,
        };
        let leaving = Leaving::draw(&mut self.random, &self.shared.settings, weight);
        let (begun, start) = (Instant::now(), self.shared.tick());
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
                (trouble.outcome, Seen::default(), Some(trouble.name), Err(Stop::Failed))
            }
            Ending::Dropped => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                (Outcome::Dropped, Seen::default(), None, Err(Stop::Dropped))
            }
            Ending::Hung => (Outcome::Hung, Seen::default(), None, Err(Stop::Dropped)),
        };
        self.calls.push(Call { start, end, within, action, outcome, error, seen, took });
        result
    }
}

/// For calls whose success is all that they tell.
fn done<V>(_: &V) -> (Outcome, Seen) {
    (Outcome::Yes, Seen::default())
}
