//! Database-backed sessions and API keys.
//!
//! You hand in your coat and get a ticket; the attendant keeps the stub. A client holds an opaque random
//! **token**; your own SQL database holds its **digest**, next to columns of your own, JSON data and an
//! expiry. A session can be revoked at once and listed by user, and whoever steals the database steals no
//! session. It is the Rust counterpart of Elixir's `ecto_sessions`, and reads and writes its tables.
//!
//! # In a minute
//!
//! ```
//! use cloakroom::{Config, Database, NewSession, SessionTable, Sessions};
//! use serde_json::json;
//!
//! // One struct is one table; its fields are columns of your own.
//! #[derive(Clone, Debug, SessionTable)]
//! struct UserSession {
//!     #[session(index)]
//!     user_id: String,
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The pool your application already has, or a new one from a URL.
//! let database = Database::connect("sqlite::memory:").await?;
//! let sessions = Sessions::<UserSession>::new(database, Config::default())?;
//! sessions.migrate().await?;
//!
//! // Log in. The token goes to the client now and is nowhere else.
//! let new = NewSession::new(UserSession { user_id: "1234".into() });
//! let created = sessions.create(new.data(json!({ "device": "a phone" }))).await?;
//! let token = created.token.expose();
//!
//! // On every request.
//! let session = sessions.authenticate(token).await?.expect("the session is valid");
//! assert_eq!(session.fields.user_id, "1234");
//!
//! // Where is this user logged in? Newest first.
//! let of_user = || sessions.query().filter(UserSession::USER_ID.eq("1234"));
//! assert_eq!(of_user().fetch_all().await?.len(), 1);
//!
//! // Sign out everywhere: refused from the very next request.
//! of_user().expire_all().await?;
//! assert!(sessions.authenticate(token).await?.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! | you want to | look at |
//! |---|---|
//! | declare a table | [`derive(SessionTable)`](derive@SessionTable), [`TableDefinition`] |
//! | create, authenticate, update, extend, expire, delete | [`Sessions`] |
//! | set time to live, hashing, salt, lifetime | [`Config`] |
//! | answer most requests without the database | [`Cache`], [`Sessions::authenticate_fresh`] |
//! | list, filter, page, count, expire or delete many | [`SessionQuery`], [`Column`], [`Filter`] |
//! | fetch each session with its user | [`SessionQuery::preload`], [`ToOne`], [`ToMany`] |
//! | do it in a transaction of your own | [`Sessions::within`] |
//! | create the table | [`Sessions::migrate`], or [`migrations`] for the statements |
//! | delete what has expired | [`Pruner`], [`Sessions::delete_expired`] |
//! | serve a schema for each tenant | [`Sessions::with_schema`] |
//! | work on a table known only at run time | [`DynamicFields`] |
//! | test with a clock of your own | [`ManualClock`] |
//! | know what can go wrong, and what an error leaves done | [`Error`], [`ErrorKind`], [`Outcome`] |
//!
//! # What you can rely on
//!
//! 1. **A session that ended stays ended.** Every write is conditional on the row being as it was read.
//!    No read, extension or update brings back a session that has expired or was deleted, whatever runs at
//!    the same time; a token that a client made up never becomes a session.
//! 2. **Trouble is not "logged out".** Absent, unknown, expired and malformed tokens are `None`. A
//!    database that cannot be asked is an `Err`, always.
//! 3. **An answer is never older than the question.** An expired, deleted or rotated token is refused by the
//!    next call, in every process. Concurrent calls share statements, but nobody joins one that has been sent.
//!    A [`Cache`], which is off by default, gives this up for a time that you choose, and says exactly for how
//!    long.
//! 4. **Secrets do not leak.** No token, digest or salt is in any `Debug` output, error, log event or
//!    span; a test searches all of them. [`Token`], [`TokenDigest`] and the salt are wiped from memory when
//!    they are dropped; the copy of a digest that is bound into a statement is not.
//! 5. **No lost updates.** Two writers of one session never undo each other silently: the later one gets
//!    [`ErrorKind::Conflict`], or [`Sessions::update_with`] reads again and starts anew.
//! 6. **What was not changed is not rewritten.** JSON is kept as text beside its value; numbers beyond 64
//!    bits and keys that your type does not know survive an update of their neighbours.
//! 7. **The time is yours.** Statements bind the instant of the configured [`Clock`]; none asks the
//!    database for its own. What is stored has microseconds, and so has what is returned.
//! 8. **Any future may be dropped.** What writes does so in one statement.
//!
//! # How a session lives
//!
//! A new session expires after [`ttl`](ConfigBuilder::ttl), 7 days by default, or when
//! [`NewSession`] says. Reading it extends it, but writes only when that gains more than
//! [`extend_after`](ConfigBuilder::extend_after), 1 day by default: a session in constant use is written
//! about once a day. [`max_lifetime`](ConfigBuilder::max_lifetime) sets an end that no extension passes. A
//! session may also never expire. [`expire`](Sessions::expire) ends one now and keeps its row for the record;
//! [`delete`](Sessions::delete) removes the row; the [`Pruner`] removes rows that have expired.
//!
//! # What a call costs
//!
//! A call that comes alone is one statement, by the unique index on the digest. Calls that come while others are on
//! their way gather, and go together when one returns: [`max_in_flight`](ConfigBuilder::max_in_flight) says how
//! many statements are out at once, [`max_batch`](ConfigBuilder::max_batch) how many calls share one. A row
//! that cannot be read or written fails its own caller; a statement that fails, fails all who share it. The same
//! goes for [`create`](Sessions::create), each of whose callers waits for the commit of its own row, and for
//! extensions. Transactions of your own share nothing.
//!
//! With a [`Cache`] most calls cost a hash.
//!
//! # Databases
//!
//! | feature | database | columns |
//! |---|---|---|
//! | `sqlite` (default) | SQLite 3.38 or newer, bundled | `BLOB` ids, text instants of fixed width, `STRICT` |
//! | `postgres` | PostgreSQL 12 or newer | `uuid`, `varchar`, `jsonb`, `timestamptz`; `timestamp` in tables that `ecto_sessions` made |
//! | `mysql` | MariaDB 10.7, MySQL 8.0.17 or newer | `binary(16)`, `varchar`, `json`, `datetime(6)` |
//!
//! Any of them may be enabled together. A type of a field must be storable on every enabled one.
//!
//! The pool is the application's, and so are its settings. Three of them matter here:
//!
//! - `test_before_acquire`, which is on in a pool of sqlx by default, asks each connection for a sign of
//!   life before each statement: a second round trip. [`Database::connect`] turns it off.
//! - Behind a transaction pooler such as pgbouncer, named prepared statements need its support for them
//!   (`max_prepared_statements`), or `statement_cache_capacity(0)` in the options of the connections.
//! - A file of SQLite's should be in WAL mode with a busy time-out and `synchronous = FULL`, as
//!   [`Database::connect`] opens it: with `NORMAL` a power cut can undo a log-out that was acknowledged.
//!   `STRICT` tables and JSON functions come with the bundled library.
//!
//! MariaDB and MySQL compare text by a column's collation. The tables made here use one that tells
//! `bob`, `Bob` and `bob ` apart; look at yours when you adopt a table of your own.
//!
//! # Encrypted connections
//!
//! How the connection to a server is encrypted is sqlx's to say, and the application turns it on: this crate adds no
//! TLS. Name one of sqlx's features beside this crate; features add up.
//!
//! ```toml
//! sqlx = { version = "0.9", default-features = false, features = ["tls-rustls-ring-native-roots"] }
//! ```
//!
//! | feature of sqlx | whose certificates it trusts |
//! |---|---|
//! | `tls-rustls-ring-native-roots` | the system's |
//! | `tls-rustls-ring-webpki`, `tls-rustls-aws-lc-rs` | Mozilla's, compiled in |
//! | `tls-native-tls` | the system's, by its own library |
//!
//! Then say in the URL what must hold. By default both drivers encrypt if the server offers it and **verify nothing**:
//! a machine in between reads each digest and each field. With `?sslmode=verify-full` (PostgreSQL) or
//! `?ssl-mode=VERIFY_IDENTITY` (MariaDB, MySQL) a connection is refused unless the certificate is one of that host;
//! `sslrootcert=` and `ssl-ca=` name the file of an authority of your own. Without one of the features such a URL is an
//! error.
//!
//! # Limits
//!
//! - **Clocks.** Each machine judges by its own, so keep them in step. A session that a machine whose clock
//!   is ahead has ended is refused everywhere at once, listed as expired, and neither extended nor brought back. That
//!   holds also for one that had expired there, but not elsewhere, if the clocks differ by less than a day. A write
//!   binds the time at which it was called: while it waits for a connection or a lock, a session may run out by time
//!   alone and be extended all the same.
//! - **Connections.** Writes hold three quarters of the pool's at most, however many are asked for at once, so that
//!   reads go on while writes wait for a lock. Of a pool of one they hold that one.
//! - **Time-outs.** The pool's own bounds the wait for a connection. A server that keeps a connection open
//!   and never answers is bounded by nothing; where that matters, wrap calls in `tokio::time::timeout`,
//!   which is safe, or set a statement time-out in the connections' options.
//! - **A statement that hangs** holds its slot until nobody waits for it any more: then it is given up, and its
//!   connection with it.
//! - **A server that restarts** leaves dead connections in the pool. Without `test_before_acquire` each costs one
//!   call, which is answered with [`ErrorKind::Unavailable`].
//! - **Sizes.** Text fields hold 255 characters on PostgreSQL and MariaDB, bytes 64 KiB on MariaDB; `sql_type`
//!   gives a field another type. `data` may be nested 127 levels deep, on MariaDB 31. PostgreSQL stores no
//!   U+0000, neither in text nor in JSON.
//! - **Numbers in `data`** that no 64-bit type holds reach `serde_json::Value` rounded, and one beyond `1e308`
//!   not at all; [`Session::stored_data`] has the text.
//! - **Listing** uses an index where a filter names an indexed field. Over the whole table it sorts.
//! - **Transactions of MariaDB's** read a snapshot by default, so an operation inside one that lost to
//!   somebody else's write cannot see it: [`Sessions::update_with`] ends in [`ErrorKind::Conflict`] there.
//! - **Plaintext tokens** on MariaDB and MySQL must be ASCII.
//! - **Attached databases of SQLite's** are searched too for a table that is declared without a schema and is not in
//!   the main one.
//!
//! # Not here
//!
//! Cookies and headers, which the crate `cloakroom-axum` handles for axum; log-in forms and passwords. A token
//! is a bearer secret: send it over TLS only, put it into a cookie that is `Secure` and `HttpOnly`, or a
//! header, never into a URL.

