//! What the tests of this workspace stand on: throwaway database servers, and a database of its own for each
//! test. The suites themselves are in this crate's `tests/`.
//!
//! A case is an async function that takes a [`TestDatabase`]; [`each_database!`] makes a named test of it for
//! each database: `expiry::postgres::an_expired_session_is_never_extended`.

#![deny(missing_docs)]

pub mod servers;

#[cfg(feature = "suite")]
mod database;
#[cfg(feature = "suite")]
mod tables;

#[cfg(feature = "suite")]
pub use database::{Kind, START, TestDatabase, run};
#[cfg(feature = "suite")]
pub use tables::{ApiKey, Role, UserSession, user};

/// Makes a test of each case for each database. A case that is not listed is dead code, which is denied.
///
/// The servers' tests are ignored unless the feature `servers` says that there are servers.
#[macro_export]
macro_rules! each_database {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[test]
                fn $case() {
                    $crate::run($crate::Kind::Sqlite, super::$case);
                }
            )*
        }

        mod postgres {
            $(
                #[test]
                #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
                fn $case() {
                    $crate::run($crate::Kind::Postgres, super::$case);
                }
            )*
        }

        mod mariadb {
            $(
                #[test]
                #[cfg_attr(not(feature = "servers"), ignore = "MariaDB: run `cargo xtask test`")]
                fn $case() {
                    $crate::run($crate::Kind::MariaDb, super::$case);
                }
            )*
        }
    };
}
