use std::fmt;
use std::sync::{Mutex, PoisonError};

use sea_query::{Expr, ExprTrait, Query, TableRef};
use time::{Duration, OffsetDateTime};
use uuid::{ContextV7, Timestamp, Uuid};

use crate::config::Config;
use crate::data::StoredData;
use crate::database::{Backend, Bindings, Connection, Row, Statement, identifier};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry;
use crate::field::{FieldReader, FieldValue};
use crate::query::SessionQuery;
use crate::session::{CreatedSession, Expiry, NewSession, Session, Stored};
use crate::sessions::Sessions;
use crate::statements::{READ_COLUMNS, as_it_was_read, table_ref};
use crate::table::{SessionFields, TableDefinition, column};
use crate::token::{Token, TokenDigest};

/// How often an operation starts anew when others keep changing the row.
const ATTEMPTS: usize = 100;

/// How often an extension that lost to another write is tried again.
const LOST_RACES: usize = 5;

/// How many expired sessions one statement deletes.
pub(crate) const PRUNE_BATCH: u64 = 1_000;

/// The operations of [`Sessions`], on one connection: the caller's own transaction.
///
/// Made by [`Sessions::within`]. Every operation means what it means on [`Sessions`], and is undone when the
/// transaction is rolled back. One thing differs: an extension that cannot be written fails the read that
/// it came with, since the failed statement has spoilt the transaction.
///
/// ```
/// # use cloakroom::{Config, NewSession, SessionTable, Sessions};
/// # #[derive(Clone, SessionTable)]
/// # struct UserSession { user_id: String }
/// # async fn example(pool: sqlx::SqlitePool, sessions: Sessions<UserSession>) -> Result<(), Box<dyn std::error::Error>> {
/// let mut transaction = pool.begin().await?;
/// // … create the user …
/// let new = NewSession::new(UserSession { user_id: "1234".into() });
/// let created = sessions.within(&mut transaction).create(new).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct Operations<'c, T: SessionFields> {
    sessions: Sessions<T>,
    connection: Connection<'c>,
}

impl<T: SessionFields> fmt::Debug for Operations<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations")
            .field("sessions", &self.sessions)
            .field("connection", &self.connection)
            .finish()
    }
}

impl<'c, T: SessionFields> Operations<'c, T> {
    pub(crate) fn new(sessions: Sessions<T>, connection: Connection<'c>) -> Self {
        Self { sessions, connection }
    }

    /// See [`Sessions::create`].
    pub async fn create(&mut self, new: NewSession<T>) -> Result<CreatedSession<T>> {
        let config = self.config();
        let now = config.now();
        let (token, digest) = match new.token {
            Some(token) => {
                let digest = config.digest(&token).map_err(|error| {
                    Error::new(ErrorKind::InvalidField, "the imported token cannot be stored")
                        .with_source(error)
                })?;
                (token, digest)
            }
            None => config.generate_token().map_err(no_randomness)?,
        };
        let data = match &new.data {
            None => StoredData::empty(),
            Some(data) => match &*data.0 {
                Ok(data) => data.clone(),
                Err(error) => return Err(Error::new(error.kind(), error.to_string())),
            },
        };
        let expires_at = match new.expiry {
            Expiry::ByDefault => expiry::by_default(config, now),
            Expiry::At(instant) => Some(crate::clock::to_stored_precision(instant)),
            Expiry::In(span) => Some(crate::clock::to_stored_precision(expiry::later(now, span))),
            Expiry::Never => None,
        };
        let expires_at = expiry::capped(config, now, expires_at);
        let session = Session {
            id: new_id(now),
            fields: new.fields,
            data: data.parse()?,
            expires_at,
            inserted_at: now,
            updated_at: now,
            stored: Stored { expires_at, updated_at: now, data },
        };
        let mut values = vec![
            FieldValue::plain(session.id),
            FieldValue::plain(digest.expose()),
            session.stored.data.to_field_value(),
            FieldValue::plain(expires_at),
            FieldValue::plain(now),
            FieldValue::plain(now),
        ];
        values.extend(self.checked_values(&session.fields)?);
        let statement = Statement::new(self.sessions.statements().insert.clone(), values);
        self.execute(&statement).await?;
        Ok(CreatedSession { session, token })
    }

