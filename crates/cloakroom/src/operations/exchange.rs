//! Exchanging a token for its successor: a rotation that survives a lost answer, and notices a stolen token.
//!
//! `cloakroom-model` has these rules as a model, with what goes wrong without each:
//!
//! 1. The session's row gets its new token only if it is as it was read. In the same transaction the old token is recorded
//!    as retired, with the new one sealed under it, and what the old one was sealed in is wiped.
//! 2. A call that finds the row changed looks again: at the session's present token first, and then among the old ones.
//! 3. An old token is answered with its successor only if that is the session's present token, and if the call began
//!    within the grace.
//! 4. Any other old token ends the session, whatever has been written to its row meanwhile. Nothing is answered, and
//!    nothing ended, if the session has ended already.
//! 5. Old tokens stay for as long as their session's row. The pruner wipes what is sealed once every call that began within
//!    the grace is over.

use sea_query::{ExprTrait, UpdateStatement};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Operations;
use super::create::no_randomness;
use super::guarded::changed;
use crate::clock::to_stored_precision;
use crate::database::{FieldValue, Row};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::events::EventKind;
use crate::observe::{Extended, Operation};
use crate::session::{CreatedSession, EndReason, Exchange, Session, expiry};
use crate::sql::{Bindings, retired};
use crate::table::{ExchangesTokens, SessionFields, column};
use crate::token::{PossibleDigests, Seal, Token};

