//! Several servers: a Galera cluster of MariaDB's, and a primary with its standby of PostgreSQL's.
//!
//! A server lags here for as long as a case lets it: a node that has locked its tables applies nothing, and a standby can
//! be told to pause.

/// Makes a test of each case on a primary and a standby of its own.
macro_rules! on_a_pair {
    ($($case:ident),* $(,)?) => {
        mod postgres {
            $(
                #[test]
                #[cfg_attr(not(feature = "servers"), ignore = "a server's: run `cargo xtask test`")]
                fn $case() {
                    crate::pair::run(async |pair: crate::pair::Scene| super::$case(pair).await);
                }
            )*
        }
    };
}

#[path = "../secrets/capture.rs"]
mod capture;
mod galera;
mod measured;
mod pair;
mod replica;
mod standby;
mod waiting;
