use super::Rules;

/// What there is, and what may happen.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that happens or does not")]
pub struct Setup {
    pub rules: Rules,
    /// How many calls the honest client has under way at once: its tabs, and calls that it has given up for itself and
    /// not for the server.
    pub tabs: usize,
    /// Whether there is a client that copies the honest one's token, at any time.
    pub thief: bool,
    /// Whether the thief also reads the database.
    pub thief_reads_database: bool,
    /// Whether others end the session.
    pub ends_elsewhere: bool,
    /// Whether the application gives the session a new token by itself, as at a step-up.
    pub rotates: bool,
    /// How many ticks a grace lasts.
    pub grace: u8,
    /// How many ticks a call lasts at most.
    pub longest_call: u8,
    /// How many tokens are made, the first included.
    pub tokens: u8,
    /// How many ticks time goes on for.
    pub horizon: u8,
}

impl Setup {
    /// One client, which is alone, with so many calls at once.
    pub fn honest(tabs: usize) -> Self {
        Self {
            rules: Rules::ALL,
            tabs,
            thief: false,
            thief_reads_database: false,
            ends_elsewhere: false,
            rotates: false,
            grace: 1,
            longest_call: 1,
            tokens: 3,
            horizon: 2,
        }
    }

    /// The honest client, and one that copies its token.
    pub fn with_thief() -> Self {
        Self { thief: true, ..Self::honest(1) }
    }

    /// … and that reads the database.
    pub fn with_thief_who_reads_the_database() -> Self {
        Self { thief_reads_database: true, ..Self::with_thief() }
    }

    /// For so many more ticks, with a grace of two, and with one token more.
    #[must_use]
    pub fn longer(self, ticks: u8) -> Self {
        Self { grace: 2, tokens: self.tokens + 1, horizon: self.horizon + ticks, ..self }
    }

    #[must_use]
    pub fn ends_elsewhere(self) -> Self {
        Self { ends_elsewhere: true, ..self }
    }

    #[must_use]
    pub fn rotates(self) -> Self {
        Self { rotates: true, ..self }
    }

    #[must_use]
    pub fn rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// Whether the honest client is the only one that does anything to its session.
    pub(super) fn is_undisturbed(&self) -> bool {
        !self.thief && !self.ends_elsewhere
    }
}