    /// See [`Sessions::authenticate`].
    pub async fn authenticate(&mut self, token: impl AsRef<[u8]>) -> Result<Option<Session<T>>> {
        let Some(digest) = self.digest(token) else {
            return Ok(None);
        };
        let now = self.config().now();
        let Some(session) = self.find_valid(&digest, now).await? else {
            return Ok(None);
        };
        match self.extend_on_read(session).await? {
            Some(session) => Ok(Some(session)),
            None => self.find_valid(&digest, self.config().now()).await,
        }
    }

    async fn find_valid(&mut self, digest: &TokenDigest, now: OffsetDateTime) -> Result<Option<Session<T>>> {
        let values = vec![FieldValue::plain(digest.expose()), FieldValue::plain(now)];
        let statement = Statement::new(self.sessions.statements().authenticate.clone(), values);
        let Some(row) = self.fetch_optional(&statement).await? else {
            return Ok(None);
        };
        let session = self.decode(&row)?;
        // The database decides by its own rules of comparison, which may ignore case; here there is one rule.
        let stored = row.text(self.digest_index()).map_err(|error| self.failed(error))?;
        // And the query may have waited long for a connection.
        let now = Ord::max(now, self.config().now());
        let is_found = stored.is_some_and(|stored| digest.matches(&stored)) && !is_over(&session, now);
        Ok(is_found.then_some(session))
    }

