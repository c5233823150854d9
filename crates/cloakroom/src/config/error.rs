use std::fmt;
use std::time::Duration;

use super::limits::{MAX_BATCH, MAX_CAPACITY};
use crate::token::{MAX_SCHEMES, MAX_TAG_LENGTH, MIN_TOKEN_LENGTH, SchemeProblem, TokenPrefixError};

/// An invalid setting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `token_length` is out of bounds.
    TokenLength {
        /// The greatest length that this table can hold.
        longest: usize,
    },
    /// The prefix of a token's format is none.
    TokenPrefix(TokenPrefixError),
    /// The salt is empty.
    EmptySalt,
    /// There is a salt, but no hashing to mix it into.
    SaltWithoutHashing,
    /// There is no scheme for the digests, or there are more than 8.
    SchemeCount,
    /// The name of a scheme is not 1 to 32 ASCII letters, digits, `-`, `_` and `.`.
    SchemeName {
        /// The name, shortened if it is long.
        name: String,
    },
    /// Two schemes have one name. Upper and lower case are one.
    SchemeTwice {
        /// The name.
        name: String,
    },
    /// The first scheme, under which new tokens are stored, is one of another system.
    AdoptedFirst {
        /// Its name.
        name: String,
    },
    /// The tokens of an adopted scheme have no prefix of this table's, and only tokens with a prefix are accepted.
    AdoptedWithoutFormat {
        /// The scheme's name.
        name: String,
    },
    /// `digests` is set, and so is `hashing` or `secret_salt`.
    DigestsTwice,
    /// A span is zero that must not be.
    ZeroSpan {
        /// The setting's name.
        setting: &'static str,
    },
    /// `extend_after` is not less than `ttl`, so no session would ever be extended.
    ExtendAfter {
        /// What was set.
        extend_after: Duration,
        /// The `ttl`, which must be greater.
        ttl: Duration,
    },
    /// `exchange_grace` is more than a day.
    ExchangeGrace,
    /// The tokens of a table that exchanges them are not hashed. An old token that is stored as it is would open its
    /// successor's seal.
    ExchangeOfPlaintext,
    /// Sessions of the table can be bound to a device, and its tokens can be exchanged. An exchange needs no proof of the
    /// device's key.
    ExchangeOfBound,
    /// The tokens of a table whose sessions can be bound to a device are not hashed. An old token that is stored as it is
    /// would open its successor's seal.
    BoundPlaintext,
    /// `max_batch` is out of bounds.
    MaxBatch,
    /// `max_in_flight` is zero, so no statement would ever be sent.
    MaxInFlight,
    /// The capacity of the cache is zero, or more than the maximum.
    CacheCapacity,
    /// A [limit](crate::Sessions::with_limit) is not possible.
    Limit {
        /// What is wrong with it.
        problem: String,
    },
    /// The primary and its standby are different kinds of database.
    Replica {
        /// The kind of the primary.
        primary: String,
        /// The kind of the standby.
        standby: String,
    },
    /// The name of a schema, table or column is not allowed: it is empty, longer than 63 bytes, or holds a control
    /// character, or this database does not allow it.
    Identifier {
        /// What the name is for.
        what: &'static str,
        /// The name, shortened if it is long.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two fields have the same column, or a field has the name of a built-in column.
    DuplicateColumn {
        /// The column's name.
        name: String,
    },
    /// Two columns have the same role.
    DuplicateRole {
        /// The role's name.
        role: &'static str,
        /// The columns' names.
        columns: [String; 2],
    },
    /// The database cannot hold a field's type.
    ColumnType {
        /// The column's name.
        column: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenLength { longest } => {
                write!(f, "token_length must be at least {MIN_TOKEN_LENGTH} and at most {longest}")
            }
            Self::TokenPrefix(error) => fmt::Display::fmt(error, f),
            Self::EmptySalt => {
                f.write_str("secret_salt must not be empty: leave it out if there is to be none")
            }
            Self::SaltWithoutHashing => f.write_str(
                "a token that is not hashed cannot be salted: leave out secret_salt or choose a hashing",
            ),
            Self::SchemeCount => {
                write!(f, "digests must name at least 1 and at most {MAX_SCHEMES} schemes")
            }
            Self::SchemeName { name } => write!(
                f,
                "{name:?} is no name for a scheme: it must be 1 to {MAX_TAG_LENGTH} letters, digits, '-', '_' and '.'"
            ),
            Self::SchemeTwice { name } => {
                write!(f, "two schemes have the name {name:?}, so that their digests could not be told apart")
            }
            Self::AdoptedWithoutFormat { name } => write!(
                f,
                "no token of the scheme {name:?} would be accepted, since none has an accepted prefix: name a plain \
                 format in accept_formats"
            ),
            Self::AdoptedFirst { name } => write!(
                f,
                "the first scheme must not be the adopted {name:?}: new tokens are stored under it, so it must be one of \
                 this library's"
            ),
            Self::Limit { problem } => write!(f, "the limit of sessions per owner: {problem}"),
            Self::DigestsTwice => f.write_str(
                "digests takes the place of hashing and secret_salt: name them as a scheme in its list instead",
            ),
            Self::ZeroSpan { setting } => {
                write!(f, "{setting} must be at least a microsecond, or none at all")
            }
            Self::ExtendAfter { extend_after, ttl } => write!(
                f,
                "extend_after ({extend_after:?}) must be less than ttl ({ttl:?}), or nothing would ever be extended"
            ),
            Self::ExchangeGrace => f.write_str("exchange_grace must be at most a day"),
            Self::ExchangeOfPlaintext => f.write_str(
                "tokens that are stored as they are cannot be exchanged, because a stored token would open the seal of its \
                 successor: choose a hashing",
            ),
            Self::ExchangeOfBound => f.write_str(
                "sessions that can be bound to a device cannot be exchanged too, because an exchange needs no proof of the \
                 device's key",
            ),
            Self::BoundPlaintext => f.write_str(
                "sessions whose tokens are stored as they are cannot be bound to a device, because a stored token would \
                 open the seal of its successor: choose a hashing",
            ),
            Self::MaxBatch => write!(f, "max_batch must be at least 1 and at most {MAX_BATCH}"),
            Self::MaxInFlight => f.write_str("max_in_flight must be at least 1"),
            Self::CacheCapacity => {
                write!(f, "a cache must have room for at least one session and at most {MAX_CAPACITY}")
            }
            Self::Replica { primary, standby } => {
                write!(f, "a standby of {primary} cannot be {standby}")
            }
            Self::Identifier { what, name, problem } => {
                write!(f, "{name:?} is no name for a {what}: {problem}")
            }
            Self::DuplicateColumn { name } => {
                write!(
                    f,
                    "the column {name:?} is declared twice or built in; name the field's column differently"
                )
            }
            Self::DuplicateRole { role, columns: [one, other] } => {
                write!(
                    f,
                    "the columns {one:?} and {other:?} both have the role {role}: one column of a table has it"
                )
            }
            Self::ColumnType { column, problem } => write!(f, "the column {column:?}: {problem}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Lets one function make the formats and build the configuration.
impl From<TokenPrefixError> for ConfigError {
    fn from(error: TokenPrefixError) -> Self {
        Self::TokenPrefix(error)
    }
}

impl From<SchemeProblem> for ConfigError {
    fn from(problem: SchemeProblem) -> Self {
        match problem {
            SchemeProblem::Name(mut name) => {
                name.truncate(name.floor_char_boundary(2 * MAX_TAG_LENGTH));
                Self::SchemeName { name }
            }
            SchemeProblem::NameTwice(name) => Self::SchemeTwice { name },
            SchemeProblem::EmptySalt => Self::EmptySalt,
            SchemeProblem::SaltWithoutHashing => Self::SaltWithoutHashing,
            SchemeProblem::AdoptedFirst(name) => Self::AdoptedFirst { name },
            SchemeProblem::Count => Self::SchemeCount,
        }
    }
}
