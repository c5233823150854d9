//! Extending a session: when the caller says so, and when it is read.

use time::OffsetDateTime;

use super::Operations;
use super::guarded::{Effect, after, is_over};
use crate::batching::{Extension, RowVersion};
use crate::error::Result;
use crate::session::{Session, expiry};
use crate::table::SessionFields;

/// How often an extension that lost to another write is tried again.
const LOST_RACES: usize = 5;

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::extend`](crate::Sessions::extend).
    pub async fn extend(&mut self, session: &mut Session<T>) -> Result<bool> {
        self.check_writes().await?;
        let now = self.config().now();
        for _ in 0..LOST_RACES {
            match self.due_extension(session, now) {
                Some(expires_at) if self.write_expiry(session, now, expires_at, Effect::Extends).await? => {
                    return Ok(true);
                }
                None if !is_over(session, now) => return Ok(false),
                // The row is not, or may not be, as this caller knows it.
                _ => self.reload(session).await?,
            }
            if is_over(session, now) {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// The session as it is to be returned by a read, extended where that is due; `None` where somebody
    /// else wrote it meanwhile: then what was read is to be read again, by the same condition.
    pub(crate) async fn extend_on_read(&mut self, mut session: Session<T>) -> Result<Option<Session<T>>> {
        if !self.config().auto_extend() {
            return Ok(Some(session));
        }
        // Not that of the read, which may have waited long for a connection.
        let now = self.config().now();
        let Some(expires_at) = self.due_extension(&session, now) else {
            return Ok(Some(session));
        };
        // Rare, and larger than the read itself.
        match Box::pin(self.write_extension(&mut session, now, expires_at)).await {
            Ok(is_written) => Ok(is_written.then_some(session)),
            Err(error) if self.connection().is_pool() => {
                tracing::warn!(
                    table = %self.table(),
                    session = %session.id,
                    error = &error as &dyn std::error::Error,
                    "a session was read but its extension could not be written",
                );
                // It may have run out while it waited for that.
                Ok((!is_over(&session, self.config().now())).then_some(session))
            }
            Err(error) => Err(error),
        }
    }

    /// Moves the expiry as [`write_expiry`](Self::write_expiry) does; on the pool in one statement with others.
    async fn write_extension(
        &mut self,
        session: &mut Session<T>,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<bool> {
        let Some(read) = session.stored.expires_at.filter(|_| self.connection().is_pool()) else {
            return self.write_expiry(session, now, expires_at, Effect::Extends).await;
        };
        self.check_writes().await?;
        let updated_at = after(session.stored.updated_at, now);
        let extension = Extension {
            id: session.id,
            read: RowVersion { expires_at: read, updated_at: session.stored.updated_at },
            new: RowVersion { expires_at, updated_at },
        };
        let is_written = self.handle().batching().extend(extension).await?;
        self.forget(session.id);
        if is_written {
            session.row_mut().expires_at = Some(expires_at);
            session.note_write(session.expires_at, updated_at);
        }
        Ok(is_written)
    }

    pub(crate) fn due_extension(&self, session: &Session<T>, now: OffsetDateTime) -> Option<OffsetDateTime> {
        if is_over(session, now) {
            return None;
        }
        expiry::due_extension(self.config(), now, session.inserted_at, session.stored.expires_at)
    }
}
