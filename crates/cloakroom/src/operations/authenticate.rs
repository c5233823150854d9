//! Looking up the valid session of a token.

use super::Operations;
use crate::error::Result;
use crate::observe::Operation;
use crate::session::Session;
use crate::sql::{LookedUpRow, Under};
use crate::table::SessionFields;
use crate::token::{DigestAge, PossibleDigests};

/// Whether reading a session counts as using it.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    /// The session is extended if the configuration asks for it and an extension is due, and its use is recorded.
    Extends,
    /// The session stays as it is.
    Leaves,
}

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::authenticate`](crate::Sessions::authenticate). Inside a transaction this always asks the
    /// database.
    pub async fn authenticate(&mut self, token: impl AsRef<[u8]>) -> Result<Option<Session<T>>> {
        match self.digests(token) {
            Some(digests) => self.authenticate_hashed(&digests, Use::Extends).await,
            None => Ok(None),
        }
    }

    /// See [`Sessions::authenticate_without_extending`](crate::Sessions::authenticate_without_extending).
    pub async fn authenticate_without_extending(
        &mut self,
        token: impl AsRef<[u8]>,
    ) -> Result<Option<Session<T>>> {
        match self.digests(token) {
            Some(digests) => self.authenticate_hashed(&digests, Use::Leaves).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn authenticate_hashed(
        &mut self,
        digests: &PossibleDigests,
        how: Use,
    ) -> Result<Option<Session<T>>> {
        let call = self.call(Operation::Authenticate);
        let found = call.finding(self.authenticate_digests(digests, how)).await?;
        if let (Some(session), Use::Extends) = (&found, how) {
            self.handle.note_use(session.id);
        }
        Ok(found)
    }

    pub(super) async fn authenticate_digests(
        &mut self,
        digests: &PossibleDigests,
        how: Use,
    ) -> Result<Option<Session<T>>> {
        let (session, age) = match (self.find_valid(digests).await?, how) {
            (Some(found), Use::Extends) => found,
            (None, _) => return self.find_otherwise(digests, how).await,
            (found, _) => return Ok(found.map(|(session, _)| session)),
        };
        let session = match age {
            DigestAge::Newest => Some(session),
            // This is rare, and its future is larger than that of the read.
            DigestAge::Older { stored, newest } => {
                Box::pin(self.store_under_newest(session, stored, newest)).await
            }
        };
        let session = match session {
            Some(session) => self.extend_on_read(session).await?,
            None => None,
        };
        match session {
            Some(session) => Ok(Some(session)),
            None => match self.find_valid(digests).await? {
                Some((session, _)) => Ok(Some(session)),
                None => self.find_otherwise(digests, how).await,
            },
        }
    }

    /// Returns the valid session for a token that is not the present token of any.
    async fn find_otherwise(&mut self, digests: &PossibleDigests, how: Use) -> Result<Option<Session<T>>> {
        if !self.table().honours_old_tokens() {
            return Ok(None);
        }
        // This is rare, and its future is larger than that of the read.
        Box::pin(self.find_by_old_token(digests, how)).await
    }

    /// Returns the valid session with one of these digests, and under which it is stored.
    pub(super) async fn find_valid<'d>(
        &mut self,
        digests: &'d PossibleDigests,
    ) -> Result<Option<(Session<T>, DigestAge<'d>)>> {
        let now = self.config().now();
        let found = if self.connection.is_pool() {
            self.handle.batching().find(digests).await?
        } else {
            self.know_sliding().await?;
            let statement = self.handle.store().find_one(digests, Under::All, true);
            self.fetch_optional(&statement).await?.map(LookedUpRow::in_own_row)
        };
        let Some(found) = found else {
            return Ok(None);
        };
        // The query may have waited long for a connection, so the clock is read again.
        let now = || Ord::max(now, self.config().now());
        match found.session(digests, self.table(), self.config(), now) {
            Err(_) if found.was_read_directly() => self.find_by_driver(digests).await,
            session => session,
        }
    }

    /// Does the same by the pool, whose driver reads values in other forms too.
    async fn find_by_driver<'d>(
        &mut self,
        digests: &'d PossibleDigests,
    ) -> Result<Option<(Session<T>, DigestAge<'d>)>> {
        // This is rare, and its future is larger than that of the read.
        let Some(found) = Box::pin(self.handle.batching().find_by_pool(digests)).await? else {
            return Ok(None);
        };
        found.session(digests, self.table(), self.config(), || self.config().now())
    }

    /// Returns the valid session with one of these digests, as the standby knows it. Returns `None` if the primary must
    /// be asked: if there is no session, if it is to be written, or if the standby does not answer.
    pub(crate) async fn find_on_standby(&mut self, digests: &PossibleDigests) -> Option<Session<T>> {
        let batching = self.handle.standby()?.batching()?;
        let now = self.config().now();
        // Few handles have a standby, and each call's future would have room for this.
        let found = match Box::pin(batching.find(digests)).await {
            Ok(found) => found?,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(table = %self.table(), error, "the standby does not answer; the primary is asked");
                return None;
            }
        };
        let now = || Ord::max(now, self.config().now());
        let (session, age) = found.session(digests, self.table(), self.config(), now).ok().flatten()?;
        let is_due = self.config().auto_extend() && self.new_expiry_if_due(&session, now()).is_some();
        (matches!(age, DigestAge::Newest) && !is_due).then_some(session)
    }

    /// Returns the digests under which a session with this token may be stored, or `None` if no session can have the
    /// token.
    pub(crate) fn digests(&self, token: impl AsRef<[u8]>) -> Option<PossibleDigests> {
        let store = self.handle.store();
        store.hash(token.as_ref()).and_then(|hashed| store.digests(&hashed))
    }
}
