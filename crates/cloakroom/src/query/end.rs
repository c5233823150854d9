//! Ending and deleting all sessions that match.

use std::sync::Arc;

use sea_query::Query;
use time::OffsetDateTime;

use super::{SessionQuery, Targets};
use crate::cache::Revoked;
use crate::database::FieldValue;
use crate::error::{Error, Outcome, Result};
use crate::events::EventKind;
use crate::observe::Operation;
use crate::operations::{End, Ended};
use crate::session::{EndReason, Status};
use crate::sql::ending;
use crate::store::{Waits, Writing};
use crate::table::{HasEndedBecause, SessionFields};

/// The least number of rows that a limited query writes at once, of those that are valid only by another clock.
const AT_ONCE: u64 = 1_000;

impl<T: SessionFields> SessionQuery<'_, T> {
    /// Ends every session that matches and is still valid, now, and returns how many there were.
    ///
    /// This is "sign out everywhere". The rows stay, as a record, and none of them is decoded. If the table has a column
    /// with the role `ended_because`, it says `logged_out`, or the reason that [`because`](Self::because) sets.
    ///
    /// A session that expired less than a day ago by this machine's clock may still be valid by the clock of a machine
    /// that is behind. `expire_all` ends it too: its expiry stays, it is not counted, and its `updated_at` says when it
    /// was ended. With a [`limit`](Self::limit), this is done only if there were fewer valid sessions than the limit.
    ///
    /// On the pool of a PostgreSQL database one statement ends both, without a limit and an audit log. It counts the
    /// sessions that were valid when it began: one that had lapsed and is extended meanwhile is ended with the reason, and
    /// is not counted. Elsewhere lapsed sessions are ended in a statement of their own before the others.
    pub async fn expire_all(mut self) -> Result<u64> {
        if self.operations.table().keeps_audit_log() {
            return self.expire_each().await;
        }
        self.operations.call(Operation::ExpireAll).of(self.expire_rows()).await
    }

    /// Ends every session that matches and is still valid, now, for this reason; see [`expire_all`](Self::expire_all).
    ///
    /// # Errors
    ///
    /// [`UnknownField`](crate::ErrorKind::UnknownField) if a table that is defined at run time has no column with the
    /// role `ended_because`; [`InvalidField`](crate::ErrorKind::InvalidField) if the reason does not fit the column.
    pub async fn expire_all_because(self, reason: EndReason) -> Result<u64>
    where
        T: HasEndedBecause,
    {
        self.because(reason).expire_all().await
    }

    async fn expire_rows(&mut self) -> Result<u64> {
        if self.criteria.status == Status::Expired {
            return Ok(0);
        }
        self.criteria.status = Status::Valid;
        let end = self.fitting_end().await?;
        self.end_valid_on_one(&end).await
    }

    /// Returns the end that this query gives to valid sessions. Fails if its reason cannot be stored.
    pub(super) async fn fitting_end(&mut self) -> Result<End> {
        let reason = match self.criteria.reason.clone() {
            Some(reason) => {
                self.operations.check_reason()?;
                reason
            }
            None => EndReason::LOGGED_OUT,
        };
        self.operations.fit_reason(&reason).await?;
        Ok(End::Expired(reason))
    }

    /// Deletes every session that matches, and returns how many there were. By default only valid sessions match: see
    /// [`status`](Self::status). No session is decoded.
    ///
    /// With the default status, a session that is valid only by a clock that is behind is ended, as by
    /// [`expire_all`](Self::expire_all), and not deleted.
    pub async fn delete_all(mut self) -> Result<u64> {
        if self.operations.table().keeps_audit_log() {
            return self.delete_each().await;
        }
        self.operations.call(Operation::DeleteAll).of(self.delete_rows()).await
    }

    async fn delete_rows(&mut self) -> Result<u64> {
        if self.criteria.status == Status::Valid {
            return self.end_valid_on_one(&End::Deleted).await;
        }
        let now = self.operations.config().now();
        self.end(&End::Deleted, now, now).await
    }

    /// Does the same as [`end_valid`](Self::end_valid), with one connection of the pool for all statements. SQLite lets
    /// one connection write after another, and a second connection would wait for the first.
    async fn end_valid_on_one(&mut self, how: &End) -> Result<u64> {
        if self.criteria.matches_nothing {
            return Ok(0);
        }
        if !self.operations.connection().is_any_of_pool() {
            return self.end_valid(how).await;
        }
        let sessions = Arc::clone(self.operations.handle());
        let store = sessions.store();
        let mut writing = store.acquire_warm_to_revoke(Waits::ForLocks, store.until()).await?;
        let Writing { connection, announcing, .. } = &mut writing;
        let ended = announcing.during(self.on(connection.connection()).end_valid(how)).await?;
        store.keep_warm(writing);
        Ok(ended)
    }

    /// Ends the sessions that are valid by any clock, and returns how many of them were valid by this machine's.
    async fn end_valid(&mut self, how: &End) -> Result<u64> {
        let now = self.operations.config().now();
        let is_pool = self.operations.connection().is_pool();
        let tells = is_pool && self.operations.handle().backend().dialect().returns_rows_before();
        if tells && self.criteria.limit.is_none() && matches!(how, End::Expired(_)) {
            return self.end_both(how, now).await;
        }
        let mut ended = 0;
        if let Some(limit) = self.criteria.limit {
            // The limit applies to sessions that are valid here first, before the others.
            ended = self.end(how, now, now).await?;
            if ended >= limit {
                return Ok(ended);
            }
            self.criteria.limit = Some(limit - ended);
        }
        let mut written = ended;
        let lapsed = self.end_lapsed(now, &mut written).await;
        lapsed.map_err(|error| after(written, error))?;
        let last = self.end(how, now, ending::behind(now)).await;
        Ok(ended + last.map_err(|error| after(written, error))?)
    }

    /// Does the same in one statement.
    async fn end_both(&mut self, how: &End, now: OffsetDateTime) -> Result<u64> {
        let reason = how.reason().and_then(|reason| self.operations.handle().store().reason(reason));
        let lifetime = self.operations.config().max_lifetime();
        let mut bindings = self.operations.bindings();
        let mut expire = ending::expire_update_of_both(&mut bindings, now, lifetime, reason);
        expire.cond_where(self.condition(&mut bindings, ending::behind(now))?);
        let statement = bindings.build(&expire);
        let (ended, lapsed) = self.operations.execute_revoking_valid(statement).await?;
        self.tell_of(&End::Lapsed, lapsed);
        self.tell_of(how, ended);
        Ok(ended)
    }

    /// Ends the sessions that have expired by this machine's clock and are valid by a clock that is behind.
    /// Adds to `written` how many rows that were.
    pub(super) async fn end_lapsed(&mut self, now: OffsetDateTime, written: &mut u64) -> Result<()> {
        #[cfg(feature = "sqlite")]
        if self.has_none_lapsed(now, ending::behind(now)).await {
            return Ok(());
        }
        let lifetime = self.operations.config().max_lifetime();
        let mut lapsed = self.reborrow().filter(ending::has_expired(now, lifetime));
        lapsed.criteria.limit = lapsed.criteria.limit.map(|limit| limit.max(AT_ONCE));
        // A session that was written has ended, so each round finds others.
        loop {
            let ended = lapsed.end(&End::Lapsed, now, ending::behind(now)).await?;
            *written += ended;
            if ended != lapsed.criteria.limit.unwrap_or(u64::MAX) {
                return Ok(());
            }
        }
    }

    /// Ends the sessions that match at `valid_at`.
    async fn end(&mut self, how: &End, now: OffsetDateTime, valid_at: OffsetDateTime) -> Result<u64> {
        if self.criteria.matches_nothing {
            return Ok(0);
        }
        let mut bindings = self.operations.bindings();
        let Targets { condition, order, limit } = self.targets(&mut bindings, valid_at)?;
        let statement = match how {
            End::Expired(_) | End::Lapsed => {
                let reason = how.reason().and_then(|reason| self.operations.handle().store().reason(reason));
                let mut expire = ending::expire_update(&mut bindings, &FieldValue::plain(now), reason);
                expire.cond_where(condition);
                for (key, direction) in order {
                    expire.order_by_expr(key, direction);
                }
                limit.map(|limit| expire.limit(limit));
                bindings.build(&expire)
            }
            End::Deleted => {
                let mut delete = Query::delete();
                delete
                    .from_table(self.operations.table_ref())
                    .cond_where(condition)
                    .and_where_option(bindings.backend().dialect().place_of_condition());
                for (key, direction) in order {
                    delete.order_by_expr(key, direction);
                }
                limit.map(|limit| delete.limit(limit));
                bindings.build(&delete)
            }
        };
        let ended = self.operations.execute_revoking(statement, Revoked::Any).await?;
        self.tell_of(how, ended);
        Ok(ended)
    }

    /// Tells of so many sessions that have ended.
    fn tell_of(&self, how: &End, ended: u64) {
        self.operations.note_ended(Ended::Number(ended), how);
        let kind = match how {
            End::Expired(reason) => Some(EventKind::EndedMany { sessions: ended, reason: reason.clone() }),
            End::Deleted => Some(EventKind::DeletedMany { sessions: ended }),
            End::Lapsed => None,
        };
        let event = kind.filter(|_| ended > 0).and_then(|kind| self.operations.event(None, kind));
        self.operations.tell(event);
    }
}

/// Returns the error of a statement that came after others, which have written so many rows and stay done.
pub(super) fn after(written: u64, error: Error) -> Error {
    if written > 0 { error.with_outcome(Outcome::Unknown) } else { error }
}
