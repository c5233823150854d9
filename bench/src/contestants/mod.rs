//! Whoever is measured, a file each. All of them store the same payload and look up random rows of the same
//! number; a row that is not found is a failure of the benchmark.

pub mod axum_session;
pub mod by_hand;
pub mod cloakroom;
pub mod rusqlite;
pub mod tokio_postgres;
pub mod tower_sessions;

use std::future::Future;

use crate::Outcome;
use crate::measure::{Call, Lane};

/// How many connections each contestant's pool has. All of them are opened at once, are kept, and are not pinged
/// before use, which sqlx does by default and its documentation says how to turn off.
pub const CONNECTIONS: u32 = 8;

/// Says whose session a token stands for.
pub trait Authenticate: Clone + Send + Sync + 'static {
    /// Of some row, which the random number picks.
    fn authenticate(&self, random: u64) -> impl Future<Output = Outcome> + Send;

    fn lane(self, name: &str) -> Lane {
        Lane::new(name, Authenticating(self))
    }
}

#[derive(Clone)]
struct Authenticating<C>(C);

impl<C: Authenticate> Call for Authenticating<C> {
    fn call(&self, random: u64) -> impl Future<Output = Outcome> + Send {
        self.0.authenticate(random)
    }
}

/// The row that a random number picks out of `rows`.
pub fn pick<T>(rows: &[T], random: u64) -> &T {
    &rows[random as usize % rows.len()]
}

/// Looks at what was found as closely as an application would, so that no contestant's work is optimised away.
pub fn found<T>(session: Option<T>) -> Outcome {
    match std::hint::black_box(session) {
        Some(_) => Ok(()),
        None => Err("a session that is in the database was not found".into()),
    }
}

/// The contestants' names, as they stand in every table.
pub mod name {
    pub const CLOAKROOM: &str = "Cloakroom";
    pub const ONE_BY_ONE: &str = "Cloakroom, one by one";
    pub const BY_HAND: &str = "sqlx by hand";
    pub const TOWER_SESSIONS: &str = "tower-sessions";
    pub const AXUM_SESSION: &str = "axum_session";
    pub const RUSQLITE: &str = "rusqlite, blocking";
    pub const TOKIO_POSTGRES: &str = "tokio-postgres, pipelined";
}
