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

mod found;
mod registration;
mod renewal;

use std::time::Duration;

use time::OffsetDateTime;

use super::Operations;
use super::create::no_randomness;
use super::guarded::changed;
use crate::device::{Challenge, Proof};
use crate::error::{Error, ErrorKind, Result};
use crate::observe::Operation;
use crate::session::binding::Issued;
use crate::session::{BindingRefusal, EndReason, Session};
use crate::sql::device::{self, DeviceRow, Of};
use crate::table::{HasDeviceKey, Role, SessionFields};

/// How often a call looks again if other callers keep writing the session's row.
const ATTEMPTS: usize = 100;

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

    fn check_binding(&self) -> Result<()> {
        if self.table().binds_devices() {
            return Ok(());
        }
        let message = format!("{} has no column with the role {}", self.table(), Role::DeviceKey);
        Err(Error::new(ErrorKind::Unsupported, message))
    }
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
