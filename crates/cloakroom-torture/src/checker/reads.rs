//! Checks the answers of reads: outside of transactions, and in a transaction about what was created in it.

use std::collections::HashMap;

use super::effect::Effect;
use super::history::{History, Life};
use super::{Rule, Violation};
use crate::journal::{Action, Call, Label, Outcome, Tick, TokenNumber};

pub(super) fn check(calls: &[Call], history: &History) -> Vec<Violation> {
    let proofs = Proofs::of(calls, history);
    let mut violations: Vec<Violation> =
        calls.iter().filter_map(|call| judge(call, history, &proofs)).collect();
    violations.extend(unseen(calls, history));
    violations
}

/// What reads have shown that the writers did not learn.
struct Proofs {
    /// The session existed by then.
    there: HashMap<Label, Tick>,
    /// The token was rightly no longer accepted by then.
    refused: HashMap<(Label, TokenNumber), Tick>,
}

impl Proofs {
    fn of(calls: &[Call], history: &History) -> Self {
        let mut proofs = Self { there: HashMap::new(), refused: HashMap::new() };
        let strict = || calls.iter().filter(|call| History::is_strict_read(call));
        for call in strict().filter(|call| call.outcome == Outcome::Yes) {
            let Action::Authenticate { label, .. } = call.action else { continue };
            let there = proofs.there.entry(label).or_insert(call.end);
            *there = call.end.min(*there);
        }
        for call in strict().filter(|call| call.outcome == Outcome::No) {
            let Action::Authenticate { label, token } = call.action else { continue };
            let Some(life) = history.lives.get(&label) else { continue };
            let was_born = life.tokens.get(&token).and_then(|birth| birth.effect);
            let was_born = was_born.is_some_and(|birth| birth.is_certain_before(call.start));
            if was_born && may_be_refused(life, token, call, &proofs) {
                let refused = proofs.refused.entry((label, token)).or_insert(call.end);
                *refused = call.end.min(*refused);
            }
        }
        proofs
    }
}

fn judge(call: &Call, history: &History, proofs: &Proofs) -> Option<Violation> {
    if call.within.is_some() {
        return None;
    }
    let violation = |rule, label, detail: &str| {
        let detail = format!("{} at {}–{}: {detail}", call.action.name(), call.start, call.end);
        Some(Violation::new(rule, label, detail))
    };
    match (call.action, call.outcome) {
        (Action::Authenticate { label, token }, Outcome::Yes) => {
            let life = history.lives.get(&label)?;
            let (rule, detail) = wrongly_accepted(life, label, token, call, proofs)?;
            violation(rule, label, &detail)
        }
        (Action::Authenticate { label, token }, Outcome::No) => {
            let life = history.lives.get(&label)?;
            if may_be_refused(life, token, call, proofs) {
                return None;
            }
            violation(Rule::RefusedThoughValid, label, "nothing can have ended it")
        }
        (
            Action::Expire { label }
            | Action::Delete { label }
            | Action::Rotate { label, .. }
            | Action::Update { label, .. },
            Outcome::No,
        ) => {
            let life = history.lives.get(&label)?;
            let is_over = is_not_there_yet(life, label, call, proofs)
                || life.ends.iter().any(|end| end.from < call.end && end.call != call.start);
            if is_over {
                None
            } else {
                violation(Rule::RefusedThoughValid, label, "nothing can have ended it")
            }
        }
        _ => None,
    }
}

fn wrongly_accepted(
    life: &Life,
    label: Label,
    token: TokenNumber,
    call: &Call,
    proofs: &Proofs,
) -> Option<(Rule, String)> {
    if life.birth.is_none() {
        return Some((Rule::AcceptedThoughUndone, "its creation was undone".to_owned()));
    }
    let birth = life.tokens.get(&token)?.effect;
    let Some(birth) = birth else {
        return Some((Rule::AcceptedThoughUndone, "the rotation that made it was undone".to_owned()));
    };
    if let Some(end) = life.ends.iter().find(|end| end.is_known_to(call)) {
        return Some((Rule::AcceptedAfterEnd, format!("ended by {}", shown(end))));
    }
    let rotated = |rotation: &&Effect| rotation.is_known_to(call) && birth.is_before(rotation);
    if let Some(rotation) = life.rotations.iter().find(rotated) {
        return Some((Rule::AcceptedAfterEnd, format!("rotated away by {}", shown(rotation))));
    }
    if let Some(refused) = proofs.refused.get(&(label, token)).filter(|refused| **refused < call.knows) {
        return Some((Rule::AcceptedAgain, format!("it was refused at {refused}")));
    }
    stale(life, call.seen.mark?, Some(call)).map(|detail| (Rule::StaleRead, detail))
}

