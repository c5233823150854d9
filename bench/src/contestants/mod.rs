//! The contestants, one file each. All of them store the same payload and look up random rows of the same number. A row
//! that is not found is a failure of the benchmark.

pub mod axum_session;
pub mod by_hand;
pub mod cloakroom;
pub mod http;
pub mod in_memory;
pub mod jwt;
pub mod rusqlite;
pub mod tokio_postgres;
pub mod tower_sessions;

use std::future::Future;
use std::marker::PhantomData;

use crate::Outcome;
use crate::measure::{Call, Lane};
use crate::payload::SESSIONS_PER_USER;

/// How many connections each contestant's pool has. All of them are opened at once, are kept, and are not pinged before
/// use; sqlx pings by default, and its documentation says how to turn that off.
pub const CONNECTIONS: u32 = 8;

/// A contestant that can do `Deed`.
pub trait Offers<Deed>: Clone + Send + Sync + 'static {
    /// Does it to the row that the random number picks.
    fn perform(&self, random: u64) -> impl Future<Output = Outcome> + Send;
}

/// Find the session of a token.
pub struct Authenticate;
/// A new session, and its token.
pub struct Create;
/// Authenticate with an extension due each time.
pub struct Extend;
/// List the valid sessions of one user, newest first.
pub struct List;
/// End all sessions of one user. Each call takes the next user, because a user can be signed out only once.
pub struct Revoke;

/// A lane of `contestant` doing `Deed`.
pub fn lane<Deed: 'static, C: Offers<Deed>>(name: &str, contestant: C) -> Lane {
    Lane::new(name, Performing { contestant, deed: PhantomData::<fn() -> Deed> })
}

struct Performing<C, Deed> {
    contestant: C,
    deed: PhantomData<fn() -> Deed>,
}

impl<C: Clone, Deed> Clone for Performing<C, Deed> {
    fn clone(&self) -> Self {
        Self { contestant: self.contestant.clone(), deed: PhantomData }
    }
}

impl<Deed: 'static, C: Offers<Deed>> Call for Performing<C, Deed> {
    fn call(&self, random: u64) -> impl Future<Output = Outcome> + Send {
        self.contestant.perform(random)
    }
}

/// The same for a revocation.
pub fn revoked_all(revoked: u64) -> Outcome {
    if revoked == SESSIONS_PER_USER {
        Ok(())
    } else {
        Err(format!("{revoked} sessions of a user were revoked, not {SESSIONS_PER_USER}").into())
    }
}

/// Returns the row that a random number picks out of `rows`.
pub fn pick<T>(rows: &[T], random: u64) -> &T {
    &rows[random as usize % rows.len()]
}

/// Reads what was found as an application would, so that no contestant's work is optimised away.
pub fn found<T>(session: Option<T>) -> Outcome {
    match std::hint::black_box(session) {
        Some(_) => Ok(()),
        None => Err("a session that is in the database was not found".into()),
    }
}

/// The same for a list.
pub fn found_all<T>(sessions: Vec<T>) -> Outcome {
    match std::hint::black_box(sessions).len() {
        found if found as u64 == SESSIONS_PER_USER => Ok(()),
        found => Err(format!("{found} sessions of a user were found, not {SESSIONS_PER_USER}").into()),
    }
}

/// The contestants' names in every table.
pub mod name {
    pub const CLOAKROOM: &str = "Cloakroom";
    pub const CACHED: &str = "Cloakroom, cached";
    pub const ONE_BY_ONE: &str = "Cloakroom, one by one";
    pub const BY_HAND: &str = "sqlx by hand";
    pub const TOWER_SESSIONS: &str = "tower-sessions";
    pub const TOWER_CACHED: &str = "tower-sessions, cached";
    pub const TOWER_ONE: &str = "tower-sessions, one connection";
    pub const AXUM_SESSION: &str = "axum_session";
    pub const RUSQLITE: &str = "rusqlite, blocking";
    pub const RUSQLITE_WRITER: &str = "rusqlite, one transaction each";
    pub const TOKIO_POSTGRES: &str = "tokio-postgres, pipelined";
    pub const SHARED: &str = "SHA-256 and a map, shared";
    pub const OWNED: &str = "SHA-256 and a map, copied";
    pub const HARNESS: &str = "the harness alone";
    pub const HS256: &str = "JWT, HS256";
    pub const EDDSA: &str = "JWT, EdDSA";
    pub const WITHOUT_SESSION: &str = "axum without a session";
}
