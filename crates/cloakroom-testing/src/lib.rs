//! The foundation of this workspace's tests: throwaway database servers, and a database of its own for each test. The
//! suites themselves are in this crate's `tests/`.
//!
//! A case is an async function that takes a [`TestDatabase`]; [`each_database!`] makes a named test of it for
//! each database: `expiry::postgres::an_expired_session_is_never_extended`.

#![deny(missing_docs)]

pub mod servers;

#[cfg(feature = "suite")]
mod database;
#[cfg(feature = "device")]
mod device;
#[cfg(feature = "suite")]
mod memory;
#[cfg(feature = "suite")]
mod tables;

#[cfg(feature = "suite")]
pub use database::{Kind, Mode, START, TestDatabase, run, run_in};
#[cfg(feature = "device")]
pub use device::Device;
#[cfg(feature = "suite")]
pub use memory::{at_once, hold_connections, patience, until_kept};
#[cfg(feature = "suite")]
pub use tables::{ApiKey, Role, UserSession, user};

/// Makes a test of each case for each database. A case that is not listed is dead code, which is denied.
///
/// The servers' tests are ignored unless the feature `servers` is on.
#[macro_export]
macro_rules! each_database {
    ($on_sqlite:ident: $($case:ident),*) => {
        mod sqlite {
            $crate::each_case!(Sqlite, $on_sqlite, super, $($case),*);
        }

        mod postgres {
            $crate::each_case!(Postgres, Coalesced, super, $($case),*);
        }

        mod mariadb {
            $crate::each_case!(MariaDb, Coalesced, super, $($case),*);
        }
    };
    ($($case:ident),* $(,)?) => {
        $crate::each_database!(Direct: $($case),*);
    };
}

/// Makes a test of each case for each database, and lookups share statements on SQLite too.
#[macro_export]
macro_rules! coalesced {
    ($($case:ident),* $(,)?) => {
        $crate::each_database!(Coalesced: $($case),*);
    };
}

/// Makes a test of each case for each database in each [`Mode`]: `expiry::postgres::cached::…`.
#[macro_export]
macro_rules! each_mode {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $crate::each_mode!(Sqlite: $($case),*);

            mod direct {
                $crate::each_case!(Sqlite, Direct, super::super, $($case),*);
            }
        }

        mod postgres {
            $crate::each_mode!(Postgres: $($case),*);
        }

        mod mariadb {
            $crate::each_mode!(MariaDb: $($case),*);
        }
    };
    ($kind:ident: $($case:ident),*) => {
        mod one_by_one {
            $crate::each_case!($kind, OneByOne, super::super, $($case),*);
        }

        mod coalesced {
            $crate::each_case!($kind, Coalesced, super::super, $($case),*);
        }

        mod cached {
            $crate::each_case!($kind, Cached, super::super, $($case),*);
        }
    };
}

/// Makes a test of each case on PostgreSQL in [`Mode::Listening`]: `expiry::listening::postgres::…`.
#[macro_export]
macro_rules! listening {
    ($($case:ident),* $(,)?) => {
        mod listening {
            mod postgres {
                $crate::each_case!(Postgres, Listening, super::super, $($case),*);
            }
        }
    };
}

/// Makes the tests of one module.
#[doc(hidden)]
#[macro_export]
macro_rules! each_case {
    (Sqlite, $mode:ident, $cases:path, $($case:ident),*) => {
        use $cases as cases;
        $(
            #[test]
            fn $case() {
                $crate::run_in($crate::Mode::$mode, $crate::Kind::Sqlite, cases::$case);
            }
        )*
    };
    ($kind:ident, $mode:ident, $cases:path, $($case:ident),*) => {
        use $cases as cases;
        $(
            #[test]
            #[cfg_attr(not(feature = "servers"), ignore = "a server's: run `cargo xtask test`")]
            fn $case() {
                $crate::run_in($crate::Mode::$mode, $crate::Kind::$kind, cases::$case);
            }
        )*
    };
}
