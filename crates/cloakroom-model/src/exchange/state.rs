use std::collections::BTreeSet;

use super::{Call, Setup};

/// A token, by the order in which they were made.
pub type Token = u8;

/// The session's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub token: Token,
    /// Counts the writes: `updated_at`.
    pub version: u8,
    pub has_ended: bool,
    /// Whether a token that came twice has ended it.
    pub was_reused: bool,
}

/// The record of an old token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Retired {
    /// When its grace ends.
    pub until: u8,
    /// Its successor, as long as it is there.
    pub sealed: Option<Token>,
}

/// The client that the session was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Honest {
    pub holds: Token,
    /// When it sent this token for the first time. It repeats that until it has an answer, but not for longer than the
    /// grace.
    pub sent_at: Option<u8>,
    /// It was told that its token is none.
    pub is_logged_out: bool,
}

/// What has happened and must not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "any of them may be so, each for itself")]
pub struct Breach {
    pub two_successors: bool,
    pub unnoticed: bool,
    pub logged_out: bool,
    pub after_end: bool,
    pub from_the_database: bool,
}

/// The state of the whole model at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub now: u8,
    pub row: Row,
    /// The companion table, by token.
    pub retired: Vec<Option<Retired>>,
    pub calls: Vec<Call>,
    pub honest: Honest,
    /// What the thief holds.
    pub stolen: BTreeSet<Token>,
    /// How many tokens were made.
    pub made: u8,
    /// The graces that ended by then were pruned. Recorded only if the thief reads the database.
    pub pruned_until: u8,
    /// What was given out for each token, and until when its grace lasts: the truth, which no table holds.
    pub exchanged: Vec<Option<Retired>>,
    pub breach: Breach,
}

impl State {
    pub fn new(setup: &Setup) -> Self {
        let tokens = usize::from(setup.tokens);
        Self {
            now: 0,
            row: Row { token: 0, version: 0, has_ended: false, was_reused: false },
            retired: vec![None; tokens],
            calls: Vec::new(),
            honest: Honest { holds: 0, sent_at: None, is_logged_out: false },
            stolen: BTreeSet::new(),
            made: 1,
            pruned_until: 0,
            exchanged: vec![None; tokens],
            breach: Breach::default(),
        }
    }

    /// Makes a token, if there may be more.
    pub(super) fn make(&mut self, setup: &Setup) -> Option<Token> {
        let token = self.made;
        (token < setup.tokens).then(|| {
            self.made += 1;
            token
        })
    }

    /// The thief reads the companion table, and opens what it holds a token for.
    pub(super) fn read_database(&mut self) {
        for token in self.stolen.clone() {
            let Some(Retired { until, sealed: Some(sealed) }) = self.retired[usize::from(token)] else {
                continue;
            };
            self.stolen.insert(sealed);
            let is_live = sealed == self.row.token && !self.row.has_ended;
            self.breach.from_the_database |= is_live && self.pruned_until >= until;
        }
    }

    pub(super) fn prune(&mut self, setup: &Setup) {
        let rules = setup.rules;
        let waits = if rules.pruner_waits { setup.longest_call } else { 0 };
        let Some(until) = self.now.checked_sub(waits) else { return };
        if setup.thief_reads_database {
            self.pruned_until = until;
        }
        for record in &mut self.retired {
            let Some(retired) = record.as_mut().filter(|retired| retired.until <= until) else { continue };
            if rules.pruner_wipes {
                retired.sealed = None;
            }
            if !rules.ancestors_stay {
                *record = None;
            }
        }
    }

    /// Wipes what is sealed, except under `token`.
    pub(super) fn wipe_all_but(&mut self, token: Option<Token>) {
        for (of, record) in (0..).zip(&mut self.retired) {
            if let Some(retired) = record.as_mut().filter(|_| Some(of) != token) {
                retired.sealed = None;
            }
        }
    }

    /// Returns `true` if this token, presented now, was exchanged and must not be answered with a token again: its grace
    /// is over, or its successor is no longer the session's token.
    pub(super) fn is_stale(&self, token: Token) -> bool {
        self.exchanged[usize::from(token)]
            .is_some_and(|Retired { until, sealed }| until <= self.now || sealed != Some(self.row.token))
    }

    pub(super) fn has_ended_by_reuse(&self) -> bool {
        self.row.has_ended && self.row.was_reused
    }

    /// Returns how many successors the companion table holds.
    pub fn seals(&self) -> usize {
        self.retired.iter().flatten().filter(|retired| retired.sealed.is_some()).count()
    }
}
