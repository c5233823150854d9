//! Database-backed sessions and API keys.
//!
//! You hand in your coat and get a ticket; the attendant keeps the stub. A client holds an opaque random **token**;
//! your own SQL database holds its **digest**, next to columns of your own, JSON data and an expiry. A session can be
//! revoked at once and listed by user, and a stolen copy of the database gives no access to any session. Cloakroom is
//! the Rust counterpart of Elixir's `ecto_sessions`, and reads and writes its tables.
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
//! | set time to live, digests, lifetime | [`Config`] |
//! | give the digests a key, replace it, adopt other systems' digests | [`ConfigBuilder::digests`], [`Scheme`] |
//! | exchange refresh tokens, and notice a stolen one | [`Sessions::exchange`] |
//! | replace an API key and leave the old one good for a while | [`Sessions::rotate_with_grace`] |
//! | give API keys a prefix and a checksum | [`TokenFormat`], [`ConfigBuilder::token_format`] |
//! | give keys scopes, and ask for them | [`Scopes`], [`derive(Scope)`](derive@Scope), [`Session::has_scope`] |
//! | answer most requests without the database | [`Cache`], [`Sessions::authenticate_fresh`] |
//! | limit how many sessions a user has at once | [`Sessions::with_limit`], [`PerOwner`] |
//! | know why a session ended | [`EndReason`], [`Sessions::expire_because`] |
//! | list, filter, page, count, expire or delete many | [`SessionQuery`], [`Column`], [`Filter`] |
//! | fetch each session with its user | [`SessionQuery::preload`], [`ToOne`], [`ToMany`] |
//! | run operations in a transaction of your own | [`Sessions::within`] |
//! | create the table | [`Sessions::migrate`], or [`migrations`] for the statements |
//! | delete what has expired | [`Pruner`], [`Sessions::delete_expired`] |
//! | serve a schema for each tenant | [`Sessions::with_schema`] |
//! | use a Galera cluster, or a standby | [`ConfigBuilder::causal_reads`], [`Database::replica`] |
//! | work on a table known only at run time | [`DynamicFields`] |
//! | test with a clock of your own | [`ManualClock`] |
//! | know what can go wrong, and what an error leaves done | [`Error`], [`ErrorKind`], [`Outcome`] |
//!
//! # What you can rely on
//!
//! 1. **A session that ended stays ended.** No read, extension or update brings back a session that has expired or was
//!    deleted, no matter what else runs at the same time. [`update`](Sessions::update), [`extend`](Sessions::extend)
//!    and [`rotate`](Sessions::rotate) write only if the row is still as it was read. A token that a client made up
//!    never becomes a session.
//! 2. **Trouble is not "logged out".** Absent, unknown, expired and malformed tokens are `None`. If the database cannot
//!    be asked, the result is always an `Err`.
//! 3. **An answer is never older than the question.** An expired, deleted or rotated token is refused by the next call,
//!    in every process. Concurrent calls share statements, but a call never joins a statement that has already been
//!    sent. On a Galera cluster this holds on whichever node is asked. A [`Cache`], which is off by default, gives this
//!    up for a time that you choose, and documents exactly how long that is. A handle on the pool of a standby answers
//!    what the standby has, which lags behind its primary; see [`Database::replica`].
//! 4. **Secrets do not leak.** No token, digest, key or salt is in any `Debug` output, error, log event or span; a test
//!    searches all of them. [`Token`], [`TokenDigest`], [`Key`] and salts are wiped from memory when they are dropped. The
//!    copy of a digest that is bound into a statement is not wiped.
//! 5. **No lost updates.** Two writers of one session never undo each other's changes silently. The later one gets
//!    [`ErrorKind::Conflict`]; [`Sessions::update_with`] then reads the session again and starts anew.
//! 6. **What was not changed is not rewritten.** JSON is kept as text beside its value. Numbers beyond 64 bits, and
//!    keys that your type does not know, stay as they are when other parts of the data change.
//! 7. **The time is yours.** Statements bind the instant of the configured [`Clock`]; none asks the database for its
//!    own. Instants are stored and returned to the microsecond.
//! 8. **Any future may be dropped.** Each statement is done as a whole or not at all, and each one leaves a valid
//!    state. [`Sessions`] says which operations take more than one.
//!
//! # How a session lives
//!
//! A new session expires after [`ttl`](ConfigBuilder::ttl), 7 days by default, or at the expiry that [`NewSession`]
//! sets. Reading a session extends it, but only if that gains more than [`extend_after`](ConfigBuilder::extend_after),
//! 1 day by default: a session in constant use is written about once a day.
//! [`sliding`](NewSession::sliding) gives a session a span of its own in place of `ttl`, and a session whose end was set
//! with [`expires_in`](NewSession::expires_in) or [`expires_at`](NewSession::expires_at) is never extended.
//! [`max_lifetime`](ConfigBuilder::max_lifetime) sets an end that no extension passes. A session may also never expire.
//! [`expire`](Sessions::expire) ends a session now and keeps its row as a record; [`delete`](Sessions::delete) removes
//! the row; the [`Pruner`] removes rows of expired sessions.
//!
//! # What a call costs
//!
//! A call that arrives alone takes one statement, by the unique index on the digest. Calls that arrive while other
//! statements are out wait in a queue, and share the next statement when one of those returns.
//! [`max_in_flight`](ConfigBuilder::max_in_flight) sets how many statements may be out at once, and
//! [`max_batch`](ConfigBuilder::max_batch) how many calls may share one. A row that cannot be read or written fails
//! only its own caller. A statement that fails fails every call that shares it. The same holds for
//! [`create`](Sessions::create), each caller of which waits for the commit of its own row, and for extensions. On SQLite
//! and PostgreSQL it also holds for [`expire`](Sessions::expire) and [`delete`](Sessions::delete): each caller learns what
//! became of its own session.
//! Operations in transactions of your own share nothing.
//!
//! With a [`Cache`], most calls cost only a hash.
//!
//! # Databases
//!
//! | feature | database | columns |
//! |---|---|---|
//! | `sqlite` (default) | SQLite 3.38 or newer, bundled | `BLOB` ids, text instants of fixed width, `STRICT` |
//! | `postgres` | PostgreSQL 12 or newer | `uuid`, `varchar`, `jsonb`, `timestamptz`; `timestamp` in tables that `ecto_sessions` made |
//! | `mysql` | MariaDB 10.7, MySQL 8.0.17 or newer | `binary(16)`, `varchar`, `datetime(6)`; for JSON `json` on MariaDB, on MySQL `longtext` with a check |
//!
//! The tests of the feature `postgres` were run on PostgreSQL 12.22, 13.23, 14.23, 15.18, 16.14, 17.10, 18.4 and 19rc1,
//! and those of the feature `mysql` on MariaDB 10.11.19 and 11.8.9 and on MySQL 9.7.4.
//!
//! They may be enabled together. The type of a field must then be storable on each of them.
//!
//! The pool and its settings belong to the application. Four settings matter here:
//!
//! - `test_before_acquire`, which sqlx turns on by default, checks that a connection is alive before each statement: a
//!   second round trip. [`Database::connect`] turns it off.
//! - pgbouncer in session mode needs no setting. In transaction mode it must be 1.21 or newer, with
//!   `max_prepared_statements`. Do not use an older one in that mode: statements fail, or the statement of another client runs
//!   in their place, with their values. `statement_cache_capacity(0)` does not help: sqlx 0.9 then
//!   still prepares named statements, and never closes them. After a migration that changes the type of one of your columns
//!   it hands the old plans to new clients too, which fail with "cached plan must not change result type" until its
//!   connections are renewed (`RECONNECT` on its console; seen with 1.26.1). A [`Cache`] cannot hear of revocations through transaction
//!   mode, and notices that; see [`Cache::listen`].
//! - The hooks `before_acquire` and `after_release` must not depend on who asks: calls share statements and connections,
//!   and a lookup keeps its connection for a few milliseconds for the next one. If a hook sets a tenant's `search_path` or
//!   role, give each tenant a pool of its own, or have each call ask by itself
//!   ([`max_batch(1)`](ConfigBuilder::max_batch)).
//! - A SQLite file should be in WAL mode with a busy time-out and `synchronous = FULL`, as [`Database::connect`] opens
//!   it. With `NORMAL` a power cut can undo a log-out that was acknowledged. `STRICT` tables and JSON functions come
//!   with the bundled library. Do not open the file by another copy of SQLite in the same process, such as libsql's: closing
//!   one copy's file drops the locks of the other, and acknowledged commits can be lost (POSIX advisory locks, in SQLite's
//!   manual "How To Corrupt An SQLite Database File", 2.2).
//!
//! MariaDB and MySQL compare text by a column's collation. The tables made here use one that tells `bob`, `Bob` and
//! `bob ` apart. If you adopt a table of your own, check its collation.
//!
//! On MySQL four things differ from MariaDB:
//!
//! - **It does not say whether a transaction is open.** So an operation on the pool takes two more round trips each time
//!   that it takes a connection, and an operation inside a transaction two more before it.
//! - **It cannot help waiting.** A shared statement that meets a locked row waits for `innodb_lock_wait_timeout`, 50 s by
//!   default; then each call goes alone. Last uses are kept meanwhile, also those of other sessions. Set a few seconds.
//! - **Passwords need an encrypted connection.** With `caching_sha2_password`, MySQL's default, sqlx sends a password
//!   over TLS, or without TLS if its feature `mysql-rsa` is on.
//! - **Its own type `json` rewrites what it stores**: it sorts keys, keeps the last of equal ones, writes spaces, and
//!   rounds numbers that neither 64 bits nor a double hold. The tables made here have text in its place. In a table of
//!   your own the type is accepted, and operations answer what the row holds; `data` and fields are then not kept to the
//!   letter.
//!
//! # Clusters and standbys
//!
//! On a node of a Galera cluster, each statement waits until the node has applied what the cluster committed before the
//! statement was sent ([`causal_reads`](ConfigBuilder::causal_reads)). [`Database::replica`] uses a standby for lists
//! beside the primary. A handle on a standby alone lags with it: a session that was ended is accepted, and a new token is
//! unknown, until the standby has caught up. `docs/clusters.md` in the repository has measured figures, and what to
//! choose.
//!
//! # Encrypted connections
//!
//! This crate adds no TLS. sqlx encrypts the connection to a server, and the application turns that on. Name one of
//! sqlx's features beside this crate; features add up.
//!
//! ```toml
//! sqlx = { version = "0.9", default-features = false, features = ["tls-rustls-ring-native-roots"] }
//! ```
//!
//! | feature of sqlx | certificates it trusts |
//! |---|---|
//! | `tls-rustls-ring-native-roots` | the system's |
//! | `tls-rustls-ring-webpki`, `tls-rustls-aws-lc-rs` | Mozilla's, compiled in |
//! | `tls-native-tls` | the system's, by its own library |
//!
//! Then say in the URL what the connection requires. By default both drivers encrypt if the server offers it and
//! **verify nothing**: a machine in between can read each digest and each field. With `?sslmode=verify-full`
//! (PostgreSQL) or `?ssl-mode=VERIFY_IDENTITY` (MariaDB, MySQL) a connection is refused unless the server presents a
//! trusted certificate for that host. `sslrootcert=` and `ssl-ca=` name the file of a certificate authority of your
//! own. Without one of the features such a URL is an error.
//!
//! # Limits
//!
//! - **Clocks.** Each machine judges expiry by its own clock, so keep the clocks in step. If a machine with a clock
//!   that is ahead ends a session, the session is refused everywhere at once, listed as expired, and neither extended
//!   nor brought back. This holds also for a session that had already expired on that machine but not on others, if the
//!   clocks differ by less than a day. A write binds the time at which it was called. While it waits for a connection
//!   or a lock, a session may reach its expiry and be extended all the same.
//! - **Connections.** Writes hold at most three quarters of the pool's connections, however many writes are called at
//!   once, so that reads go on while writes wait for a lock. In a pool of one connection, a write holds that one.
//! - **Time-outs.** A call on the pool waits 10 seconds at most; see [`timeout`](ConfigBuilder::timeout). Calls within a
//!   transaction of your own have no bound: bound the transaction as a whole.
//! - **A statement that hangs** holds its slot until no call waits for it any more. Then it is given up, together with
//!   its connection.
//! - **A server that restarts** leaves dead connections in the pool. A read that meets one runs again on another
//!   connection. Without `test_before_acquire`, a write or the begin of a transaction that meets one fails with
//!   [`ErrorKind::Unavailable`].
//! - **Sizes.** Text fields hold 255 characters on PostgreSQL and MariaDB, bytes 64 KiB on MariaDB; `sql_type`
//!   gives a field another type. `data` may be nested 127 levels deep, on MariaDB 31, on MySQL 100. PostgreSQL stores no
//!   U+0000, neither in text nor in JSON.
//! - **Numbers in `data`** that no 64-bit type holds reach `serde_json::Value` rounded, and a number beyond `1e308`
//!   does not reach it at all. [`Session::stored_data`] has the text.
//! - **Listing** uses an index if a filter names an indexed field. A listing of the whole table sorts.
//! - **Transactions of MariaDB's** read a snapshot by default. If an operation inside one loses to another
//!   transaction's write, it cannot see that write: [`Sessions::update_with`] ends in [`ErrorKind::Conflict`] there. From
//!   MariaDB 11.6 on the write itself is refused, with [`ErrorKind::Contention`]: run the transaction again.
//! - **Plaintext tokens** on MariaDB and MySQL must be ASCII.
//! - **Attached databases of SQLite's** are searched too, for a table that is declared without a schema and is not in
//!   the main database.
//!
//! # Not here
//!
//! This crate does not handle cookies and headers; the crates `cloakroom-axum` and
//! `cloakroom-actix` do, for axum and for actix-web, and `cloakroom-tower-sessions` is a store for tower-sessions. It has
//! no log-in forms and no passwords. A token is a bearer secret: send it over TLS only, in a cookie that is `Secure` and `HttpOnly` or
//! in a header, and never in a URL.

