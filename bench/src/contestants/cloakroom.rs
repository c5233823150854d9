//! Cloakroom itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cloakroom::{Config, Database, NewSession, Sessions};

use super::{Authenticate, Create, Extend, List, Performs, Revoke, found, found_all};
use crate::dataset::{Payload, Tokens, UserSession, user};
use crate::failure::Outcome;

/// Every call with a statement of its own.
pub fn one_by_one() -> Outcome<Config> {
    Ok(Config::builder().max_batch(1).build()?)
}

/// Every lookup finds an extension due.
pub fn always_due() -> Outcome<Config> {
    Ok(Config::builder().extend_after(Duration::from_micros(1)).build()?)
}

#[derive(Clone)]
pub struct Cloakroom {
    pub sessions: Sessions<UserSession>,
    tokens: Tokens,
    next_user: Arc<AtomicU64>,
}

impl Cloakroom {
    pub fn new(database: impl Into<Database>, config: Config, tokens: &Tokens) -> Outcome<Self> {
        Ok(Self::with(Sessions::new(database, config)?, tokens))
    }

    pub fn with(sessions: Sessions<UserSession>, tokens: &Tokens) -> Self {
        Self { sessions, tokens: tokens.clone(), next_user: Arc::default() }
    }

    /// Counts the users to revoke, one after another.
    pub fn revoking(self, next_user: &Arc<AtomicU64>) -> Self {
        Self { next_user: Arc::clone(next_user), ..self }
    }
}

impl Performs<Authenticate> for Cloakroom {
    async fn perform(&self, random: u64) -> Outcome {
        found(self.sessions.authenticate(&*self.tokens.pick(random)).await?)
    }
}

impl Performs<Create> for Cloakroom {
    async fn perform(&self, random: u64) -> Outcome {
        let payload = Payload::of(random);
        let new = NewSession::new(payload.fields()).data(payload.data);
        found(Some(self.sessions.create(new).await?))
    }
}

impl Performs<Extend> for Cloakroom {
    async fn perform(&self, random: u64) -> Outcome {
        found(self.sessions.authenticate(&*self.tokens.pick(random)).await?)
    }
}

impl Performs<List> for Cloakroom {
    async fn perform(&self, random: u64) -> Outcome {
        let of_user = UserSession::USER_ID.eq(self.tokens.pick_user(random));
        found_all(self.sessions.query().filter(of_user).fetch_all().await?)
    }
}

impl Performs<Revoke> for Cloakroom {
    async fn perform(&self, _random: u64) -> Outcome {
        let of_user = UserSession::USER_ID.eq(user(self.next_user.fetch_add(1, Ordering::Relaxed)));
        super::revoked_all(self.sessions.query().filter(of_user).expire_all().await?)
    }
}
