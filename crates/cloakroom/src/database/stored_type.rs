use super::row::{Row, RowError};
use super::{Backend, ColumnType};

macro_rules! stored_type_of {
    ($feature:literal, $trait:ident, $database:ident) => {
        #[cfg(feature = $feature)]
        pub trait $trait:
            for<'q> sqlx::Encode<'q, sqlx::$database>
            + for<'r> sqlx::Decode<'r, sqlx::$database>
            + sqlx::Type<sqlx::$database>
        {
        }

        #[cfg(feature = $feature)]
        impl<V> $trait for V where
            V: for<'q> sqlx::Encode<'q, sqlx::$database>
                + for<'r> sqlx::Decode<'r, sqlx::$database>
                + sqlx::Type<sqlx::$database>
        {
        }

        #[cfg(not(feature = $feature))]
        pub trait $trait {}

        #[cfg(not(feature = $feature))]
        impl<V> $trait for V {}
    };
}

stored_type_of!("sqlite", SqliteType, Sqlite);
stored_type_of!("postgres", PostgresType, Postgres);
stored_type_of!("mysql", MySqlType, MySql);

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
        match backend {
            #[cfg(feature = "sqlite")]
            Backend::Sqlite => super::sqlite::column_type::<V>(),
            #[cfg(feature = "postgres")]
            Backend::Postgres => super::postgres::column_type::<V>(),
            #[cfg(feature = "mysql")]
            Backend::MySql => super::mysql::column_type::<V>(),
            // Never called: there is no pool of a database with its feature turned off.
            #[expect(unreachable_patterns, reason = "reachable unless every feature is on")]
            #[allow(unfulfilled_lint_expectations)]
            _ => ColumnType::Text,
        }
    }

    fn read(row: &Row, index: usize) -> Result<Self, RowError> {
        match row {
            #[cfg(feature = "sqlite")]
            Row::Sqlite(row) => super::sqlite::read(row, index),
            #[cfg(feature = "postgres")]
            Row::Postgres(row) => super::postgres::read(row, index),
            #[cfg(feature = "mysql")]
            Row::MySql(row) => super::mysql::read(row, index),
        }
    }
}

/// A value of the application's own type, to be bound as sqlx binds it.
pub(crate) trait Bind: Send + Sync {
    /// Returns `true` if the value is null or blank text.
    fn is_blank(&self) -> bool;

    /// See [`FieldValue::fingerprint`](crate::FieldValue::fingerprint).
    fn fingerprint(&self) -> Option<Vec<u8>>;

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

macro_rules! loaded_row_of {
    ($feature:literal, $trait:ident, $row:path) => {
        #[cfg(feature = $feature)]
        pub trait $trait: for<'r> sqlx::FromRow<'r, $row> {}

        #[cfg(feature = $feature)]
        impl<R: for<'r> sqlx::FromRow<'r, $row>> $trait for R {}

        #[cfg(not(feature = $feature))]
        pub trait $trait {}

        #[cfg(not(feature = $feature))]
        impl<R> $trait for R {}
    };
}

loaded_row_of!("sqlite", SqliteLoaded, sqlx::sqlite::SqliteRow);
loaded_row_of!("postgres", PostgresLoaded, sqlx::postgres::PgRow);
loaded_row_of!("mysql", MySqlLoaded, sqlx::mysql::MySqlRow);

/// A row of another table that is fetched with sessions: any type that implements [`sqlx::FromRow`] for the enabled
/// databases, as its derive does for all of them.
pub trait LoadedRow: SqliteLoaded + PostgresLoaded + MySqlLoaded + Sized {
    #[doc(hidden)]
    fn load(row: &Row) -> Result<Self, RowError>;
}

impl<R: SqliteLoaded + PostgresLoaded + MySqlLoaded> LoadedRow for R {
    fn load(row: &Row) -> Result<Self, RowError> {
        match row {
            #[cfg(feature = "sqlite")]
            Row::Sqlite(row) => sqlx::FromRow::from_row(row),
            #[cfg(feature = "postgres")]
            Row::Postgres(row) => sqlx::FromRow::from_row(row),
            #[cfg(feature = "mysql")]
            Row::MySql(row) => sqlx::FromRow::from_row(row),
        }
    }
}