/// How often a call looks again if other callers keep writing the session's row.
const ATTEMPTS: usize = 100;

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::exchange`](crate::Sessions::exchange).
    ///
    /// Inside a transaction of the caller's nothing is retired until it is committed. If another caller exchanges the
    /// token, or writes the session, at the same time, this fails with [`Conflict`](ErrorKind::Conflict) at worst: roll
    /// back and begin anew. [On a connection](crate::Sessions::on_connection) a transaction must be open.
    ///
    /// # Errors
    ///
    /// The same as those of [`Sessions::exchange`](crate::Sessions::exchange), and
    /// [`NoTransaction`](ErrorKind::NoTransaction).
    pub async fn exchange(&mut self, token: impl AsRef<[u8]>) -> Result<Option<Exchange<T>>>
    where
        T: ExchangesTokens,
    {
        let call = self.call(Operation::Exchange);
        call.finding(self.in_transaction().exchange_token(token.as_ref())).await
    }

    async fn exchange_token(mut self, token: &[u8]) -> Result<Option<Exchange<T>>> {
        if !self.table().exchanges_tokens() {
            let message = format!("{} does not keep the tokens that were exchanged", self.table());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let Some(digests) = self.digests(token) else {
            return Ok(None);
        };
        self.know_sliding().await?;
        // A call that is held up is judged by when it began: it must not end a session because it waited.
        let began = self.config().now();
        for _ in 0..ATTEMPTS {
            let found = self.find_valid(&digests).await?.map(|(session, _)| session);
            let is_lost = match found {
                Some(session) => match self.replace_token(session, token, &digests).await? {
                    Some(created) => return Ok(Some(Exchange::Successor(created))),
                    None => true,
                },
                None => false,
            };
            if is_lost && self.connection().is_pool() {
                continue;
            }
            let answer = self.exchanged_before(token, &digests, began).await?;
            // Within a transaction the row may be read as it was, again and again.
            return if is_lost && answer.is_none() { Err(changed()) } else { Ok(answer) };
        }
        Err(changed())
    }

    /// Gives the session a new token in place of this one, if its row is as it was read.
    async fn replace_token(
        &mut self,
        mut session: Session<T>,
        token: &[u8],
        digests: &PossibleDigests,
    ) -> Result<Option<CreatedSession<T>>> {
        let now = self.config().now();
        if self.is_over(&session, now) {
            return Ok(None);
        }
        let Some(retired_digest) = digests.iter().next() else {
            return Ok(None);
        };
        self.check_writes().await?;
        let (successor, digest) = self.config().generate_token().map_err(no_randomness)?;
        let filled = self.filled(&session, &[], &successor, |_| {}).await?;
        let due = if self.config().auto_extend() { self.new_expiry_if_due(&session, now) } else { None };
        let expires_at = due.or(session.stored.expires_at);
        let seal = Seal::under(token, retired_digest, session.id);
        let retired = retired::NewRetired {
            digest: retired_digest,
            session: session.id,
            retired_at: now,
            usable_until: Some(to_stored_precision(expiry::later(now, self.config().exchange_grace()))),
            hint: None,
            sealed: Some(seal.seal(&successor).map_err(no_randomness)?),
        };
        let set = |update: &mut UpdateStatement, bindings: &mut Bindings<'_>| {
            update.value(column::DIGEST, bindings.expr(FieldValue::plain(digest.expose())));
            filled.set(update, bindings);
            let presented = digests.iter().map(|digest| FieldValue::plain(digest.expose()));
            let presented: Vec<_> = presented.map(|digest| bindings.expr(digest)).collect();
            update.and_where(bindings.column(column::DIGEST).is_in(presented));
        };
        let (update, updated_at) = self.guarded(&session, now, expires_at, set);
        let rest = vec![
            retired::insert(&mut self.bindings(), retired),
            retired::wipe(&mut self.bindings(), session.id, Some(retired_digest)),
        ];
        let event = self.event_of(&session, EventKind::Exchanged { session: session.id });
        if !self.write_together(session.id, update, rest, event).await? {
            return Ok(None);
        }
        session.note_write(expires_at, updated_at);
        if due.is_some() {
            self.handle().metrics().extended(Extended::Written);
            session.row_mut().expires_at = due;
        }
        self.note_filled(&mut session, filled, &|_| {}).await;
        Ok(Some(CreatedSession { session, token: successor }))
    }

    /// Answers a token that is not the session's, or no longer.
    async fn exchanged_before(
        &mut self,
        token: &[u8],
        digests: &PossibleDigests,
        began: OffsetDateTime,
    ) -> Result<Option<Exchange<T>>> {
        let rows = self.find_retired(digests).await?;
        let Some((found, digest)) = retired::RetiredRow::among(&rows, digests, self.table())? else {
            return Ok(None);
        };
        let now = Ord::max(began, self.config().now());
        let is_of_rotation = found.sealed.is_none() && found.usable_until.is_some();
        if found.session.is_over(self.config(), now) || is_of_rotation {
            return Ok(None);
        }
        let is_within = found.usable_until.is_some_and(|until| began < until);
        if let Some(sealed) = found.sealed.as_ref().filter(|_| is_within)
            && let Some(successor) = Seal::under(token, digest, found.session.id).open(sealed)
            && self.is_stored_as(&successor, &found.current)
        {
            let session = found.session(self.table(), self.config())?;
            return Ok(Some(Exchange::Successor(CreatedSession { session, token: successor })));
        }
        let (id, fields) = (found.session.id, found.session(self.table(), self.config()).ok());
        let fields = fields.map(|session: Session<T>| session.fields.clone());
        self.end_reused(id, now, fields.as_ref()).await
    }

    /// Reads the old tokens with these digests. Within a transaction, as they are now and not as they were when it began.
    async fn find_retired(&mut self, digests: &PossibleDigests) -> Result<Vec<Row>> {
        let mut bindings = self.bindings();
        let mut find = retired::find(&mut bindings, digests);
        let guard = self.guard(&mut find);
        if !self.connection.is_pool() && bindings.backend().dialect().locks_rows() {
            find.lock_exclusive();
        }
        let statement = bindings.build(&find).guarded(guard);
        self.fetch_all(&statement).await
    }

    /// Returns `true` if a session whose digest is `stored` has this token.
    fn is_stored_as(&self, token: &Token, stored: &str) -> bool {
        self.digests(token).is_some_and(|digests| digests.iter().any(|digest| digest.matches(stored)))
    }

    /// Ends a session because an old token of it has come again.
    async fn end_reused(
        &mut self,
        id: Uuid,
        now: OffsetDateTime,
        fields: Option<&T>,
    ) -> Result<Option<Exchange<T>>> {
        if !self.expire_by_id(id, now, Some(&EndReason::REUSE), fields).await? {
            // Another caller has ended it, and says why.
            return Ok(None);
        }
        tracing::warn!(
            table = %self.table(),
            session = %id,
            "a session was ended because a token that had been exchanged was presented again",
        );
        let done = |error: Error| error.with_outcome(Outcome::Done);
        let wipe = retired::wipe(&mut self.bindings(), id, None);
        self.execute(&wipe).await.map_err(done)?;
        Ok(self.read(id).await.map_err(done)?.map(Exchange::Reused))
    }
}
