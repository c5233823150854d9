//! Each rule finds its own kind of violation, and none in a history that some order explains.

use std::time::Duration;

use time::{Duration as Span, OffsetDateTime};

use super::{Row, Rule, check};
use crate::journal::{Action, Call, Digest, Label, Outcome, Seen, Tick, TransactionId};

const CREATE: Action = Action::Create { label: 1, user: 7, token: 1 };
const EXPIRE: Action = Action::Expire { label: 1 };
const DELETE: Action = Action::Delete { label: 1 };
const READ: Action = Action::Authenticate { label: 1, token: 1 };
const ROTATE: Action = Action::Rotate { label: 1, token: 2 };
const UPDATE: Action = Action::Update { label: 1, mark: 5 };

fn call(start: Tick, end: Tick, action: Action, outcome: Outcome) -> Call {
    let mark = match action {
        Action::Authenticate { label, .. } if outcome == Outcome::Yes => Some(label),
        _ => None,
    };
    let digest = match action {
        Action::Create { token, .. } | Action::Rotate { token, .. } => Some(Digest(token.to_string())),
        _ => None,
    };
    let seen = Seen { mark, digest, expires_at: None };
    let (handle, knows) = (0, start);
    Call { start, end, within: None, handle, knows, action, outcome, error: None, seen, took: Duration::ZERO }
}

fn yes(start: Tick, end: Tick, action: Action) -> Call {
    call(start, end, action, Outcome::Yes)
}

fn within(transaction: TransactionId, call: Call) -> Call {
    Call { within: Some(transaction), ..call }
}

fn commit(start: Tick, end: Tick, transaction: TransactionId) -> Call {
    within(transaction, yes(start, end, Action::Commit { transaction }))
}

fn now() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH
}

/// The row as the creation made it.
fn row(label: Label) -> Row {
    let expires_at = Some(now() + Span::HOUR);
    Row { label, user: "user-7".to_owned(), mark: label, digest: Digest("1".to_owned()), expires_at }
}

fn ended(row: Row) -> Row {
    Row { expires_at: Some(now() - Span::HOUR), ..row }
}

fn rules(calls: &[Call], rows: &[Row]) -> Vec<Rule> {
    check(calls, rows, now()).into_iter().map(|violation| violation.rule).collect()
}

#[test]
fn a_life_as_it_should_be_is_no_violation() {
    let calls = [
        yes(1, 2, CREATE),
        yes(3, 4, READ),
        yes(5, 8, ROTATE),
        yes(6, 7, READ),
        call(9, 10, READ, Outcome::No),
        yes(11, 14, EXPIRE),
        yes(12, 13, Action::Authenticate { label: 1, token: 2 }),
        call(15, 16, Action::Authenticate { label: 1, token: 2 }, Outcome::No),
    ];
    assert_eq!(rules(&calls, &[ended(Row { digest: Digest("2".to_owned()), ..row(1) })]), []);
}

#[test]
fn an_acknowledged_session_must_be_in_the_table_unless_it_was_deleted() {
    assert_eq!(rules(&[yes(1, 2, CREATE)], &[]), [Rule::Lost]);
    assert_eq!(rules(&[yes(1, 2, CREATE), yes(3, 4, EXPIRE)], &[]), [Rule::Lost]);
    assert_eq!(rules(&[yes(1, 2, CREATE), call(3, 4, DELETE, Outcome::Dropped)], &[]), []);
    assert_eq!(rules(&[yes(1, 2, CREATE), yes(3, 4, Action::DeleteAll { user: 7 })], &[]), []);
    assert_eq!(rules(&[yes(1, 2, CREATE), yes(3, 4, Action::DeleteAll { user: 8 })], &[]), [Rule::Lost]);
}

#[test]
fn a_creation_of_unknown_outcome_may_or_may_not_be_there() {
    for outcome in [Outcome::Dropped, Outcome::Unknown] {
        let calls = [call(1, 2, CREATE, outcome)];
        assert_eq!(rules(&calls, &[]), []);
        assert_eq!(rules(&calls, &[row(1)]), []);
    }
    // Until a read has shown it.
    let calls = [call(1, 2, CREATE, Outcome::Dropped), yes(3, 4, READ), call(5, 6, READ, Outcome::No)];
    assert_eq!(rules(&calls, &[row(1)]), [Rule::RefusedThoughValid]);
}