#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!("cloakroom needs at least one of its features `sqlite`, `postgres` and `mysql`");

mod batching;
mod cache;
mod clock;
mod config;
mod database;
mod error;
#[cfg(test)]
mod fuzz;
pub mod migrations;
mod operations;
mod pruner;
mod query;
mod session;
mod sessions;
mod sql;
mod store;
mod sync;
mod table;
mod token;

pub use clock::{Clock, ManualClock, SignedSpan, SystemClock};
pub use config::{Cache, Config, ConfigBuilder, ConfigError};
#[doc(hidden)]
pub use database::Row;
pub use database::{
    Backend, ColumnType, Connection, Database, FieldType, FieldValue, LoadedRow, ParseColumnTypeError,
    StoredType, Transaction,
};
pub use error::{Error, ErrorKind, Outcome, Result};
pub use migrations::Migration;
pub use operations::{ImportedSession, Operations};
pub use pruner::{Progress, Pruner, PrunerBuilder};
pub use query::{CountBy, Loaded, Preload, SessionQuery, ToMany, ToOne, UnreadableSession};
pub use session::{
    CreatedSession, Cursor, DefaultData, NewSession, ParseCursorError, Session, SessionRow, Status,
};
pub use sessions::Sessions;
pub use sql::{Comparison, Filter};
pub use table::{
    Column, DynamicFields, DynamicValue, FieldDefinition, FieldReader, SessionFields, SessionTable,
    TableDefinition,
};
pub use token::{
    DigestError, Hashing, MAX_TOKEN_LENGTH, MIN_TOKEN_LENGTH, ParseHashingError, Token, TokenDigest,
    TokenError,
};

/// Declares a session table: see [the derive crate](cloakroom_derive::SessionTable) for every attribute.
pub use cloakroom_derive::SessionTable;

// Public dependencies on purpose: pools, transactions and conditions are the application's own, and so are the types
// of ids and instants.
pub use {sea_query, sqlx, time, uuid};

/// The type of a session's `data` where the derive names none: any JSON, `{}` by default.
pub type JsonValue = serde_json::Value;

/// The README's examples, compiled as this crate's own.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
