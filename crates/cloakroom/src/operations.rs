use std::fmt;
use std::sync::{Mutex, PoisonError};

use sea_query::{ExprTrait, Query, SelectStatement, TableRef, UpdateStatement};
use time::OffsetDateTime;
use uuid::{ContextV7, Timestamp, Uuid};

use crate::config::Config;
use crate::database::{
    Bindings, Connection, Guard, Row, Statement, guard_rows, identifier, place_of_condition,
};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::expiry;
use crate::field::FieldValue;
use crate::found::Found;
use crate::guarded::{Effect, is_over};
use crate::lookup::Revoked;
use crate::query::SessionQuery;
use crate::session::{CreatedSession, Expiry, NewSession, Session, SessionRow, Stored};
use crate::sessions::Sessions;
use crate::statements::{Head, read_session, table_ref};
use crate::table::{FieldDefinition, SessionFields, TableDefinition, column};
use crate::token::{Token, TokenDigest};
use crate::writers::Waits;

/// How often an operation starts anew when others keep changing the row.
const ATTEMPTS: usize = 100;

/// How often an extension that lost to another write is tried again.
const LOST_RACES: usize = 5;

/// Whether to read a session is to use it.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    /// It is extended, where the configuration says so and it is due.
    Extends,
    /// It stays as it is.
    Leaves,
}

