use super::{Retired, Setup, State, Token};

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    Honest,
    Thief,
}

/// What a client hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    Successor(Token),
    /// The successor that was given out before.
    SameSuccessor(Token),
    /// The session was ended, because its token came twice.
    Reused,
    /// The token is none.
    Unknown,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// It has begun: the clock is read.
    Begun,
    /// The token is the session's, and this is the version of its row.
    Found {
        version: u8,
    },
    /// The token is not the session's, or no longer.
    Missed,
    /// The session has its new token, and the record of the old one is still to be written. Only if the rule is taken
    /// out.
    Unrecorded {
        successor: Token,
    },
    /// The token was exchanged before, and is not answered again. This is the version of the row as it was read.
    Reuse {
        version: u8,
    },
    Done(Answer),
}

/// A call of `exchange`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    pub by: Client,
    pub token: Token,
    pub began: u8,
    /// Whether the token was stale by then.
    pub was_stale: bool,
    /// Whether the session had ended by then.
    pub had_ended: bool,
    pub step: Step,
}

impl Call {
    pub(super) fn begin(by: Client, token: Token, state: &State) -> Self {
        Self {
            by,
            token,
            began: state.now,
            was_stale: state.is_stale(token),
            had_ended: state.row.has_ended,
            step: Step::Begun,
        }
    }

    /// Takes the next step. Returns `None` if there is none.
    pub(super) fn next(self, state: &mut State, setup: &Setup) -> Option<Step> {
        match self.step {
            Step::Begun => Some(self.look(state)),
            Step::Found { version } => self.write(version, state, setup),
            Step::Unrecorded { successor } => {
                self.record(successor, state, setup);
                Some(Step::Done(Answer::Successor(successor)))
            }
            Step::Missed => Some(self.look_among_the_old(state, setup)),
            Step::Reuse { version } => Some(end(version, state, setup)),
            Step::Done(_) => None,
        }
    }

    fn look(self, state: &State) -> Step {
        let is_it = state.row.token == self.token && !state.row.has_ended;
        if is_it { Step::Found { version: state.row.version } } else { Step::Missed }
    }

    /// The session gets a new token, and lives on for longer.
    fn write(self, version: u8, state: &mut State, setup: &Setup) -> Option<Step> {
        let rules = &setup.rules;
        if rules.guarded && state.row.version != version {
            return Some(if rules.loser_looks_again { Step::Begun } else { Step::Done(Answer::Unknown) });
        }
        let successor = state.make(setup)?;
        state.row.token = successor;
        state.row.version += 1;
        state.breach.after_end |= state.row.has_ended;
        state.row.has_ended = false;
        if rules.one_transaction {
            self.record(successor, state, setup);
            Some(Step::Done(Answer::Successor(successor)))
        } else {
            Some(Step::Unrecorded { successor })
        }
    }

    fn record(self, successor: Token, state: &mut State, setup: &Setup) {
        let until = state.now + setup.grace;
        let sealed = setup.rules.sealed.then_some(successor);
        let place = usize::from(self.token);
        state.retired[place] = Some(Retired { until, sealed });
        state.exchanged[place].get_or_insert(Retired { until, sealed: Some(successor) });
        if setup.rules.exchange_wipes {
            state.wipe_all_but(Some(self.token));
        }
    }

    /// Reads the record of the token and the session's row, in one statement.
    fn look_among_the_old(self, state: &State, setup: &Setup) -> Step {
        let (rules, row) = (&setup.rules, state.row);
        let Some(retired) = state.retired[usize::from(self.token)] else {
            return Step::Done(Answer::Unknown);
        };
        if row.has_ended && rules.only_while_valid {
            return Step::Done(Answer::Unknown);
        }
        let judged_at = if rules.judged_by_its_beginning { self.began } else { state.now };
        let is_within = judged_at < retired.until || !rules.grace_ends;
        match retired.sealed {
            Some(sealed) if is_within && (sealed == row.token || !rules.current_only) => {
                Step::Done(Answer::SameSuccessor(sealed))
            }
            _ => Step::Reuse { version: row.version },
        }
    }
}

/// The session ends, because a token of it came twice.
fn end(version: u8, state: &mut State, setup: &Setup) -> Step {
    let rules = &setup.rules;
    if !rules.reuse_ends {
        return Step::Done(Answer::Unknown);
    }
    if rules.ends_whatever_was_written || state.row.version == version {
        state.row.has_ended = true;
        state.row.was_reused = true;
        state.row.version += 1;
        if rules.reuse_wipes {
            state.wipe_all_but(None);
        }
    }
    Step::Done(Answer::Reused)
}
