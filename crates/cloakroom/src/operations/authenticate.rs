//! Looking up the valid session of a token.

use super::Operations;
use crate::database::FieldValue;
use crate::error::Result;
use crate::observe::Operation;
use crate::session::Session;
use crate::sql::LookedUpRow;
use crate::table::SessionFields;
use crate::token::TokenDigest;

/// Whether reading a session counts as using it.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    /// The session is extended if the configuration asks for it and an extension is due.
    Extends,
    /// The session stays as it is.
    Leaves,
}

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::authenticate`](crate::Sessions::authenticate). Inside a transaction this always asks the
    /// database.
    pub async fn authenticate(&mut self, token: impl AsRef<[u8]>) -> Result<Option<Session<T>>> {
        match self.digest(token) {
            Some(digest) => self.authenticate_hashed(digest, Use::Extends).await,
            None => Ok(None),
        }
    }

    /// See [`Sessions::authenticate_without_extending`](crate::Sessions::authenticate_without_extending).
    pub async fn authenticate_without_extending(
        &mut self,
        token: impl AsRef<[u8]>,
    ) -> Result<Option<Session<T>>> {
        match self.digest(token) {
            Some(digest) => self.authenticate_hashed(digest, Use::Leaves).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn authenticate_hashed(
        &mut self,
        digest: TokenDigest,
        how: Use,
    ) -> Result<Option<Session<T>>> {
        self.call(Operation::Authenticate).finding(self.authenticate_digest(digest, how)).await
    }

    async fn authenticate_digest(&mut self, digest: TokenDigest, how: Use) -> Result<Option<Session<T>>> {
        let session = match (self.find_valid(&digest).await?, how) {
            (Some(session), Use::Extends) => session,
            (found, _) => return Ok(found),
        };
        match self.extend_on_read(session).await? {
            Some(session) => Ok(Some(session)),
            None => self.find_valid(&digest).await,
        }
    }

    async fn find_valid(&mut self, digest: &TokenDigest) -> Result<Option<Session<T>>> {
        let now = self.config().now();
        let found = if self.connection.is_pool() {
            self.handle.batching().find(digest).await?
        } else {
            let values = vec![FieldValue::plain(digest.expose()), FieldValue::plain(now)];
            let statement = self.handle.store().find(1, values, true);
            self.fetch_optional(&statement).await?.map(LookedUpRow::in_own_row)
        };
        let Some(found) = found else {
            return Ok(None);
        };
        // The query may have waited long for a connection, so the clock is read again.
        found.session(digest, self.table(), || Ord::max(now, self.config().now()))
    }

    /// Returns the valid session with this digest, as the standby knows it. Returns `None` if the primary must be asked:
    /// if there is no session, if it is due for an extension, or if the standby does not answer.
    pub(crate) async fn find_on_standby(&mut self, digest: &TokenDigest) -> Option<Session<T>> {
        let batching = self.handle.standby()?.batching()?;
        let now = self.config().now();
        let found = match batching.find(digest).await {
            Ok(found) => found?,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(table = %self.table(), error, "the standby does not answer; the primary is asked");
                return None;
            }
        };
        let now = || Ord::max(now, self.config().now());
        let session = found.session(digest, self.table(), now).ok().flatten()?;
        let is_due = self.config().auto_extend() && self.new_expiry_if_due(&session, now()).is_some();
        (!is_due).then_some(session)
    }

    /// Returns the digest under which a session with this token is stored, or `None` if no session can have the token.
    pub(crate) fn digest(&self, token: impl AsRef<[u8]>) -> Option<TokenDigest> {
        self.handle.store().hash(token.as_ref()).map(|hashed| hashed.digest())
    }
}
