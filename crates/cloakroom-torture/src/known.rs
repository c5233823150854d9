//! The sessions and tokens that the workers know, as clients would: those that should be valid, and those that should
//! not, which the workers go on presenting.

use std::collections::VecDeque;

use cloakroom::{Session, Token};

use crate::journal::{Label, TokenNumber};
use crate::journal_file::News;
use crate::pools::Coat;

/// How many of each are remembered. Those that are dropped from here are still checked in the end.
const LIVING: usize = 400;
const PAST: usize = 600;

/// A token that a client holds.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) label: Label,
    pub(crate) number: TokenNumber,
    pub(crate) token: Token,
}

/// A session as it was last read, with its token.
#[derive(Clone)]
pub(crate) struct Living {
    pub(crate) held: Held,
    pub(crate) user: u32,
    pub(crate) session: Session<Coat>,
}

/// How an operation changes what is known, if it stands.
pub(crate) enum Change {
    /// There is a new session.
    Made(Living),
    /// The session now looks like this.
    Written(Label, Session<Coat>),
    /// The session has a new token.
    Rotated(Held, Session<Coat>),
    /// The session is over, or may be.
    Over(Label),
    /// All of this user's sessions are over, or may be.
    AllOver(u32),
    /// A token that may never be valid.
    Doubtful(Held),
}

#[derive(Default)]
pub(crate) struct Known {
    living: VecDeque<Living>,
    past: VecDeque<Held>,
    /// Tokens that other processes hold.
    others: VecDeque<Held>,
}

impl Change {
    /// Returns what other processes should know of it.
    pub(crate) fn news(&self) -> Option<News> {
        match self {
            Self::Made(Living { held, .. }) | Self::Rotated(held, _) => Some(News::Held {
                label: held.label,
                number: held.number,
                token: held.token.expose().to_owned(),
            }),
            Self::Over(label) => Some(News::Over(*label)),
            Self::AllOver(_) | Self::Written(..) | Self::Doubtful(_) => None,
        }
    }
}

impl Known {
    pub(crate) fn living(&self, random: &mut fastrand::Rng) -> Option<Living> {
        if self.living.is_empty() {
            None
        } else {
            self.living.get(random.usize(0..self.living.len())).cloned()
        }
    }

    /// Returns a token that is valid, or one that no longer is or never was.
    pub(crate) fn token(&self, random: &mut fastrand::Rng) -> Option<Held> {
        if !self.others.is_empty() && random.u8(0..100) < 40 {
            return self.others.get(random.usize(0..self.others.len())).cloned();
        }
        if self.past.is_empty() || random.u8(0..100) < 70 {
            return self.living(random).map(|living| living.held);
        }
        self.past.get(random.usize(0..self.past.len())).cloned()
    }

    /// Takes in what another process tells.
    pub(crate) fn hear(&mut self, news: News) {
        match news {
            News::Held { label, number, token } => {
                let Ok(token) = Token::import(token) else { return };
                if self.others.len() == LIVING {
                    self.others.pop_front();
                }
                self.others.push_back(Held { label, number, token });
            }
            // Other workers present it once more, and it must be refused.
            News::Over(label) => {
                if let Some(living) = self.find(label) {
                    let held = living.held.clone();
                    self.bury(held);
                    self.living.retain(|living| living.held.label != label);
                }
            }
        }
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Made(living) => {
                if self.living.len() == LIVING {
                    self.living.pop_front();
                }
                self.living.push_back(living);
            }
            Change::Written(label, session) => {
                if let Some(living) = self.find(label) {
                    living.session = session;
                }
            }
            Change::Rotated(held, session) => {
                if let Some(living) = self.find(held.label) {
                    let old = std::mem::replace(&mut living.held, held);
                    living.session = session;
                    self.bury(old);
                }
            }
            Change::Over(label) => self.end(|living| living.held.label == label),
            Change::AllOver(user) => self.end(|living| living.user == user),
            Change::Doubtful(held) => self.bury(held),
        }
    }

    /// Applies a change of a transaction with an unknown outcome.
    pub(crate) fn doubt(&mut self, change: Change) {
        match change {
            Change::Made(living) => self.bury(living.held),
            Change::Rotated(held, _) => {
                self.apply(Change::Over(held.label));
                self.bury(held);
            }
            Change::Written(label, _) => self.apply(Change::Over(label)),
            other => self.apply(other),
        }
    }

    /// Drops a change of a transaction that was rolled back.
    pub(crate) fn undo(&mut self, change: Change) {
        if let Change::Made(Living { held, .. }) | Change::Rotated(held, _) | Change::Doubtful(held) = change
        {
            self.bury(held);
        }
    }

    fn find(&mut self, label: Label) -> Option<&mut Living> {
        self.living.iter_mut().find(|living| living.held.label == label)
    }

    fn end(&mut self, is_over: impl Fn(&Living) -> bool) {
        let (over, living) = std::mem::take(&mut self.living).into_iter().partition(|living| is_over(living));
        self.living = living;
        let over: VecDeque<Living> = over;
        for living in over {
            self.bury(living.held);
        }
    }

    fn bury(&mut self, held: Held) {
        if self.past.len() == PAST {
            self.past.pop_front();
        }
        self.past.push_back(held);
    }
}
