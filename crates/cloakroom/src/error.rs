use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::database::Misuse;
use crate::redaction::DatabaseError;

/// What every operation of this crate returns when it fails.
///
/// An `Error` says what went wrong in words, sorts it by [`kind`](Error::kind), and keeps the cause as
/// [`source`](std::error::Error::source). It never holds a token, a digest or a salt: database errors are
/// kept without the details in which servers quote the offending row.
///
/// Cheap to clone: callers whose lookups shared a statement share its failure.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`Error`], for code that acts on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No session where one was required: `fetch_one` found none, or the row to update is gone.
    NotFound,
    /// `fetch_one` or `fetch_optional` matched more than one session.
    MultipleSessions,
    /// The row changed since it was read. Read it again and decide again; [`Sessions::update_with`] does.
    ///
    /// [`Sessions::update_with`]: crate::Sessions::update_with
    Conflict,
    /// The session has expired, and what was asked for would have brought it back.
    Expired,
    /// An extra field's value cannot be stored: blank or null where one is required, too long, or holding a
    /// character that the database refuses. The message names the field where the database tells which.
    InvalidField,
    /// A table has no field of this name.
    UnknownField,
    /// `data` is not JSON that this database or the table's data type can hold.
    InvalidData,
    /// Another session already has the token that was given to be imported.
    DuplicateToken,
    /// The session table does not exist. Run [`Sessions::migrate`](crate::Sessions::migrate).
    MissingTable,
    /// The session table lacks a column that the struct declares.
    MissingColumn,
    /// A constraint of the database refused the write: a foreign key, a check, a unique index of the
    /// application's own.
    Constraint,
    /// An operation [within](crate::Sessions::within) a transaction found that none is open: it was rolled back, by an
    /// inner `begin()` that was dropped midway or by the database itself. Nothing was done.
    NoTransaction,
    /// The operation is not possible in this form; the message says what is.
    Unsupported,
    /// The database, or this connection to it, takes no writes.
    ReadOnly,
    /// The database could not be reached: refused, gone in the middle, shutting down, or no connection
    /// became free within the pool's own time-out.
    Unavailable,
    /// A row was read that does not decode into the declared types: its `data` or a field is of another form than
    /// the program's type has now. It can be ended and deleted by its token and by its id, as in
    /// `sessions.query().token(&token).expire_all()`, and [`SessionQuery::fetch_each`] lists the others.
    ///
    /// [`SessionQuery::fetch_each`]: crate::SessionQuery::fetch_each
    Decode,
    /// Any other trouble that the database reports.
    Database,
}

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The kind of this error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), source: None }))
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        // Nobody else has it yet.
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.source = Some(source.into());
        }
        self
    }

    /// Sorts an error of the driver. `table` is named where the message is about it.
    pub(crate) fn from_sqlx(error: sqlx::Error, table: &str) -> Self {
        if let Some(misuse) = Misuse::of(&error) {
            return Self::new(misuse.kind(), misuse.to_string());
        }
        match error {
            sqlx::Error::Database(error) => Self::from_database(&*error, table),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::new(
                ErrorKind::Decode,
                format!("a row of {table} does not decode into its declared types"),
            )
            .with_source(error),
            sqlx::Error::Encode(_) => {
                Self::new(ErrorKind::InvalidField, "a value could not be encoded for the database")
                    .with_source(error)
            }
            sqlx::Error::PoolTimedOut => Self::new(
                ErrorKind::Unavailable,
                "no database connection became free within the pool's time-out",
            )
            .with_source(error),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => {
                Self::new(ErrorKind::Unavailable, "the database could not be reached").with_source(error)
            }
            other => Self::new(ErrorKind::Database, "the database driver failed").with_source(other),
        }
    }

    /// Sorts an error of opening a database.
    pub(crate) fn from_opening(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Configuration(_) => {
                Self::new(ErrorKind::Unsupported, "the database's URL is not understood").with_source(error)
            }
            sqlx::Error::Database(error) => {
                Self::new(ErrorKind::Unavailable, "the database could not be opened")
                    .with_source(DatabaseError::new(&*error))
            }
            error => Self::new(ErrorKind::Unavailable, "the database could not be opened").with_source(error),
        }
    }

    fn from_database(error: &dyn sqlx::error::DatabaseError, table: &str) -> Self {
        let fault = crate::database::classify(error);
        let cause = DatabaseError::new(error);
        let kind = fault.kind;
        let message = match kind {
            ErrorKind::MissingTable => {
                format!("the table {table} does not exist: create it with migrate()")
            }
            ErrorKind::MissingColumn => {
                format!("the table {table} lacks a declared column: {}", cause.message)
            }
            ErrorKind::DuplicateToken => "another session already has this token".into(),
            ErrorKind::Constraint => "a constraint of the database refused the write".into(),
            ErrorKind::InvalidField => {
                format!("a value cannot be stored in {table}: {}", cause.message)
            }
            ErrorKind::InvalidData if cause.code.as_deref() == Some("22P05") => {
                "data holds the character U+0000, which PostgreSQL's jsonb cannot store".into()
            }
            ErrorKind::InvalidData => {
                "data is nested deeper than the server's JSON allows; MariaDB's limit is 32 levels".into()
            }
            ErrorKind::ReadOnly => "the database takes no writes".into(),
            ErrorKind::Unavailable => format!("the database cannot serve now: {}", cause.message),
            _ => "the database refused the statement".into(),
        };
        Self::new(kind, message).with_source(cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