#[test]
fn what_has_ended_is_accepted_no_more() {
    for end in [EXPIRE, DELETE, ROTATE, Action::ExpireAll { user: 7 }, Action::DeleteAll { user: 7 }] {
        let rows = match end {
            ROTATE => vec![Row { digest: Digest("2".to_owned()), ..row(1) }],
            EXPIRE | Action::ExpireAll { .. } => vec![ended(row(1))],
            _ => vec![],
        };
        let after = [yes(1, 2, CREATE), yes(3, 4, end), yes(5, 6, READ)];
        assert_eq!(rules(&after, &rows), [Rule::AcceptedAfterEnd], "{end:?}");
        let meanwhile = [yes(1, 2, CREATE), yes(3, 6, end), yes(5, 7, READ)];
        assert_eq!(rules(&meanwhile, &rows), [], "{end:?}");
        let unknown = [yes(1, 2, CREATE), call(3, 4, end, Outcome::Unknown), yes(5, 6, READ)];
        assert_eq!(rules(&unknown, &[row(1)]), [], "{end:?}");
    }
}

#[test]
fn what_was_refused_stays_refused() {
    let calls = [
        yes(1, 2, CREATE),
        call(3, 4, EXPIRE, Outcome::Dropped),
        call(5, 6, READ, Outcome::No),
        yes(7, 8, READ),
    ];
    assert_eq!(rules(&calls, &[ended(row(1))]), [Rule::AcceptedAgain]);
}

#[test]
fn what_is_valid_is_not_refused() {
    let calls = [yes(1, 2, CREATE), call(3, 4, READ, Outcome::No)];
    assert_eq!(rules(&calls, &[row(1)]), [Rule::RefusedThoughValid]);
    let calls = [yes(1, 2, CREATE), call(3, 4, EXPIRE, Outcome::No)];
    assert_eq!(rules(&calls, &[ended(row(1))]), [Rule::RefusedThoughValid]);
    let calls = [yes(1, 4, CREATE), call(2, 3, READ, Outcome::No)];
    assert_eq!(rules(&calls, &[row(1)]), []);
}

#[test]
fn the_table_shows_what_was_acknowledged() {
    let calls = [yes(1, 2, CREATE), yes(3, 4, EXPIRE)];
    assert_eq!(rules(&calls, &[row(1)]), [Rule::EndedIsValid]);
    let calls = [yes(1, 2, CREATE), yes(3, 4, DELETE)];
    assert_eq!(rules(&calls, &[row(1)]), [Rule::DeletedIsThere]);
    assert_eq!(rules(&[yes(1, 2, CREATE)], &[ended(row(1))]), [Rule::EndedByNothing]);
    assert_eq!(rules(&[yes(1, 2, CREATE), yes(3, 4, UPDATE)], &[row(1)]), [Rule::WriteLost]);
    assert_eq!(rules(&[yes(1, 2, CREATE), yes(3, 4, ROTATE)], &[row(1)]), [Rule::WriteLost]);
    assert_eq!(rules(&[yes(1, 2, CREATE)], &[row(1), row(1)]), [Rule::Unexplained]);
    assert_eq!(rules(&[], &[row(1)]), [Rule::Unexplained]);
    assert_eq!(rules(&[yes(1, 2, CREATE), call(3, 4, UPDATE, Outcome::Dropped)], &[row(1)]), []);
}

#[test]
fn an_expiry_that_a_caller_was_told_is_in_the_table() {
    let mut read = yes(3, 4, READ);
    read.seen.expires_at = Some(now() + Span::HOUR * 2);
    assert_eq!(rules(&[yes(1, 2, CREATE), read], &[row(1)]), [Rule::WriteLost]);
}

#[test]
fn reads_show_what_was_last_written() {
    let mut after = yes(5, 6, READ);
    let rows = [Row { mark: 5, ..row(1) }];
    assert_eq!(rules(&[yes(1, 2, CREATE), yes(3, 4, UPDATE), after.clone()], &rows), [Rule::StaleRead]);
    assert_eq!(rules(&[yes(1, 2, CREATE), yes(3, 6, UPDATE), after.clone()], &rows), []);
    after.seen.mark = Some(5);
    assert_eq!(rules(&[yes(1, 2, CREATE), yes(3, 4, UPDATE), after], &rows), []);
}

