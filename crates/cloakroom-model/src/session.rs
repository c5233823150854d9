/// The session's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// How many ticks ago its revocation committed. The ended row may stay: a prune of it ends nothing.
    pub revoked: Option<u8>,
    /// How many ticks are left until it ends by itself, by a right wall clock. Negative once it has ended, down to the
    /// most that a node's clock may lag.
    pub expires_in: Option<i8>,
    /// How many ticks ago it was deleted, because it had expired by the clock of the node that pruned.
    pub pruned: Option<u8>,
}

impl Session {
    /// By a wall clock that lags by this many ticks.
    pub fn has_expired(self, lag: i8) -> bool {
        self.expires_in.is_some_and(|left| left + lag <= 0)
    }

    /// Returns the database's answer now to a node with a wall clock that lags by this many ticks.
    pub fn is_valid(self, lag: i8) -> bool {
        self.is_there() && !self.has_expired(lag)
    }

    pub(crate) fn is_there(self) -> bool {
        self.revoked.is_none() && self.pruned.is_none()
    }

    /// An extension, by a wall clock that lags by this many ticks, is written to a row that is valid by that clock.
    pub(crate) fn extend(&mut self, lag: i8, ttl: i8) {
        if self.is_valid(lag) {
            self.expires_in = self.expires_in.map(|left| left.max(ttl - lag));
        }
    }

    /// Deletes the session if it expires at most `until` ticks from now; a negative number lies before now.
    pub(crate) fn prune(&mut self, until: i8) {
        if self.is_there() && self.has_expired(-until) {
            self.pruned = Some(0);
        }
    }
}
