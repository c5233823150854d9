//! Importing sessions that another system has made.

mod error;
mod importer;
mod present;
mod transaction;

pub use error::{ImportError, ImportProgress};
pub use importer::Importer;

use std::borrow::Borrow;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::Operations;
use super::call::bounded;
use super::create::{MAX_STATEMENT, new_id, not_storable};
use crate::clock::to_stored_precision;
use crate::database::{FieldValue, MAX_PLACEHOLDERS};
use crate::error::{Error, ErrorKind, Result};
use crate::events::EventKind;
use crate::observe::Operation;
use crate::session::Sliding;
use crate::session::data::StoredData;
use crate::session::{NewSession, expiry};
use crate::table::{BUILT_IN_COLUMNS, NewRow, SessionFields};
use crate::token::{Token, TokenDigest};

/// The most rows that one statement inserts.
const MOST_ROWS: usize = 256;

/// A session that another system of your own has made and for which a client holds the token. Pass it to
/// [`Sessions::importer`](crate::Sessions::importer) or [`Sessions::import`](crate::Sessions::import).
///
/// An expiry that [`NewSession::expires_at`] sets is how far it has come in the other system: it goes on sliding as
/// configured. A session with [`NewSession::expires_in`] is never extended.
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

    /// Makes a session from the digest of its token, as [`Scheme::parse_digest`](crate::Scheme::parse_digest) reads it.
    /// The session's token is accepted only if the other system made the digest as that scheme does, and while the
    /// scheme is one of the [configuration's](crate::ConfigBuilder::digests).
    ///
    /// A digest does not tell its token's hint: a field with the role `hint` keeps what it holds.
    pub fn with_digest(new: NewSession<T>, digest: TokenDigest) -> Self {
        Self { new, secret: Secret::Digest(digest), id: None, inserted_at: None }
    }

    /// Sets the row's id. Default a new one; an [`Importer`] makes it of the digest, so that it is the same in a second
    /// run.
    pub fn id(self, id: Uuid) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Sets when the session was created. The absolute lifetime counts from this instant. Default now. The expiry may
    /// come before it: such a session is stored, and is expired.
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
        self.require_transaction_to_audit().await?;
        let most = self.most_rows();
        let mut rows = Vec::with_capacity(most);
        let mut size = 0;
        let number = sessions.len() as u64;
        for session in sessions {
            let row = self.imported_row(session).await?;
            let row_size = row.size();
            if rows.len() == most || (size + row_size > MAX_STATEMENT && !rows.is_empty()) {
                self.insert_rows(&rows, limit).await?;
                rows.clear();
                size = 0;
            }
            size += row_size;
            rows.push(row);
        }
        self.insert_rows(&rows, limit).await?;
        bounded(limit, self.record_import(number)).await
    }

    /// Records that so many sessions are imported with this transaction.
    async fn record_import(&mut self, sessions: u64) -> Result<()> {
        let event = (sessions > 0).then(|| self.event(None, EventKind::Imported { sessions })).flatten();
        self.record(event.into_iter().collect()).await
    }

    /// Returns how many rows one statement inserts at most.
    fn most_rows(&self) -> usize {
        let width = BUILT_IN_COLUMNS.len() + self.table().fields.len();
        (MAX_PLACEHOLDERS / width).clamp(1, MOST_ROWS)
    }

    /// Inserts the rows in statements of a power of two of rows, so that there are few different statements.
    async fn insert_rows(
        &mut self,
        rows: &[impl Borrow<ImportedRow>],
        limit: Option<Duration>,
    ) -> Result<()> {
        let mut rest = rows;
        while !rest.is_empty() {
            let (these, others) = rest.split_at(1 << rest.len().ilog2());
            rest = others;
            let statement = self.handle().store().insert(these.iter().map(|row| &row.borrow().values[..]));
            bounded(limit, self.execute(&statement)).await?;
        }
        Ok(())
    }

    /// Returns the row of a session.
    async fn imported_row(&mut self, session: ImportedSession<T>) -> Result<ImportedRow> {
        let row = self.unplaced_row(session)?;
        self.check_sliding_of(&row).await?;
        let id = row.id.unwrap_or_else(|| new_id(self.config().now()));
        Ok(self.placed_row(&row, id, self.checked_values(&row.fields)?))
    }

    async fn check_sliding_of(&mut self, row: &UnplacedRow<T>) -> Result<()> {
        let inserted_at = row.inserted_at.unwrap_or(self.config().now());
        self.check_sliding(row.sliding, inserted_at, row.expires_at).await
    }

    /// Checks all but the values of the fields.
    fn unplaced_row(&self, session: ImportedSession<T>) -> Result<UnplacedRow<T>> {
        let ImportedSession { new, secret, id, inserted_at } = session;
        let config = self.config();
        let now = config.now();
        let inserted_at = inserted_at.map(to_stored_precision);
        if inserted_at > Some(now) {
            let message = "a session cannot have been created in the future";
            return Err(Error::new(ErrorKind::InvalidField, message));
        }
        let mut fields = new.fields;
        fields.truncate_instants();
        let token = match &secret {
            Secret::Token(token) => Some(token.clone()),
            Secret::Digest(_) => None,
        };
        let digest = match secret {
            Secret::Digest(digest) => digest,
            Secret::Token(token) => {
                self.fill_hint(&mut fields, &token);
                config.digest(&token).map_err(not_storable)?
            }
        };
        let data = (*new.data.0).clone()?;
        let _: T::Data = data.parse_given()?;
        let expires_at = expiry::capped(config, inserted_at.unwrap_or(now), new.expiry.at(config, now));
        let sliding = new.expiry.sliding_of_import();
        Ok(UnplacedRow { id, token, digest, data, expires_at, sliding, inserted_at, fields })
    }

    fn placed_row(&self, row: &UnplacedRow<T>, id: Uuid, fields: Vec<FieldValue>) -> ImportedRow {
        let now = self.config().now();
        let row = NewRow {
            id,
            digest: row.digest.expose(),
            data: row.data.to_field_value(),
            expires_at: row.expires_at,
            inserted_at: row.inserted_at.unwrap_or(now),
            updated_at: now,
            sliding: row.sliding.seconds(),
        };
        ImportedRow { values: row.values(fields) }
    }
}

/// A session whose row has no id yet.
struct UnplacedRow<T> {
    /// The id that was given.
    id: Option<Uuid>,
    token: Option<Token>,
    digest: TokenDigest,
    data: StoredData,
    expires_at: Option<OffsetDateTime>,
    sliding: Sliding,
    /// The creation that was given.
    inserted_at: Option<OffsetDateTime>,
    fields: T,
}

/// The values of all columns.
struct ImportedRow {
    values: Vec<FieldValue>,
}

impl ImportedRow {
    /// Returns the approximate size of the row in a statement, in bytes.
    fn size(&self) -> usize {
        self.values.iter().map(FieldValue::size).sum()
    }
}
