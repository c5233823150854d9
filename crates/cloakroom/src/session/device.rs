//! What becomes of a registration of a device's key, and of a renewal.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::Session;
use crate::device::{Challenge, ProofError};
use crate::table::{HasDeviceKey, SessionFields};
use crate::token::Token;

/// For how long the token of a bound session is good, and what that brings with it.
///
/// # Defaults
///
/// A token is good for 10 minutes, and for 30 seconds after a renewal has replaced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct BindingTerms {
    pub(crate) token_ttl: Duration,
    pub(crate) grace: Duration,
}

impl BindingTerms {
    /// Returns the default terms.
    pub const fn new() -> Self {
        Self { token_ttl: Duration::from_mins(10), grace: Duration::from_secs(30) }
    }

    /// Sets how long a token of a bound session is good after it was issued, at a registration or a renewal. Default 10
    /// minutes.
    ///
    /// A token that was copied from the device is worth nothing after that, and after the next renewal at the latest. Since
    /// the clocks of machines differ, a machine accepts a token for 3 minutes longer by its own clock.
    pub const fn token_ttl(self, span: Duration) -> Self {
        Self { token_ttl: span, ..self }
    }

    /// Sets how long a token is good after a renewal has replaced it, for requests that are under way. Default 30 seconds.
    ///
    /// It counts from the renewal, by the clock of the machine that has renewed, and never lengthens what the token's own
    /// time would have been.
    pub const fn grace(self, span: Duration) -> Self {
        Self { grace: span, ..self }
    }

    /// Returns how long a token of a bound session is good.
    pub const fn of_token(&self) -> Duration {
        self.token_ttl
    }
}

impl Default for BindingTerms {
    fn default() -> Self {
        Self::new()
    }
}

/// A session that is bound to a device, as a registration or a renewal has left it.
#[derive(Clone)]
#[non_exhaustive]
pub struct BoundSession<T: SessionFields> {
    /// The session as it is stored.
    pub session: Session<T>,
    /// What the device is to sign next: send it along, so that the next renewal takes one round.
    pub challenge: Challenge,
    /// Until when the session's token is to be sent: the end of its cookie.
    pub token_until: OffsetDateTime,
}

/// What became of a registration; see [`Sessions::register_device`](crate::Sessions::register_device).
#[derive(Clone)]
pub enum Registration<T: SessionFields> {
    /// The session is bound. Its token stays the same.
    Bound(BoundSession<T>),
    /// The registration was refused, and the session stays as it was.
    Refused(BindingRefusal),
}

/// What became of a renewal; see [`Sessions::renew_bound`](crate::Sessions::renew_bound).
#[derive(Clone)]
pub enum Renewal<T: SessionFields> {
    /// The session has this token now.
    Renewed {
        /// The session, and what comes next.
        bound: BoundSession<T>,
        /// The secret that the client presents from now on.
        token: Token,
    },
    /// The device must sign this challenge first.
    Challenged {
        /// The session's id.
        session: Uuid,
        /// What the device is to sign.
        challenge: Challenge,
        /// Why the proof that came was not enough.
        because: BindingRefusal,
    },
    /// There is nothing to renew for who has sent this. The session, if there is one, stays as it was.
    Refused(BindingRefusal),
}

/// Why a registration or a renewal did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BindingRefusal {
    /// The token is of no session, or of one that has ended.
    UnknownToken,
    /// The session is not bound to a device, so there is nothing to renew.
    NotBound,
    /// The session is bound already.
    AlreadyBound,
    /// There was no proof.
    NoProof,
    /// The proof answers another challenge than the session's present one: one that was used, or made up, or of another
    /// session.
    WrongChallenge,
    /// The proof answers the session's challenge, but too late.
    OldChallenge,
    /// The proof is not one, or is not the device's.
    Proof(ProofError),
}

impl BindingRefusal {
    /// Returns one short word for the reason, such as `wrong_challenge`, that stays the same from version to version: for
    /// metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownToken => "unknown_token",
            Self::NotBound => "not_bound",
            Self::AlreadyBound => "already_bound",
            Self::NoProof => "no_proof",
            Self::WrongChallenge => "wrong_challenge",
            Self::OldChallenge => "old_challenge",
            Self::Proof(error) => error.as_str(),
        }
    }
}

impl fmt::Display for BindingRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownToken => "the token is of no session that is valid",
            Self::NotBound => "the session is not bound to a device",
            Self::AlreadyBound => "the session is bound to a device already",
            Self::NoProof => "there is no proof",
            Self::WrongChallenge => "the proof answers another challenge",
            Self::OldChallenge => "the proof answers a challenge that is too old",
            Self::Proof(error) => return error.fmt(f),
        })
    }
}

impl std::error::Error for BindingRefusal {}

impl<T: SessionFields> Session<T> {
    /// Returns `true` if the session is bound to a device; see [`Sessions::register_device`](crate::Sessions::register_device).
    pub fn is_bound(&self) -> bool
    where
        T: HasDeviceKey,
    {
        self.fields.device_key().is_some()
    }

    /// Returns until when the session's token is to be sent, if the session is bound to a device: the end of its cookie. A
    /// renewal gives the session another token, which is good for longer.
    pub fn token_until(&self) -> Option<OffsetDateTime>
    where
        T: HasDeviceKey,
    {
        self.stored.token_until
    }
}

impl<T: SessionFields + fmt::Debug> fmt::Debug for BoundSession<T>
where
    T::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, challenge, token_until } = self;
        f.debug_struct("BoundSession")
            .field("session", session)
            .field("challenge", challenge)
            .field("token_until", token_until)
            .finish()
    }
}

impl<T: SessionFields + fmt::Debug> fmt::Debug for Registration<T>
where
    T::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound(bound) => f.debug_tuple("Bound").field(bound).finish(),
            Self::Refused(because) => f.debug_tuple("Refused").field(because).finish(),
        }
    }
}

impl<T: SessionFields + fmt::Debug> fmt::Debug for Renewal<T>
where
    T::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renewed { bound, token } => {
                f.debug_struct("Renewed").field("bound", bound).field("token", token).finish()
            }
            Self::Challenged { session, challenge, because } => f
                .debug_struct("Challenged")
                .field("session", session)
                .field("challenge", challenge)
                .field("because", because)
                .finish(),
            Self::Refused(because) => f.debug_tuple("Refused").field(because).finish(),
        }
    }
}
