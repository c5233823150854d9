use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// What every operation of this crate returns when it fails.
///
/// An `Error` says what went wrong in words, sorts it by [`kind`](Error::kind), and keeps the cause as
/// [`source`](std::error::Error::source). It never holds a token, a digest or a salt: database errors are
/// kept without the details in which servers quote the offending row.
pub struct Error(Box<Inner>);

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
    /// The operation is not possible in this form; the message says what is.
    Unsupported,
    /// The database, or this connection to it, takes no writes.
    ReadOnly,
    /// The database could not be reached: refused, gone in the middle, shutting down, or no connection
    /// became free within the pool's own time-out.
    Unavailable,
    /// A row was read that does not decode into the declared types.
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
        Self(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Sorts an error of the driver. `table` is named where the message is about it.
    pub(crate) fn from_sqlx(error: sqlx::Error, table: &str) -> Self {
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

/// What a database server said, less what it quotes of the row: the details of PostgreSQL's errors and the
/// values in MariaDB's name the very digest that was to be stored.
#[derive(Debug)]
struct DatabaseError {
    code: Option<String>,
    message: String,
}

impl DatabaseError {
    fn new(error: &dyn sqlx::error::DatabaseError) -> Self {
        let (said, quotes_a_value) = (error.message(), crate::database::quotes_a_value(error));
        Self { code: error.code().map(Cow::into_owned), message: without_values(said, quotes_a_value) }
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " (code {code})"),
            None => Ok(()),
        }
    }
}

impl StdError for DatabaseError {}

/// What a server said, with every value in it blanked.
///
/// Names of tables, columns and keys stay, since they tell the reader what to mend. A message that is known
/// to quote a value, and does so in words that are not known here, in another language, is left out.
fn without_values(said: &str, quotes_a_value: bool) -> String {
    match without_quoted_values(said) {
        Some(blanked) => without_digests(&blanked),
        None if quotes_a_value => "a value was refused, in words that are left out for quoting it".to_owned(),
        None => without_digests(said),
    }
}

/// Blanks what stands after words by which a server introduces a value; `None` where there are none.
///
/// `Duplicate entry '…' for key`, `Incorrect string value: '…' for column`, `invalid input syntax for type
/// uuid: "…"`.
fn without_quoted_values(said: &str) -> Option<String> {
    const INTRODUCTIONS: [&str; 3] = ["entry '", "value: '", ": \""];
    let found = INTRODUCTIONS.iter().filter_map(|words| Some((said.find(words)?, words)));
    let (at, introduction) = found.min()?;
    let start = at + introduction.len();
    let quote = &introduction[introduction.len() - 1..];
    // The value itself may hold anything: what ends it is the last that could.
    let tail = said[start..].rfind("' for ").or_else(|| said[start..].rfind(quote));
    let end = tail.map_or(said.len(), |at| start + at);
    Some(format!("{}…{}", &said[..start], &said[end..]))
}

/// Blanks what may be a digest, wherever it stands: a trigger of the application's may say anything.
fn without_digests(said: &str) -> String {
    const SHORTEST: usize = 40;
    let mut kept = String::with_capacity(said.len());
    let mut rest = said;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let digits = rest[start..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len() - start);
        let (before, run) = rest[..start + digits].split_at(start);
        kept.push_str(before);
        kept.push_str(if digits < SHORTEST { run } else { "…" });
        rest = &rest[start + digits..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_a_server_quotes_are_blanked_and_names_stay() {
        for (said, kept) in [
            ("Duplicate entry 'c0ffee' for key 'digest'", "Duplicate entry '…' for key 'digest'"),
            (
                "Incorrect string value: '\\xF0' for column `a`.`b`",
                "Incorrect string value: '…' for column `a`.`b`",
            ),
            ("invalid input syntax for type uuid: \"c0ffee\"", "invalid input syntax for type uuid: \"…\""),
            ("column \"role\" does not exist", "column \"role\" does not exist"),
            // A value that tries to end its own quotation.
            ("Duplicate entry 'a' for key 'b', c0ffee' for key 'd'", "Duplicate entry '…' for key 'd'"),
            (
                "invalid input syntax for type json: \"a\" c0ffee\"",
                "invalid input syntax for type json: \"…\"",
            ),
        ] {
            assert_eq!(without_values(said, false), kept);
        }
    }

    #[test]
    fn a_value_quoted_in_another_language_is_left_out_with_its_words() {
        for said in [
            "Doppelter Eintrag 'a-token' für Schlüssel 'digest'",
            "ungültige Eingabesyntax für Typ uuid: »a-token«",
        ] {
            assert!(!without_values(said, true).contains("a-token"), "{said}");
        }
        let harmless = "Feld 'role' unbekannt";
        assert_eq!(without_values(harmless, false), harmless);
    }

    #[test]
    fn what_may_be_a_digest_is_blanked_wherever_it_stands() {
        let digest = "c0ffee00".repeat(8);
        for digest in [digest.to_uppercase(), digest[..40].to_owned(), digest] {
            let said = format!("the trigger says é{digest}, of the row 0a1b2c");
            assert_eq!(without_values(&said, false), "the trigger says é…, of the row 0a1b2c");
        }
    }
}
