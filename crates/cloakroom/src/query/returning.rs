//! Ending and deleting all sessions that match, and returning them.
//!
//! A batch takes two steps. A read finds the ids of the sessions that match. One statement then writes those of them that
//! still match, and returns what it wrote. On MariaDB and MySQL, where an UPDATE returns nothing, the second step is a
//! transaction: it locks the rows by their ids, and nothing between them, writes them, and reads them. A statement that
//! looked for the rows and locked them at once would lock what lies between them too, and wait for log-ins.

use std::sync::Arc;

use futures_core::stream::BoxStream;
use futures_util::stream;
use sea_query::{ExprTrait, LockType, Order, Query, ReturningClause, SelectStatement};
use time::OffsetDateTime;
use uuid::Uuid;

use super::each::Each;
use super::end::after;
use super::{Criteria, SessionQuery, UnreadableSession};
use crate::cache::Revoked;
use crate::database::{Begin, FieldValue, Row, Statement};
use crate::error::Result;
use crate::events::EventKind;
use crate::observe::Operation;
use crate::operations::{End, Ended, Handle, Operations, in_its_own_task, in_own_transaction};
use crate::session::{Session, Status};
use crate::sql::{Bindings, RowHeader, ending, read_rest, returned_columns, select_columns};
use crate::table::{SessionFields, column};

/// The sessions that a query has ended or deleted, in no order. One that does not decode is an [`UnreadableSession`].
pub type EndedSessions<T> = Vec<Result<Session<T>, UnreadableSession>>;

/// How many sessions one statement ends or deletes.
const BATCH: u64 = 500;

impl<'c, T: SessionFields> SessionQuery<'c, T> {
    /// Ends every session that matches and is still valid, as [`expire_all`](Self::expire_all) does, and returns those
    /// that it ended, as their rows are now. They are in no order.
    ///
    /// Use it to say which devices were logged out, or to end what belongs to them elsewhere. All of them are held in
    /// memory; [`expire_in_batches`](Self::expire_in_batches) holds 500 at a time. On the pool each 500 are a transaction
    /// of their own. A session that is created meanwhile may or may not be ended. A session that does not decode is ended
    /// too, and is returned as an [`UnreadableSession`].
    ///
    /// # Errors
    ///
    /// After an error, the sessions of the transactions before it have ended, and are not returned: the
    /// [outcome](crate::Error::outcome) is then [`Unknown`](crate::Outcome::Unknown).
    pub async fn expire_all_returning(self) -> Result<EndedSessions<T>> {
        Batches::new(self, Kind::Expire).collect().await
    }

    /// Deletes every session that matches, as [`delete_all`](Self::delete_all) does, and returns those that it deleted, as
    /// their rows were. Otherwise it works like [`expire_all_returning`](Self::expire_all_returning).
    pub async fn delete_all_returning(self) -> Result<EndedSessions<T>> {
        Batches::new(self, Kind::Delete).collect().await
    }

    /// Returns a stream that ends every session that matches and is still valid, up to 500 at a time, and returns each
    /// 500 that it ended; see [`expire_all_returning`](Self::expire_all_returning).
    ///
    /// **The stream ends sessions only while it is polled**: read it to its end. A batch that it has returned is
    /// committed, unless the query runs in a transaction of the caller's.
    ///
    /// # Errors
    ///
    /// The stream's items are `Result`s, and it ends after the first error. The batches before it have ended.
    pub fn expire_in_batches(self) -> BoxStream<'c, Result<EndedSessions<T>>> {
        Batches::new(self, Kind::Expire).stream()
    }

    /// Returns a stream that deletes every session that matches, up to 500 at a time, and returns each 500 that it
    /// deleted. Otherwise it works like [`expire_in_batches`](Self::expire_in_batches).
    pub fn delete_in_batches(self) -> BoxStream<'c, Result<EndedSessions<T>>> {
        Batches::new(self, Kind::Delete).stream()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Expire,
    Delete,
}

