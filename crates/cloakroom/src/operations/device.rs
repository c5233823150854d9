//! Binding sessions to a device, and renewing them: Device Bound Session Credentials, as far as they are no matter of HTTP.
//!
//! 1. The token that is presented says which session is meant, and the session's key who may renew it. A proof is good only
//!    with the session's challenge of the moment, which is replaced by the write that the proof brings about.
//! 2. A renewal gives the session another token, records the old one as retired, and seals the new one under the old one, in
//!    one transaction. The writes compare the token, the challenge and the key with what was read. They leave `updated_at`
//!    alone, so that they and the application's updates do not get in each other's way.
//! 3. The old token authenticates for a grace. For renewals it stays known until the next one, however late: its client may
//!    not have got the answer. With a new proof it is answered with the same successor, as long as that is the session's
//!    token and good for a while, and otherwise with another one. Without the key it is worth nothing.
//! 4. A token of a bound session authenticates until [its time](crate::session::binding::is_past) is over. For a renewal it
//!    says which session is meant for as long as the session is valid.

use std::time::Duration;

use sea_query::UpdateStatement;
use time::OffsetDateTime;

use super::Operations;
use super::create::no_randomness;
use super::guarded::changed;
use crate::clock::to_stored_precision;
use crate::database::{FieldValue, Row, Statement};
use crate::device::{Challenge, DeviceKey, Proof};
use crate::error::{Error, ErrorKind, Result};
use crate::events::EventKind;
use crate::observe::{Device, Operation};
use crate::session::binding::Issued;
use crate::session::{
    BindingRefusal, BindingTerms, BoundSession, EndReason, Registration, Renewal, Session, expiry,
};
use crate::sql::device::{self, DeviceRow, Of};
use crate::sql::{Bindings, retired, unreadable};
use crate::table::{HasDeviceKey, Role, SessionFields};
use crate::token::{PossibleDigests, Seal, Token, TokenDigest};

/// How often a call looks again if other callers keep writing the session's row.
const ATTEMPTS: usize = 100;

/// How long a registration may take.
const AGE_AT_REGISTRATION: Duration = Duration::from_mins(10);

/// How long after the end of its token a session may still be renewed with the challenge that came with the token. Later it
/// takes another round.
const AGE_BEYOND_TOKEN: Duration = Duration::from_mins(10);

/// A session that is to be renewed.
struct Found<'d, T: SessionFields> {
    row: DeviceRow<T>,
    key: DeviceKey,
    by: By<'d>,
}