#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!("cloakroom needs at least one of its features `sqlite`, `postgres` and `mysql`");

mod batching;
mod cache;
mod clock;
mod config;
mod database;
mod deadline;
#[cfg(feature = "dbsc")]
pub mod device;
mod error;
mod events;
#[cfg(test)]
mod fuzz;
pub mod migrations;
mod observe;
mod operations;
mod pruner;
mod query;
mod scopes;
mod seen;
mod session;
mod sessions;
mod sql;
mod store;
mod sync;
mod table;
mod token;

pub use clock::{Clock, ManualClock, SignedSpan, SystemClock};
pub use config::{Cache, CausalReads, Config, ConfigBuilder, ConfigError};
#[doc(hidden)]
pub use database::Row;
pub use database::{
    Backend, ColumnType, Connection, Database, Databases, FieldType, FieldValue, LoadedRow,
    ParseColumnTypeError, Replica, StoredType, Transaction,
};
pub use error::{Error, ErrorKind, Outcome, Result};
pub use events::{Event, EventKind, EventReceiver, EventSender, Observer, Refusal, event_channel};
pub use migrations::Migration;
pub use operations::{
    Evict, ImportError, ImportProgress, ImportedSession, Importer, Operations, PendingEvents, PerOwner,
};
pub use pruner::{Progress, Pruner, PrunerBuilder};
pub use query::{
    AuditEntry, AuditLog, CountBy, EndedSessions, Loaded, Preload, SchemeCount, SessionQuery, ToMany, ToOne,
    UnreadableSession,
};
pub use scopes::{AnyScope, ExcessScopesError, NamesScope, ParseScopesError, Scope, Scopes};
#[cfg(feature = "dbsc")]
pub use session::{BindingRefusal, BindingTerms, BoundSession, Registration, Renewal};
pub use session::{
    CreatedSession, Cursor, DefaultData, EndReason, Exchange, NewSession, ParseCursorError,
    ParseEndReasonError, RetiredToken, Seen, Session, SessionData, SessionRow, Sliding, Status,
};
pub use sessions::Sessions;
pub use sql::{Comparison, Filter};
#[cfg(feature = "dbsc")]
#[doc(hidden)]
pub use table::DeviceKeyField;
#[cfg(feature = "dbsc")]
pub use table::HasDeviceKey;
pub use table::{
    Column, DynamicFields, DynamicValue, ExchangesTokens, FieldDefinition, FieldReader, HasAssurance,
    HasAuthenticatedAt, HasEndedBecause, HasHint, HasLastAddress, HasLastSeen, HasLastUserAgent, HasOwner,
    HasScopes, KeepsAuditLog, ParseRoleError, Role, RotatesWithGrace, SessionFields, SessionTable,
    TableDefinition,
};
#[doc(hidden)]
pub use table::{InstantField, OptionalTextField, RoleField, ScopesField, TextField};
pub use token::{
    DigestError, Hashing, Key, KeyError, MAX_TOKEN_LENGTH, MIN_KEY_LENGTH, MIN_TOKEN_LENGTH,
    ParseHashingError, ParseTokenError, Reading, Scheme, Token, TokenDigest, TokenError, TokenFormat,
    TokenPrefixError,
};

/// Declares a session table: see [the derive crate](cloakroom_derive::SessionTable) for every attribute.
pub use cloakroom_derive::SessionTable;

/// Makes an enum the scopes of an application: see [the derive crate](cloakroom_derive::Scope) for every attribute.
pub use cloakroom_derive::Scope;

// Public dependencies on purpose: pools, transactions and conditions are the application's own, and so are the types
// of ids and instants.
pub use {sea_query, sqlx, time, uuid};

/// The type of a session's `data` if the derive names none: any JSON, `{}` by default.
pub type JsonValue = serde_json::Value;

/// The README's examples, compiled as this crate's own.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
