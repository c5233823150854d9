use crate::listener::{Listener, Phase};
use crate::{Age, Prune, Rules, Session, Setup};

/// One process: its cache, its operations under way, its listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub lookups: Vec<Lookup>,
    pub entry: Option<Answer>,
    pub check: Option<Check>,
    /// How much longer the quarantine lasts.
    pub quarantine: Option<u8>,
    pub revocation: Revocation,
    pub open: Open,
    pub listener: Listener,
    /// How many ticks its wall clock is behind. Recorded only if the session expires.
    pub lag: i8,
    pub prune: Prune,
    /// Sessions that expired no later than this, by the wall clock, may have been deleted by a prune through this node.
    pub pruned_until: Option<i8>,
    /// Whether a prune through this node was executed at which the session had expired, so that it is gone.
    pub has_pruned: bool,
}

/// What the cache knows of the answer to a lookup, before or after the answer has come.
///
/// An implementation numbers its revocations, and notes with a lookup the last number before it was sent. Only the
/// order of the two numbers matters, so the model records the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Answer {
    /// Nothing was revoked since before the lookup was sent.
    pub age: Age,
    /// A later revocation is known.
    pub is_void: bool,
    /// It was asked for during a quarantine, or before it.
    pub is_held_back: bool,
    /// The session's expiry, as the database answered it. Before that, the row's expiry is not known.
    pub expires_in: Option<i8>,
    /// Sessions that expired no later than this may have been deleted by a prune that began since the lookup. Only if
    /// the rule is taken out.
    pub pruned_until: Option<i8>,
}

/// A lookup in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lookup {
    pub answer: Answer,
    /// The database has found the session valid, and says so. A negative answer is not cached, so a lookup that finds
    /// the session revoked is forgotten at once.
    pub is_read: bool,
}

/// A revocation through this node, with a caller that waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revocation {
    Idle,
    Sent,
    Executed {
        /// Whether the session had not been revoked before.
        changed: bool,
    },
    Voided,
    /// The caller knows that the session is revoked.
    Replied,
    /// … but this node's cache does not. Only if the rule is taken out.
    RepliedEarly,
}

/// An operation of this node that may commit later than the node knows: its outcome is in doubt, or it is part of a
/// transaction of the application's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    pub may_commit: bool,
    pub promise: Promise,
}

/// What the last such operation owes its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Promise {
    None,
    /// This many ticks ago. If the session's revocation commits in time, it will not be accepted here.
    Made(u8),
    /// The revocation has committed.
    Due,
}

/// Why a session must not be accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "any of them may be so, each for itself")]
pub struct Breach {
    pub too_late: bool,
    pub after_commit: bool,
    pub after_reply: bool,
    pub after_promise: bool,
    pub expired: bool,
    pub after_prune: bool,
    pub long_after_prune: bool,
}

impl Breach {
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// A call that has done the first half of its check. Only calls are followed that began when the session was already
/// not to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    pub answer: Answer,
    pub breach: Breach,
}

impl Node {
    pub(crate) const NEW: Self = Self {
        lookups: Vec::new(),
        entry: None,
        check: None,
        quarantine: None,
        revocation: Revocation::Idle,
        open: Open { may_commit: false, promise: Promise::None },
        listener: Listener::NEW,
        lag: 0,
        prune: Prune::Idle,
        pruned_until: None,
        has_pruned: false,
    };

    /// The counter and the clock are read. Sending comes later: the database may answer at any time from now on.
    pub(crate) fn ask(&mut self) {
        let answer = Answer {
            age: Age::NOW,
            is_void: false,
            is_held_back: self.quarantine.is_some(),
            expires_in: None,
            pruned_until: None,
        };
        self.lookups.push(Lookup { answer, is_read: false });
    }

    /// The database answers, by the wall clock as it is now: the clock is read just before the statement is sent.
    pub(crate) fn read(&mut self, index: usize, session: Session) {
        if session.is_valid(self.lag) {
            let lookup = &mut self.lookups[index];
            lookup.is_read = true;
            lookup.answer.expires_in = session.expires_in;
        } else {
            self.lookups.remove(index);
        }
    }

    pub(crate) fn receive(&mut self, index: usize, setup: &Setup) {
        let mut answer = self.lookups.remove(index).answer;
        if !setup.rules.age_from_asking {
            answer.age = Age::NOW;
        }
        if !setup.rules.versions_from_asking {
            answer.is_void = false;
        }
        self.entry = Some(answer);
    }

    /// Voids every answer that was asked for so far.
    pub(crate) fn void(&mut self) {
        self.answers().for_each(|answer| answer.is_void = true);
    }

    /// Voids every answer that was asked for so far, or will be within `max_staleness`. The span is measured by the
    /// monotonic clock: if that stands still, the span is only longer.
    pub(crate) fn hold_back(&mut self, setup: &Setup) {
        if setup.rules.quarantine {
            self.quarantine = Some(setup.max_staleness);
            self.answers().for_each(|answer| answer.is_held_back = true);
        }
    }

    /// A revocation of this node may commit later than the node knows.
    pub(crate) fn leave_open(&mut self, is_revoked: bool, setup: &Setup) {
        self.void();
        self.hold_back(setup);
        self.open = if is_revoked {
            Open { may_commit: false, promise: Promise::Due }
        } else {
            Open { may_commit: true, promise: Promise::Made(0) }
        };
    }

