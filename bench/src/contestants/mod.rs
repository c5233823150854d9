//! The contestants, one file each. All of them store the same payload and look up random rows of the same number. A row
//! that is not found is a failure of the benchmark.

pub mod axum_session;
pub mod bound;
pub mod by_hand;
pub mod cloakroom;
pub mod http;
pub mod in_memory;
pub mod jwt;
pub mod mistyped;
pub mod rusqlite;
pub mod tokio_postgres;
pub mod tower_sessions;

use std::future::Future;
use std::marker::PhantomData;

use crate::dataset::SESSIONS_PER_USER;
use crate::failure::Outcome;
use crate::measure::{Call, Contestant};

/// A contestant that can do `Operation`.
pub trait Performs<Operation>: Clone + Send + Sync + 'static {
    /// Does it to the row that the random number picks.
    fn perform(&self, random: u64) -> impl Future<Output = Outcome> + Send;
}

/// Find the session of a token.
pub struct Authenticate;
/// Find that no session has a token.
pub struct Refuse;
/// A new session, and its token.
pub struct Create;
/// Authenticate with an extension due each time.
pub struct Extend;
/// List the valid sessions of one user, newest first.
pub struct List;
/// End one session. Each call takes the next one, because a session can be ended only once.
pub struct Expire;
/// End all sessions of one user. Each call takes the next user, because a user can be signed out only once.
pub struct Revoke;

/// Returns `contestant` with `Operation` as its call.
pub fn performing<Operation: 'static, C: Performs<Operation>>(name: &str, contestant: C) -> Contestant {
    Contestant::new(name, Performing { contestant, operation: PhantomData::<fn() -> Operation> })
}

struct Performing<C, Operation> {
    contestant: C,
    operation: PhantomData<fn() -> Operation>,
}

impl<C: Clone, Operation> Clone for Performing<C, Operation> {
    fn clone(&self) -> Self {
        Self { contestant: self.contestant.clone(), operation: PhantomData }
    }
}

impl<Operation: 'static, C: Performs<Operation>> Call for Performing<C, Operation> {
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