    /// See [`Sessions::query`].
    pub fn query(&mut self) -> SessionQuery<'_, T> {
        SessionQuery::new(self.reborrow())
    }

    /// See [`Sessions::reload`].
    pub async fn reload(&mut self, session: &mut Session<T>) -> Result<()> {
        *session = self.read(session.id).await?.ok_or_else(|| self.gone())?;
        Ok(())
    }

    /// See [`Sessions::update`].
    pub async fn update(&mut self, session: &mut Session<T>) -> Result<()> {
        let now = self.config().now();
        let expires_at = self.expiry_to_write(session);
        let values = self.checked_values(&session.fields)?;
        let data = session.stored.data.changed_to(&session.data)?;
        let is_moved = expires_at != session.stored.expires_at;
        if is_moved && is_over(session, now) && expiry::is_valid(expires_at, now) {
            return Err(self.not_brought_back(session).await?);
        }
        let updated_at = after(session.stored.updated_at, now);

        let mut bindings = self.bindings();
        let mut update = Query::update();
        update.table(self.table_ref());
        for (field, value) in self.table().fields.iter().zip(values) {
            update.value(identifier(&field.name), bindings.expr(value));
        }
        if let Some(data) = &data {
            update.value(column::DATA, bindings.expr(data.to_field_value()));
        }
        update.value(column::EXPIRES_AT, bindings.expr(FieldValue::plain(expires_at)));
        update.value(column::UPDATED_AT, bindings.expr(FieldValue::plain(updated_at)));
        update.cond_where(as_it_was_read(&mut bindings, session));
        let statement = bindings.build(&update);

        if self.execute(&statement).await? == 0 {
            return Err(match self.read(session.id).await? {
                None => self.gone(),
                Some(_) => changed(),
            });
        }
        session.expires_at = expires_at;
        session.updated_at = updated_at;
        session.stored.expires_at = expires_at;
        session.stored.updated_at = updated_at;
        if let Some(data) = data {
            session.stored.data = data;
        }
        Ok(())
    }

    /// See [`Sessions::update_with`].
    pub async fn update_with(
        &mut self,
        session: &mut Session<T>,
        mut change: impl FnMut(&mut Session<T>),
    ) -> Result<()> {
        let mut attempts = 0;
        loop {
            let mut changed = session.clone();
            change(&mut changed);
            match self.update(&mut changed).await {
                Err(error) if error.kind() == ErrorKind::Conflict && attempts < ATTEMPTS => {
                    attempts += 1;
                    self.reload(session).await?;
                }
                result => {
                    result?;
                    *session = changed;
                    return Ok(());
                }
            }
        }
    }

    /// See [`Sessions::extend`].
    pub async fn extend(&mut self, session: &mut Session<T>) -> Result<bool> {
        let now = self.config().now();
        for _ in 0..LOST_RACES {
            match self.due_extension(session, now) {
                Some(expires_at) if self.write_extension(session, expires_at, now).await? => return Ok(true),
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

    /// See [`Sessions::expire`].
    pub async fn expire(&mut self, session: &mut Session<T>) -> Result<bool> {
        let now = self.config().now();
        if !is_over(session, now) && self.write_end(session, now).await? {
            return Ok(true);
        }
        // Whoever wrote the row meanwhile, it ends; and the caller holds what it is now, so that no later
        // update undoes the other's write.
        let values = vec![
            FieldValue::plain(now),
            FieldValue::plain(now),
            FieldValue::plain(session.id),
            FieldValue::plain(now),
        ];
        let statement = Statement::new(self.sessions.statements().expire.clone(), values);
        let was_valid = self.execute(&statement).await? > 0;
        if self.read_end(session, now).await? && session.is_valid(now) {
            // It was ended by a clock that is ahead of this one, and need not wait for it.
            self.query().id(session.id).expire_all().await?;
            self.read_end(session, now).await?;
        }
        Ok(was_valid)
    }

    /// Reads the session again; whether it is still there. What is gone is no longer valid either, and must
    /// not say that it is.
    async fn read_end(&mut self, session: &mut Session<T>, now: OffsetDateTime) -> Result<bool> {
        let read = self.read(session.id).await?;
        let is_there = read.is_some();
        if let Some(read) = read {
            *session = read;
        } else if session.is_valid(now) {
            session.expires_at = Some(now);
            session.stored.expires_at = session.expires_at;
        }
        Ok(is_there)
    }

    /// Ends the session, if the row is still as it was read; whether it was.
    async fn write_end(&mut self, session: &mut Session<T>, now: OffsetDateTime) -> Result<bool> {
        let updated_at = after(session.stored.updated_at, now);
        let mut bindings = self.bindings();
        let mut update = Query::update();
        update
            .table(self.table_ref())
            .value(column::EXPIRES_AT, bindings.expr(FieldValue::plain(now)))
            .value(column::UPDATED_AT, bindings.expr(FieldValue::plain(updated_at)))
            .cond_where(as_it_was_read(&mut bindings, session));
        let statement = bindings.build(&update);
        let is_written = self.execute(&statement).await? > 0;
        if is_written {
            session.expires_at = Some(now);
            session.updated_at = updated_at;
            session.stored.expires_at = session.expires_at;
            session.stored.updated_at = updated_at;
        }
        Ok(is_written)
    }

    /// See [`Sessions::rotate`].
    pub async fn rotate(&mut self, session: &mut Session<T>) -> Result<Token> {
        let now = self.config().now();
        if is_over(session, now) {
            return Err(self.not_brought_back(session).await?);
        }
        let (token, digest) = self.config().generate_token().map_err(no_randomness)?;
        let updated_at = after(session.stored.updated_at, now);
        let mut bindings = self.bindings();
        let mut update = Query::update();
        update
            .table(self.table_ref())
            .value(column::DIGEST, bindings.expr(FieldValue::plain(digest.expose())))
            .value(column::UPDATED_AT, bindings.expr(FieldValue::plain(updated_at)))
            .cond_where(as_it_was_read(&mut bindings, session));
        let statement = bindings.build(&update);
        if self.execute(&statement).await? == 0 {
            return Err(match self.read(session.id).await? {
                None => self.gone(),
                Some(_) => changed(),
            });
        }
        session.updated_at = updated_at;
        session.stored.updated_at = updated_at;
        Ok(token)
    }

    /// See [`Sessions::delete`].
    pub async fn delete(&mut self, session: Session<T>) -> Result<bool> {
        let mut bindings = self.bindings();
        let mut delete = Query::delete();
        let id = bindings.expr(FieldValue::plain(session.id));
        delete.from_table(self.table_ref()).and_where(bindings.column(column::ID).eq(id));
        let statement = bindings.build(&delete);
        Ok(self.execute(&statement).await? > 0)
    }

    /// See [`Sessions::delete_expired`].
    pub async fn delete_expired(&mut self) -> Result<u64> {
        let mut total = 0;
        loop {
            let deleted = self.delete_expired_batch(PRUNE_BATCH).await?;
            total += deleted;
            if deleted < PRUNE_BATCH {
                return Ok(total);
            }
            // A long prune must not keep other tasks of this thread waiting.
            tokio::task::yield_now().await;
        }
    }

    /// Deletes the `limit` sessions that expired first; how many there were.
    pub(crate) async fn delete_expired_batch(&mut self, limit: u64) -> Result<u64> {
        let now = self.config().now();
        let mut bindings = self.bindings();
        let is_expired = bindings.column(column::EXPIRES_AT).lte(bindings.expr(FieldValue::plain(now)));
        let mut delete = Query::delete();
        delete.from_table(self.table_ref());
        if self.connection.backend() == Backend::MySql {
            delete.and_where(is_expired);
            delete.order_by_expr(bindings.column(column::EXPIRES_AT), sea_query::Order::Asc).limit(limit);
        } else {
            let mut first = Query::select();
            first
                .expr(bindings.column(column::ID))
                .from(self.table_ref())
                .and_where(is_expired)
                .order_by_expr(bindings.column(column::EXPIRES_AT), sea_query::Order::Asc)
                .limit(limit);
            let id = bindings.column(column::ID);
            if self.connection.backend() == Backend::Postgres {
                // Another pruner's rows are its own affair.
                first.lock_with_behavior(sea_query::LockType::Update, sea_query::LockBehavior::SkipLocked);
                // As an array the ids are looked up one by one; of a list the planner may make a join that
                // reads the whole table.
                let first = Expr::from(sea_query::SubQueryStatement::from(first));
                delete.and_where(Expr::cust_with_exprs("$1 = ANY (ARRAY $2)", [id, first]));
            } else {
                delete.and_where(id.in_subquery(first));
            }
        }
        let statement = bindings.build(&delete);
        self.execute(&statement).await
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
        match self.write_extension(&mut session, expires_at, now).await {
            Ok(is_written) => Ok(is_written.then_some(session)),
            Err(error) if self.connection.is_pool() => {
                tracing::warn!(
                    table = %self.table(),
                    session = %session.id,
                    error = &error as &dyn std::error::Error,
                    "a session was read but its extension could not be written",
                );
                Ok(Some(session))
            }
            Err(error) => Err(error),
        }
    }

    fn due_extension(&self, session: &Session<T>, now: OffsetDateTime) -> Option<OffsetDateTime> {
        if is_over(session, now) {
            return None;
        }
        expiry::due_extension(self.config(), now, session.inserted_at, session.stored.expires_at)
    }

    /// Moves the expiry, if the row is still as it was read; whether it was.
    async fn write_extension(
        &mut self,
        session: &mut Session<T>,
        expires_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let updated_at = after(session.stored.updated_at, now);
        let values = vec![
            FieldValue::plain(expires_at),
            FieldValue::plain(updated_at),
            FieldValue::plain(session.id),
            FieldValue::plain(session.stored.updated_at),
            FieldValue::plain(session.stored.expires_at),
        ];
        let statement = Statement::new(self.sessions.statements().extend.clone(), values);
        let is_written = self.execute(&statement).await? > 0;
        if is_written {
            session.expires_at = Some(expires_at);
            session.updated_at = updated_at;
            session.stored.expires_at = session.expires_at;
            session.stored.updated_at = updated_at;
        }
        Ok(is_written)
    }

    /// What an update writes as the expiry: what the caller set, within the absolute lifetime.
    fn expiry_to_write(&self, session: &Session<T>) -> Option<OffsetDateTime> {
        let expires_at = session.expires_at.map(crate::clock::to_stored_precision);
        if expires_at == session.stored.expires_at {
            return expires_at;
        }
        expiry::capped(self.config(), session.inserted_at, expires_at)
    }

    /// Why a session that is over, as far as the caller knows, is not written as if it were not.
    async fn not_brought_back(&mut self, session: &Session<T>) -> Result<Error> {
        Ok(match self.read(session.id).await? {
            None => self.gone(),
            Some(row) if row.updated_at != session.stored.updated_at => changed(),
            Some(_) => expired(),
        })
    }

    async fn read(&mut self, id: Uuid) -> Result<Option<Session<T>>> {
        let statement = Statement::new(self.sessions.statements().by_id.clone(), vec![FieldValue::plain(id)]);
        let row = self.fetch_optional(&statement).await?;
        row.map(|row| self.decode(&row)).transpose()
    }

    /// The fields' values, with none missing where one is required.
    fn checked_values(&self, fields: &T) -> Result<Vec<FieldValue>> {
        let values = fields.to_values();
        for (field, value) in self.table().fields.iter().zip(&values) {
            if !field.nullable {
                value.check_required(&field.name)?;
            }
        }
        Ok(values)
    }

    pub(crate) fn decode(&self, row: &Row) -> Result<Session<T>> {
        let table = self.table();
        let read = |index: usize, error: sqlx::Error| {
            let message =
                format!("the column {} of {table} does not hold what it should", READ_COLUMNS[index]);
            Error::new(ErrorKind::Decode, message).with_source(error)
        };
        let absent = |index: usize| read(index, sqlx::Error::Decode("unexpected null".into()));
        let instant = |index: usize| row.timestamp(index).map_err(|error| read(index, error));
        let data = row.json(1).map_err(|error| read(1, error))?.ok_or_else(|| absent(1))?;
        let data = StoredData::from_database(data);
        let expires_at = instant(2)?;
        let updated_at = instant(4)?.ok_or_else(|| absent(4))?;
        Ok(Session {
            id: row.uuid(0).map_err(|error| read(0, error))?,
            fields: T::from_row(&FieldReader::new(row, table, READ_COLUMNS.len()))?,
            data: data.parse()?,
            expires_at,
            inserted_at: instant(3)?.ok_or_else(|| absent(3))?,
            updated_at,
            stored: Stored { expires_at, updated_at, data },
        })
    }

    /// The digest under which a session with this token is stored; `None` where no session can have it.
    pub(crate) fn digest(&self, token: impl AsRef<[u8]>) -> Option<TokenDigest> {
        let digest = self.config().digest(token).ok()?;
        // MariaDB's column is ASCII, and refuses even to be compared with anything else.
        (self.connection.backend() != Backend::MySql || digest.expose().is_ascii()).then_some(digest)
    }

    fn digest_index(&self) -> usize {
        READ_COLUMNS.len() + self.table().fields.len()
    }

    pub(crate) async fn fetch_all(&mut self, statement: &Statement) -> Result<Vec<Row>> {
        let rows = self.connection.fetch_all(statement).await;
        rows.map_err(|error| self.failed(error))
    }

    pub(crate) async fn fetch_optional(&mut self, statement: &Statement) -> Result<Option<Row>> {
        let row = self.connection.fetch_optional(statement).await;
        row.map_err(|error| self.failed(error))
    }

    pub(crate) async fn execute(&mut self, statement: &Statement) -> Result<u64> {
        let affected = self.connection.execute(statement).await;
        affected.map_err(|error| self.failed(error))
    }

    pub(crate) fn failed(&self, error: sqlx::Error) -> Error {
        Error::from_sqlx(error, &self.table().to_string())
    }

    fn gone(&self) -> Error {
        Error::new(ErrorKind::NotFound, format!("the session is no longer in {}", self.table()))
    }

    pub(crate) fn reborrow(&mut self) -> Operations<'_, T> {
        Operations { sessions: self.sessions.clone(), connection: self.connection.reborrow() }
    }

    pub(crate) fn connection(&mut self) -> &mut Connection<'c> {
        &mut self.connection
    }

    pub(crate) fn config(&self) -> &Config {
        self.sessions.config()
    }

    pub(crate) fn table(&self) -> &TableDefinition {
        self.sessions.definition()
    }

    pub(crate) fn table_ref(&self) -> TableRef {
        table_ref(self.table())
    }

    pub(crate) fn bindings(&self) -> Bindings<'_> {
        Bindings::new(self.table(), self.connection.backend())
    }
}

