use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What every operation of this crate returns when it fails.
///
/// An `Error` says what went wrong in words, sorts it by [`kind`](Error::kind), and keeps the cause as
/// [`source`](std::error::Error::source). It never holds a token, a digest or a salt: database errors are
/// kept without the details in which servers quote the offending row.
///
/// Cheap to clone: callers whose lookups shared a statement share its failure.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    outcome: Outcome,
}

/// Whether what was asked for was done, as far as an [`Error`] can tell: see [`Error::outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing was written, for certain. To ask again does no harm, and helps if the reason has gone.
    NotDone,
    /// All of it was written and committed, and what was to be read afterwards could not be.
    Done,
    /// It may have been written, in whole or in part. Find out by reading, or ask again if that does no harm.
    Unknown,
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
    /// A column of the session table is of a type that does not hold what its field does, or only one of the two may be
    /// null, or it cannot be the foreign key that the struct declares. The message says which, and the statement that
    /// mends it. Found by [`Sessions::migrate`](crate::Sessions::migrate).
    ColumnMismatch,
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
    /// Another transaction has had the row, the table or the database's file locked for longer than the database
    /// waits, and the operation was not done. The wait is `lock_timeout` on PostgreSQL, which is not bounded by
    /// default, `innodb_lock_wait_timeout` on MariaDB and MySQL, 50 s by default, and on SQLite the connection's
    /// busy time-out. The database serves all else: what was asked for can be asked again.
    LockTimeout,
    /// The server gave the statement up: it ran for longer than `statement_timeout` on PostgreSQL,
    /// `max_statement_time` on MariaDB or `max_execution_time` on MySQL allows, or somebody cancelled it, as SQLite's
    /// interrupt does. What it had written is undone.
    StatementTimeout,
    /// There is no room for what was to be written: the disk, the quota or the table is full. Reads go on.
    DiskFull,
    /// The connection's role lacks a right that the operation needs; the message says which table. `docs/grants.md` in
    /// the repository lists what each operation needs.
    PermissionDenied,
    /// A row was read that does not decode into the declared types: its `data` or a field is of another form than
    /// the program's type has now, or an instant lies beyond the years 1 to 9999. It can be ended and deleted by its token and by its id, as in
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

    /// Whether what was asked for was done.
    ///
    /// | outcome | errors |
    /// |---|---|
    /// | [`NotDone`](Outcome::NotDone) | Every error of an operation that only reads. Every kind that says why a write was refused: [`NotFound`], [`Conflict`], [`Expired`], [`InvalidField`], [`InvalidData`], [`DuplicateToken`], [`Constraint`], [`MissingTable`], [`MissingColumn`], [`ReadOnly`], [`PermissionDenied`], [`LockTimeout`], [`StatementTimeout`], [`DiskFull`] and their like. [`Unavailable`] where no connection was to be had: refused, or none was free within the pool's time-out. |
    /// | [`Done`](Outcome::Done) | [`expire`] ended the session and could not read it again; [`create`] and [`update`] could not read what a column of another type made of a value. |
    /// | [`Unknown`](Outcome::Unknown) | [`Unavailable`] of a write whose connection ended before its answer came, also by a server that shuts down; a write whose task was stopped; an I/O error of SQLite's; what a server says that is not known to mean that it undid the write. Also what takes several statements, once the first of them was done: [`delete_expired`] and [`migrate`] on MariaDB and MySQL. |
    ///
    /// In doubt it is `Unknown`. A session whose creation is in doubt has a token that no one knows, and does no harm; one
    /// whose [`rotate`] is in doubt may have a new token that no one knows, and must be begun anew; [`expire`],
    /// [`delete`] and [`extend`] can be asked again.
    ///
    /// In a transaction of the caller's it speaks of the statement alone, since nothing is done before the commit; that of
    /// [`Transaction::commit`](crate::Transaction::commit) speaks of the commit. All of it holds for tables of an engine
    /// that has transactions, as `InnoDB` has.
    ///
    /// ```
    /// # use cloakroom::{Error, Outcome};
    /// fn may_simply_be_repeated(error: &Error) -> bool {
    ///     error.outcome() == Outcome::NotDone
    /// }
    /// ```
    ///
    /// [`NotFound`]: ErrorKind::NotFound
    /// [`Conflict`]: ErrorKind::Conflict
    /// [`Expired`]: ErrorKind::Expired
    /// [`InvalidField`]: ErrorKind::InvalidField
    /// [`InvalidData`]: ErrorKind::InvalidData
    /// [`DuplicateToken`]: ErrorKind::DuplicateToken
    /// [`Constraint`]: ErrorKind::Constraint
    /// [`MissingTable`]: ErrorKind::MissingTable
    /// [`MissingColumn`]: ErrorKind::MissingColumn
    /// [`ReadOnly`]: ErrorKind::ReadOnly
    /// [`PermissionDenied`]: ErrorKind::PermissionDenied
    /// [`LockTimeout`]: ErrorKind::LockTimeout
    /// [`StatementTimeout`]: ErrorKind::StatementTimeout
    /// [`DiskFull`]: ErrorKind::DiskFull
    /// [`Unavailable`]: ErrorKind::Unavailable
    /// [`expire`]: crate::Sessions::expire
    /// [`create`]: crate::Sessions::create
    /// [`update`]: crate::Sessions::update
    /// [`extend`]: crate::Sessions::extend
    /// [`delete`]: crate::Sessions::delete
    /// [`rotate`]: crate::Sessions::rotate
    /// [`delete_expired`]: crate::Sessions::delete_expired
    /// [`migrate`]: crate::Sessions::migrate
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// An error that was found before anything was asked of the database, or by reading.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), source: None, outcome: Outcome::NotDone }))
    }

    pub(crate) fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.with(|inner| inner.source = Some(Arc::from(source.into())))
    }

    /// The same error, of something else that was to be done.
    pub(crate) fn with_outcome(self, outcome: Outcome) -> Self {
        if self.outcome() == outcome { self } else { self.with(|inner| inner.outcome = outcome) }
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        // Others may have it too, whose statement it was as well.
        change(Arc::make_mut(&mut self.0));
        self
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
            .field("outcome", &self.0.outcome)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
