//! Checks the table after everything is over.

use std::collections::HashMap;

use time::OffsetDateTime;

use super::history::{History, IsSure, Life};
use super::reads::{shown, stale};
use super::{Row, Rule, Violation};
use crate::journal::{Action, Call, Label, Outcome};

pub(super) fn check(calls: &[Call], history: &History, rows: &[Row], now: OffsetDateTime) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut by_label: HashMap<Label, &Row> = HashMap::new();
    for row in rows {
        if by_label.insert(row.label, row).is_some() {
            violations.push(Violation::new(Rule::Unexplained, row.label, "there are two such rows"));
        }
        match history.lives.get(&row.label) {
            None => violations.push(Violation::new(Rule::Unexplained, row.label, "no such creation")),
            Some(life) => violations.extend(present(life, row, now)),
        }
    }
    for (label, life) in &history.lives {
        if !by_label.contains_key(label) && life.deletions.is_empty() {
            let certain = life.birth.filter(|birth| birth.by.is_some());
            violations.extend(certain.map(|birth| Violation::new(Rule::Lost, *label, shown(&birth))));
        }
    }
    violations.extend(shortened(calls, history, &by_label));
    violations
}

fn present(life: &Life, row: &Row, now: OffsetDateTime) -> Vec<Violation> {
    let violation = |rule, detail: String| Violation::new(rule, row.label, detail);
    if life.birth.is_none() {
        return vec![violation(Rule::UndoneIsThere, "its creation was undone".to_owned())];
    }
    let mut violations = Vec::new();
    let deleted =
        life.deletions.iter().find(|(deletion, is_sure)| deletion.by.is_some() && *is_sure == IsSure::Yes);
    if let Some((deletion, _)) = deleted {
        violations.push(violation(Rule::DeletedIsThere, shown(deletion)));
    }
    let is_valid = row.expires_at.is_none_or(|expiry| expiry > now);
    let ended = life.ends.iter().find(|end| end.by.is_some());
    match ended {
        Some(end) if is_valid && deleted.is_none() => {
            violations.push(violation(Rule::EndedIsValid, shown(end)));
        }
        None if !is_valid && life.ends.is_empty() => {
            violations.push(violation(Rule::EndedByNothing, format!("{:?}", row.expires_at)));
        }
        _ => {}
    }
    if row.user != format!("user-{}", life.user) {
        violations.push(violation(Rule::Unexplained, format!("it belongs to {}", row.user)));
    }
    violations.extend(stale(life, row.mark, None).map(|detail| violation(Rule::WriteLost, detail)));
    violations.extend(token(life, row).map(|detail| violation(Rule::WriteLost, detail)));
    violations
}

/// Says what is wrong with the row's digest, if anything is.
fn token(life: &Life, row: &Row) -> Option<String> {
    let given = life.tokens.values().find(|birth| birth.digest.as_ref() == Some(&row.digest));
    let Some(given) = given else {
        let has_unknown = life.tokens.values().any(|birth| birth.digest.is_none() && birth.effect.is_some());
        return (!has_unknown).then(|| "its token is none that anybody was given".to_owned());
    };
    let Some(birth) = given.effect else {
        return Some("the rotation that made its token was undone".to_owned());
    };
    let later = life.rotations.iter().find(|rotation| rotation.by.is_some() && birth.is_before(rotation))?;
    Some(format!("its token was rotated away by {}", shown(later)))
}

/// Finds valid sessions that expire before the instant that a caller was told.
fn shortened(calls: &[Call], history: &History, rows: &HashMap<Label, &Row>) -> Vec<Violation> {
    let mut promised: HashMap<Label, (OffsetDateTime, &Call)> = HashMap::new();
    for call in calls.iter().filter(|call| call.within.is_none() && call.outcome == Outcome::Yes) {
        let (Action::Authenticate { label, .. } | Action::Extend { label }) = call.action else { continue };
        let Some(expiry) = call.seen.expires_at else { continue };
        let latest = promised.entry(label).or_insert((expiry, call));
        if expiry > latest.0 {
            *latest = (expiry, call);
        }
    }
    let shortened = promised.into_iter().filter_map(|(label, (expiry, call))| {
        let (row, life) = (rows.get(&label)?, history.lives.get(&label)?);
        let is_shorter = life.ends.is_empty() && row.expires_at.is_some_and(|stored| stored < expiry);
        let detail = format!("{} at {}–{} said a later expiry", call.action.name(), call.start, call.end);
        is_shorter.then(|| Violation::new(Rule::WriteLost, label, detail))
    });
    shortened.collect()
}
