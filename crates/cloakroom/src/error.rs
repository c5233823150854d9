use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// The error that the operations of this crate return.
///
/// An `Error` describes the failure in words, has a [`kind`](Error::kind), and keeps its cause as
/// [`source`](std::error::Error::source). It never holds a token, a digest or a salt: servers quote the offending row
/// in the details of an error, so those details are dropped.
///
/// An `Error` is cheap to clone. When a statement that several callers share fails, each caller gets a clone.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    outcome: Outcome,
}

/// Tells what a failed operation may have written; see [`Error::outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing was written, for certain. It is safe to call the operation again, and it helps if the cause is gone.
    NotDone,
    /// Everything was written and committed, but a read afterwards failed.
    Done,
    /// It may have been written, in whole or in part. Read to find out, or call the operation again if a second call
    /// does no harm.
    Unknown,
}

/// The kinds of [`Error`], for code that reacts to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A session was required and there is none: `fetch_one` found none, or the row to update is gone.
    NotFound,
    /// `fetch_one` or `fetch_optional` matched more than one session.
    MultipleSessions,
    /// The row changed since it was read. Read it again and decide again, as [`Sessions::update_with`] does.
    ///
    /// [`Sessions::update_with`]: crate::Sessions::update_with
    Conflict,
    /// The session has expired, and the operation would have brought it back.
    Expired,
    /// The session's owner has as many valid sessions as a [limit](crate::Sessions::with_limit) allows, which refuses
    /// another one.
    LimitReached,
    /// The value of an extra field cannot be stored: it is blank or null although a value is required, it is too long,
    /// or it holds a character that the database refuses. The message names the field if the database tells which one
    /// it is.
    InvalidField,
    /// The table has no field of this name.
    UnknownField,
    /// `data` is not JSON that this database or the table's data type can hold.
    InvalidData,
    /// Another session already has the token that was to be imported.
    DuplicateToken,
    /// The session table does not exist. Run [`Sessions::migrate`](crate::Sessions::migrate).
    MissingTable,
    /// The session table lacks a column that the struct declares.
    MissingColumn,
    /// A column of the session table does not match its field: its type cannot hold the field's values, only one of the
    /// two may be null, or it cannot be the foreign key that the struct declares. The message says which of these it
    /// is, and has the statement that mends it. Found by [`Sessions::migrate`](crate::Sessions::migrate).
    ColumnMismatch,
    /// A constraint of the database refused the write: a foreign key, a check, a unique index of the
    /// application's own.
    Constraint,
    /// An operation [within](crate::Sessions::within) a transaction found that none is open. The transaction was rolled
    /// back by an inner `begin()` that was dropped midway, or by the database itself. Nothing was done.
    NoTransaction,
    /// The operation is not possible in this form. The message says which form is.
    Unsupported,
    /// The database, or this connection to it, accepts no writes.
    ReadOnly,
    /// The database could not be reached: it refused the connection, the connection ended midway, the server was
    /// shutting down, no connection became free within the pool's time-out, or the database did not answer within the
    /// [call's](crate::ConfigBuilder::timeout). Or the server is a node of a cluster that is cut off from the others, or
    /// that did not apply in time what they have committed.
    Unavailable,
    /// Another transaction held a lock on the row, the table or the database's file for longer than the database waits,
    /// and the operation was not done. The wait is `lock_timeout` on PostgreSQL, which has no limit by default,
    /// `innodb_lock_wait_timeout` on MariaDB and MySQL, 50 s by default, and the connection's busy time-out on SQLite. If
    /// the call's [time-out](crate::ConfigBuilder::timeout) is shorter, the error is `Unavailable`.
    /// The database is otherwise in service, so the operation can be called again.
    LockTimeout,
    /// The database rolled the operation back, because it and other transactions got in each other's way: a deadlock, a
    /// serialization failure, a row that another transaction has changed since this one began to read, or a write that
    /// a Galera cluster refused to certify. Nothing was written, so the operation can be called again. On the pool that
    /// has been done already, several times with growing pauses. Inside a transaction of the caller's the whole
    /// transaction must be rolled back and run again.
    Contention,
    /// The server stopped the statement. It ran for longer than `statement_timeout` on PostgreSQL, `max_statement_time`
    /// on MariaDB or `max_execution_time` on MySQL allows, or it was cancelled, as SQLite's interrupt does. What it had
    /// written is undone.
    StatementTimeout,
    /// There is no room for the write: the disk, the quota or the table is full. Reads still work.
    DiskFull,
    /// The connection's role lacks a right that the operation needs. The message says on which table. `docs/grants.md`
    /// in the repository lists what each operation needs.
    PermissionDenied,
    /// A row does not decode into the declared types: its `data` or a field has another form than the program's type
    /// has now, or an instant lies outside the years 1 to 9999. The session can still be ended and deleted by its token
    /// and by its id, as in `sessions.query().token(&token).expire_all()`. [`SessionQuery::fetch_each`] lists the other
    /// sessions.
    ///
    /// [`SessionQuery::fetch_each`]: crate::SessionQuery::fetch_each
    Decode,
    /// Any other error that the database reports.
    Database,
}

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns the kind of this error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns what the failed operation may have written.
    ///
    /// | outcome | errors |
    /// |---|---|
    /// | [`NotDone`](Outcome::NotDone) | Every error of an operation that only reads. Every kind that says why a write was refused: [`NotFound`], [`Conflict`], [`Expired`], [`LimitReached`], [`InvalidField`], [`InvalidData`], [`DuplicateToken`], [`Constraint`], [`MissingTable`], [`MissingColumn`], [`ReadOnly`], [`PermissionDenied`], [`LockTimeout`], [`Contention`], [`StatementTimeout`], [`DiskFull`] and similar kinds. [`Unavailable`] if there was no connection: it was refused, or none was free within the time-out of the pool or of the call. |
    /// | [`Done`](Outcome::Done) | [`expire`] ended the session and could not read it again. [`create`] or [`update`] wrote the row and could not read back a value that a column stores in another form. |
    /// | [`Unknown`](Outcome::Unknown) | [`Unavailable`] of a write if the connection ended before the answer came, also because the server was shutting down, or if the call's time-out ended first. A write that was stopped together with its task. An I/O error of SQLite. An error of the server that is not known to mean that the write was undone. An operation of several statements that failed after the first of them was done: [`delete_expired`], [`expire_all`] and [`delete_all`], and [`migrate`] on MariaDB and MySQL. |
    ///
    /// If in doubt, the outcome is `Unknown`. If the creation of a session is in doubt, the session may exist with a
    /// token that no client has, which does no harm. If a [`rotate`] is in doubt, the session may have a new token that
    /// no client has, so the client must start a new session. [`expire`], [`delete`] and [`extend`] can be called
    /// again.
    ///
    /// In a transaction of the caller's, the outcome describes the statement alone, since nothing is done before the
    /// commit. The outcome of an error of [`Transaction::commit`](crate::Transaction::commit) describes the commit. All
    /// of this holds for tables of an engine that has transactions, such as `InnoDB`.
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
    /// [`LimitReached`]: ErrorKind::LimitReached
    /// [`InvalidField`]: ErrorKind::InvalidField
    /// [`InvalidData`]: ErrorKind::InvalidData
    /// [`DuplicateToken`]: ErrorKind::DuplicateToken
    /// [`Constraint`]: ErrorKind::Constraint
    /// [`MissingTable`]: ErrorKind::MissingTable
    /// [`MissingColumn`]: ErrorKind::MissingColumn
    /// [`ReadOnly`]: ErrorKind::ReadOnly
    /// [`PermissionDenied`]: ErrorKind::PermissionDenied
    /// [`LockTimeout`]: ErrorKind::LockTimeout
    /// [`Contention`]: ErrorKind::Contention
    /// [`StatementTimeout`]: ErrorKind::StatementTimeout
    /// [`DiskFull`]: ErrorKind::DiskFull
    /// [`Unavailable`]: ErrorKind::Unavailable
    /// [`expire`]: crate::Sessions::expire
    /// [`create`]: crate::Sessions::create
    /// [`update`]: crate::Sessions::update
    /// [`extend`]: crate::Sessions::extend
    /// [`delete`]: crate::Sessions::delete
    /// [`rotate`]: crate::Sessions::rotate
    /// [`expire_all`]: crate::SessionQuery::expire_all
    /// [`delete_all`]: crate::SessionQuery::delete_all
    /// [`delete_expired`]: crate::Sessions::delete_expired
    /// [`migrate`]: crate::Sessions::migrate
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Makes an error that was found by reading, or before any statement was sent.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), source: None, outcome: Outcome::NotDone }))
    }

    pub(crate) fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.with(|inner| inner.source = Some(Arc::from(source.into())))
    }

    /// Returns the same error with another outcome.
    pub(crate) fn with_outcome(self, outcome: Outcome) -> Self {
        if self.outcome() == outcome { self } else { self.with(|inner| inner.outcome = outcome) }
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        // Other callers may hold this error too, if they shared the statement.
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
