//! A browser brings the public half of its key.

use std::time::Duration;

use time::OffsetDateTime;

use super::{ATTEMPTS, answers, new_challenge};
use crate::clock::to_stored_precision;
use crate::database::FieldValue;
use crate::device::{DeviceKey, Proof};
use crate::error::Result;
use crate::events::EventKind;
use crate::observe::{Device, Operation};
use crate::operations::Operations;
use crate::operations::guarded::changed;
use crate::session::binding::Issued;
use crate::session::{BindingRefusal, BindingTerms, BoundSession, Registration, expiry};
use crate::sql::device::{self, DeviceRow};
use crate::table::{HasDeviceKey, Role, SessionFields};

/// How long a registration may take.
const AGE_AT_REGISTRATION: Duration = Duration::from_mins(10);

impl<T: SessionFields> Operations<'_, T> {
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
