/// The session's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// How many ticks ago its revocation committed.
    pub revoked: Option<u8>,
    /// How many ticks it has yet, if it ends by itself.
    pub expires_in: Option<u8>,
}

impl Session {
    pub fn has_expired(self) -> bool {
        self.expires_in == Some(0)
    }

    /// What the database would answer now.
    pub fn is_valid(self) -> bool {
        self.revoked.is_none() && !self.has_expired()
    }
}
