//! Finds the violations of the library's promises in the journal and in the table, which is read afterwards.
//!
//! It knows the library's promises and none of its code. A call takes effect at some moment between its beginning and
//! its answer. A call in a transaction takes effect between the beginning and the answer of the commit. A call with an
//! unknown answer takes effect at some later moment, or never. A call in a transaction that was not committed never
//! takes effect. An observation is allowed if some choice of those moments explains it.

mod effect;
mod history;
mod reads;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

use time::OffsetDateTime;

use crate::journal::{Call, Digest, Label, Outcome};
use history::History;

/// A row of the table, as a new connection reads it after all pools have closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) label: Label,
    pub(crate) user: String,
    pub(crate) mark: i64,
    pub(crate) digest: Digest,
    pub(crate) expires_at: Option<OffsetDateTime>,
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise is broken.
    pub rule: Rule,
    /// The session's number in the journal and in the table, or nought.
    pub label: i64,
    /// The calls that show it, without tokens and digests.
    pub detail: String,
}

/// The kinds of violations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A session was acknowledged as created and is not in the table, though nothing can have deleted it.
    Lost,
    /// A session is in the table though its deletion was acknowledged.
    DeletedIsThere,
    /// A session is valid in the table though its end was acknowledged.
    EndedIsValid,
    /// A session has expired in the table though nothing can have ended it.
    EndedByNothing,
    /// A session is in the table though its creation was rolled back.
    UndoneIsThere,
    /// An acknowledged rotation, update or extension is not in the table.
    WriteLost,
    /// The table has a row twice, or one that no call created.
    Unexplained,
    /// A token was accepted by a call that began after its end was acknowledged.
    AcceptedAfterEnd,
    /// A token was accepted though its creation or rotation was rolled back.
    AcceptedThoughUndone,
    /// A token was accepted again after it had been refused.
    AcceptedAgain,
    /// The answer was `None`, or that the session is over, though the session was certainly valid.
    RefusedThoughValid,
    /// A read showed values that had been overwritten before it began, or that were rolled back.
    StaleRead,
    /// A transaction did not see what was created in it.
    OwnWriteUnseen,
    /// A create was refused because of a token that no other session had.
    RefusedAsDuplicate,
    /// The nodes of a cluster do not have the same row of a session.
    NodesDiffer,
    /// A call did not answer within a minute.
    Hung,
    /// A pool did not close within half a minute.
    NotClosed,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lost => "an acknowledged session is lost",
            Self::DeletedIsThere => "a deleted session is there",
            Self::EndedIsValid => "an ended session is valid in the table",
            Self::EndedByNothing => "a session has ended by nothing",
            Self::UndoneIsThere => "an undone session is there",
            Self::WriteLost => "an acknowledged write is lost",
            Self::Unexplained => "a row that nobody made",
            Self::AcceptedAfterEnd => "accepted after its end",
            Self::AcceptedThoughUndone => "accepted though it was undone",
            Self::AcceptedAgain => "accepted after it was refused",
            Self::RefusedThoughValid => "refused though it was valid",
            Self::StaleRead => "a read of what had been overwritten",
            Self::OwnWriteUnseen => "a transaction does not see its own write",
            Self::RefusedAsDuplicate => "refused as a duplicate of itself",
            Self::Hung => "no answer within a minute",
            Self::NodesDiffer => "not the same on all nodes of the cluster",
            Self::NotClosed => "a pool did not close",
        })
    }
}

/// Returns all violations. `now` is when the table was read.
pub(crate) fn check(calls: &[Call], rows: &[Row], now: OffsetDateTime) -> Vec<Violation> {
    let history = History::of(calls);
    let mut violations = reads::check(calls, &history);
    violations.extend(table::check(calls, &history, rows, now));
    violations.extend(calls.iter().filter_map(told));
    violations
}

/// Returns the violations that a call shows by itself.
fn told(call: &Call) -> Option<Violation> {
    if call.outcome == Outcome::Hung {
        let place = call.within.map_or_else(|| "on the pool".to_owned(), |id| format!("in transaction {id}"));
        let detail = format!("{} {place} at {}–{}", call.action.name(), call.start, call.end);
        return Some(Violation::new(Rule::Hung, label(call), detail));
    }
    let is_duplicate = call.error.as_ref().is_some_and(|error| error.starts_with("DuplicateToken"));
    is_duplicate.then(|| Violation::new(Rule::RefusedAsDuplicate, label(call), call.action.name()))
}

fn label(call: &Call) -> Label {
    call.action.label().unwrap_or_default()
}

impl Violation {
    /// A session is not the same on all nodes.
    pub(crate) fn of_nodes(label: Label, detail: String) -> Self {
        Self::new(Rule::NodesDiffer, label, detail)
    }

    /// A violation that concerns no session.
    pub(crate) fn of_run(rule: Rule, detail: &str) -> Self {
        Self::new(rule, 0, detail)
    }

    fn new(rule: Rule, label: Label, detail: impl Into<String>) -> Self {
        Self { rule, label, detail: detail.into() }
    }
}
