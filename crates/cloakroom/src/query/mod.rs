mod audit_log;
mod count_by;
mod count_by_scheme;
#[cfg(feature = "sqlite")]
mod directly;
mod each;
mod end;
mod preload;
mod returning;
mod shape;
mod sorted;
mod stream;

use std::fmt;
use std::sync::Arc;

use sea_query::{BinOper, Condition, Expr, ExprTrait, IntoCondition, Order, Query, SelectStatement};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::{Connection, FieldValue, Statement};
use crate::error::{Error, ErrorKind, Result};
use crate::observe::Operation;
use crate::operations::Operations;
use crate::session::data::StoredData;
use crate::session::{Cursor, EndReason, Session, Status, binding};
use crate::sql::{Bindings, Filter, has_status, identifier, is_of_age, select_first_columns};
use crate::table::{HasEndedBecause, HasOwner, Role, SessionFields, column};
use crate::token::TokenDigest;

pub use audit_log::{AuditEntry, AuditLog};
pub use count_by::CountBy;
pub use count_by_scheme::SchemeCount;
pub use each::UnreadableSession;
pub use preload::{Loaded, Preload, ToMany, ToOne};
pub use returning::EndedSessions;

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::query`](crate::Sessions::query).
    pub fn query(&mut self) -> SessionQuery<'_, T> {
        SessionQuery::new(self.reborrow())
    }
}

/// A query on a session table: conditions first, then the method that runs it.
///
/// Made by [`Sessions::query`](crate::Sessions::query). By default a query looks at valid sessions, newest first. It
/// sends nothing to the database before one of the last methods of the chain is awaited: `fetch_one`, `fetch_optional`,
/// `fetch_all`, `fetch_each`, `stream`, `stream_each`, `count`, `exists`, `expire_all`, `delete_all`.
#[must_use]
pub struct SessionQuery<'c, T: SessionFields> {
    pub(crate) operations: Operations<'c, T>,
    criteria: Criteria<T>,
}

/// What a query asks for, independent of its connection.
#[derive(Clone)]
struct Criteria<T> {
    filters: Vec<Filter<T>>,
    status: Status,
    order: SortOrder,
    after: Option<Cursor>,
    limit: Option<u64>,
    /// The query asks for a token, as `authenticate` does.
    by_token: bool,
    /// The query asks for a token that no session can have.
    matches_nothing: bool,
    /// The query asks the primary, also if there is a standby for lists.
    is_fresh: bool,
    /// Why the query ends sessions, if the caller has said so.
    reason: Option<EndReason>,
}

#[derive(Clone)]
enum SortOrder {
    NewestFirst,
    OldestFirst,
    By(Vec<(Expr, Order)>),
}

impl<'c, T: SessionFields> SessionQuery<'c, T> {
    pub(crate) fn new(operations: Operations<'c, T>) -> Self {
        Self {
            operations,
            criteria: Criteria {
                filters: Vec::new(),
                status: Status::default(),
                order: SortOrder::NewestFirst,
                after: None,
                limit: None,
                by_token: false,
                matches_nothing: false,
                is_fresh: false,
                reason: None,
            },
        }
    }

    /// Adds a condition: a column's comparison, or any sea-query condition or expression. A session must meet all added
    /// conditions.
    pub fn filter(mut self, filter: impl Into<Filter<T>>) -> Self {
        self.criteria.filters.push(filter.into());
        self
    }

    /// Selects only the session with this id.
    pub fn id(self, id: Uuid) -> Self {
        self.filter(T::ID.eq(id))
    }

    /// Selects only sessions of this owner: those with this value in the column with the role `owner`.
    ///
    /// "Sign out everywhere else" is `….owner(user_id).filter(UserSession::ID.ne(session.id)).expire_all()`.
    pub fn owner(self, owner: impl Into<T::Owner>) -> Self
    where
        T: HasOwner,
    {
        let table = self.operations.table();
        let Some(field) = table.field_for(Role::Owner) else {
            let message = format!("{table} has no column with the role {}", Role::Owner);
            return self.filter(Filter::refuse(ErrorKind::UnknownField, message));
        };
        let value = T::owner_value(&owner.into(), field, self.operations.handle().backend());
        let filter = Filter::compare(field.name().to_owned(), BinOper::Equal, value);
        self.filter(filter)
    }

    /// Sets why this query ends sessions, for [`expire_all`](Self::expire_all) and the forms of it that return what they
    /// ended. Default [`EndReason::LOGGED_OUT`]. A query that reads is not changed by it.
    pub fn because(mut self, reason: EndReason) -> Self
    where
        T: HasEndedBecause,
    {
        self.criteria.reason = Some(reason);
        self
    }

    /// Selects only the session with this token, compared byte by byte. A string that cannot be a token, such as the
    /// empty one, matches nothing and takes no query.
    ///
    /// With the default status, the query refuses every token that [`authenticate`](crate::Sessions::authenticate)
    /// refuses.
    pub fn token(mut self, token: impl AsRef<[u8]>) -> Self {
        self.criteria.by_token = true;
        let Some(digests) = self.operations.digests(token) else {
            self.criteria.matches_nothing = true;
            return self;
        };
        self.filter(Filter::new(move |bindings| {
            let any =
                digests.iter().fold(Condition::any(), |any, digest| any.add(has_digest(bindings, digest)));
            Ok(any)
        }))
    }

    /// Selects only sessions with data that equals this JSON as a whole. The order of keys does not matter.
    pub fn data(self, data: impl Into<T::Data>) -> Self {
        let data = StoredData::of(&data.into());
        self.filter(Filter::new(move |bindings| match &data {
            Ok(data) => Ok(data_equals(bindings, data).into_condition()),
            Err(error) => Err(Error::new(error.kind(), error.to_string())),
        }))
    }

    /// Sets which sessions to look at. Default [`Status::Valid`].
    pub fn status(mut self, status: Status) -> Self {
        self.criteria.status = status;
        self
    }

    /// Orders the sessions oldest first, in place of newest first.
    pub fn oldest_first(mut self) -> Self {
        self.criteria.order = SortOrder::OldestFirst;
        self
    }

    /// Orders by any sea-query expression. Call it again to add an expression that orders equal sessions.
    pub fn order_by(mut self, expr: impl Into<Expr>, order: Order) -> Self {
        let key = (expr.into(), order);
        match &mut self.criteria.order {
            SortOrder::By(keys) => keys.push(key),
            _ => self.criteria.order = SortOrder::By(vec![key]),
        }
        self
    }

    /// Limits the query to this many sessions.
    pub fn limit(mut self, limit: u64) -> Self {
        self.criteria.limit = Some(limit);
        self
    }

    /// Selects only sessions that come after `cursor` in the order of this query, newest or oldest first.
    ///
    /// The next page of a listing is the same query after the last session of this page:
    /// `….limit(20).after(last.cursor())`. With a filter on an indexed field, every page costs the same, however far
    /// down it is.
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.criteria.after = Some(cursor);
        self
    }

    /// Asks the primary, for a list that must show what was just done. Without a [`Replica`](crate::Replica) this has no
    /// effect: every query asks the one database there is.
    pub fn fresh(mut self) -> Self {
        self.criteria.is_fresh = true;
        self
    }

    /// Fetches, with each session, the row that it belongs to, has, or is joined with, in one more query. See [`ToOne`]
    /// and [`ToMany`].
    pub fn preload<R>(self, relation: impl Into<ToOne<T>>) -> Preload<'c, T, R, Option<R>> {
        Preload::one(self, relation.into())
    }

    /// Fetches, with each session, any number of related rows, in one more query; see [`preload`](Self::preload).
    pub fn preload_many<R>(self, relation: ToMany<T>) -> Preload<'c, T, R, Vec<R>> {
        Preload::many(self, relation)
    }

    /// Returns the one session that matches. A query by [`token`](Self::token) extends it if an extension is due, as
    /// `authenticate` does; any other only looks at it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if no session matches, [`MultipleSessions`](ErrorKind::MultipleSessions) if
    /// more than one does.
    pub async fn fetch_one(mut self) -> Result<Session<T>> {
        self.operations.call(Operation::Fetch).of(self.find_one()).await
    }

    pub(super) async fn find_one(&mut self) -> Result<Session<T>> {
        let found = self.find_optional().await?;
        found.ok_or_else(|| {
            let message = format!("no session of {} matches", self.operations.table());
            Error::new(ErrorKind::NotFound, message)
        })
    }

    /// Returns the session that matches, if there is one. A query by [`token`](Self::token) extends it if an extension is
    /// due, as `authenticate` does; any other only looks at it.
    ///
    /// # Errors
    ///
    /// [`MultipleSessions`](ErrorKind::MultipleSessions) if more than one session matches.
    pub async fn fetch_optional(mut self) -> Result<Option<Session<T>>> {
        self.operations.call(Operation::Fetch).finding(self.find_optional()).await
    }

    pub(super) async fn find_optional(&mut self) -> Result<Option<Session<T>>> {
        // A second row is enough to know that there is more than one.
        self.criteria.limit = Some(self.criteria.limit.map_or(2, |limit| Ord::min(limit, 2)));
        let now = self.operations.config().now();
        let Some(session) = self.fetch_sole(now).await? else {
            return Ok(None);
        };
        if !self.criteria.by_token {
            return Ok(Some(session));
        }
        let mut read = self.operations.extend_on_read(session).await?;
        if read.is_none() {
            let now = self.operations.config().now();
            read = self.fetch_sole(now).await?;
        }
        if let Some(session) = &read {
            self.operations.handle().note_use(session.id);
        }
        Ok(read)
    }

    async fn fetch_sole(&mut self, now: OffsetDateTime) -> Result<Option<Session<T>>> {
        let mut sessions = self.fetch_page(now).await?.sessions()?;
        if self.criteria.status == Status::Valid {
            // The query may have waited long for a connection.
            let now = Ord::max(now, self.operations.config().now());
            sessions.retain(|session| session.is_valid(now));
        }
        let found = sessions.pop();
        if !sessions.is_empty() {
            let message = format!("more than one session of {} matches", self.operations.table());
            return Err(Error::new(ErrorKind::MultipleSessions, message));
        }
        Ok(found)
    }

    /// Returns all sessions that match, in order. Extends none of them.
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) if a session that matches does not decode; [`fetch_each`](Self::fetch_each)
    /// returns the others.
    pub async fn fetch_all(mut self) -> Result<Vec<Session<T>>> {
        self.read_as_list();
        self.operations.call(Operation::Fetch).of(self.find_all()).await
    }

    pub(super) async fn find_all(&mut self) -> Result<Vec<Session<T>>> {
        let now = self.operations.config().now();
        self.fetch_page(now).await?.sessions()
    }

    /// Returns how many sessions match.
    pub async fn count(mut self) -> Result<u64> {
        self.read_as_list();
        self.operations.call(Operation::Count).of(self.count_rows()).await
    }

    async fn count_rows(&mut self) -> Result<u64> {
        if self.criteria.matches_nothing {
            return Ok(0);
        }
        let now = self.operations.config().now();
        let mut bindings = self.operations.bindings();
        let mut count = Query::select();
        count.expr(Expr::cust("COUNT(*)"));
        if self.criteria.limit.is_some() {
            let mut rows = self.selection(&mut bindings, now)?;
            rows.expr(Expr::cust("1"));
            count.from_subquery(rows, "counted");
        } else {
            let condition = self.condition(&mut bindings, now)?;
            count.from(self.operations.table_ref()).cond_where(condition);
        }
        let guard = self.operations.guard(&mut count);
        let statement = bindings.build(&count).guarded(guard);
        let row = self.operations.fetch_optional(&statement).await?;
        let count = row.map(|row| row.integer(0)).transpose();
        let count = count.map_err(|error| self.operations.failed(error))?.flatten().unwrap_or(0);
        Ok(count.unsigned_abs())
    }

    /// Returns `true` if any session matches.
    pub async fn exists(mut self) -> Result<bool> {
        self.read_as_list();
        self.operations.call(Operation::Exists).of(self.find_any()).await
    }

    async fn find_any(&mut self) -> Result<bool> {
        if self.criteria.matches_nothing || self.criteria.limit == Some(0) {
            return Ok(false);
        }
        let now = self.operations.config().now();
        let mut bindings = self.operations.bindings();
        let mut rows = self.selection(&mut bindings, now)?;
        rows.expr(Expr::cust("1")).limit(1);
        let guard = self.operations.guard(&mut rows);
        let statement = bindings.build(&rows).guarded(guard);
        Ok(self.operations.fetch_optional(&statement).await?.is_some())
    }

    /// Returns the query as a sea-query statement that selects the built-in columns, without the digest, and the
    /// fields. You can compose it further.
    ///
    /// "Now" is the instant of this call. The statement holds a [`token`](Self::token) as its digest, which sea-query's
    /// `Debug` and `to_string` show: keep such a statement out of logs.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) if a filter holds JSON or a value of the application's own type, which
    /// sea-query cannot hold: write that condition with sea-query's values.
    pub fn into_select(self) -> Result<SelectStatement> {
        let now = self.operations.config().now();
        let mut bindings = self.operations.bindings();
        let mut select = self.selection(&mut bindings, now)?;
        select_first_columns(&bindings, &mut select);
        portable(&bindings)?;
        Ok(select)
    }

    /// Returns the query as a sea-query statement that deletes the sessions that match. You can compose it further.
    /// Keep a statement with a [`token`](Self::token) out of logs, as with [`into_select`](Self::into_select).
    ///
    /// # Errors
    ///
    /// The same as those of [`into_select`](Self::into_select).
    pub fn into_delete(self) -> Result<sea_query::DeleteStatement> {
        let now = self.operations.config().now();
        let mut bindings = self.operations.bindings();
        let Targets { condition, order, limit } = self.targets(&mut bindings, now)?;
        portable(&bindings)?;
        let mut delete = Query::delete();
        delete.from_table(self.operations.table_ref()).cond_where(condition);
        for (key, direction) in order {
            delete.order_by_expr(key, direction);
        }
        limit.map(|limit| delete.limit(limit));
        Ok(delete)
    }

    /// Returns the same query on the same connection, for a shorter lifetime.
    pub(crate) fn reborrow(&mut self) -> SessionQuery<'_, T> {
        SessionQuery { operations: self.operations.reborrow(), criteria: self.criteria.clone() }
    }

    /// Reads from the standby, if there is one, unless the query is for a token or is to be fresh.
    fn read_as_list(&mut self) {
        if !self.criteria.by_token && !self.criteria.is_fresh {
            self.operations.read_from_standby();
        }
    }

    /// Returns the same query on another connection.
    fn on<'o>(&self, connection: Connection<'o>) -> SessionQuery<'o, T> {
        let operations = Operations::new(Arc::clone(self.operations.handle()), connection);
        SessionQuery { operations, criteria: self.criteria.clone() }
    }

    /// Returns the statement that selects the sessions that match at `now`.
    fn select_statement(&self, now: OffsetDateTime) -> Result<Statement> {
        let bindings = self.operations.bindings();
        let Some((shape, values)) = self.shape(&bindings, now) else {
            return self.written_select(bindings, now);
        };
        let known = self.operations.handle().store().statements_by_shape();
        if let Some(sql) = known.text(&shape) {
            return Ok(Statement::new(sql, values).guarded(shape.guard));
        }
        let statement = self.written_select(bindings, now)?;
        known.remember(shape, &values, &statement);
        Ok(statement)
    }

    fn written_select(&self, mut bindings: Bindings<'_>, now: OffsetDateTime) -> Result<Statement> {
        let mut order = self.order(&bindings);
        if self.orders_ties_itself() {
            order.truncate(1);
        }
        let mut select = self.selection_in(order, &mut bindings, now)?;
        select.expr(Expr::cust(self.operations.handle().store().columns().to_owned()));
        let guard = self.operations.guard(&mut select);
        Ok(bindings.build(&select).guarded(guard))
    }

    /// Returns `true` if the rows are read in the order of their instants alone, which an index has, and those of one
    /// instant are put into order afterwards, by `order_ties`. With a limit it matters which of them are read.
    fn orders_ties_itself(&self) -> bool {
        let is_by_age = !matches!(self.criteria.order, SortOrder::By(_));
        is_by_age
            && self.criteria.limit.is_none()
            && !self.operations.handle().backend().dialect().indexes_end_with_the_id()
    }

    /// Builds the statement without its columns.
    fn selection(&self, bindings: &mut Bindings<'_>, now: OffsetDateTime) -> Result<SelectStatement> {
        self.selection_in(self.order(bindings), bindings, now)
    }

    fn selection_in(
        &self,
        order: Vec<(Expr, Order)>,
        bindings: &mut Bindings<'_>,
        now: OffsetDateTime,
    ) -> Result<SelectStatement> {
        let mut select = Query::select();
        select.from(self.operations.table_ref()).cond_where(self.condition(bindings, now)?);
        for (key, order) in order {
            select.order_by_expr(key, order);
        }
        if let Some(limit) = self.criteria.limit {
            select.limit(limit);
        }
        Ok(select)
    }

    /// Returns what the sessions are ordered by.
    fn order(&self, bindings: &Bindings<'_>) -> Vec<(Expr, Order)> {
        match &self.criteria.order {
            SortOrder::NewestFirst | SortOrder::OldestFirst => {
                let order = if self.is_newest_first() { Order::Desc } else { Order::Asc };
                let key = |name| (bindings.column(name), order.clone());
                vec![key(column::INSERTED_AT), key(column::ID)]
            }
            SortOrder::By(keys) => keys.clone(),
        }
    }

    fn condition(&self, bindings: &mut Bindings<'_>, now: OffsetDateTime) -> Result<Condition> {
        let mut condition = Condition::all();
        if self.criteria.matches_nothing {
            condition = condition.add(Expr::cust("1 = 0"));
        }
        for filter in &self.criteria.filters {
            condition = condition.add(filter.resolve(bindings)?);
        }
        let status = self.criteria.status;
        let lifetime = self.operations.config().max_lifetime();
        let is_of_age = is_of_age(bindings, status, lifetime, now);
        if let Some(has_status) = has_status(bindings, status, FieldValue::plain(now)) {
            condition = condition.add(match (status, is_of_age) {
                (Status::Expired, Some(is_of_age)) => Condition::any().add(has_status).add(is_of_age),
                (_, Some(is_of_age)) => Condition::all().add(has_status).add(is_of_age),
                (_, None) => has_status,
            });
        }
        if self.criteria.by_token && status == Status::Valid {
            condition = condition.add_option(is_good(bindings, now));
        }
        if let Some(cursor) = self.criteria.after {
            condition = condition.add(self.after_condition(bindings, cursor)?);
        }
        Ok(condition)
    }

    /// Returns `(inserted_at, id) < (…)`, written so that every database uses an index on `inserted_at`.
    fn after_condition(&self, bindings: &mut Bindings<'_>, cursor: Cursor) -> Result<Condition> {
        if matches!(self.criteria.order, SortOrder::By(_)) {
            return Err(not_pageable());
        }
        let mut instant = || bindings.expr(FieldValue::plain(cursor.inserted_at));
        let (bound, tie) = (instant(), instant());
        let id = bindings.expr(FieldValue::plain(cursor.id));
        let (inserted_at, id_column) = (bindings.column(column::INSERTED_AT), bindings.column(column::ID));
        let (bounded, differs, follows) = if self.is_newest_first() {
            (inserted_at.clone().lte(bound), inserted_at.lt(tie), id_column.lt(id))
        } else {
            (inserted_at.clone().gte(bound), inserted_at.gt(tie), id_column.gt(id))
        };
        Ok(Condition::all().add(bounded).add(Condition::any().add(differs).add(follows)))
    }

    fn is_newest_first(&self) -> bool {
        !matches!(self.criteria.order, SortOrder::OldestFirst)
    }

    /// Returns which rows an UPDATE or DELETE writes. Not every database allows a limit there, so a limited statement
    /// names the rows by id.
    fn targets(&self, bindings: &mut Bindings<'_>, now: OffsetDateTime) -> Result<Targets> {
        let condition = self.condition(bindings, now)?;
        let limit = self.criteria.limit;
        if limit.is_none() {
            return Ok(Targets { condition, order: Vec::new(), limit });
        }
        if bindings.backend().dialect().writes_in_order() {
            // A subquery would lock the rows that it reads twice, first for reading and then for writing. Two
            // statements that have done the first for one row wait for each other.
            return Ok(Targets { condition, order: self.order(bindings), limit });
        }
        let mut chosen = self.selection(bindings, now)?;
        chosen.expr(bindings.column(column::ID));
        let mut ids = Query::select();
        ids.column((identifier("chosen"), identifier(column::ID))).from_subquery(chosen, "chosen");
        // The condition is added once more for PostgreSQL: it waits for a transaction that is writing a chosen row, and
        // then checks the row's new state with the outer condition alone.
        let is_chosen = bindings.column(column::ID).in_subquery(ids);
        let condition = Condition::all().add(is_chosen).add(condition);
        Ok(Targets { condition, order: Vec::new(), limit: None })
    }
}

/// The rows that an UPDATE or DELETE writes.
struct Targets {
    condition: Condition,
    order: Vec<(Expr, Order)>,
    limit: Option<u64>,
}

/// Returns the condition that a row holds this digest byte by byte, as [`TokenDigest::matches`] checks it after a read. A
/// table that another program made may compare without regard to case or to spaces at the end.
fn has_digest(bindings: &mut Bindings<'_>, digest: &TokenDigest) -> Condition {
    let column = || bindings.column(column::DIGEST);
    let (stored, bytes) = (column(), column());
    let mut text = || bindings.expr(FieldValue::plain(digest.expose()));
    let is_it = stored.eq(text());
    let twice = [text(), text()];
    Condition::all().add(is_it).add(bindings.backend().dialect().has_bytes(bytes, twice))
}

/// Returns the condition that a session's token is good at `now`, if sessions of the table can be bound to a device. It
/// agrees with [`binding::is_past`].
fn is_good(bindings: &mut Bindings<'_>, now: OffsetDateTime) -> Option<Condition> {
    if !bindings.table().binds_devices() {
        return None;
    }
    let until = || bindings.column(column::DEVICE_TOKEN_UNTIL);
    let (is_not_bound, until) = (until().is_null(), until());
    let now = bindings.expr(FieldValue::plain(binding::earliest(now)));
    Some(Condition::any().add(is_not_bound).add(until.gt(now)))
}

fn data_equals(bindings: &mut Bindings<'_>, data: &StoredData) -> Expr {
    let column = bindings.column(column::DATA);
    let value = bindings.expr(data.to_field_value());
    bindings.backend().dialect().is_json(column, value)
}

fn not_pageable() -> Error {
    Error::new(ErrorKind::Unsupported, "a query can be read page by page only newest first or oldest first")
}

fn portable(bindings: &Bindings<'_>) -> Result<()> {
    if bindings.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "a filter holds a value that sea-query has no form for; write that condition with sea-query's own values",
    ))
}

impl<T: SessionFields> fmt::Debug for SessionQuery<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionQuery")
            .field("table", &format_args!("{}", self.operations.table()))
            .field("filters", &self.criteria.filters.len())
            .field("status", &self.criteria.status)
            .field("limit", &self.criteria.limit)
            .finish_non_exhaustive()
    }
}
