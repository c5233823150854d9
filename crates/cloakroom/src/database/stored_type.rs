use super::list::match_database;
use super::row::{Row, RowError};
use super::{Backend, ColumnType};

/// Makes the two bounds that a database sets: for types of its columns, and for types that are made of its rows. If the
/// feature is off, every type fulfils them.
macro_rules! bounds_of {
    ($feature:literal, $database:ident, $stored:ident, $loaded:ident) => {
        #[cfg(feature = $feature)]
        pub trait $stored:
            for<'q> sqlx::Encode<'q, sqlx::$database>
            + for<'r> sqlx::Decode<'r, sqlx::$database>
            + sqlx::Type<sqlx::$database>
        {
        }

        #[cfg(feature = $feature)]
        impl<V> $stored for V where
            V: for<'q> sqlx::Encode<'q, sqlx::$database>
                + for<'r> sqlx::Decode<'r, sqlx::$database>
                + sqlx::Type<sqlx::$database>
        {
        }

        #[cfg(feature = $feature)]
        pub trait $loaded: for<'r> sqlx::FromRow<'r, <sqlx::$database as sqlx::Database>::Row> {}

        #[cfg(feature = $feature)]
        impl<R: for<'r> sqlx::FromRow<'r, <sqlx::$database as sqlx::Database>::Row>> $loaded for R {}

        #[cfg(not(feature = $feature))]
        pub trait $stored {}

        #[cfg(not(feature = $feature))]
        impl<V> $stored for V {}

        #[cfg(not(feature = $feature))]
        pub trait $loaded {}

        #[cfg(not(feature = $feature))]
        impl<R> $loaded for R {}
    };
}

bounds_of!("sqlite", Sqlite, SqliteType, SqliteLoaded);
bounds_of!("postgres", Postgres, PostgresType, PostgresLoaded);
bounds_of!("mysql", MySql, MySqlType, MySqlLoaded);

/// A type that every enabled database can store and read.
pub trait StoredType: SqliteType + PostgresType + MySqlType + Sized {
    /// Returns the type of a column for these values.
    #[doc(hidden)]
    fn column_type(backend: Backend) -> ColumnType;

    #[doc(hidden)]
    fn read(row: &Row, index: usize) -> Result<Self, RowError>;
}

impl<V: SqliteType + PostgresType + MySqlType + 'static> StoredType for V {
    fn column_type(backend: Backend) -> ColumnType {
        // The other case never comes: there is no pool of a database with its feature turned off.
        match_database!(backend in driver => driver::column_type::<Self>(), else ColumnType::Text)
    }

    fn read(row: &Row, index: usize) -> Result<Self, RowError> {
        match_database!(row, Row(row) in driver => driver::read(row, index))
    }
}

/// Returns `true` if values of this type can be read from SQLite without its driver.
#[cfg_attr(
    not(feature = "sqlite"),
    allow(clippy::extra_unused_type_parameters, reason = "without SQLite nothing is read so")
)]
pub(crate) fn is_read_directly<V: 'static>() -> bool {
    #[cfg(feature = "sqlite")]
    return super::sqlite::is_read_directly::<V>();
    #[cfg(not(feature = "sqlite"))]
    false
}

/// A value of the application's own type, to be bound as sqlx binds it.
pub(crate) trait Bind: Send + Sync {
    /// Returns `true` if the value is null or blank text.
    fn is_blank(&self) -> bool;

    /// See [`FieldValue::fingerprint`](crate::FieldValue::fingerprint).
    fn fingerprint(&self) -> Option<Vec<u8>>;

    /// Returns the text of a value that is stored as text.
    fn text(&self) -> Option<String> {
        None
    }

    /// See [`FieldValue::shown`](crate::FieldValue::shown).
    fn shown(&self) -> Option<String> {
        self.text()
    }

    #[cfg(feature = "sqlite")]
    fn bind_sqlite(&self, to: &mut sqlx::sqlite::SqliteArguments) -> Result<(), sqlx::error::BoxDynError>;

    #[cfg(feature = "postgres")]
    fn bind_postgres(&self, to: &mut sqlx::postgres::PgArguments) -> Result<(), sqlx::error::BoxDynError>;

    #[cfg(feature = "mysql")]
    fn bind_mysql(&self, to: &mut sqlx::mysql::MySqlArguments) -> Result<(), sqlx::error::BoxDynError>;
}

// A value is examined through its encoded form. Each database gets the same text of a value, so the first that is
// enabled is as good as any.
#[cfg(all(feature = "mysql", not(feature = "postgres")))]
use super::mysql as first;
#[cfg(feature = "postgres")]
use super::postgres as first;
#[cfg(all(feature = "sqlite", not(any(feature = "postgres", feature = "mysql"))))]
use super::sqlite as first;

impl<V: SqliteType + PostgresType + MySqlType + Send + Sync> Bind for V {
    fn is_blank(&self) -> bool {
        first::is_blank(self)
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        first::fingerprint(self)
    }

    fn text(&self) -> Option<String> {
        first::text(self)
    }

    fn shown(&self) -> Option<String> {
        first::shown(self)
    }

    #[cfg(feature = "sqlite")]
    fn bind_sqlite(&self, to: &mut sqlx::sqlite::SqliteArguments) -> Result<(), sqlx::error::BoxDynError> {
        sqlx::Arguments::add(to, self)
    }

    #[cfg(feature = "postgres")]
    fn bind_postgres(&self, to: &mut sqlx::postgres::PgArguments) -> Result<(), sqlx::error::BoxDynError> {
        sqlx::Arguments::add(to, self)
    }

    #[cfg(feature = "mysql")]
    fn bind_mysql(&self, to: &mut sqlx::mysql::MySqlArguments) -> Result<(), sqlx::error::BoxDynError> {
        sqlx::Arguments::add(to, self)
    }
}

/// A row of another table that is fetched with sessions: any type that implements [`sqlx::FromRow`] for the enabled
/// databases, as its derive does for all of them.
pub trait LoadedRow: SqliteLoaded + PostgresLoaded + MySqlLoaded + Sized {
    #[doc(hidden)]
    fn load(row: &Row) -> Result<Self, RowError>;
}

impl<R: SqliteLoaded + PostgresLoaded + MySqlLoaded> LoadedRow for R {
    fn load(row: &Row) -> Result<Self, RowError> {
        match_database!(row, Row(row) in driver => driver::load(row))
    }
}
