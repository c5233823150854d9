//! The one list of the supported databases, and what is written from it.
//!
//! Each database has a feature, a variant of [`Backend`](super::Backend) and of each enum over pools, connections or
//! rows, which is also the name of its driver in sqlx, a module, and a type of connection in sqlx. What a further one
//! needs besides is in ARCHITECTURE.md, "How to add a database".

/// Calls the macro in the brackets with the list, and with `$rest` after it.
macro_rules! with_databases {
    ([$($then:tt)*] $($rest:tt)*) => {
        $($then)*! {
            [
                ("sqlite", Sqlite, sqlite, SqliteConnection)
                ("postgres", Postgres, postgres, PgConnection)
                ("mysql", MySql, mysql, MySqlConnection)
            ]
            $($rest)*
        }
    };
}

/// Evaluates an expression for the database that a value is of.
///
/// - `match_database!(row, Row(inner) => …)` matches one enum.
/// - `match_database!(bare, Bare(inner) in driver => …)` calls the database's module `driver` in the expression.
/// - `match_database!(database, Database(inner) in driver to Bare => …)` makes the same variant of another enum of it.
/// - `match_database!(backend in driver => …, else …)` matches a [`Backend`](super::Backend), of which the feature may
///   be off.
macro_rules! match_database {
    ($value:expr, $enum:ident($inner:ident) => $body:expr) => {
        $crate::database::list::match_database!($value, $enum($inner) in _driver => $body)
    };
    ($value:expr, $enum:ident($inner:ident) in $driver:ident => $body:expr) => {
        $crate::database::list::with_databases! { [$crate::database::list::match_inner] ($value) $enum $inner $driver ($body) }
    };
    ($value:expr, $enum:ident($inner:ident) in $driver:ident to $out:ident => $body:expr) => {
        $crate::database::list::with_databases! { [$crate::database::list::match_to_another] ($value) $enum $inner $driver $out ($body) }
    };
    ($value:ident in $driver:ident => $body:expr, else $otherwise:expr) => {
        $crate::database::list::with_databases! { [$crate::database::list::match_backend] $value $driver ($body) ($otherwise) }
    };
}

macro_rules! match_inner {
    (
        [$(($feature:literal, $variant:ident, $module:ident, $connection:ident))*]
        ($value:expr) $enum:ident $inner:ident $driver:ident ($body:expr)
    ) => {
        match $value {
            $(
                #[cfg(feature = $feature)]
                $enum::$variant($inner) => {
                    #[allow(unused_imports, reason = "not every expression names it")]
                    use $crate::database::$module as $driver;
                    $body
                }
            )*
        }
    };
}

macro_rules! match_to_another {
    (
        [$(($feature:literal, $variant:ident, $module:ident, $connection:ident))*]
        ($value:expr) $enum:ident $inner:ident $driver:ident $out:ident ($body:expr)
    ) => {
        match $value {
            $(
                #[cfg(feature = $feature)]
                $enum::$variant($inner) => {
                    #[allow(unused_imports, reason = "not every expression names it")]
                    use $crate::database::$module as $driver;
                    $out::$variant($body)
                }
            )*
        }
    };
}

macro_rules! match_backend {
    (
        [$(($feature:literal, $variant:ident, $module:ident, $connection:ident))*]
        $value:ident $driver:ident ($body:expr) ($otherwise:expr)
    ) => {
        match $value {
            $(
                #[cfg(feature = $feature)]
                $crate::database::Backend::$variant => {
                    use $crate::database::$module as $driver;
                    $body
                }
            )*
            #[allow(unreachable_patterns, reason = "reachable unless every feature is on")]
            _ => $otherwise,
        }
    };
}

pub(crate) use match_backend;
pub(crate) use match_database;
pub(crate) use match_inner;
pub(crate) use match_to_another;
pub(crate) use with_databases;
