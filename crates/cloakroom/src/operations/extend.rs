//! Extending a session: when the caller asks for it, and when the session is read.

use time::OffsetDateTime;

use super::Operations;
use super::guarded::{Effect, move_of, note_move};
use crate::error::{ErrorKind, Result};
use crate::events::EventKind;
use crate::observe::{Extended, Operation};
use crate::session::{Session, Stored, expiry};
use crate::table::SessionFields;

/// How often an extension that lost to another write is tried again.
const LOST_RACES: usize = 5;

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::extend`](crate::Sessions::extend).
    pub async fn extend(&mut self, session: &mut Session<T>) -> Result<bool> {
        self.call(Operation::Extend).of(self.extend_row(session)).await
    }

    async fn extend_row(&mut self, session: &mut Session<T>) -> Result<bool> {
        self.check_writes().await?;
        let now = self.config().now();
        for _ in 0..LOST_RACES {
            match self.new_expiry_if_due(session, now) {
                // A process that has migrated the table meanwhile may have fixed the session's expiry.
                Some(_) if !self.handle().store().has_sliding() && self.has_sliding_by_now().await? => {
                    self.read_again(session).await?;
                }
                Some(expires_at) if self.move_expiry(session, now, expires_at).await? => {
                    self.handle().metrics().extended(Extended::Written);
                    return Ok(true);
                }
                None if !self.is_over(session, now) => return Ok(false),
                // The row is not, or may not be, as this caller read it.
                _ => self.read_again(session).await?,
            }
            if self.is_over(session, now) {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Returns the session as a read returns it, extended if an extension is due. Returns `None` if another caller
    /// wrote the row meanwhile: then the session must be read again, with the same condition.
    pub(crate) async fn extend_on_read(&mut self, mut session: Session<T>) -> Result<Option<Session<T>>> {
        if !self.config().auto_extend() {
            return Ok(Some(session));
        }
        // The read's own instant is not used: the read may have waited long for a connection.
        let now = self.config().now();
        let Some(expires_at) = self.new_expiry_if_due(&session, now) else {
            return Ok(Some(session));
        };
        let is_on_pool = self.connection().is_pool();
        if is_on_pool && self.handle().extensions().is_known(self.config().monotonic()) {
            return Ok(Some(session));
        }
        // This is rare, and its future is larger than that of the read.
        match Box::pin(self.write_extension(&mut session, now, expires_at)).await {
            Ok(is_written) => {
                self.handle().metrics().extended(if is_written { Extended::Written } else { Extended::Lost });
                if is_on_pool && self.handle().extensions().written() {
                    tracing::info!(table = %self.table(), "sessions are extended again");
                }
                Ok(is_written.then_some(session))
            }
            Err(error) if is_on_pool => {
                self.handle().metrics().extended(Extended::Failed);
                if error.kind() != ErrorKind::ReadOnly {
                    tracing::warn!(
                        table = %self.table(),
                        session = %session.id,
                        error = &error as &dyn std::error::Error,
                        "a session was read but its extension could not be written",
                    );
                } else if self.handle().extensions().refused(self.config().monotonic()) {
                    tracing::warn!(
                        table = %self.table(),
                        session = %session.id,
                        error = &error as &dyn std::error::Error,
                        "no session is extended: the database takes no writes, as a standby; if it is one, what it \
                         answers lags behind its primary",
                    );
                }
                // The session may have expired while it waited for the extension.
                Ok((!self.is_over(&session, self.config().now())).then_some(session))
            }
            Err(error) => Err(error),
        }
    }

    /// Moves the expiry, in a statement of its own.
    async fn move_expiry(
        &mut self,
        session: &mut Session<T>,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<bool> {
        let event = self.event_of(session, EventKind::Extended { session: session.id, expires_at });
        self.write_expiry(session, now, expires_at, Effect::Extends, event, |_, _| {}).await
    }

    /// Moves the expiry as [`move_expiry`](Self::move_expiry) does. On the pool it shares a statement with other
    /// extensions.
    async fn write_extension(
        &mut self,
        session: &mut Session<T>,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<bool> {
        // A process that has migrated the table meanwhile may have fixed the session's expiry.
        if !self.handle().store().has_sliding() && self.has_sliding_by_now().await? {
            return Ok(false);
        }
        let Some(read) = session.stored.expires_at.filter(|_| self.connection().is_pool()) else {
            return self.move_expiry(session, now, expires_at).await;
        };
        self.check_writes().await?;
        let extension = move_of(session, read, expires_at, now);
        let is_written = self.handle().batching().extend(extension).await?;
        self.forget(session.id);
        if is_written {
            note_move(session, &extension);
            let extended = EventKind::Extended { session: session.id, expires_at };
            self.tell(self.event_of(session, extended));
        }
        Ok(is_written)
    }

    /// Returns the new expiry if an [extension is due](expiry::due_extension) and the session, as it was read, is not
    /// over.
    pub(crate) fn new_expiry_if_due(
        &self,
        session: &Session<T>,
        now: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        if self.is_over(session, now) {
            return None;
        }
        let Stored { expires_at, sliding, .. } = session.stored;
        expiry::due_extension(self.config(), now, session.inserted_at, expires_at, sliding)
    }
}
