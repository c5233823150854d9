//! Decides whether a statement on the pool that failed runs once more.
//!
//! Two failures say nothing about the statement's question. The first is that the server had closed the connection
//! while it was idle. The second is that the statement was prepared for a table that has changed since. A read runs
//! again after either failure, and also if its connection was lost. A write runs again only if it is certain that the
//! server did not look at it.
//!
//! Inside a transaction of the caller's no statement runs again: the failure has ended the transaction.

use std::error::Error as StdError;
use std::fmt;

use super::{Cause, NotCaughtUp, classify};

/// The kind of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// It reads rows and changes nothing.
    Read,
    Write,
}

/// Whether a statement runs once more, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    No,
    /// On the same connection, after that has forgotten the statements that it had prepared.
    SameAfterForgetting,
    /// On another connection, because this one has ended.
    OnAnother,
}

impl Again {
    pub(crate) fn after(error: &sqlx::Error, asks: Asks) -> Self {
        match (cause(error), asks) {
            (Cause::Stale, _) => Self::SameAfterForgetting,
            (Cause::Idle, _) | (Cause::Lost, Asks::Read) => Self::OnAnother,
            _ => Self::No,
        }
    }
}

/// Returns why a statement failed.
pub(crate) fn cause(error: &sqlx::Error) -> Cause {
    match error {
        sqlx::Error::Database(error) => classify(&**error).cause,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => Cause::Lost,
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Encode(_) => Cause::Refused,
        sqlx::Error::AnyDriverError(error) if error.is::<NotConnected>() || error.is::<NotCaughtUp>() => {
            Cause::Refused
        }
        sqlx::Error::AnyDriverError(error) => match error.downcast_ref() {
            Some(TimedOut::WithoutConnection) => Cause::Refused,
            Some(TimedOut::WithoutAnswer) | None => Cause::Unclear,
        },
        _ => Cause::Unclear,
    }
}

/// Returns `true` if the driver did not expect what the server said. What it reads next may be the answer to another
/// statement, so the connection is closed.
pub(crate) fn is_out_of_step(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Protocol(_))
}

/// The failure to open a connection, after which it is certain that no statement was sent.
#[derive(Debug)]
pub(crate) struct NotConnected(pub(crate) sqlx::Error);

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for NotConnected {}

/// The time of a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimedOut {
    /// It had no connection yet.
    WithoutConnection,
    /// Its statement was out.
    WithoutAnswer,
}

impl TimedOut {
    pub(crate) fn error(self) -> sqlx::Error {
        sqlx::Error::AnyDriverError(Box::new(self))
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WithoutConnection => "no database connection became free within the time-out of the call",
            Self::WithoutAnswer => "the database did not answer within the time-out of the call",
        })
    }
}

impl StdError for TimedOut {}

/// Marks an error as a failure to open a connection, to distinguish it from the failure of a statement.
pub(super) fn not_connected(error: sqlx::Error) -> sqlx::Error {
    match error {
        // These errors say so themselves.
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => error,
        error => sqlx::Error::AnyDriverError(Box::new(NotConnected(error))),
    }
}
