//! Writes about one session that are done together or not at all.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Handle, Operations, in_its_own_task};
use crate::cache::Revoked;
use crate::database::{Connection, Revokes, Statement, TimedOut, is_refused_announcement};
use crate::deadline;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::events::Event;
use crate::store::Revoking;
use crate::table::SessionFields;

/// How often a transaction that lost to others is run again.
const REPETITIONS: u32 = 10;

/// The pause before the first repetition. It doubles with each further one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// The writes of one transaction.
struct Together {
    /// The guarded write of the session's row, which revokes it.
    first: Revoking,
    rest: Vec<Statement>,
    /// Whether it announces what it revokes, if revocations are announced.
    announces: bool,
}

/// Why a transaction was not committed.
enum Stopped {
    /// The server refused its announcement.
    Unannounced(sqlx::Error),
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<T: SessionFields> Operations<'_, T> {
    /// Runs a guarded write of a session's row, which revokes the session, and the other writes only if the row was as it
    /// was read. Returns `true` if it was. On the pool this is a transaction of its own. Otherwise it is part of the
    /// caller's. The `event`, if there is one, is told of and recorded with it.
    pub(crate) async fn write_together(
        &mut self,
        session: Uuid,
        first: Statement,
        mut rest: Vec<Statement>,
        event: Option<Event>,
    ) -> Result<bool> {
        rest.extend(self.audit(&event));
        if !self.connection().is_pool() {
            let is_written = self.execute_revoking(first, Revoked::Session(session)).await? > 0;
            if is_written {
                for statement in &rest {
                    self.execute(statement).await?;
                }
                self.tell(event);
            }
            return Ok(is_written);
        }
        let handle = Arc::clone(self.handle());
        let first = handle.store().revoking(first, Revokes::One, false);
        let together = Together { first, rest, announces: true };
        let revocation = handle.cache().map(|cache| cache.begin_revocation(Revoked::Session(session)));
        in_its_own_task(Box::pin(async move {
            let written = run(&handle, together).await;
            if let Ok(is_written) = written {
                if is_written {
                    handle.metrics().revoked(handle.store().announces());
                }
                if let Some(revocation) = revocation {
                    revocation.committed();
                }
                if let Some(event) = event.filter(|_| is_written) {
                    handle.observers().tell(&event);
                }
            }
            written
        }))
        .await
    }
}

/// Runs the transaction, again if others got in its way.
async fn run(handle: &Handle, mut together: Together) -> Result<bool> {
    let mut repetition = 0;
    loop {
        match run_once(handle, &together).await {
            Ok(is_written) => return Ok(is_written),
            Err(Stopped::Unannounced(error)) => {
                handle.store().note_refusal(&mut handle.store().pool(), &error).await;
                together.announces = false;
            }
            Err(Stopped::Failed(error))
                if error.kind() == ErrorKind::Contention
                    && error.outcome() == Outcome::NotDone
                    && repetition < REPETITIONS =>
            {
                tokio::time::sleep((FIRST_PAUSE * 2_u32.pow(repetition)).min(LONGEST_PAUSE)).await;
                repetition += 1;
            }
            Err(Stopped::Failed(error)) => return Err(error),
        }
    }
}

async fn run_once(handle: &Handle, together: &Together) -> Result<bool, Stopped> {
    let store = handle.store();
    let too_late = || Error::from_sqlx(TimedOut::WithoutAnswer.error(), "");
    // Nothing is committed before the commit.
    let not_done = |error: Error| error.with_outcome(Outcome::NotDone);
    let (_permit, mut announcing) = store.turn_to_revoke().await?;
    let begun = deadline::bound(store.pool.begin_to_write()).await;
    let mut transaction = begun.unwrap_or_else(|| Err(too_late())).map_err(not_done)?;
    announcing
        .during(async {
            let writes = async {
                if !together.announces {
                    store.silence(Connection::from(&mut transaction)).await?;
                }
                let first = together.first.statement(together.announces);
                let written = store.execute(Connection::from(&mut transaction), first).await?;
                if written > 0 {
                    for statement in &together.rest {
                        store.execute(Connection::from(&mut transaction), statement).await?;
                    }
                }
                Ok(written > 0)
            };
            match deadline::bound(writes).await.unwrap_or_else(|| Err(too_late())) {
                Ok(true) => match deadline::bound(transaction.try_commit()).await {
                    Some(Ok(_)) => Ok(true),
                    Some(Err(error)) if together.announces && is_refused_announcement(&error) => {
                        Err(Stopped::Unannounced(error))
                    }
                    Some(Err(error)) => Err(store.failed(error).into()),
                    None => Err(too_late().into()),
                },
                Ok(false) => {
                    // The next transaction need not wait for this one's end. Nothing was written.
                    let _ = deadline::bound(transaction.rollback()).await;
                    Ok(false)
                }
                Err(error) => {
                    if error.kind() != ErrorKind::Unavailable {
                        let _ = deadline::bound(transaction.rollback()).await;
                    }
                    Err(not_done(error).into())
                }
            }
        })
        .await
}
