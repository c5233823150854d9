//! Ending and deleting one session.

use sea_query::{ExprTrait, Query, UpdateStatement};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Operations;
use super::ended::{End, Ended};
use super::guarded::{Effect, move_of, note_move};
use crate::batching::Ending;
use crate::cache::Revoked;
use crate::database::{FieldValue, Statement};
use crate::error::{ErrorKind, Outcome, Result};
use crate::events::{Event, EventKind};
use crate::observe::Operation;
use crate::session::{EndReason, Session, expiry};
use crate::sql::ending::behind;
use crate::sql::{Bindings, identifier};
use crate::store::Store;
use crate::table::{HasEndedBecause, Role, SessionFields, column};

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::expire`](crate::Sessions::expire).
    pub async fn expire(&mut self, session: &mut Session<T>) -> Result<bool> {
        self.call(Operation::Expire).of(self.expire_row(session, EndReason::LOGGED_OUT)).await
    }

    /// See [`Sessions::expire_because`](crate::Sessions::expire_because).
    pub async fn expire_because(&mut self, session: &mut Session<T>, reason: EndReason) -> Result<bool>
    where
        T: HasEndedBecause,
    {
        self.call(Operation::Expire)
            .of(async {
                self.check_reason()?;
                self.expire_row(session, reason).await
            })
            .await
    }

    async fn expire_row(&mut self, session: &mut Session<T>, reason: EndReason) -> Result<bool> {
        let now = self.config().now();
        let may_change = self.fit_reason(&reason).await?;
        if !self.is_over(session, now) && self.write_end(session, now, &reason).await? {
            self.note_ended(Ended::One(session.id), &End::Expired(reason));
            if may_change {
                self.read_back(session).await?;
            }
            return Ok(true);
        }
        // The session ends, even if another caller wrote the row meanwhile. The caller then gets the row as it is now,
        // so that no later update undoes the other caller's write.
        let is_too_old = expiry::is_too_old(self.config(), session.inserted_at, now);
        let reason = (!is_too_old).then_some(&reason);
        let was_valid = self.expire_by_id(session.id, now, reason, Some(&session.fields)).await?;
        self.read_end(session, now).await.map_err(|error| error.with_outcome(Outcome::Done))?;
        Ok(was_valid && !is_too_old)
    }

    /// Ends the session if its row is still as it was read, and returns `true` if it was. On the pool it may share a
    /// statement with other calls; `false` then also means that another transaction has the row locked.
    async fn write_end(
        &mut self,
        session: &mut Session<T>,
        now: OffsetDateTime,
        reason: &EndReason,
    ) -> Result<bool> {
        let event = self.event_of(session, EventKind::ended(session.id, reason));
        let is_shared = self.shares_revocations() && !self.is_audited(event.as_ref());
        let is_written = if let Some(read) = session.stored.expires_at.filter(|_| is_shared) {
            let moved = move_of(session, read, now, now);
            let ending = Ending { moved, reason: reason.clone() };
            let is_written = self.share_revoking(session.id, self.handle().batching().expire(ending)).await?;
            if is_written {
                note_move(session, &moved);
                self.tell(event);
            }
            is_written
        } else {
            let column = self.table().field_for(Role::EndedBecause).map(|field| field.name().to_owned());
            let value = self.handle().store().reason(reason);
            let set = |update: &mut UpdateStatement, bindings: &mut Bindings<'_>| {
                if let (Some(column), Some(value)) = (column, value) {
                    update.value(identifier(&column), bindings.stored_in(&column, value));
                }
            };
            self.write_expiry(session, now, now, Effect::Revokes, event, set).await?
        };
        if is_written {
            session.note_reason(reason);
        }
        Ok(is_written)
    }

    /// Reads the session again after it has ended. If the row is gone or no longer decodes, the session is no longer
    /// valid either, and must not say that it is. Apart from its expiry it then stays as it was read, so that no update
    /// overwrites the row.
    async fn read_end(&mut self, session: &mut Session<T>, now: OffsetDateTime) -> Result<()> {
        match self.read(session.id).await {
            Ok(Some(read)) => *session = read,
            Err(error) if error.kind() != ErrorKind::Decode => return Err(error),
            _ if session.is_valid(now) => {
                let row = session.row_mut();
                row.expires_at = Some(now);
                row.stored.expires_at = row.expires_at;
            }
            _ => {}
        }
        Ok(())
    }

    /// See [`Sessions::delete`](crate::Sessions::delete).
    pub async fn delete(&mut self, session: Session<T>) -> Result<bool> {
        self.call(Operation::Delete).of(self.delete_session(session)).await
    }

    async fn delete_session(&mut self, session: Session<T>) -> Result<bool> {
        let event = self.event_of(&session, EventKind::Deleted { session: session.id });
        let is_deleted = self.delete_row(session.id, event).await?;
        if is_deleted {
            self.note_ended(Ended::One(session.id), &End::Deleted);
            self.forget_retired(session.id).await?;
        }
        Ok(is_deleted)
    }

    async fn delete_row(&mut self, session: Uuid, event: Option<Event>) -> Result<bool> {
        if self.shares_revocations() && !self.is_audited(event.as_ref()) {
            let deleted = self.handle().batching().delete(session);
            let is_deleted = self.share_revoking(session, deleted).await?;
            self.tell(event.clone().filter(|_| is_deleted));
            // Only if rows are skipped may the row still be there.
            if is_deleted || !self.handle().backend().dialect().skips_locked_rows() {
                return Ok(is_deleted);
            }
        }
        let mut bindings = self.bindings();
        let mut delete = Query::delete();
        let id = bindings.expr(FieldValue::plain(session));
        delete
            .from_table(self.table_ref())
            .and_where(bindings.column(column::ID).eq(id))
            .and_where_option(bindings.backend().dialect().place_of_condition());
        let statement = bindings.build(&delete);
        self.write_revoking(session, statement, event).await
    }

    /// Ends the session by every clock, even if another process has written it meanwhile. Returns `true` if it was
    /// valid by this machine's clock: then its row says why it was ended, if there is a reason.
    pub(crate) async fn expire_by_id(
        &mut self,
        id: Uuid,
        now: OffsetDateTime,
        reason: Option<&EndReason>,
        fields: Option<&T>,
    ) -> Result<bool> {
        let statement = |store: &Store, reason: Option<&EndReason>, valid_at: OffsetDateTime| {
            let mut values = vec![FieldValue::plain(now); 3];
            values.extend(reason.and_then(|reason| store.reason(reason)));
            values.extend([FieldValue::plain(id), FieldValue::plain(valid_at)]);
            Statement::new(store.expire_sql(reason.is_some()), values)
        };
        let expire = statement(self.handle().store(), reason, now);
        let event = reason.and_then(|reason| self.event(fields, EventKind::ended(id, reason)));
        if self.write_revoking(id, expire, event).await? {
            let end = reason.map_or(End::Lapsed, |reason| End::Expired(reason.clone()));
            self.note_ended(Ended::One(id), &end);
            return Ok(true);
        }
        let end_lapsed = statement(self.handle().store(), None, behind(now));
        if self.execute_revoking(end_lapsed, Revoked::Session(id)).await? > 0 {
            self.note_ended(Ended::One(id), &End::Lapsed);
        }
        Ok(false)
    }
}
