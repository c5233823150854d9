//! What `Cache` promises, case by case: on every database what holds in one process, on PostgreSQL what holds
//! between processes.
//!
//! An answer out of memory is told from one of the database by changing the row behind the library's back.

/// Makes a test of each case that is about PostgreSQL alone.
macro_rules! on_postgres {
    ($($case:ident),* $(,)?) => {
        mod postgres {
            cloakroom_testing::each_case!(Postgres, Coalesced, super, $($case),*);
        }
    };
}

mod announced;
mod answers;
mod clocks;
mod lease;
mod listener;
mod outage;
mod own;
mod proxy;
mod races;
mod refused;
mod revoked;
mod scene;
mod trigger;
