use std::collections::{BTreeMap, HashMap};

use super::effect::{Effect, Transactions};
use crate::journal::{Action, Call, Digest, Label, Outcome, TokenNumber};

/// What happened to the sessions.
pub(super) struct History {
    pub(super) transactions: Transactions,
    pub(super) lives: BTreeMap<Label, Life>,
}

/// What happened to one session.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) user: u32,
    /// `None` if its creation was rolled back, or refused.
    pub(super) birth: Option<Effect>,
    /// Everything that ends its validity.
    pub(super) ends: Vec<Effect>,
    /// Those of them that remove the row, and those that may remove it.
    pub(super) deletions: Vec<(Effect, IsSure)>,
    pub(super) rotations: Vec<Effect>,
    pub(super) tokens: HashMap<TokenNumber, Birth>,
    /// The values that were written to its mark.
    pub(super) marks: HashMap<i64, Option<Effect>>,
}

/// Whether a deletion that happened has removed this row: a deletion of all valid sessions leaves expired rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IsSure {
    Yes,
    IfValid,
}

/// Where a token comes from.
#[derive(Debug)]
pub(super) struct Birth {
    /// `None` if it was rolled back, or refused.
    pub(super) effect: Option<Effect>,
    /// `None` if only the caller, which was dropped, would know.
    pub(super) digest: Option<Digest>,
}

impl History {
    pub(super) fn of(calls: &[Call]) -> Self {
        let transactions = Transactions::of(calls);
        let mut lives = BTreeMap::new();
        for call in calls {
            if let Action::Create { label, user, token } = call.action {
                let birth = transactions.effect(call);
                let first = Birth { effect: birth, digest: call.seen.digest.clone() };
                lives.insert(
                    label,
                    Life {
                        user,
                        birth,
                        ends: Vec::new(),
                        deletions: Vec::new(),
                        rotations: Vec::new(),
                        tokens: HashMap::from([(token, first)]),
                        marks: HashMap::from([(label, birth)]),
                    },
                );
            }
        }
        let mut history = Self { transactions, lives };
        let mut of_user: HashMap<u32, Vec<Label>> = HashMap::new();
        for (label, life) in &history.lives {
            of_user.entry(life.user).or_default().push(*label);
        }
        for call in calls {
            history.note(call, &of_user);
        }
        history
    }

    fn note(&mut self, call: &Call, of_user: &HashMap<u32, Vec<Label>>) {
        let effect = self.transactions.effect(call);
        match call.action {
            Action::Expire { label } => self.end(label, effect, None),
            Action::Delete { label } => self.end(label, effect, Some(IsSure::Yes)),
            Action::ExpireAll { user } | Action::DeleteAll { user } => {
                let is_deletion = matches!(call.action, Action::DeleteAll { .. });
                for label in of_user.get(&user).into_iter().flatten() {
                    let effect = effect.and_then(|effect| self.of_all(*label, effect));
                    self.end(*label, effect, is_deletion.then_some(IsSure::IfValid));
                }
            }
            Action::Rotate { label, token } => {
                if let Some(life) = self.lives.get_mut(&label) {
                    life.rotations.extend(effect);
                    life.tokens.insert(token, Birth { effect, digest: call.seen.digest.clone() });
                }
            }
            Action::Update { label, mark } => {
                if let Some(life) = self.lives.get_mut(&label) {
                    life.marks.insert(mark, effect);
                }
            }
            _ => {}
        }
    }

    /// Returns the effect on one session of an operation on all sessions of a user: none if the session was created
    /// later. If its answer is not known, it may take effect long after its caller was dropped, and on what was created
    /// until then.
    fn of_all(&self, label: Label, effect: Effect) -> Option<Effect> {
        let birth = self.lives.get(&label)?.birth?;
        if birth.is_certain_before(effect.call) {
            Some(effect)
        } else if effect.by.is_some()
            && birth.from > effect.answered
            && !effect.is_in_one_transaction_with(&birth)
        {
            None
        } else {
            Some(Effect { by: None, ..effect })
        }
    }

    fn end(&mut self, label: Label, effect: Option<Effect>, deletion: Option<IsSure>) {
        if let (Some(life), Some(effect)) = (self.lives.get_mut(&label), effect) {
            life.ends.push(effect);
            life.deletions.extend(deletion.map(|is_sure| (effect, is_sure)));
        }
    }

    /// Returns `true` for calls that present a token outside transactions.
    pub(super) fn is_strict_read(call: &Call) -> bool {
        call.within.is_none()
            && matches!(call.action, Action::Authenticate { .. })
            && matches!(call.outcome, Outcome::Yes | Outcome::No)
    }
}