#[test]
fn a_transaction_takes_effect_with_its_commit() {
    let calls = [within(9, yes(1, 2, CREATE)), commit(5, 6, 9), yes(7, 8, READ)];
    assert_eq!(rules(&calls, &[row(1)]), []);
    assert_eq!(rules(&calls, &[]), [Rule::Lost]);
    let calls = [within(9, yes(1, 2, CREATE)), call(3, 4, READ, Outcome::No), commit(5, 6, 9)];
    assert_eq!(rules(&calls, &[row(1)]), []);
    let calls = [yes(1, 2, CREATE), within(9, yes(3, 4, EXPIRE)), yes(5, 6, READ), commit(7, 8, 9)];
    assert_eq!(rules(&calls, &[ended(row(1))]), []);
    let calls = [within(9, yes(1, 2, CREATE)), within(9, yes(3, 4, UPDATE)), commit(5, 6, 9)];
    assert_eq!(rules(&calls, &[row(1)]), [Rule::WriteLost]);
}

#[test]
fn what_was_not_committed_leaves_nothing() {
    let rollback = within(9, yes(3, 4, Action::Rollback { transaction: 9 }));
    let calls = [within(9, yes(1, 2, CREATE)), rollback, yes(5, 6, READ)];
    assert_eq!(rules(&calls, &[]), [Rule::AcceptedThoughUndone]);
    assert_eq!(rules(&calls[..2], &[row(1)]), [Rule::UndoneIsThere]);
    assert_eq!(rules(&calls[..2], &[]), []);
    // A transaction with an unknown outcome of its commit may leave something.
    let dropped = Call { outcome: Outcome::Dropped, ..commit(3, 4, 9) };
    for rows in [&[][..], &[row(1)]] {
        assert_eq!(rules(&[within(9, yes(1, 2, CREATE)), dropped.clone()], rows), []);
    }
    let calls = [yes(1, 2, CREATE), within(9, yes(3, 4, EXPIRE))];
    assert_eq!(rules(&calls, &[ended(row(1))]), [Rule::EndedByNothing]);
}

#[test]
fn a_transaction_inside_another_stands_with_both() {
    let begin = within(9, yes(1, 2, Action::InnerBegin { transaction: 10, outer: 9 }));
    let made = within(10, yes(3, 4, CREATE));
    let both = [begin.clone(), made.clone(), commit(5, 6, 10), commit(7, 8, 9)];
    assert_eq!(rules(&both, &[]), [Rule::Lost]);
    let inner_alone = [begin.clone(), made.clone(), commit(5, 6, 10)];
    assert_eq!(rules(&inner_alone, &[row(1)]), [Rule::UndoneIsThere]);
    let outer_alone = [begin, made, commit(7, 8, 9)];
    assert_eq!(rules(&outer_alone, &[row(1)]), [Rule::UndoneIsThere]);
}

#[test]
fn a_transaction_sees_what_was_made_in_it() {
    let unseen = [within(9, yes(1, 2, CREATE)), within(9, call(3, 4, READ, Outcome::No))];
    assert_eq!(rules(&unseen, &[]), [Rule::OwnWriteUnseen]);
    let all = within(9, yes(3, 4, Action::ExpireAll { user: 7 }));
    let ended = [within(9, yes(1, 2, CREATE)), all, within(9, call(5, 6, READ, Outcome::No))];
    assert_eq!(rules(&ended, &[]), []);
}

#[test]
fn calls_that_hang_and_duplicates_of_nothing_are_violations() {
    assert_eq!(rules(&[call(1, 2, EXPIRE, Outcome::Hung)], &[]), [Rule::Hung]);
    let error = Some("DuplicateToken: another session already has this token".to_owned());
    let refused = Call { error, ..call(1, 2, CREATE, Outcome::Unknown) };
    assert_eq!(rules(&[refused], &[row(1)]), [Rule::RefusedAsDuplicate]);
}

#[test]
fn a_read_of_a_cache_may_be_old_about_other_handles_and_not_about_its_own() {
    let calls =
        |handle, knows| [yes(1, 2, CREATE), yes(3, 4, EXPIRE), Call { handle, knows, ..yes(9, 10, READ) }];
    let rows = [ended(row(1))];
    assert_eq!(rules(&calls(1, 3), &rows), []);
    assert_eq!(rules(&calls(1, 5), &rows), [Rule::AcceptedAfterEnd]);
    assert_eq!(rules(&calls(0, 3), &rows), [Rule::AcceptedAfterEnd]);
}

#[test]
fn an_end_of_all_that_was_dropped_may_come_after_a_later_creation() {
    let end = |outcome| call(1, 2, Action::ExpireAll { user: 7 }, outcome);
    let calls = |outcome| [end(outcome), yes(3, 4, CREATE), call(9, 10, READ, Outcome::No)];
    assert_eq!(rules(&calls(Outcome::Dropped), &[ended(row(1))]), []);
    assert_eq!(rules(&calls(Outcome::Yes), &[row(1)]), [Rule::RefusedThoughValid]);
}
