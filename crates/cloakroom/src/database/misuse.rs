//! States of the application's connections that no operation can repair.

use std::error::Error as StdError;
use std::fmt;

use crate::error::ErrorKind;

/// Passed as an error of the driver's to the place where those are classified.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Misuse {
    NoTransaction,
    NeverCommits,
}

pub(crate) fn no_transaction() -> sqlx::Error {
    sqlx::Error::AnyDriverError(Box::new(Misuse::NoTransaction))
}

pub(crate) fn never_commits() -> sqlx::Error {
    sqlx::Error::AnyDriverError(Box::new(Misuse::NeverCommits))
}

impl Misuse {
    pub(crate) fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::AnyDriverError(error) => error.downcast_ref().copied(),
            _ => None,
        }
    }

    pub(crate) fn kind(self) -> ErrorKind {
        match self {
            Self::NoTransaction => ErrorKind::NoTransaction,
            Self::NeverCommits => ErrorKind::Unsupported,
        }
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTransaction => {
                "no transaction is open on the connection given to within(), so nothing was done: it was rolled back, \
                 perhaps by an inner begin() that was dropped midway or by the database itself"
            }
            Self::NeverCommits => {
                "the connections of the pool do not commit by themselves: autocommit must be on"
            }
        })
    }
}

impl StdError for Misuse {}
