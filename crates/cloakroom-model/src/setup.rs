use crate::Rules;

/// What is checked: the rules, the durations (in ticks), and the possible actions.
#[derive(Clone, Debug)]
pub struct Setup {
    pub rules: Rules,
    pub max_staleness: u8,
    /// The lease of the listener; `None` without a listener.
    pub lease: Option<u8>,
    pub clocks: Clocks,
    /// When the session expires by itself, unless it is extended. Then it is pruned, by these nodes and others.
    pub expires_in: Option<i8>,
    pub nodes: Vec<Abilities>,
    /// A process beyond these nodes, which also uses the library, may revoke the session.
    pub revoked_elsewhere: bool,
    /// The database may refuse to announce a revocation, which is then made without.
    pub refuses_announcements: bool,
}

/// What one node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// How many lookups it may have in flight.
    pub lookups: usize,
    /// Whether it revokes, and waits for the answer.
    pub revokes: bool,
    /// Whether it gives up waiting for the answer, or revokes within a transaction of the application's.
    pub leaves_open: bool,
}

impl Abilities {
    pub const READER: Self = Self { lookups: 1, revokes: false, leaves_open: false };
    pub const REVOKER: Self = Self { lookups: 1, revokes: true, leaves_open: false };
    pub const EVERYTHING: Self = Self { lookups: 1, revokes: true, leaves_open: true };
}

/// What the nodes' clocks may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    Right,
    /// A node is suspended, and its monotonic clock with it.
    Suspended,
    /// A node's wall clock is set back, by any span, and right again. If the session expires, it is set back a tick at
    /// a time, with a limit.
    SetBack,
}

impl Setup {
    /// A database without a listener.
    pub fn without_listener(max_staleness: u8) -> Self {
        Self {
            rules: Rules::ALL,
            max_staleness,
            lease: None,
            clocks: Clocks::Right,
            expires_in: None,
            nodes: vec![Abilities::EVERYTHING],
            revoked_elsewhere: true,
            refuses_announcements: false,
        }
    }

    /// PostgreSQL, with a listener.
    pub fn with_listener(max_staleness: u8, lease: u8) -> Self {
        Self { lease: Some(lease), ..Self::without_listener(max_staleness) }
    }

    #[must_use]
    pub fn rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    #[must_use]
    pub fn clocks(self, clocks: Clocks) -> Self {
        Self { clocks, ..self }
    }

    #[must_use]
    pub fn nodes(self, nodes: &[Abilities]) -> Self {
        Self { nodes: nodes.to_vec(), ..self }
    }

    #[must_use]
    pub fn expires_in(self, ticks: i8) -> Self {
        Self { expires_in: Some(ticks), ..self }
    }

    #[must_use]
    pub fn revoked_elsewhere(self, revoked_elsewhere: bool) -> Self {
        Self { revoked_elsewhere, ..self }
    }

    #[must_use]
    pub fn refuses_announcements(self) -> Self {
        Self { refuses_announcements: true, ..self }
    }

    /// How many ticks a node's wall clock may lag. Used only if the session expires. An answer that has expired is then
    /// too old before the clock reaches its expiry again.
    pub(crate) fn greatest_lag(&self) -> i8 {
        let is_of_interest = self.clocks == Clocks::SetBack && self.expires_in.is_some();
        if is_of_interest { self.max_staleness.cast_signed() + 2 } else { 0 }
    }

    pub(crate) fn is_single_node(&self) -> bool {
        self.nodes.len() == 1
    }

    /// How long after its revocation a session may still be accepted. The lease helps only against announcements that
    /// are late, and not against those that are never made.
    pub fn bound(&self) -> u8 {
        self.lease
            .filter(|_| !self.refuses_announcements)
            .map_or(self.max_staleness, |lease| lease.min(self.max_staleness))
    }
}
