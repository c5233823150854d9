//! The journal of one session, for people who look into a violation.

use std::collections::BTreeSet;

use crate::journal::{Action, Call, Label, TransactionId};

/// Longer histories are cut at their beginning.
const LINES: usize = 150;

/// Returns the calls that concern a session, and all other calls of their transactions.
pub(crate) fn of(label: Label, calls: &[Call]) -> Vec<String> {
    let of_label = |call: &&Call| call.action.label() == Some(label);
    let mut transactions: BTreeSet<TransactionId> =
        calls.iter().filter(of_label).filter_map(|call| call.within).collect();
    for call in calls {
        // Transactions inside of others, and the others.
        if let Action::InnerBegin { transaction, outer } = call.action
            && (transactions.contains(&transaction) || transactions.contains(&outer))
        {
            transactions.extend([transaction, outer]);
        }
    }
    let user = calls.iter().find_map(|call| match call.action {
        Action::Create { label: made, user, .. } if made == label => Some(user),
        _ => None,
    });
    // Also those that say that nothing was done.
    let of_user = |call: &&Call| match call.action {
        Action::ExpireAll { user: of } | Action::DeleteAll { user: of } => Some(of) == user,
        _ => false,
    };
    let belongs = |call: &&Call| {
        of_label(call)
            || of_user(call)
            || call.within.is_some_and(|transaction| transactions.contains(&transaction))
    };
    let lines: Vec<String> = calls.iter().filter(belongs).map(line).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

fn line(call: &Call) -> String {
    let within = call.within.map_or_else(String::new, |transaction| format!(" in transaction {transaction}"));
    let error = call.error.as_ref().map_or_else(String::new, |error| format!(", {error}"));
    let Call { start, end, handle, action, outcome, .. } = call;
    format!("{start}–{end} handle {handle}{within}: {action:?}: {outcome:?}, {:.1?}{error}", call.took)
}
