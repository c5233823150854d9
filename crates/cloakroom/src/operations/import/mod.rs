//! Importing sessions that another system has made.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::Operations;
use super::call::bounded;
use super::create::{MAX_STATEMENT, new_id};
use crate::clock::to_stored_precision;
use crate::database::{FieldValue, MAX_PLACEHOLDERS, Statement};
use crate::error::{Error, ErrorKind, Result};
use crate::observe::Operation;
use crate::session::{NewSession, expiry};
use crate::table::{BUILT_IN_COLUMNS, NewRow, SessionFields};
use crate::token::{Token, TokenDigest};

/// The most rows that one statement inserts.
const MOST_ROWS: usize = 256;

/// A session that another system of your own has made and for which a client holds the token. Pass it to
/// [`Sessions::import`](crate::Sessions::import).
///
/// The code that makes an `ImportedSession` decides which token becomes valid: never make one from what a client sent.
#[derive(Clone, Debug)]
#[must_use]
pub struct ImportedSession<T: SessionFields> {
    new: NewSession<T>,
    secret: Secret,
    id: Option<Uuid>,
    inserted_at: Option<OffsetDateTime>,
}

#[derive(Clone, Debug)]
enum Secret {
    Token(Token),
    Digest(TokenDigest),
}

impl<T: SessionFields> ImportedSession<T> {
    /// Makes a session from its token. The database stores the token's digest.
    pub fn with_token(new: NewSession<T>, token: Token) -> Self {
        Self { new, secret: Secret::Token(token), id: None, inserted_at: None }
    }

    /// Makes a session from the digest of its token, as [`Hashing::parse_digest`](crate::Hashing::parse_digest) reads
    /// it. The session's token is accepted only if the other system made the digest with the hashing and the salt of
    /// this configuration.
    ///
    /// A digest does not tell its token's hint: a field with the role `hint` keeps what it holds.
    pub fn with_digest(new: NewSession<T>, digest: TokenDigest) -> Self {
        Self { new, secret: Secret::Digest(digest), id: None, inserted_at: None }
    }

    /// Sets the row's id. Default a new one.
    pub fn id(self, id: Uuid) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Sets when the session was created. The absolute lifetime counts from this instant. Default now.
    pub fn inserted_at(self, instant: OffsetDateTime) -> Self {
        Self { inserted_at: Some(instant), ..self }
    }
}

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::import`](crate::Sessions::import). After an error, roll the transaction back: some of the
    /// sessions may have been written.
    pub async fn import(&mut self, sessions: Vec<ImportedSession<T>>) -> Result<()> {
        self.long_call(Operation::Import).of(self.import_rows(sessions, None)).await
    }

    /// Imports the sessions in a transaction of this library's own. Each statement takes no longer than a call may.
    pub(crate) async fn import_bounded(&mut self, sessions: Vec<ImportedSession<T>>) -> Result<()> {
        self.long_call(Operation::Import).of(self.import_rows(sessions, self.config().timeout())).await
    }

    async fn import_rows(
        &mut self,
        sessions: Vec<ImportedSession<T>>,
        limit: Option<Duration>,
    ) -> Result<()> {
        let width = BUILT_IN_COLUMNS.len() + self.table().fields.len();
        let most = (MAX_PLACEHOLDERS / width).clamp(1, MOST_ROWS);
        let mut rows = Vec::with_capacity(most);
        let mut size = 0;
        for session in sessions {
            let row = self.imported_row(session)?;
            let row_size: usize = row.iter().map(FieldValue::size).sum();
            if rows.len() == most || (size + row_size > MAX_STATEMENT && !rows.is_empty()) {
                self.insert_rows(std::mem::take(&mut rows), limit).await?;
                size = 0;
            }
            size += row_size;
            rows.push(row);
        }
        self.insert_rows(rows, limit).await
    }

    /// Inserts the rows in statements of a power of two of rows, so that there are few different statements.
    async fn insert_rows(&mut self, rows: Vec<Vec<FieldValue>>, limit: Option<Duration>) -> Result<()> {
        let mut rest = &rows[..];
        while !rest.is_empty() {
            let (these, others) = rest.split_at(1 << rest.len().ilog2());
            rest = others;
            let statement = Statement::new(self.handle().store().insert_sql(these.len()), these.concat());
            bounded(limit, self.execute(&statement)).await?;
        }
        Ok(())
    }

    /// Returns the values of all columns.
    fn imported_row(&self, session: ImportedSession<T>) -> Result<Vec<FieldValue>> {
        let ImportedSession { new, secret, id, inserted_at } = session;
        let config = self.config();
        let now = config.now();
        let inserted_at = inserted_at.map_or(now, to_stored_precision);
        if inserted_at > now {
            let message = "a session cannot have been created in the future";
            return Err(Error::new(ErrorKind::InvalidField, message));
        }
        let mut fields = new.fields;
        fields.truncate_instants();
        let digest = match secret {
            Secret::Digest(digest) => digest,
            Secret::Token(token) => {
                self.fill_hint(&mut fields, &token);
                config.digest(&token).map_err(|error| {
                    Error::new(ErrorKind::InvalidField, "the imported token cannot be stored")
                        .with_source(error)
                })?
            }
        };
        let data = (*new.data.0).clone()?;
        let _: T::Data = data.parse_given()?;
        let expires_at = new.expiry.at(config, now);
        let row = NewRow {
            id: id.unwrap_or_else(|| new_id(now)),
            digest: digest.expose(),
            data: data.to_field_value(),
            expires_at: expiry::capped(config, inserted_at, expires_at),
            inserted_at,
            updated_at: now,
        };
        Ok(row.values(self.checked_values(&fields)?))
    }
}