/// `now`, or the instant after `previous` where the clock has not moved past it.
fn after(previous: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
    Ord::max(now, previous.saturating_add(Duration::MICROSECOND))
}

/// A UUID of version 7 for a row created at `now`; those of one instant are in order too.
fn new_id(now: OffsetDateTime) -> Uuid {
    static CONTEXT: Mutex<ContextV7> = Mutex::new(ContextV7::new());
    let context = CONTEXT.lock().unwrap_or_else(PoisonError::into_inner);
    // Instants before 1970 have no place in a UUID.
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.nanosecond()))
}

/// Whether the session has expired, or had when it was last written: a clock that lags behind the one which
/// ended it, that of another machine perhaps, neither accepts it nor brings it back.
fn is_over<T: SessionFields>(session: &Session<T>, now: OffsetDateTime) -> bool {
    !expiry::is_valid(session.stored.expires_at, Ord::max(now, session.stored.updated_at))
}

fn changed() -> Error {
    Error::new(ErrorKind::Conflict, "the session was changed since it was read")
}

fn expired() -> Error {
    Error::new(ErrorKind::Expired, "the session has expired, and an expired session is not brought back")
}

fn no_randomness(error: crate::TokenError) -> Error {
    Error::new(ErrorKind::Unavailable, "a token could not be generated").with_source(error)
}
