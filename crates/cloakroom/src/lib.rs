#![doc = "TODO-front-page"]
#![deny(missing_docs)]

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!("cloakroom needs at least one of its features `sqlite`, `postgres` and `mysql`");

mod clock;
mod column;
mod config;
mod cursor;
mod data;
mod database;
mod dynamic;
mod error;
mod expiry;
mod field;
mod hashing;
pub mod migrations;
mod operations;
mod preload;
mod pruner;
mod query;
mod session;
mod sessions;
mod statements;
mod table;
mod token;

pub use cloakroom_derive::SessionTable;
pub use clock::{Clock, ManualClock, SystemClock};
pub use column::{Column, Filter};
pub use config::{Config, ConfigBuilder, ConfigError};
pub use cursor::{Cursor, ParseCursorError};
#[doc(hidden)]
pub use database::Row;
pub use database::{Backend, Connection, Database, LoadedRow, StoredType};
pub use dynamic::{DynamicFields, DynamicValue};
pub use error::{Error, ErrorKind, Result};
pub use field::{ColumnType, FieldReader, FieldType, FieldValue, ParseColumnTypeError};
pub use hashing::{DigestError, Hashing, ParseHashingError};
pub use migrations::Migration;
pub use operations::Operations;
pub use preload::{Preload, ToMany, ToOne};
pub use pruner::{Progress, Pruner, PrunerBuilder};
pub use query::SessionQuery;
pub use session::{CreatedSession, NewSession, Session, Status};
pub use sessions::Sessions;
pub use table::{FieldDefinition, SessionFields, SessionTable, TableDefinition};
pub use token::{MAX_TOKEN_LENGTH, MIN_TOKEN_LENGTH, Token, TokenDigest, TokenError};
pub use {sea_query, sqlx};

/// The type of a session's `data` where the derive names none: any JSON, `{}` by default.
pub type JsonObject = serde_json::Value;