/// The operations of [`Sessions`], on one connection: the caller's own transaction.
///
/// Made by [`Sessions::within`]. Every operation means what it means on [`Sessions`], and is undone when the
/// transaction is rolled back. If no transaction is open, it does nothing and fails with
/// [`NoTransaction`](ErrorKind::NoTransaction). One thing more differs: an extension that cannot be written fails the read that
/// it came with, since the failed statement has spoilt the transaction.
///
/// ```
/// # use cloakroom::{Config, NewSession, SessionTable, Sessions};
/// # #[derive(Clone, SessionTable)]
/// # struct UserSession { user_id: String }
/// # async fn example(sessions: Sessions<UserSession>) -> Result<(), Box<dyn std::error::Error>> {
/// let mut transaction = sessions.begin().await?;
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
        let data = (*new.data.0).clone()?;
        let expires_at = match new.expiry {
            Expiry::ByDefault => expiry::by_default(config, now),
            Expiry::At(instant) => Some(crate::clock::to_stored_precision(instant)),
            Expiry::In(span) => Some(crate::clock::to_stored_precision(expiry::later(now, span))),
            Expiry::Never => None,
        };
        let expires_at = expiry::capped(config, now, expires_at);
        let mut fields = new.fields;
        fields.truncate_instants();
        let session = Session::from(SessionRow {
            id: new_id(now),
            fields,
            data: data.parse_given()?,
            expires_at,
            inserted_at: now,
            updated_at: now,
            stored: Stored { expires_at, updated_at: now, data, fields: None },
        });
        let mut values = vec![
            FieldValue::plain(session.id),
            FieldValue::plain(digest.expose()),
            session.stored.data.to_field_value(),
            FieldValue::plain(expires_at),
            FieldValue::plain(now),
            FieldValue::plain(now),
        ];
        let max_batch = config.max_batch();
        let (fields, may_change) = self.fitting_values(&session.fields).await?;
        values.extend(fields);
        if self.connection.is_pool() && !is_large(&values, max_batch) {
            self.sessions.lookup().insert(values).await?;
        } else {
            let statement = Statement::new(self.sessions.store().insert_sql(1), values);
            self.execute(&statement).await?;
        }
        let mut session = session;
        if may_change {
            self.read_back(&mut session).await?;
        }
        Ok(CreatedSession { session, token })
    }

    /// See [`Sessions::authenticate`]. Inside a transaction the database is always asked.
    pub async fn authenticate(&mut self, token: impl AsRef<[u8]>) -> Result<Option<Session<T>>> {
        match self.digest(token) {
            Some(digest) => self.authenticate_digest(digest, Use::Extends).await,
            None => Ok(None),
        }
    }

    /// See [`Sessions::authenticate_without_extending`].
    pub async fn authenticate_without_extending(
        &mut self,
        token: impl AsRef<[u8]>,
    ) -> Result<Option<Session<T>>> {
        match self.digest(token) {
            Some(digest) => self.authenticate_digest(digest, Use::Leaves).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn authenticate_digest(
        &mut self,
        digest: TokenDigest,
        how: Use,
    ) -> Result<Option<Session<T>>> {
        let session = match (self.find_valid(&digest).await?, how) {
            (Some(session), Use::Extends) => session,
            (found, _) => return Ok(found),
        };
        match self.extend_on_read(session).await? {
            Some(session) => Ok(Some(session)),
            None => self.find_valid(&digest).await,
        }
    }

    async fn find_valid(&mut self, digest: &TokenDigest) -> Result<Option<Session<T>>> {
        let now = self.config().now();
        let found = if self.connection.is_pool() {
            self.sessions.lookup().find(digest).await?
        } else {
            let values = vec![FieldValue::plain(digest.expose()), FieldValue::plain(now)];
            let statement = self.sessions.store().find(1, values, true);
            self.fetch_optional(&statement).await?.map(Found::alone)
        };
        let Some(found) = found else {
            return Ok(None);
        };
        // And the query may have waited long for a connection.
        let now = Ord::max(now, self.config().now());
        found.session(digest, self.table(), now)
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
        let changed = self.changed_values(session)?;
        let may_change = self.fit(&changed).await?;
        let data = session.stored.data.changed_to(&session.data)?;
        let is_moved = expires_at != session.stored.expires_at;
        if is_moved && is_over(session, now) && expiry::is_valid(expires_at, now) {
            return Err(self.not_brought_back(session).await?);
        }
        let names: Vec<_> = self.table().fields.iter().map(|field| field.name.clone()).collect();
        let set = |update: &mut UpdateStatement, bindings: &mut Bindings<'_>| {
            for (name, value) in names.into_iter().zip(changed) {
                if let Some(value) = value {
                    update.value(identifier(&name), bindings.stored_in(&name, value));
                }
            }
            if let Some(data) = &data {
                update.value(column::DATA, bindings.expr(data.to_field_value()));
            }
        };
        if !self.write(session, now, expires_at, Effect::Revokes, set).await? {
            return Err(self.lost(session).await?);
        }
        let row = session.row_mut();
        row.fields.truncate_instants();
        row.expires_at = expires_at;
        row.stored.fields = None;
        if let Some(data) = data {
            row.stored.data = data;
        }
        if may_change {
            self.read_back(session).await?;
        }
        Ok(())
    }

    /// Reads what was written just now, since the database may have stored something else: the number that is nearest, or
    /// what text says in other words. If others have written the row since, it stays as it was written.
    async fn read_back(&mut self, session: &mut Session<T>) -> Result<()> {
        match self.read(session.id).await.map_err(|error| error.with_outcome(Outcome::Done))? {
            Some(read) if read.updated_at == session.updated_at => *session = read,
            _ => {}
        }
        Ok(())
    }

    /// Of each field its value, if that is not what was read of it.
    fn changed_values(&self, session: &Session<T>) -> Result<Vec<Option<FieldValue>>> {
        let Some(read) = &session.stored.fields else {
            return Ok(Vec::new());
        };
        let values_of = |fields: &T| {
            let mut fields = fields.clone();
            fields.truncate_instants();
            fields.to_values()
        };
        let pairs = values_of(read).into_iter().zip(values_of(&session.fields));
        let fields = self.table().fields.iter().zip(pairs);
        let changed = fields.map(|(field, (before, after))| {
            let is_changed = !after.is_same(&before);
            is_changed.then(|| self.checked_value(field, after)).transpose()
        });
        changed.collect()
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

    /// See [`Sessions::expire`].
    pub async fn expire(&mut self, session: &mut Session<T>) -> Result<bool> {
        let now = self.config().now();
        if !is_over(session, now) && self.write_expiry(session, now, now, Effect::Revokes).await? {
            return Ok(true);
        }
        // Whoever wrote the row meanwhile, it ends; and the caller holds what it is now, so that no later
        // update undoes the other's write.
        let was_valid = self.expire_by_id(session.id, now).await?;
        self.read_end(session, now).await.map_err(|error| error.with_outcome(Outcome::Done))?;
        Ok(was_valid)
    }

    /// Reads the session that has ended again. What is gone is no longer valid either, nor is what no longer
    /// decodes, and neither must say that it is; it stays as it was read, so that no update overwrites the row.
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

    /// See [`Sessions::rotate`].
    pub async fn rotate(&mut self, session: &mut Session<T>) -> Result<Token> {
        let now = self.config().now();
        if is_over(session, now) {
            return Err(self.not_brought_back(session).await?);
        }
        self.check_writes().await?;
        let (token, digest) = self.config().generate_token().map_err(no_randomness)?;
        let set = |update: &mut UpdateStatement, bindings: &mut Bindings<'_>| {
            update.value(column::DIGEST, bindings.expr(FieldValue::plain(digest.expose())));
        };
        if !self.write(session, now, session.stored.expires_at, Effect::Revokes, set).await? {
            return Err(self.lost(session).await?);
        }
        Ok(token)
    }

    /// See [`Sessions::delete`].
    pub async fn delete(&mut self, session: Session<T>) -> Result<bool> {
        let mut bindings = self.bindings();
        let mut delete = Query::delete();
        let id = bindings.expr(FieldValue::plain(session.id));
        delete
            .from_table(self.table_ref())
            .and_where(bindings.column(column::ID).eq(id))
            .and_where_option(place_of_condition(bindings.backend()));
        let statement = bindings.build(&delete);
        Ok(self.execute_revoking(statement, Revoked::Session(session.id)).await? > 0)
    }

    async fn read(&mut self, id: Uuid) -> Result<Option<Session<T>>> {
        let row = self.read_row(id).await?;
        row.map(|row| self.decode(&row)).transpose()
    }

    /// When the session was last written, if it is there; whether or not the rest of it decodes.
    pub(crate) async fn last_written(&mut self, id: Uuid) -> Result<Option<OffsetDateTime>> {
        let row = self.read_row(id).await?;
        row.map(|row| Ok(Head::read(self.table(), &row, 0)?.updated_at)).transpose()
    }

    async fn read_row(&mut self, id: Uuid) -> Result<Option<Row>> {
        let statement = self.sessions.store().by_id(id, self.connection.is_pool());
        self.fetch_optional(&statement).await
    }

    /// The fields' values, with none missing where one is required.
    pub(crate) fn checked_values(&self, fields: &T) -> Result<Vec<FieldValue>> {
        let fitted = self.table().fields.iter().zip(fields.to_values());
        fitted.map(|(field, value)| self.checked_value(field, value)).collect()
    }

    /// A field's value as it is bound, unless it is missing where one is required.
    fn checked_value(&self, field: &FieldDefinition, value: FieldValue) -> Result<FieldValue> {
        if !field.nullable {
            value.check_required(&field.name)?;
        }
        Ok(match &field.foreign[self.connection.backend() as usize] {
            Some(foreign) => foreign.bound(value),
            None => value,
        })
    }

    /// The digest under which a session with this token is stored; `None` where no session can have it.
    pub(crate) fn digest(&self, token: impl AsRef<[u8]>) -> Option<TokenDigest> {
        self.sessions.store().hash(token.as_ref()).map(|hashed| hashed.digest())
    }

    pub(crate) async fn fetch_all(&mut self, statement: &Statement) -> Result<Vec<Row>> {
        let rows = self.connection.fetch_all(statement).await;
        rows.map_err(|error| self.failed(error).with_outcome(Outcome::NotDone))
    }

    pub(crate) async fn fetch_optional(&mut self, statement: &Statement) -> Result<Option<Row>> {
        let row = self.connection.fetch_optional(statement).await;
        row.map_err(|error| self.failed(error).with_outcome(Outcome::NotDone))
    }

    pub(crate) async fn execute(&mut self, statement: &Statement) -> Result<u64> {
        if self.connection.is_any_of_pool() {
            let store = self.sessions.store();
            let mut writing = store.acquire_to_write(Waits::ForLocks, store.until()).await?;
            return store.execute(writing.connection.connection(), statement).await;
        }
        let affected = self.connection.execute(statement).await;
        affected.map_err(|error| self.failed(error))
    }

    /// Has each row of `select` tell, on the pool, whether the statement was a transaction of its own.
    pub(crate) fn guard(&self, select: &mut SelectStatement) -> Guard {
        if self.connection.is_pool() { guard_rows(self.connection.backend(), select) } else { Guard::None }
    }

    pub(crate) fn decode(&self, row: &Row) -> Result<Session<T>> {
        read_session(self.table(), row)
    }

    pub(crate) fn failed(&self, error: sqlx::Error) -> Error {
        Error::from_sqlx(error, &self.table().to_string())
    }

    pub(crate) fn reborrow(&mut self) -> Operations<'_, T> {
        Operations { sessions: self.sessions.clone(), connection: self.connection.reborrow() }
    }

    pub(crate) fn connection(&mut self) -> &mut Connection<'c> {
        &mut self.connection
    }

    pub(crate) fn sessions(&self) -> &Sessions<T> {
        &self.sessions
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

/// A UUID of version 7 for a row created at `now`; those of one instant are in order too.
pub(crate) fn new_id(now: OffsetDateTime) -> Uuid {
    static CONTEXT: Mutex<ContextV7> = Mutex::new(ContextV7::new());
    let context = CONTEXT.lock().unwrap_or_else(PoisonError::into_inner);
    // Instants before 1970 have no place in a UUID.
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.nanosecond()))
}

/// The most that the rows of one statement may hold. MariaDB takes no packet above 16 MiB by default.
pub(crate) const MAX_STATEMENT: usize = 4 * 1024 * 1024;

/// Whether a row holds too much to share a statement with as many like it as there may be.
fn is_large(values: &[FieldValue], max_batch: usize) -> bool {
    const MAX_SHARED_ROW: usize = 16 * 1024;
    values.iter().map(FieldValue::size).sum::<usize>() > (MAX_STATEMENT / max_batch).min(MAX_SHARED_ROW)
}

fn no_randomness(error: crate::TokenError) -> Error {
    Error::new(ErrorKind::Unavailable, "a token could not be generated").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_share_a_statement_fit_into_one_packet() {
        for max_batch in [1, 2, 256, 1024, 4096] {
            let row = |length: usize| vec![FieldValue::plain("x".repeat(length))];
            let longest =
                (0..=1 << 20).step_by(512).take_while(|length| !is_large(&row(*length), max_batch)).last();
            let longest = longest.unwrap();
            assert!(longest >= 1024, "{longest} for {max_batch}");
            assert!(longest * max_batch <= MAX_STATEMENT, "{longest} for {max_batch}");
        }
    }
}
