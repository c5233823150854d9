//! Cloakroom itself.

use std::sync::Arc;

use cloakroom::{Config, Database, Sessions};

use super::{Authenticate, found, pick};
use crate::Outcome;
use crate::payload::UserSession;

/// Every call with a statement of its own.
pub fn one_by_one() -> Outcome<Config> {
    Ok(Config::builder().max_batch(1).build()?)
}

#[derive(Clone)]
pub struct Cloakroom {
    sessions: Sessions<UserSession>,
    tokens: Arc<[String]>,
}

impl Cloakroom {
    pub fn new(database: impl Into<Database>, config: Config, tokens: &Arc<[String]>) -> Outcome<Self> {
        Ok(Self { sessions: Sessions::new(database, config)?, tokens: Arc::clone(tokens) })
    }
}

impl Authenticate for Cloakroom {
    async fn authenticate(&self, random: u64) -> Outcome {
        found(self.sessions.authenticate(pick(&self.tokens, random)).await?)
    }
}
