/// The session's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// How many ticks ago its revocation committed. Its row may stay, ended: whoever prunes that ends nothing.
    pub revoked: Option<u8>,
    /// How many ticks it has yet by a wall clock that is right, if it ends by itself. Negative once it has ended,
    /// as far down as some node's clock may lag.
    pub expires_in: Option<i8>,
    /// How many ticks ago it was deleted, because it had expired by the clock of whoever pruned.
    pub pruned: Option<u8>,
}

impl Session {
    /// By a wall clock that lags by so many ticks.
    pub fn has_expired(self, lag: i8) -> bool {
        self.expires_in.is_some_and(|left| left + lag <= 0)
    }

    /// What the database would answer now to a node whose wall clock lags by so many ticks.
    pub fn is_valid(self, lag: i8) -> bool {
        self.is_there() && !self.has_expired(lag)
    }

    pub(crate) fn is_there(self) -> bool {
        self.revoked.is_none() && self.pruned.is_none()
    }

    /// An extension, by a wall clock that lags by so many ticks, is written to a row that is valid by it.
    pub(crate) fn extend(&mut self, lag: i8, ttl: i8) {
        if self.is_valid(lag) {
            self.expires_in = self.expires_in.map(|left| left.max(ttl - lag));
        }
    }

    /// What had expired `until` ticks from now, or before now if that is negative, is deleted.
    pub(crate) fn prune(&mut self, until: i8) {
        if self.is_there() && self.has_expired(-until) {
            self.pruned = Some(0);
        }
    }
}
