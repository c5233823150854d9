//! A query that was asked before, with other values: its statement is written once, and its values are those of each call.

use std::time::Duration;

use cloakroom::{Cursor, Filter, NewSession, Session, SessionTable, Sessions, Status};
use cloakroom_testing::{TestDatabase, each_database};
use time::OffsetDateTime;

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "asked_again")]
struct Visit {
    #[session(index)]
    user_id: String,
    level: i64,
    since: Option<OffsetDateTime>,
}

const LIFETIME: Duration = Duration::from_hours(8);

/// Twelve sessions of three users, an hour apart, of which some have expired and one has been ended.
async fn filled(db: &TestDatabase) -> (Sessions<Visit>, Vec<Session<Visit>>) {
    let config = db.config().max_lifetime(LIFETIME);
    let sessions = Sessions::<Visit>::new(db.database(), config.build().unwrap()).unwrap();
    sessions.migrate().await.unwrap();
    let mut all = Vec::new();
    for number in 0..12 {
        let since = (number % 2 == 0).then(|| db.now());
        let visit = Visit { user_id: format!("user {}", number % 3), level: number / 2, since };
        all.push(sessions.create(NewSession::new(visit)).await.unwrap().session);
        db.clock().advance(Duration::from_hours(1));
    }
    assert!(sessions.expire(&mut all[11]).await.unwrap());
    // Rows are compared as they are stored.
    let stored = sessions.query().status(Status::All).oldest_first().fetch_all().await.unwrap();
    assert_eq!(stored.len(), 12);
    (sessions, stored)
}

/// Runs a query with these filters, and with each status, order and limit. It must find the sessions that meet the
/// condition and no others.
async fn finds<const FILTERS: usize>(
    db: &TestDatabase,
    (sessions, all): &(Sessions<Visit>, Vec<Session<Visit>>),
    filters: [&Filter<Visit>; FILTERS],
    condition: impl Fn(&Session<Visit>) -> bool,
) {
    let now = db.now();
    let is_valid = |session: &Session<Visit>| session.is_valid(now) && session.inserted_at > now - LIFETIME;
    for status in [Status::Valid, Status::Expired, Status::All] {
        let is_meant = |session: &&Session<Visit>| {
            let has_status = status == Status::All || is_valid(session) == (status == Status::Valid);
            has_status && condition(session)
        };
        let expected: Vec<_> = all.iter().filter(is_meant).cloned().collect();
        let newest_first: Vec<_> = expected.iter().rev().cloned().collect();
        let asked = || {
            let query = sessions.query().status(status);
            filters.into_iter().fold(query, |query, filter| query.filter(filter.clone()))
        };
        assert_eq!(asked().oldest_first().fetch_all().await.unwrap(), expected, "{status}");
        assert_eq!(asked().fetch_all().await.unwrap(), newest_first, "{status}");
        for limit in [1, 3] {
            let (mut found, mut after) = (Vec::new(), None::<Cursor>);
            loop {
                let page = asked().limit(limit);
                let page = if let Some(after) = after { page.after(after) } else { page };
                let page = page.fetch_all().await.unwrap();
                let Some(last) = page.last() else {
                    break;
                };
                after = Some(last.cursor());
                found.extend(page);
            }
            assert_eq!(found, newest_first, "{status}, {limit} at once");
        }
    }
}

async fn a_query_finds_by_the_values_of_each_call(db: TestDatabase) {
    let filled = filled(&db).await;
    finds(&db, &filled, [], |_| true).await;
    for number in 0..3 {
        let user = format!("user {number}");
        let (is_user, is_not) = (Visit::USER_ID.eq(user.clone()), Visit::USER_ID.ne(user.clone()));
        let (has_level, is_below) = (Visit::LEVEL.ge(number), Visit::LEVEL.lt(number));
        finds(&db, &filled, [&is_user], |one| one.fields.user_id == user).await;
        let are_both = |one: &Session<Visit>| one.fields.user_id == user && one.fields.level >= number;
        finds(&db, &filled, [&is_user, &has_level], are_both).await;
        finds(&db, &filled, [&has_level, &is_user], are_both).await;
        // Other comparisons of the same columns.
        let are_neither = |one: &Session<Visit>| one.fields.user_id != user && one.fields.level < number;
        finds(&db, &filled, [&is_not, &is_below], are_neither).await;
        let since = filled.1[usize::try_from(2 * number).unwrap()].fields.since.unwrap();
        finds(&db, &filled, [&Visit::SINCE.eq(since)], |one| one.fields.since == Some(since)).await;
    }
}

async fn a_query_within_a_transaction_is_another(db: TestDatabase) {
    let (sessions, all) = filled(&db).await;
    let of_user = |number: usize| Visit::USER_ID.eq(format!("user {number}"));
    let expected = |number: usize| all.iter().skip(number).step_by(3).cloned().collect::<Vec<_>>();
    for number in 0..3 {
        let query = || sessions.query().filter(of_user(number)).status(Status::All).oldest_first();
        assert_eq!(query().fetch_all().await.unwrap(), expected(number));
        let mut transaction = sessions.begin().await.unwrap();
        let mut within = sessions.within(&mut transaction);
        let query = within.query().filter(of_user(number)).status(Status::All).oldest_first();
        assert_eq!(query.fetch_all().await.unwrap(), expected(number));
        transaction.rollback().await.unwrap();
    }
}

each_database!(a_query_finds_by_the_values_of_each_call, a_query_within_a_transaction_is_another);
