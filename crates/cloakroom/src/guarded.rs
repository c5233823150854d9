//! Writes that are conditional on the row being as it was read, and what follows where it is not.

use sea_query::{Query, UpdateStatement};
use time::{Duration, OffsetDateTime};

use crate::clock;
use crate::database::{Bindings, place_of_condition};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry;
use crate::field::FieldValue;
use crate::lookup::{Extension, Revoked, Written};
use crate::operations::Operations;
use crate::session::Session;
use crate::statements::as_it_was_read;
use crate::table::{SessionFields, column};

/// What a write means to those who read the session before.
#[derive(Clone, Copy)]
pub(crate) enum Effect {
    /// What they read no longer holds.
    Revokes,
    /// What they read holds, and for longer.
    Extends,
}

impl<T: SessionFields> Operations<'_, T> {
    /// Writes what `set` sets, and the expiry if it is another, if the row is still as it was read; whether it was.
    pub(crate) async fn write(
        &mut self,
        session: &mut Session<T>,
        now: OffsetDateTime,
        expires_at: Option<OffsetDateTime>,
        effect: Effect,
        set: impl FnOnce(&mut UpdateStatement, &mut Bindings<'_>),
    ) -> Result<bool> {
        let updated_at = after(session.stored.updated_at, now);
        let mut bindings = self.bindings();
        let mut update = Query::update();
        update.table(self.table_ref());
        set(&mut update, &mut bindings);
        if expires_at != session.stored.expires_at {
            update.value(column::EXPIRES_AT, bindings.expr(FieldValue::plain(expires_at)));
        }
        update
            .value(column::UPDATED_AT, bindings.expr(FieldValue::plain(updated_at)))
            .cond_where(as_it_was_read(&mut bindings, session))
            .and_where_option(place_of_condition(bindings.backend()));
        let statement = bindings.build(&update).strictly(bindings.backend());
        let written = match effect {
            Effect::Revokes => self.execute_revoking(statement, Revoked::Session(session.id)).await?,
            Effect::Extends => self.execute_extending(&statement, session.id).await?,
        };
        let is_written = written > 0;
        if is_written {
            session.note_write(expires_at, updated_at);
        }
        Ok(is_written)
    }

    /// Moves the expiry, if the row is still as it was read; whether it was.
    pub(crate) async fn write_expiry(
        &mut self,
        session: &mut Session<T>,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
        effect: Effect,
    ) -> Result<bool> {
        let is_written = self.write(session, now, Some(expires_at), effect, |_, _| {}).await?;
        if is_written {
            session.row_mut().expires_at = Some(expires_at);
        }
        Ok(is_written)
    }

    /// Why a guarded write found no row.
    pub(crate) async fn lost(&mut self, session: &Session<T>) -> Result<Error> {
        Ok(if self.last_written(session.id).await?.is_some() { changed() } else { self.gone() })
    }

    /// Why a session that is over, as far as the caller knows, is not written as if it were not.
    pub(crate) async fn not_brought_back(&mut self, session: &Session<T>) -> Result<Error> {
        Ok(match self.last_written(session.id).await? {
            None => self.gone(),
            Some(updated_at) if updated_at != session.stored.updated_at => changed(),
            Some(_) => expired(),
        })
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
            read: Written { expires_at: read, updated_at: session.stored.updated_at },
            new: Written { expires_at, updated_at },
        };
        let is_written = self.sessions().lookup().extend(extension).await?;
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

    /// What an update writes as the expiry: what the caller set, within the absolute lifetime.
    pub(crate) fn expiry_to_write(&self, session: &Session<T>) -> Option<OffsetDateTime> {
        let expires_at = session.expires_at.map(clock::to_stored_precision);
        if expires_at == session.stored.expires_at {
            return expires_at;
        }
        expiry::capped(self.config(), session.inserted_at, expires_at)
    }

    pub(crate) fn gone(&self) -> Error {
        Error::new(ErrorKind::NotFound, format!("the session is no longer in {}", self.table()))
    }
}

/// `now`, or the instant after `previous` where the clock has not moved past it.
fn after(previous: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
    Ord::max(now, previous.saturating_add(Duration::MICROSECOND))
}

/// Whether the session, as it was read, is [over](expiry::is_over) at `now`.
pub(crate) fn is_over<T: SessionFields>(session: &Session<T>, now: OffsetDateTime) -> bool {
    expiry::is_over(session.stored.expires_at, session.stored.updated_at, now)
}

fn changed() -> Error {
    Error::new(ErrorKind::Conflict, "the session was changed since it was read")
}

fn expired() -> Error {
    Error::new(ErrorKind::Expired, "the session has expired, and an expired session is not brought back")
}
