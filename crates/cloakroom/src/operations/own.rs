//! Transactions of this library's own, on the pool, in which sessions end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tracing::Instrument;

use super::{Handle, Operations};
use crate::cache::OpenRevocation;
use crate::database::{Begin, Connection, TimedOut, Transaction, is_refused_announcement, pause};
use crate::deadline;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::store::{Permit, Waits};
use crate::table::SessionFields;

/// How often a transaction that lost to others is run again.
const ATTEMPTS: u32 = 20;

/// A transaction of this library's own. If it is dropped, it is rolled back.
pub(crate) struct OwnTransaction {
    handle: Arc<Handle>,
    transaction: Transaction,
    own: Own,
    _permit: Permit,
}

/// What a transaction of this library's own has revoked.
pub(crate) struct Own {
    /// Open until the commit is known.
    pub(super) revocations: Vec<OpenRevocation>,
    /// Whether it announces what it revokes, if revocations are announced.
    pub(super) announces: bool,
    /// The error of the announcement that was refused.
    pub(super) refused: Option<Error>,
}

/// Why it is not known to be committed.
enum NotCommitted {
    /// Its announcement was refused, and nothing was committed.
    Unannounced,
    Failed(Error),
}

impl From<Error> for NotCommitted {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl OwnTransaction {
    /// Begins one, at the latest at the call's [deadline].
    pub(crate) async fn begin(handle: &Arc<Handle>, purpose: Begin, announces: bool) -> Result<Self> {
        let begun = async {
            let permit = handle.store().writers.permit(Waits::ForLocks).await;
            Ok((permit, handle.store().pool.begin_as(purpose).await?))
        };
        let (permit, transaction) = match deadline::bound(begun).await {
            Some(begun) => begun?,
            None => return Err(Error::from_sqlx(TimedOut::WithoutConnection.error(), "")),
        };
        let own = Own { revocations: Vec::new(), announces, refused: None };
        let mut begun = Self { handle: Arc::clone(handle), transaction, own, _permit: permit };
        if !announces {
            let silence = handle.store().silence(Connection::from(&mut begun.transaction));
            let silenced = deadline::bound(silence).await.unwrap_or_else(|| Err(too_late()));
            silenced.map_err(|error| error.with_outcome(Outcome::NotDone))?;
        }
        Ok(begun)
    }

    /// Returns the operations within it.
    pub(crate) fn operations<T: SessionFields>(&mut self) -> Operations<'_, T> {
        let connection = Connection::from(&mut self.transaction);
        Operations { own: Some(&mut self.own), ..Operations::new(Arc::clone(&self.handle), connection) }
    }

    /// Commits it. From then on no cache of this process answers what it has revoked as it was before. If its
    /// announcement is refused, which a transaction is told when it commits, it is to be made once more without it.
    async fn commit(self) -> Result<(), NotCommitted> {
        let after = match self.transaction.try_commit().await {
            Ok(after) => after,
            Err(error) if self.own.announces && is_refused_announcement(&error) => {
                let store = self.handle.store();
                store.note_refusal(&mut store.pool(), &error).await;
                return Err(NotCommitted::Unannounced);
            }
            Err(error) => return Err(Error::from_sqlx(error, "the database").into()),
        };
        for revocation in self.own.revocations {
            revocation.committed();
        }
        after.run();
        Ok(())
    }

    /// Rolls it back, so that the next one need not wait for its end. Returns `true` if an announcement was refused, so
    /// that the next one is to be made without it.
    pub(crate) async fn roll_back(self) -> bool {
        let Self { handle, transaction, own, _permit } = self;
        let _ = transaction.rollback().await;
        let Some(refused) = own.refused else {
            return false;
        };
        let store = handle.store();
        store.note_refusal(&mut store.pool(), &refused).await;
        true
    }
}

/// Runs `work` in a transaction of this library's own and commits it. If the transaction loses to others, or if its
/// announcement is refused, `work` runs again in another.
pub(crate) async fn in_own_transaction<R>(
    handle: &Arc<Handle>,
    purpose: Begin,
    mut work: impl for<'o> FnMut(&'o mut OwnTransaction) -> BoxFuture<'o, Result<R>>,
) -> Result<R> {
    let (mut attempt, mut announces) = (0, true);
    loop {
        let mut own = OwnTransaction::begin(handle, purpose, announces).await?;
        let error = match in_time(work(&mut own)).await {
            Ok(done) => match deadline::bound(own.commit()).await {
                Some(Ok(())) => return Ok(done),
                Some(Err(NotCommitted::Unannounced)) => {
                    announces = false;
                    continue;
                }
                Some(Err(NotCommitted::Failed(error))) => error,
                None => too_late(),
            },
            Err(error) => {
                let is_alive = error.kind() != ErrorKind::Unavailable;
                if is_alive && own.roll_back().await {
                    announces = false;
                    continue;
                }
                // Nothing is committed.
                error.with_outcome(Outcome::NotDone)
            }
        };
        if !runs_again(&error, &mut attempt).await {
            return Err(error);
        }
    }
}

/// Returns `true`, after a pause, if a transaction that failed with this error is to be run again.
async fn runs_again(error: &Error, attempt: &mut u32) -> bool {
    let is_lost = error.kind() == ErrorKind::Contention && error.outcome() == Outcome::NotDone;
    *attempt += 1;
    if !is_lost || *attempt > ATTEMPTS {
        return false;
    }
    tokio::time::sleep(pause(*attempt)).await;
    true
}

/// Returns what `steps` returns, which are all statements of one transaction, or an error at the call's [deadline]. Then
/// they are dropped.
async fn in_time<R>(steps: impl Future<Output = Result<R>>) -> Result<R> {
    deadline::bound(steps).await.unwrap_or_else(|| Err(too_late()))
}

fn too_late() -> Error {
    Error::from_sqlx(TimedOut::WithoutAnswer.error(), "")
}

/// Runs `work` in a task, so that it goes on if the caller goes away, or is not polled: its locks are held no longer than
/// its statements take. It has the deadline of the caller's call.
///
/// The type of the work's future ends here: within that of a handler it would be so deep that the compiler asks the
/// application for a greater `recursion_limit`.
pub(crate) async fn in_its_own_task<R: Send + 'static>(work: BoxFuture<'static, Result<R>>) -> Result<R> {
    let left = deadline::current().map(|until| until.saturating_duration_since(tokio::time::Instant::now()));
    let limit = left.map(|left| left.max(Duration::from_millis(1)));
    let task = tokio::spawn(deadline::within(limit, work).in_current_span());
    task.await.unwrap_or_else(|error| {
        let stopped = Error::new(ErrorKind::Unavailable, "the task of the transaction was stopped");
        Err(stopped.with_source(error).with_outcome(Outcome::Unknown))
    })
}
