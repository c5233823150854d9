use std::collections::HashMap;

use crate::journal::{Action, Call, Outcome, Tick, TransactionId};

/// When a call took effect, as far as the journal tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effect {
    /// Not before this.
    pub(super) from: Tick,
    /// Certainly by then; `None` if it may never have taken effect.
    pub(super) by: Option<Tick>,
    /// The call's own place in the order, which identifies it.
    pub(super) call: Tick,
    /// When the call had its answer, which may be long before the end of its transaction.
    pub(super) answered: Tick,
    /// Which handle it went through.
    pub(super) handle: usize,
    /// The outermost transaction. Its calls are in order among themselves.
    pub(super) transaction: Option<TransactionId>,
}

impl Effect {
    /// Returns `true` if this effect certainly happened, and happened before `other`, if that happened.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        match self.by {
            Some(_) if self.is_in_one_transaction_with(other) => self.call < other.call,
            Some(by) => by < other.from,
            None => false,
        }
    }

    /// Returns `true` if this effect may have happened after `other`.
    pub(super) fn may_follow(&self, other: &Self) -> bool {
        self.call != other.call && !self.is_before(other)
    }

    pub(super) fn is_in_one_transaction_with(&self, other: &Self) -> bool {
        self.transaction.is_some() && self.transaction == other.transaction
    }

    /// Returns `true` if this read must know of it. A handle with a cache knows at once what went through itself, unless
    /// it was in a transaction, whose commit it does not see.
    pub(super) fn is_known_to(&self, read: &Call) -> bool {
        let is_own = self.handle == read.handle && self.transaction.is_none();
        self.is_certain_before(if is_own { read.start } else { read.knows })
    }

    pub(super) fn is_certain_before(&self, tick: Tick) -> bool {
        self.by.is_some_and(|by| by < tick)
    }
}

/// How the transactions ended.
pub(super) struct Transactions {
    commits: HashMap<TransactionId, (Tick, Option<Tick>)>,
    outer: HashMap<TransactionId, TransactionId>,
}

impl Transactions {
    pub(super) fn of(calls: &[Call]) -> Self {
        let (mut commits, mut outer) = (HashMap::new(), HashMap::new());
        for call in calls {
            match call.action {
                Action::Commit { transaction } => {
                    let by = (call.outcome == Outcome::Yes).then_some(call.end);
                    commits.insert(transaction, (call.start, by));
                }
                Action::InnerBegin { transaction, outer: id } => {
                    outer.insert(transaction, id);
                }
                _ => {}
            }
        }
        Self { commits, outer }
    }

    /// Returns when the write of this call took effect; `None` if it never did.
    pub(super) fn effect(&self, call: &Call) -> Option<Effect> {
        let is_certain = match call.outcome {
            Outcome::Yes => true,
            // "There is nothing to be done": the caller that asks for an end has it.
            Outcome::No => matches!(call.action, Action::Expire { .. } | Action::Delete { .. }),
            Outcome::Refused => return None,
            Outcome::Unknown | Outcome::Dropped | Outcome::Hung => false,
        };
        if call.outcome == Outcome::No && !is_certain {
            return None;
        }
        let mut effect = Effect {
            from: call.start,
            by: is_certain.then_some(call.end),
            call: call.start,
            answered: call.end,
            handle: call.handle,
            transaction: None,
        };
        let mut within = call.within;
        while let Some(transaction) = within {
            let (from, by) = self.commits.get(&transaction)?;
            effect.from = *from;
            effect.by = effect.by.and(*by);
            effect.transaction = Some(transaction);
            within = self.outer.get(&transaction).copied();
        }
        Some(effect)
    }

    /// Returns the outermost transaction of a call.
    pub(super) fn outermost(&self, call: &Call) -> Option<TransactionId> {
        let mut transaction = call.within?;
        while let Some(outer) = self.outer.get(&transaction) {
            transaction = *outer;
        }
        Some(transaction)
    }
}
