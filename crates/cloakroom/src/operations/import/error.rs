use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;

/// What an [`Importer`](crate::Importer) has done so far. All of it is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportProgress {
    /// How many sessions of the stream were imported or found in the table.
    pub read: u64,
    /// How many were written.
    pub imported: u64,
    /// How many the table had already. They were left as they are.
    pub already_there: u64,
}

/// Why an [`Importer`](crate::Importer) stopped, and how far it came.
///
/// It holds no token, no digest and no value of a row.
#[derive(Clone, Debug)]
pub struct ImportError {
    pub(super) row: Option<u64>,
    pub(super) progress: ImportProgress,
    pub(super) error: Error,
}

impl ImportError {
    /// Returns the place of the session in the stream that is the cause, counted from 0. It is `None` if the cause is
    /// not one of them, such as a database that is away, or if it is not known which one it is.
    pub fn row(&self) -> Option<u64> {
        self.row
    }

    /// Returns what was done before, and remains.
    pub fn progress(&self) -> ImportProgress {
        self.progress
    }

    /// Returns the error itself. Its [outcome](Error::outcome) is that of the last transaction.
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => write!(f, "the session at place {row} of the stream cannot be imported"),
            None => write!(f, "the import stopped after {} sessions", self.progress.read),
        }
    }
}

impl StdError for ImportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}
