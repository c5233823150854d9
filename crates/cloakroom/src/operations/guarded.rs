//! Writes that are done only if the row is as it was read, and the errors if it is not.

use sea_query::{Query, UpdateStatement};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::batching::{Extension, RowVersion};
use crate::cache::Revoked;
use crate::clock;
use crate::database::{FieldValue, Statement};
use crate::error::{Error, ErrorKind, Result};
use crate::events::Event;
use crate::operations::Operations;
use crate::session::{Session, expiry};
use crate::sql::{Bindings, as_it_was_read};
use crate::table::{SessionFields, column};

/// What a write means for callers that read the session before.
#[derive(Clone, Copy)]
pub(crate) enum Effect {
    /// What the callers read no longer holds.
    Revokes,
    /// What the callers read still holds, and for longer.
    Extends,
}

impl<T: SessionFields> Operations<'_, T> {
    /// Writes what `set` sets, and the expiry if it changed, if the row is still as it was read. Returns `true` if it
    /// was.
    pub(crate) async fn write(
        &mut self,
        session: &mut Session<T>,
        now: OffsetDateTime,
        expires_at: Option<OffsetDateTime>,
        effect: Effect,
        event: Option<Event>,
        set: impl FnOnce(&mut UpdateStatement, &mut Bindings<'_>),
    ) -> Result<bool> {
        let (statement, updated_at) = self.guarded(session, now, expires_at, set);
        let is_written = match effect {
            Effect::Revokes => self.write_revoking(session.id, statement, event).await?,
            Effect::Extends => {
                let is_written = self.execute_extending(&statement, session.id).await? > 0;
                self.tell(event.filter(|_| is_written));
                is_written
            }
        };
        if is_written {
            session.note_write(expires_at, updated_at);
        }
        Ok(is_written)
    }

    /// Runs a write of one session's row, which revokes the session. Returns `true` if there was such a row; the event is
    /// then told of, and recorded in the same transaction.
    pub(crate) async fn write_revoking(
        &mut self,
        session: Uuid,
        write: Statement,
        event: Option<Event>,
    ) -> Result<bool> {
        if self.is_audited(event.as_ref()) {
            return self.in_transaction().write_together(session, write, Vec::new(), event).await;
        }
        let is_written = self.execute_revoking(write, Revoked::Session(session)).await? > 0;
        self.tell(event.filter(|_| is_written));
        Ok(is_written)
    }

    /// Returns the statement of a guarded write, and the row's new `updated_at`.
    pub(crate) fn guarded(
        &self,
        session: &Session<T>,
        now: OffsetDateTime,
        expires_at: Option<OffsetDateTime>,
        set: impl FnOnce(&mut UpdateStatement, &mut Bindings<'_>),
    ) -> (Statement, OffsetDateTime) {
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
            .and_where_option(bindings.backend().dialect().place_of_condition());
        (bindings.build(&update).strictly(bindings.backend()), updated_at)
    }

    /// Moves the expiry, and writes what `set` sets, if the row is still as it was read. Returns `true` if it was.
    pub(crate) async fn write_expiry(
        &mut self,
        session: &mut Session<T>,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
        effect: Effect,
        event: Option<Event>,
        set: impl FnOnce(&mut UpdateStatement, &mut Bindings<'_>),
    ) -> Result<bool> {
        let is_written = self.write(session, now, Some(expires_at), effect, event, set).await?;
        if is_written {
            session.row_mut().expires_at = Some(expires_at);
        }
        Ok(is_written)
    }

    /// Returns the error that says why a guarded write found no row.
    pub(crate) async fn lost(&mut self, session: &Session<T>) -> Result<Error> {
        Ok(if self.last_written(session.id).await?.is_some() { changed() } else { self.gone() })
    }

    /// Returns the error that says why a session is not written as if it were valid, if it is over as far as the caller
    /// knows.
    pub(crate) async fn not_brought_back(&mut self, session: &Session<T>) -> Result<Error> {
        Ok(match self.last_written(session.id).await? {
            None => self.gone(),
            Some(updated_at) if updated_at != session.stored.updated_at => changed(),
            Some(_) => expired(),
        })
    }

    /// Returns the expiry that an update writes: what the caller set, capped at the absolute lifetime.
    pub(crate) fn expiry_to_write(&self, session: &Session<T>) -> Option<OffsetDateTime> {
        let expires_at = session.expires_at.map(clock::to_stored_precision);
        if expires_at == self.end_as_read(session) {
            return session.stored.expires_at;
        }
        expiry::capped(self.config(), session.inserted_at, expires_at)
    }

    /// Returns when the session ends as it was read, and as the absolute lifetime has it.
    pub(super) fn end_as_read(&self, session: &Session<T>) -> Option<OffsetDateTime> {
        expiry::capped(self.config(), session.inserted_at, session.stored.expires_at)
    }

    /// Returns `true` if the session, as it was read, is [over](expiry::is_over) at `now`.
    pub(super) fn is_over(&self, session: &Session<T>, now: OffsetDateTime) -> bool {
        expiry::is_over(self.end_as_read(session), session.stored.updated_at, now)
    }

    pub(crate) fn gone(&self) -> Error {
        Error::new(ErrorKind::NotFound, format!("the session is no longer in {}", self.table()))
    }
}

/// Returns `now`, or the instant after `previous` if the clock has not moved past it.
pub(crate) fn after(previous: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
    Ord::max(now, previous.saturating_add(Duration::MICROSECOND))
}

/// Returns the write that moves the expiry of a session that was read with the expiry `read`, at `now`.
pub(crate) fn move_of<T: SessionFields>(
    session: &Session<T>,
    read: OffsetDateTime,
    expires_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Extension {
    let updated_at = session.stored.updated_at;
    Extension {
        id: session.id,
        read: RowVersion { expires_at: read, updated_at },
        new: RowVersion { expires_at, updated_at: after(updated_at, now) },
    }
}

/// Records that a move of the session's expiry was written.
pub(crate) fn note_move<T: SessionFields>(session: &mut Session<T>, moved: &Extension) {
    session.row_mut().expires_at = Some(moved.new.expires_at);
    session.note_write(session.expires_at, moved.new.updated_at);
}

pub(super) fn changed() -> Error {
    Error::new(ErrorKind::Conflict, "the session was changed since it was read")
}

fn expired() -> Error {
    Error::new(ErrorKind::Expired, "the session has expired, and an expired session is not brought back")
}