/// Says why this read cannot show `mark`, if it cannot; `None` as the read means after everything.
pub(super) fn stale(life: &Life, mark: i64, read: Option<&Call>) -> Option<String> {
    let Some(written) = life.marks.get(&mark) else {
        return Some(format!("nobody wrote the mark {mark}"));
    };
    let Some(written) = written else {
        return Some(format!("the write of the mark {mark} was undone"));
    };
    let has_come = |later: &&Effect| read.is_none_or(|read| later.is_known_to(read));
    let later = life.marks.values().flatten().filter(has_come).find(|later| written.is_before(later))?;
    later.by.map(|_| format!("the mark {mark} was overwritten by {}", shown(later)))
}

/// Returns `true` if this call may have refused a token.
fn may_be_refused(life: &Life, token: TokenNumber, call: &Call, proofs: &Proofs) -> bool {
    let Some(birth) = life.tokens.get(&token).and_then(|birth| birth.effect) else {
        return true;
    };
    let Action::Authenticate { label, .. } = call.action else {
        return true;
    };
    let is_first = life.birth == Some(birth);
    let was_born = birth.is_certain_before(call.start)
        || is_first && proofs.there.get(&label).is_some_and(|there| *there < call.start);
    !was_born
        || life.ends.iter().any(|end| end.from < call.end)
        || life.rotations.iter().any(|rotation| rotation.from < call.end && rotation.may_follow(&birth))
}

fn is_not_there_yet(life: &Life, label: Label, call: &Call, proofs: &Proofs) -> bool {
    let is_seen = proofs.there.get(&label).is_some_and(|there| *there < call.start);
    !is_seen && !life.birth.is_some_and(|birth| birth.is_certain_before(call.start))
}

/// Finds sessions that a transaction created and then did not find.
fn unseen<'h>(calls: &'h [Call], history: &'h History) -> impl Iterator<Item = Violation> + 'h {
    let mut made: HashMap<Label, &Call> = HashMap::new();
    let mut changed: HashMap<Label, Vec<&Call>> = HashMap::new();
    for call in calls.iter().filter(|call| call.within.is_some()) {
        match call.action {
            Action::Create { label, .. } if call.outcome == Outcome::Yes => drop(made.insert(label, call)),
            Action::Expire { label } | Action::Delete { label } | Action::Rotate { label, .. } => {
                changed.entry(label).or_default().push(call);
            }
            _ => {}
        }
    }
    let all: Vec<&Call> = calls
        .iter()
        .filter(|call| matches!(call.action, Action::ExpireAll { .. } | Action::DeleteAll { .. }))
        .collect();
    calls.iter().filter_map(move |call| {
        let Action::Authenticate { label, .. } = call.action else { return None };
        let made = made.get(&label)?;
        let is_own = call.outcome == Outcome::No && call.within == made.within && made.end < call.start;
        if !is_own || changed.contains_key(&label) {
            return None;
        }
        let of = history.lives.get(&label)?.user;
        let is_changed = all.iter().any(|all| {
            history.transactions.outermost(all) == history.transactions.outermost(call)
                && matches!(all.action, Action::ExpireAll { user } | Action::DeleteAll { user } if user == of)
        });
        let detail = format!("made at {}–{}, not found at {}–{}", made.start, made.end, call.start, call.end);
        (!is_changed).then(|| Violation::new(Rule::OwnWriteUnseen, label, detail))
    })
}

pub(super) fn shown(effect: &Effect) -> String {
    let by = effect.by.map_or_else(|| "…".to_owned(), |by| by.to_string());
    format!("the call of {} that took effect at {}–{by}", effect.call, effect.from)
}
