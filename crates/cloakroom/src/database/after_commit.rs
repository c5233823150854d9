//! What is done once a transaction is committed, and not if it is rolled back.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

type Work = Box<dyn FnOnce() + Send>;

/// The work that waits for the end of one transaction. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct AfterCommit {
    work: Arc<Mutex<Vec<Work>>>,
    /// Whether this library commits the transaction, and does the work then.
    is_told: bool,
}

impl AfterCommit {
    /// Returns one of a transaction that this library commits.
    pub(super) fn of_our_commit() -> Self {
        Self { is_told: true, ..Self::default() }
    }

    pub(crate) fn is_told(&self) -> bool {
        self.is_told
    }

    pub(crate) fn add(&self, work: impl FnOnce() + Send + 'static) {
        self.lock().push(Box::new(work));
    }

    /// Does it, because the transaction is committed.
    pub(crate) fn run(&self) {
        // The lock is not held meanwhile: the work may be the application's.
        let work = mem::take(&mut *self.lock());
        for work in work {
            work();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AfterCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AfterCommit({})", self.len())
    }
}