/// What is still to be ended or deleted.
struct Batches<'c, T: SessionFields> {
    query: SessionQuery<'c, T>,
    kind: Kind,
    /// The instants of "now", and at which a session must be valid; not set before the first batch.
    begun: Option<Begun>,
    /// The last session of the last batch.
    last: Option<Uuid>,
    remaining: Option<u64>,
    is_done: bool,
}

#[derive(Clone)]
struct Begun {
    how: End,
    now: OffsetDateTime,
    valid_at: OffsetDateTime,
}

impl<'c, T: SessionFields> Batches<'c, T> {
    fn new(query: SessionQuery<'c, T>, kind: Kind) -> Self {
        let remaining = query.criteria.limit;
        Self { query, kind, begun: None, last: None, remaining, is_done: false }
    }

    /// Ends or deletes them all, and returns how many there were.
    async fn count(mut self) -> Result<u64> {
        let mut number = 0;
        loop {
            let next = self.next().await;
            match next.map_err(|error| after(number, error))? {
                Some(batch) => number += batch.len() as u64,
                None => return Ok(number),
            }
        }
    }

    async fn collect(mut self) -> Result<EndedSessions<T>> {
        let mut all = Vec::new();
        loop {
            let next = self.next().await;
            match next.map_err(|error| after(all.len() as u64, error))? {
                Some(batch) => all.extend(batch),
                None => return Ok(all),
            }
        }
    }

    fn stream(self) -> BoxStream<'c, Result<EndedSessions<T>>> {
        Box::pin(stream::try_unfold(self, |mut batches| async move {
            Ok(batches.next().await?.map(|batch| (batch, batches)))
        }))
    }

    /// Ends or deletes the next sessions. Returns `None` once there are no more.
    async fn next(&mut self) -> Result<Option<EndedSessions<T>>> {
        while !self.is_done {
            let operation =
                if self.kind == Kind::Expire { Operation::ExpireAll } else { Operation::DeleteAll };
            let batch = self.query.operations.call(operation).of(self.end_next()).await?;
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    async fn end_next(&mut self) -> Result<EndedSessions<T>> {
        let begun = match &self.begun {
            Some(begun) => begun.clone(),
            None => self.begin().await?,
        };
        let asked = self.remaining.map_or(BATCH, |remaining| Ord::min(remaining, BATCH));
        let ids = if self.is_done || asked == 0 { Vec::new() } else { self.next_ids(asked, &begun).await? };
        self.last = ids.last().copied();
        let batch = if ids.is_empty() { Vec::new() } else { self.query.end_these(&ids, &begun).await? };
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(batch.len() as u64);
        }
        let is_stuck = self.remaining.is_some() && batch.is_empty();
        if (ids.len() as u64) < asked || self.remaining == Some(0) || is_stuck {
            self.is_done = true;
            let is_limited = self.remaining.is_some_and(|remaining| remaining > 0);
            if is_limited && self.query.criteria.status == Status::Valid {
                // The limit applies to sessions that are valid here first, before the others.
                self.query.criteria.limit = self.remaining;
                let written = batch.len() as u64;
                let lapsed = self.query.end_lapsed(begun.now, &mut 0).await;
                lapsed.map_err(|error| after(written, error))?;
            }
        }
        Ok(batch)
    }

    /// Prepares the first batch.
    async fn begin(&mut self) -> Result<Begun> {
        self.query.operations.know_sliding().await?;
        let now = self.query.operations.config().now();
        let how = match self.kind {
            Kind::Expire => self.query.fitting_end().await?,
            Kind::Delete => End::Deleted,
        };
        let criteria = &mut self.query.criteria;
        self.is_done = criteria.matches_nothing;
        if self.kind == Kind::Expire {
            self.is_done |= criteria.status == Status::Expired;
            criteria.status = Status::Valid;
        }
        let mut begun = Begun { how, now, valid_at: now };
        if criteria.status == Status::Valid && criteria.limit.is_none() && !self.is_done {
            self.query.end_lapsed(now, &mut 0).await?;
            begun.valid_at = ending::behind(now);
        }
        self.begun = Some(begun.clone());
        Ok(begun)
    }

    /// Returns the ids of the next sessions that match: those that the query's limit chooses, or all by their ids.
    async fn next_ids(&mut self, count: u64, begun: &Begun) -> Result<Vec<Uuid>> {
        let query = &mut self.query;
        let mut bindings = query.operations.bindings();
        let condition = query.condition(&mut bindings, begun.valid_at)?;
        let id = || bindings.column(column::ID);
        let mut select = Query::select();
        select.expr(id()).from(query.operations.table_ref()).cond_where(condition).limit(count);
        if self.remaining.is_some() {
            for (key, order) in query.order(&bindings) {
                select.order_by_expr(key, order);
            }
        } else {
            select.order_by_expr(id(), Order::Asc);
            if let Some(last) = self.last {
                let last = bindings.expr(FieldValue::plain(last));
                select.and_where(bindings.column(column::ID).gt(last));
            }
        }
        let guard = query.operations.guard(&mut select);
        let statement = bindings.build(&select).guarded(guard);
        let rows = query.operations.fetch_all(&statement).await?;
        let ids = rows.iter().map(|row| row.uuid(0)).collect::<Result<Vec<_>, _>>();
        ids.map_err(|error| query.operations.failed(error))
    }
}

