//! Turning a driver's errors into this crate's.

use std::error::Error as StdError;

use super::misuse::Misuse;
use super::redaction::DatabaseError;
use super::{Cause, NotCaughtUp, NotConnected, TimedOut, cause, classify, is_of_the_encoding};
use crate::error::{Error, ErrorKind, Outcome};

impl Error {
    /// Classifies an error of the driver. `table` is named if the message is about it.
    pub(crate) fn from_sqlx(error: sqlx::Error, table: &str) -> Self {
        if let Some(misuse) = Misuse::of(&error) {
            return Self::new(misuse.kind(), misuse.to_string());
        }
        let outcome = match cause(&error) {
            Cause::Refused | Cause::Transient | Cause::Unsorted | Cause::Stale | Cause::Idle => {
                Outcome::NotDone
            }
            Cause::Lost | Cause::Unclear => Outcome::Unknown,
        };
        Self::sorted(error, table).with_outcome(outcome)
    }

    /// Returns `true` if the database itself has reported the error, as the outcome of the statement.
    pub(crate) fn is_reported(&self) -> bool {
        self.source().is_some_and(<dyn StdError>::is::<DatabaseError>)
    }

    fn sorted(error: sqlx::Error, table: &str) -> Self {
        match error {
            sqlx::Error::AnyDriverError(error) => match error.downcast::<NotConnected>() {
                Ok(error) => Self::from_connecting(error.0, table),
                Err(error) => match error.downcast::<NotCaughtUp>() {
                    Ok(error) => Self::from_a_node_behind(&error),
                    Err(error) => match error.downcast_ref::<TimedOut>() {
                        Some(timed_out) => Self::new(ErrorKind::Unavailable, timed_out.to_string()),
                        None => {
                            Self::new(ErrorKind::Database, "the database driver failed").with_source(error)
                        }
                    },
                },
            },
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

    /// Classifies an error of opening a connection of the pool.
    fn from_connecting(error: sqlx::Error, table: &str) -> Self {
        let (said, error): (_, Box<dyn StdError + Send + Sync>) = match error {
            // SQLite opens a file under its lock.
            sqlx::Error::Database(error) if classify(&*error).kind == ErrorKind::LockTimeout => {
                return Self::from_database(&*error, table);
            }
            sqlx::Error::Database(error) => {
                let cause = DatabaseError::new(&*error);
                (format!(": {}", cause.message), cause.into())
            }
            error => (String::new(), error.into()),
        };
        let message = format!("a connection to the database could not be opened{said}");
        Self::new(ErrorKind::Unavailable, message).with_source(error)
    }

    fn from_a_node_behind(error: &NotCaughtUp) -> Self {
        let source: Box<dyn StdError + Send + Sync> = match &error.0 {
            sqlx::Error::Database(cause) => DatabaseError::new(&**cause).into(),
            other => other.to_string().into(),
        };
        Self::new(ErrorKind::Unavailable, error.to_string()).with_source(source)
    }

    /// Classifies an error of opening a database.
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
        let fault = classify(error);
        let cause = DatabaseError::new(error);
        let kind = fault.kind;
        let message = match kind {
            _ if fault.cause == Cause::Stale => {
                "the statement was prepared before the table changed, or the server has forgotten it; it is prepared \
                 anew from now on: roll the transaction back and run it again"
                    .into()
            }
            ErrorKind::MissingTable => {
                format!("the table {table} does not exist: create it with migrate()")
            }
            ErrorKind::MissingColumn => {
                format!("the table {table} lacks a declared column: {}", cause.message)
            }
            ErrorKind::DuplicateToken => "another session already has this token".into(),
            ErrorKind::Constraint => "a constraint of the database refused the write".into(),
            ErrorKind::InvalidField if is_of_the_encoding(error) => {
                format!("a value holds a character that the encoding of {table}, or of its column, lacks: {}", cause.message)
            }
            ErrorKind::InvalidField => {
                format!("a value cannot be stored in {table}: {}", cause.message)
            }
            ErrorKind::InvalidData if cause.code.as_deref() == Some("22P05") => {
                "data holds the character U+0000, which PostgreSQL's jsonb cannot store".into()
            }
            ErrorKind::InvalidData => {
                "data is nested deeper than the server's JSON allows: the limit is 32 levels on MariaDB, and 100 on MySQL"
                    .into()
            }
            ErrorKind::Unsupported => {
                format!("the database does not compare values of this type so: {}", cause.message)
            }
            ErrorKind::ReadOnly => "the database takes no writes".into(),
            ErrorKind::LockTimeout => {
                "another transaction has had the row, the table or the database's file locked for too long"
                    .into()
            }
            ErrorKind::Contention => {
                "the database rolled the operation back, because it and other transactions got in each other's way: \
                 call it again, or run the whole transaction again"
                    .into()
            }
            ErrorKind::StatementTimeout => {
                "the server gave the statement up, which ran for too long or was cancelled".into()
            }
            ErrorKind::DiskFull => format!("there is no room for what was to be written: {}", cause.message),
            ErrorKind::PermissionDenied => format!("the database's role lacks a right: {}", cause.message),
            ErrorKind::Unavailable => format!("the database cannot serve now: {}", cause.message),
            _ => "the database refused the statement".into(),
        };
        Self::new(kind, message).with_source(cause)
    }
}
