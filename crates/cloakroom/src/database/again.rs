//! Whether a statement on the pool that failed is asked once more.
//!
//! Two failures are no answer to the question: that of a connection which the server had closed while it was idle,
//! and that of a statement which was prepared for a table that has changed since. A read is asked again after
//! either. A write is so only if it is certain that the server did not look at it.
//!
//! Inside a transaction of the caller's nothing is asked again: the failure has ended the transaction.

use std::error::Error as StdError;
use std::fmt;

use super::{Cause, classify};

/// What a statement asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Rows, and nothing is changed.
    Read,
    Write,
}

/// Whether a statement is asked once more, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    No,
    /// On the same connection, once that has forgotten the statements that it had prepared.
    SameAfterForgetting,
    /// On another connection, since this one has ended.
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

/// Why a statement failed.
pub(crate) fn cause(error: &sqlx::Error) -> Cause {
    match error {
        sqlx::Error::Database(error) => classify(&**error).cause,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => Cause::Lost,
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Encode(_) => Cause::Refused,
        sqlx::Error::AnyDriverError(error) if error.is::<NotConnected>() => Cause::Refused,
        _ => Cause::Unclear,
    }
}

/// The failure to open a connection, after which nothing has been asked for certain.
#[derive(Debug)]
pub(crate) struct NotConnected(pub(crate) sqlx::Error);

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for NotConnected {}

/// Tells the failure to open a connection from that of a statement.
pub(super) fn not_connected(error: sqlx::Error) -> sqlx::Error {
    match error {
        // They say so themselves.
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => error,
        error => sqlx::Error::AnyDriverError(Box::new(NotConnected(error))),
    }
}
