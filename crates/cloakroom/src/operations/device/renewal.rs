//! A browser gets the session's next token for a proof, or the one whose answer was lost.

use std::time::Duration;

use sea_query::UpdateStatement;
use time::OffsetDateTime;

use super::found::{By, Found};
use super::{ATTEMPTS, answers, new_challenge};
use crate::clock::to_stored_precision;
use crate::database::Statement;
use crate::device::Proof;
use crate::error::Result;
use crate::events::EventKind;
use crate::observe::{Device, Operation};
use crate::operations::Operations;
use crate::operations::create::no_randomness;
use crate::operations::guarded::changed;
use crate::session::binding::Issued;
use crate::session::{BindingRefusal, BindingTerms, BoundSession, Renewal, Session, expiry};
use crate::sql::device::{self, DeviceRow};
use crate::sql::{Bindings, retired};
use crate::table::{HasDeviceKey, SessionFields};
use crate::token::{Seal, Token, TokenDigest};

/// How long after the end of its token a session may still be renewed with the challenge that came with the token. Later it
/// takes another round.
const AGE_BEYOND_TOKEN: Duration = Duration::from_mins(10);

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::renew_bound`](crate::Sessions::renew_bound).
    pub(crate) async fn renew_bound(
        &mut self,
        token: &[u8],
        proof: Option<&[u8]>,
        terms: &BindingTerms,
    ) -> Result<Renewal<T>>
    where
        T: HasDeviceKey,
    {
        let call = self.call(Operation::RenewBound);
        let renewal = call.of(self.renew(token, proof, terms)).await?;
        let outcome = match &renewal {
            Renewal::Renewed { .. } => "renewed",
            Renewal::Challenged { because, .. } | Renewal::Refused(because) => because.as_str(),
        };
        self.handle().metrics().device(Device::Renewal, outcome);
        if let Renewal::Renewed { bound, .. } = &renewal {
            self.handle().note_use(bound.session.id);
        }
        Ok(renewal)
    }

    async fn renew(
        &mut self,
        token: &[u8],
        proof: Option<&[u8]>,
        terms: &BindingTerms,
    ) -> Result<Renewal<T>> {
        self.check_binding()?;
        let Some(digests) = self.digests(token) else {
            return Ok(Renewal::Refused(BindingRefusal::UnknownToken));
        };
        for _ in 0..ATTEMPTS {
            let found = match self.find_bound(&digests).await? {
                Ok(found) => found,
                Err(because) => return Ok(Renewal::Refused(because)),
            };
            let now = self.config().now();
            let age = terms.token_ttl.saturating_add(AGE_BEYOND_TOKEN);
            let answered = match proof.map(Proof::parse) {
                None => Err(BindingRefusal::NoProof),
                Some(Err(error)) => return Ok(Renewal::Refused(BindingRefusal::Proof(error))),
                Some(Ok(proof)) => answers(&found.row, &proof, age, now).map(|()| proof),
            };
            match answered {
                Err(because) => {
                    if let Some(challenge) = self.challenge(&found.row).await? {
                        return Ok(Renewal::Challenged { session: found.row.session.id, challenge, because });
                    }
                }
                Ok(proof) => {
                    if let Err(error) = proof.verify(&found.key) {
                        return Ok(Renewal::Refused(BindingRefusal::Proof(error)));
                    }
                    if let Some(renewal) = self.renew_row(found, token, terms, now).await? {
                        return Ok(renewal);
                    }
                }
            }
        }
        Err(changed())
    }

    /// Gives the session another token, if its row is as it was read; or sends one again whose answer was lost.
    async fn renew_row(
        &mut self,
        found: Found<'_, T>,
        token: &[u8],
        terms: &BindingTerms,
        now: OffsetDateTime,
    ) -> Result<Option<Renewal<T>>> {
        let Found { row, by, .. } = found;
        let digest = match by {
            By::Present(digest) => digest,
            By::Old { digest, ref sealed } => {
                if let Some(successor) = self.successor(&row, token, digest, sealed.as_deref())
                    && let Some(token_until) = row.session.stored.token_until
                    && expiry::later(now, terms.token_ttl / 2) < token_until
                {
                    return self.send_again(row, successor, token_until, now).await;
                }
                digest
            }
        };
        let (successor, new_digest) = self.config().generate_token().map_err(no_randomness)?;
        let challenge = new_challenge()?;
        let token_until = to_stored_precision(expiry::later(now, terms.token_ttl));
        let filled = self.filled(&row.session, &[], &successor, |_| {}).await?;
        let issued = Issued::at(&challenge, now);
        let new = device::Write {
            challenge: &issued,
            digest: Some(new_digest.expose()),
            token_until: Some(token_until),
            key: None,
        };
        let set = |update: &mut UpdateStatement, bindings: &mut Bindings<'_>| filled.set(update, bindings);
        let write = device::write(&mut self.bindings(), &row, now, &new, set);
        let rest = self.retire(&row, &by, token, digest, &successor, terms, now)?;
        let event = self.event_of(&row.session, EventKind::Renewed { session: row.session.id });
        if !self.write_together(row.session.id, write, rest, event).await? {
            return Ok(None);
        }
        let mut session = row.session;
        session.row_mut().stored.token_until = Some(token_until);
        self.note_filled(&mut session, filled, &|_| {}).await;
        let session = self.extended(session).await;
        Ok(Some(Renewal::Renewed {
            bound: BoundSession { session, challenge, token_until },
            token: successor,
        }))
    }

    /// Returns what is written of the session's old tokens.
    #[expect(clippy::too_many_arguments, reason = "a part of its one caller")]
    fn retire(
        &self,
        row: &DeviceRow<T>,
        by: &By<'_>,
        token: &[u8],
        digest: &TokenDigest,
        successor: &Token,
        terms: &BindingTerms,
        now: OffsetDateTime,
    ) -> Result<Vec<Statement>> {
        let id = row.session.id;
        let sealed = Seal::under(token, digest, id).seal(successor).map_err(no_randomness)?;
        // No grace lengthens a token's own time.
        let until = row.session.stored.token_until.unwrap_or(now).max(now);
        let until = to_stored_precision(expiry::later(now, terms.grace)).min(until);
        let replaced = TokenDigest::new(row.digest.clone());
        let new = |digest, sealed| retired::NewRetired {
            digest,
            session: id,
            retired_at: now,
            usable_until: Some(until),
            hint: None,
            sealed,
        };
        let bindings = || self.bindings();
        let mut statements = match by {
            By::Present(_) => vec![retired::insert(&mut bindings(), new(digest, Some(sealed)))],
            By::Old { .. } => vec![
                retired::insert(&mut bindings(), new(&replaced, None)),
                retired::seal_again(&mut bindings(), digest, sealed, now),
            ],
        };
        statements.push(retired::unseal(&mut bindings(), id, digest));
        statements.push(retired::forget_over(&mut bindings(), id, [digest, &replaced], now));
        Ok(statements)
    }

    /// Returns the token that was sealed under an old one, if it is the session's present one.
    fn successor(
        &self,
        row: &DeviceRow<T>,
        token: &[u8],
        digest: &TokenDigest,
        sealed: Option<&[u8]>,
    ) -> Option<Token> {
        let successor = Seal::under(token, digest, row.session.id).open(sealed?)?;
        let is_it = self.digests(&successor)?.iter().any(|digest| digest.matches(&row.digest));
        is_it.then_some(successor)
    }

    /// Answers a renewal once more whose answer was lost. The proof is used up.
    async fn send_again(
        &mut self,
        row: DeviceRow<T>,
        successor: Token,
        token_until: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<Option<Renewal<T>>> {
        let challenge = new_challenge()?;
        let issued = Issued::at(&challenge, now);
        let new = device::Write { challenge: &issued, ..device::Write::default() };
        let write = device::write(&mut self.bindings(), &row, now, &new, |_, _| {});
        if self.execute(&write).await? == 0 {
            return Ok(None);
        }
        let bound = BoundSession { session: row.session, challenge, token_until };
        Ok(Some(Renewal::Renewed { bound, token: successor }))
    }

    /// Returns the session, extended if that is due. The session is renewed already, so a failure is left to the next
    /// read.
    async fn extended(&mut self, session: Session<T>) -> Session<T> {
        let renewed = session.clone();
        match self.extend_on_read(session).await {
            Ok(Some(session)) => session,
            Ok(None) | Err(_) => renewed,
        }
    }
}