impl<T: SessionFields> SessionQuery<'_, T> {
    /// Ends every session that matches, with an entry in the audit log for each, and returns how many there were.
    pub(super) async fn expire_each(self) -> Result<u64> {
        Batches::new(self, Kind::Expire).count().await
    }

    /// Does the same for deleting.
    pub(super) async fn delete_each(self) -> Result<u64> {
        Batches::new(self, Kind::Delete).count().await
    }

    /// Ends or deletes those of these sessions that still match, and returns them.
    async fn end_these(&mut self, ids: &[Uuid], begun: &Begun) -> Result<EndedSessions<T>> {
        let (returns, is_on_pool) = (self.returns_rows(), self.operations.connection().is_pool());
        let rows = if is_on_pool && (!returns || self.operations.table().keeps_audit_log()) {
            let (handle, criteria) = (Arc::clone(self.operations.handle()), self.criteria.clone());
            let (ids, begun) = (ids.to_vec(), begun.clone());
            in_its_own_task(Box::pin(
                async move { end_on_its_own(&handle, &criteria, &ids.into(), &begun).await },
            ))
            .await?
        } else {
            self.operations.require_transaction_to_audit().await?;
            self.end_and_record(ids, begun).await?
        };
        self.operations.note_ended(Ended::Number(rows.len() as u64), &begun.how);
        rows.iter().map(|row| self.read_each(row)).collect()
    }

    fn returns_rows(&mut self) -> bool {
        self.operations.connection().backend().dialect().returns_written_rows()
    }

    /// Does so on one connection, and records it.
    async fn end_and_record(&mut self, ids: &[Uuid], begun: &Begun) -> Result<Vec<Row>> {
        let rows = if self.returns_rows() {
            let write = self.write_returning(ids, begun)?;
            self.operations.execute_revoking_rows(write).await?
        } else {
            self.end_locked(ids, begun).await?
        };
        let mut events = Vec::new();
        for row in &rows {
            let each = self.read_each(row)?;
            let (id, fields) = match &each {
                Ok(session) => (session.id, Some(&session.fields)),
                Err(unreadable) => (unreadable.id, None),
            };
            let kind = match &begun.how {
                End::Expired(reason) => EventKind::ended(id, reason),
                End::Deleted => EventKind::Deleted { session: id },
                End::Lapsed => continue,
            };
            match self.operations.event(fields, kind) {
                Some(event) => events.push(event),
                None => break,
            }
        }
        self.operations.record(events).await?;
        Ok(rows)
    }

    fn read_each(&self, row: &Row) -> Result<Each<T>> {
        let table = self.operations.table();
        Ok(match RowHeader::read(table, row, 0) {
            Ok(head) => read_rest(&head, table, self.operations.config(), row, RowHeader::width(table))
                .map_err(|error| head.unreadable(error)),
            Err(error) => Err(RowHeader::read_in_part(table, row)?.unreadable(error)),
        })
    }

    /// Returns the statement that writes the rows with these ids that still match, and returns them.
    fn write_returning(&self, ids: &[Uuid], begun: &Begun) -> Result<Statement> {
        let mut bindings = self.operations.bindings();
        let condition = self.condition(&mut bindings, begun.valid_at)?;
        let are_named = are_named(&mut bindings, ids);
        let columns = ReturningClause::Exprs(returned_columns(&bindings));
        Ok(match &begun.how {
            End::Expired(_) | End::Lapsed => {
                let mut expire = self.expire_statement(&mut bindings, begun);
                expire.and_where(are_named).cond_where(condition).returning(columns);
                bindings.build(&expire)
            }
            End::Deleted => {
                let mut delete = Query::delete();
                delete.from_table(self.operations.table_ref()).and_where(are_named).cond_where(condition);
                delete.returning(columns);
                bindings.build(&delete)
            }
        })
    }

    /// Does the same within a transaction, with statements that return nothing.
    async fn end_locked(&mut self, ids: &[Uuid], begun: &Begun) -> Result<Vec<Row>> {
        let mut bindings = self.operations.bindings();
        let condition = self.condition(&mut bindings, begun.valid_at)?;
        let mut lock = self.rows_with(&mut bindings, ids);
        lock.cond_where(condition).lock(LockType::Update);
        let statement = bindings.build(&lock);
        let rows = self.operations.fetch_all(&statement).await?;
        if rows.is_empty() {
            return Ok(rows);
        }
        let locked = rows.iter().map(|row| row.uuid(0)).collect::<Result<Vec<_>, _>>();
        let locked = locked.map_err(|error| self.operations.failed(error))?;
        let mut bindings = self.operations.bindings();
        let are_named = are_named(&mut bindings, &locked);
        let write = match &begun.how {
            End::Expired(_) | End::Lapsed => {
                let mut expire = self.expire_statement(&mut bindings, begun);
                bindings.build(expire.and_where(are_named))
            }
            End::Deleted => {
                let mut delete = Query::delete();
                bindings.build(delete.from_table(self.operations.table_ref()).and_where(are_named))
            }
        };
        self.operations.execute_revoking(write, Revoked::Any).await?;
        if matches!(begun.how, End::Deleted) {
            return Ok(rows);
        }
        let mut bindings = self.operations.bindings();
        let select = self.rows_with(&mut bindings, &locked);
        let statement = bindings.build(&select);
        self.operations.fetch_all(&statement).await
    }

    fn expire_statement(&self, bindings: &mut Bindings<'_>, begun: &Begun) -> sea_query::UpdateStatement {
        let reason = begun.how.reason().and_then(|reason| self.operations.handle().store().reason(reason));
        ending::expire_update(bindings, &FieldValue::plain(begun.now), reason)
    }

    fn rows_with(&self, bindings: &mut Bindings<'_>, ids: &[Uuid]) -> SelectStatement {
        let are_named = are_named(bindings, ids);
        let mut select = Query::select();
        select_columns(bindings, &mut select);
        select.from(self.operations.table_ref()).and_where(are_named);
        select
    }
}

fn are_named(bindings: &mut Bindings<'_>, ids: &[Uuid]) -> sea_query::Expr {
    let keys = ids.iter().map(|id| FieldValue::plain(*id)).collect();
    let id = bindings.column(column::ID);
    bindings.is_among(id, keys)
}

/// Ends these sessions in a transaction of this library's own, which runs again if it loses to others.
async fn end_on_its_own<T: SessionFields>(
    handle: &Arc<Handle>,
    criteria: &Criteria<T>,
    ids: &Arc<[Uuid]>,
    begun: &Begun,
) -> Result<Vec<Row>> {
    in_own_transaction(handle, Begin::ReadCommitted, |own| {
        let (criteria, ids, begun) = (criteria.clone(), Arc::clone(ids), begun.clone());
        Box::pin(async move {
            let operations: Operations<'_, T> = own.operations();
            let mut query = SessionQuery { operations, criteria };
            query.end_and_record(&ids, &begun).await
        })
    })
    .await
}