/// By which token it was found.
enum By<'d> {
    /// Its present one.
    Present(&'d TokenDigest),
    /// One that a renewal has replaced.
    Old { digest: &'d TokenDigest, sealed: Option<Vec<u8>> },
}

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::device_challenge`](crate::Sessions::device_challenge).
    pub(crate) async fn device_challenge(&mut self, session: &Session<T>) -> Result<Option<Challenge>>
    where
        T: HasDeviceKey,
    {
        let id = session.id;
        let call = self.call(Operation::DeviceChallenge);
        call.finding(async {
            self.check_binding()?;
            for _ in 0..ATTEMPTS {
                match self.device_row(Of::Id(id)).await? {
                    Some(row) if row.key.is_none() => {
                        if let Some(challenge) = self.challenge(&row).await? {
                            return Ok(Some(challenge));
                        }
                    }
                    _ => return Ok(None),
                }
            }
            Err(changed())
        })
        .await
    }

    /// See [`Sessions::register_device`](crate::Sessions::register_device).
    pub(crate) async fn register_device(
        &mut self,
        token: &[u8],
        proof: Option<&[u8]>,
        terms: &BindingTerms,
    ) -> Result<Registration<T>>
    where
        T: HasDeviceKey,
    {
        let call = self.call(Operation::RegisterDevice);
        let registration = call.of(self.register(token, proof, terms)).await?;
        let outcome = match &registration {
            Registration::Bound(_) => "bound",
            Registration::Refused(because) => because.as_str(),
        };
        self.handle().metrics().device(Device::Registration, outcome);
        Ok(registration)
    }

    async fn register(
        &mut self,
        token: &[u8],
        proof: Option<&[u8]>,
        terms: &BindingTerms,
    ) -> Result<Registration<T>>
    where
        T: HasDeviceKey,
    {
        let refused = |because| Ok(Registration::Refused(because));
        self.check_binding()?;
        let Some(digests) = self.digests(token) else {
            return refused(BindingRefusal::UnknownToken);
        };
        let mut checked = None;
        for _ in 0..ATTEMPTS {
            let Some((row, _)) = self.row_of_token(&digests).await? else {
                return refused(BindingRefusal::UnknownToken);
            };
            let proof = match proof.map(Proof::parse) {
                None => return refused(BindingRefusal::NoProof),
                Some(Err(error)) => return refused(BindingRefusal::Proof(error)),
                Some(Ok(proof)) => proof,
            };
            let now = self.config().now();
            if row.key.is_some() {
                return Ok(
                    repeated(row, &proof, now).unwrap_or(Registration::Refused(BindingRefusal::AlreadyBound))
                );
            }
            if let Err(because) = answers(&row, &proof, AGE_AT_REGISTRATION, now) {
                return refused(because);
            }
            if checked.is_none() {
                match proof.self_signed_key() {
                    Ok(key) => checked = Some((key.to_text(), key)),
                    Err(error) => return refused(BindingRefusal::Proof(error)),
                }
            }
            if let Some((text, key)) = &checked
                && let Some(bound) = self.bind(row, text, key, terms, now).await?
            {
                return Ok(Registration::Bound(bound));
            }
        }
        Err(changed())
    }

    /// Writes the key, if the row is as it was read.
    async fn bind(
        &mut self,
        row: DeviceRow<T>,
        text: &str,
        key: &DeviceKey,
        terms: &BindingTerms,
        now: OffsetDateTime,
    ) -> Result<Option<BoundSession<T>>>
    where
        T: HasDeviceKey,
    {
        self.fit_role(Role::DeviceKey, Some(FieldValue::plain(text))).await?;
        let challenge = new_challenge()?;
        let token_until = to_stored_precision(expiry::later(now, terms.token_ttl));
        let issued = Issued::at(&challenge, now);
        let new = device::Write {
            challenge: &issued,
            token_until: Some(token_until),
            key: Some(text),
            ..device::Write::default()
        };
        let write = device::write(&mut self.bindings(), &row, now, &new, |_, _| {});
        let event = self.event_of(&row.session, EventKind::Bound { session: row.session.id });
        if !self.write_together(row.session.id, write, Vec::new(), event).await? {
            return Ok(None);
        }
        let mut session = row.session;
        session.row_mut().stored.token_until = Some(token_until);
        session.note_field(|fields| fields.set_device_key(key.clone()));
        Ok(Some(BoundSession { session, challenge, token_until }))
    }

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
            usable_until: until,
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

    /// Returns the challenge that the device is to sign: that of the row if it is a moment old, so that two requests at the
    /// same time get one, and otherwise a new one. Returns `None` if the row is no longer as it was read.
    async fn challenge(&mut self, row: &DeviceRow<T>) -> Result<Option<Challenge>> {
        let now = self.config().now();
        if let Some(issued) = Issued::of(row.challenge.as_deref()).filter(|issued| issued.is_new(now)) {
            return Ok(Some(issued.challenge));
        }
        let challenge = new_challenge()?;
        let issued = Issued::at(&challenge, now);
        let new = device::Write { challenge: &issued, ..device::Write::default() };
        let write = device::write(&mut self.bindings(), row, now, &new, |_, _| {});
        Ok((self.execute(&write).await? > 0).then_some(challenge))
    }

    /// Returns the bound session that a token means, or why there is none.
    async fn find_bound<'d>(
        &mut self,
        digests: &'d PossibleDigests,
    ) -> Result<Result<Found<'d, T>, BindingRefusal>> {
        let (row, by) = match self.row_of_token(digests).await? {
            Some((row, digest)) => (row, By::Present(digest)),
            None => match self.row_of_old(digests).await? {
                Some(found) => found,
                None => return Ok(Err(BindingRefusal::UnknownToken)),
            },
        };
        let Some(text) = &row.key else {
            return Ok(Err(BindingRefusal::NotBound));
        };
        let column = self.table().field_for(Role::DeviceKey).map_or("", |field| field.name());
        let key = text.parse().map_err(|error| unreadable(self.table(), column, error))?;
        Ok(Ok(Found { row, key, by }))
    }

    async fn row_of_token<'d>(
        &mut self,
        digests: &'d PossibleDigests,
    ) -> Result<Option<(DeviceRow<T>, &'d TokenDigest)>> {
        let Some(row) = self.device_row(Of::Token(digests)).await? else {
            return Ok(None);
        };
        let digest = digests.iter().find(|digest| digest.matches(&row.digest));
        Ok(digest.map(|digest| (row, digest)))
    }

    async fn row_of_old<'d>(
        &mut self,
        digests: &'d PossibleDigests,
    ) -> Result<Option<(DeviceRow<T>, By<'d>)>> {
        let mut bindings = self.bindings();
        let mut find = retired::find(&mut bindings, digests);
        let guard = self.guard(&mut find);
        let rows = self.fetch_all(&bindings.build(&find).guarded(guard)).await?;
        let Some((old, digest)) = retired::RetiredRow::among(&rows, digests, self.table())? else {
            return Ok(None);
        };
        let (id, sealed) = (old.session.id, old.sealed);
        Ok(self.device_row(Of::Id(id)).await?.map(|row| (row, By::Old { digest, sealed })))
    }

    /// See [`Sessions::awaits_renewal`](crate::Sessions::awaits_renewal).
    pub(crate) async fn awaits_renewal(&mut self, token: &[u8]) -> Result<bool> {
        let call = self.call(Operation::RenewBound);
        Ok(call.finding(self.awaiting(token)).await?.is_some())
    }

    /// See [`Sessions::end_awaiting_renewal`](crate::Sessions::end_awaiting_renewal).
    pub(crate) async fn end_awaiting_renewal(&mut self, token: &[u8]) -> Result<bool> {
        let call = self.call(Operation::Expire);
        call.of(async {
            let Some(session) = self.awaiting(token).await? else {
                return Ok(false);
            };
            let fields = Some(&session.fields);
            self.expire_by_id(session.id, self.config().now(), Some(&EndReason::LOGGED_OUT), fields).await
        })
        .await
    }

    /// Returns the session that a renewal with this token would be about.
    async fn awaiting(&mut self, token: &[u8]) -> Result<Option<Session<T>>> {
        let digests = self.digests(token).filter(|_| self.table().binds_devices());
        let Some(digests) = digests else {
            return Ok(None);
        };
        let row = match self.row_of_token(&digests).await? {
            Some((row, _)) => Some(row),
            None => self.row_of_old(&digests).await?.map(|(row, _)| row),
        };
        Ok(row.filter(|row| row.key.is_some()).map(|row| row.session))
    }

    /// Reads a session with what is needed to bind or renew it, unless it is over. The database compares digests by its own
    /// rules, so the caller looks again.
    async fn device_row(&mut self, of: Of<'_>) -> Result<Option<DeviceRow<T>>> {
        self.know_sliding().await?;
        let mut bindings = self.bindings();
        let mut find = device::find(&mut bindings, of);
        let guard = self.guard(&mut find);
        let rows: Vec<Row> = self.fetch_all(&bindings.build(&find).guarded(guard)).await?;
        let now = self.config().now();
        for row in &rows {
            if let Some(row) = DeviceRow::read(row, self.table(), self.config(), now)? {
                let is_it = match of {
                    Of::Id(id) => row.session.id == id,
                    Of::Token(digests) => digests.iter().any(|digest| digest.matches(&row.digest)),
                };
                if is_it {
                    return Ok(Some(row));
                }
            }
        }
        Ok(None)
    }

    fn check_binding(&self) -> Result<()> {
        if self.table().binds_devices() {
            return Ok(());
        }
        let message = format!("{} has no column with the role {}", self.table(), Role::DeviceKey);
        Err(Error::new(ErrorKind::Unsupported, message))
    }
}

/// Answers a registration once more whose answer was lost: a browser whose connection ends sends the same again by itself,
/// and keeps no key if it is refused. It must be of the same key, and a moment after the first.
fn repeated<T: SessionFields>(
    row: DeviceRow<T>,
    proof: &Proof<'_>,
    now: OffsetDateTime,
) -> Option<Registration<T>> {
    let issued = Issued::of(row.challenge.as_deref()).filter(|issued| issued.is_new(now))?;
    let is_same = proof.self_signed_key().ok()?.to_text() == row.key?;
    let token_until = row.session.stored.token_until.filter(|_| is_same)?;
    let bound = BoundSession { session: row.session, challenge: issued.challenge, token_until };
    Some(Registration::Bound(bound))
}

/// Checks that the proof answers the challenge of the row, and in time.
fn answers<T: SessionFields>(
    row: &DeviceRow<T>,
    proof: &Proof<'_>,
    age: Duration,
    now: OffsetDateTime,
) -> Result<(), BindingRefusal> {
    let issued = Issued::of(row.challenge.as_deref()).ok_or(BindingRefusal::WrongChallenge)?;
    if !issued.challenge.is(proof.challenge()) {
        return Err(BindingRefusal::WrongChallenge);
    }
    if issued.is_good(now, age) { Ok(()) } else { Err(BindingRefusal::OldChallenge) }
}

fn new_challenge() -> Result<Challenge> {
    Challenge::generate().map_err(no_randomness)
}