    /// Drops everything that can't lead to a hit any more, so that states which differ in nothing else are one.
    pub(crate) fn forget(&mut self, session: Session, setup: &Setup) {
        let (rules, limit) = (&setup.rules, setup.max_staleness);
        let (lag, pruned_until) = (setup.greatest_lag(), self.pruned_until);
        let is_valid = |answer: &Answer| answer.is_valid(lag, pruned_until, rules);
        let is_of_use = |answer: &Answer| answer.age.within(limit, rules) && is_valid(answer);
        self.entry = self.entry.filter(|entry| entry.is_current() && is_of_use(entry));
        self.check = self.check.filter(|Check { answer, .. }| {
            if rules.lease_before_versions { answer.is_current() } else { is_of_use(answer) }
        });
        self.lookups.retain(|Lookup { answer, is_read }| {
            let is_voided = answer.is_void && rules.versions_from_asking && !is_read;
            let may_be_recent = answer.age.within(limit, rules) || !rules.age_from_asking;
            !is_voided && may_be_recent && is_valid(answer)
        });
        self.forget_prune(session, setup);
        self.lookups.sort_unstable();
    }

    pub(crate) fn set_wall_clock_back(&mut self, setup: &Setup) {
        self.lag = (self.lag + 1).min(setup.greatest_lag());
        self.answers().for_each(|answer| answer.age.set_back());
        self.listener.ages().for_each(Age::set_back);
    }

    /// Keeps ages within their limit.
    pub(crate) fn put_wall_clock_right(&mut self) {
        self.lag = 0;
    }

    pub(crate) fn answers(&mut self) -> impl Iterator<Item = &mut Answer> {
        let lookups = self.lookups.iter_mut().map(|lookup| &mut lookup.answer);
        lookups.chain(&mut self.entry).chain(self.check.iter_mut().map(|check| &mut check.answer))
    }

    /// The half of a hit's check that reads clocks.
    pub fn is_recent(&self, answer: Answer, setup: &Setup) -> bool {
        answer.age.within(setup.max_staleness, &setup.rules)
            && answer.is_valid(self.lag, self.pruned_until, &setup.rules)
            && self.holds_lease(setup)
    }

    pub fn holds_lease(&self, setup: &Setup) -> bool {
        let (Some(lease), rules) = (setup.lease, &setup.rules) else { return true };
        let listens = self.listener.phase == Phase::Listening && self.listener.heard.is_some();
        let by_clocks = Rules { wall_clock: rules.lease_by_wall_clock, ..*rules };
        let heard = self.listener.heard.is_some_and(|heard| heard.within(lease, &by_clocks));
        (!rules.silent_when_away || listens) && (!rules.lease || heard)
    }

    /// The half of a hit's check that looks at the revocations.
    pub fn is_current(&self, answer: Answer, setup: &Setup) -> bool {
        let is_open = matches!(self.revocation, Revocation::Sent | Revocation::Executed { .. });
        answer.is_current() && !(is_open && setup.rules.silent_while_open)
    }

    /// Returns `true` if a call with a check that takes no time is answered from the cache.
    pub fn hits(&self, setup: &Setup) -> bool {
        self.entry.is_some_and(|entry| self.is_current(entry, setup) && self.is_recent(entry, setup))
    }

    /// Returns why it would be wrong to accept the session now.
    pub fn breach(&self, session: Session, setup: &Setup) -> Breach {
        Breach {
            too_late: session.revoked.is_some_and(|ago| ago > setup.bound()),
            after_commit: matches!(self.revocation, Revocation::Executed { .. } | Revocation::Voided),
            after_reply: matches!(self.revocation, Revocation::Replied | Revocation::RepliedEarly),
            after_promise: self.open.promise == Promise::Due,
            expired: session.has_expired(self.lag),
            after_prune: self.has_pruned,
            long_after_prune: session.pruned.is_some_and(|ago| ago > setup.max_staleness),
        }
    }

    /// Begins a check that takes its time.
    pub(crate) fn begin_check(&mut self, session: Session, setup: &Setup) {
        let Some(answer) = self.entry else { return };
        let breach = self.breach(session, setup);
        let passes = if setup.rules.lease_before_versions {
            self.is_recent(answer, setup)
        } else {
            self.is_current(answer, setup)
        };
        if passes && breach.any() {
            self.check = Some(Check { answer, breach });
        }
    }

    /// Returns `true` if it ends in a hit now.
    pub fn completes(&self, check: Check, setup: &Setup) -> bool {
        if setup.rules.lease_before_versions {
            self.is_current(check.answer, setup)
        } else {
            self.is_recent(check.answer, setup)
        }
    }
}

impl Answer {
    /// Returns `true` if no later revocation is known than when it was asked for.
    pub fn is_current(self) -> bool {
        !self.is_void && !self.is_held_back
    }

    /// Returns `true` if its session has not expired, as far as the answer tells: neither by a wall clock that lags by
    /// this many ticks, nor by any clock by which it may have been pruned.
    pub fn is_valid(self, lag: i8, pruned_until: Option<i8>, rules: &Rules) -> bool {
        let pruned_until = self.pruned_until.max(pruned_until);
        self.expires_in.is_none_or(|left| {
            (!rules.expiry || left + lag > 0) && pruned_until.is_none_or(|until| until < left)
        })
    }
}
