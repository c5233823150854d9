use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;

use cloakroom::sea_query::{
    Condition, Expr, ExprTrait, MysqlQueryBuilder, Order, PostgresQueryBuilder, Query, SqliteQueryBuilder,
};
use cloakroom::{
    Cursor, Database, DynamicFields, DynamicValue, ErrorKind, Filter, NewSession, SessionFields,
    SessionTable, Sessions, Status,
};
use cloakroom_testing::{Kind, Role, START, TestDatabase, UserSession, each_mode, user};
use futures_util::{StreamExt, TryStreamExt};
use sea_query_sqlx::SqlxBinder;
use serde_json::json;
use sqlx::AssertSqlSafe;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::pools;
use crate::rows::{self, Row};
use crate::statements::Watched;

const DAY: Duration = Duration::DAY;

/// A key of another table, in a type of its own.
#[derive(Clone, Debug, PartialEq, sqlx::Type)]
#[sqlx(transparent)]
struct Place(i64);

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "visits")]
struct Visit {
    #[session(index)]
    name: String,
    age: i32,
    weight: f64,
    is_guest: bool,
    note: Option<String>,
    role: Role,
    place: Place,
    badge: Uuid,
    seen_at: OffsetDateTime,
    photo: Vec<u8>,
}

/// The visit of this age and name; what else it holds follows from its age.
fn visit(age: i32, name: &str, note: Option<&str>) -> NewSession<Visit> {
    NewSession::new(Visit {
        name: name.to_owned(),
        age,
        weight: f64::from(age) / 2.0,
        is_guest: age % 2 == 0,
        note: note.map(str::to_owned),
        role: if age == 1 { Role::Admin } else { Role::Reader },
        place: Place(i64::from(age)),
        badge: Uuid::from_u128(u128::from(age.unsigned_abs())),
        seen_at: START + DAY * age,
        photo: vec![0, u8::try_from(age).unwrap()],
    })
}

/// `a`, `A`, `c` and `d `, one, two, three and four years old.
async fn visits(db: &TestDatabase) -> Sessions<Visit> {
    let sessions = db.sessions::<Visit>().await;
    for new in [
        visit(1, "a", None),
        visit(2, "A", Some("")),
        visit(3, "c", Some("seen")),
        visit(4, "d ", Some("Seen")),
    ] {
        sessions.create(new).await.unwrap();
        db.clock().advance(Duration::SECOND);
    }
    sessions
}

async fn ages(sessions: &Sessions<Visit>, filter: impl Into<Filter<Visit>>) -> Vec<i32> {
    let found = sessions.query().filter(filter).oldest_first().fetch_all().await.unwrap();
    found.into_iter().map(|session| session.fields.age).collect()
}

async fn every_comparison_of_a_column_means_what_it_says(db: TestDatabase) {
    let sessions = visits(&db).await;
    assert_eq!(ages(&sessions, Visit::AGE.eq(2)).await, [2]);
    assert_eq!(ages(&sessions, Visit::AGE.ne(2)).await, [1, 3, 4]);
    assert_eq!(ages(&sessions, Visit::AGE.lt(2)).await, [1]);
    assert_eq!(ages(&sessions, Visit::AGE.le(2)).await, [1, 2]);
    assert_eq!(ages(&sessions, Visit::AGE.gt(2)).await, [3, 4]);
    assert_eq!(ages(&sessions, Visit::AGE.ge(2)).await, [2, 3, 4]);

    assert_eq!(ages(&sessions, Visit::WEIGHT.lt(1.5)).await, [1, 2]);
    assert_eq!(ages(&sessions, Visit::WEIGHT.eq(0.5)).await, [1]);
    assert_eq!(ages(&sessions, Visit::IS_GUEST.eq(true)).await, [2, 4]);
    assert_eq!(ages(&sessions, Visit::IS_GUEST.ne(true)).await, [1, 3]);
    assert_eq!(ages(&sessions, Visit::ROLE.eq(Role::Admin)).await, [1]);
    assert_eq!(ages(&sessions, Visit::ROLE.ne(Role::Admin)).await, [2, 3, 4]);
    assert_eq!(ages(&sessions, Visit::PLACE.ge(Place(3))).await, [3, 4]);
    assert_eq!(ages(&sessions, Visit::BADGE.eq(Uuid::from_u128(3))).await, [3]);
    assert_eq!(ages(&sessions, Visit::BADGE.gt(Uuid::from_u128(3))).await, [4]);
    assert_eq!(ages(&sessions, Visit::SEEN_AT.le(START + DAY * 2)).await, [1, 2]);
    assert_eq!(ages(&sessions, Visit::PHOTO.eq([0, 4])).await, [4]);
    assert_eq!(ages(&sessions, Visit::PHOTO.lt([0, 2])).await, [1]);
}

async fn text_compares_case_sensitively_and_to_the_last_space(db: TestDatabase) {
    let sessions = visits(&db).await;
    assert_eq!(ages(&sessions, Visit::NAME.eq("a")).await, [1]);
    assert_eq!(ages(&sessions, Visit::NAME.eq("A")).await, [2]);
    assert_eq!(ages(&sessions, Visit::NAME.eq("d")).await, [0; 0]);
    assert_eq!(ages(&sessions, Visit::NAME.eq("d ")).await, [4]);
    assert_eq!(ages(&sessions, Visit::NAME.is_in(["a", "d", "C"])).await, [1]);
    assert_eq!(ages(&sessions, Visit::NOTE.eq("seen")).await, [3]);
    assert_eq!(ages(&sessions, Visit::NAME.eq("' OR 1 = 1 --")).await, [0; 0]);
}

async fn a_column_is_compared_with_lists_also_empty_ones(db: TestDatabase) {
    let sessions = visits(&db).await;
    assert_eq!(ages(&sessions, Visit::AGE.is_in([4, 1, 1, 9])).await, [1, 4]);
    assert_eq!(ages(&sessions, Visit::AGE.is_not_in([4, 1])).await, [2, 3]);
    assert_eq!(ages(&sessions, Visit::AGE.is_in([0; 0])).await, [0; 0]);
    assert_eq!(ages(&sessions, Visit::AGE.is_not_in([0; 0])).await, [1, 2, 3, 4]);
    assert_eq!(ages(&sessions, Visit::ROLE.is_in([Role::Admin])).await, [1]);
    assert_eq!(ages(&sessions, Visit::ROLE.is_not_in([Role::Admin])).await, [2, 3, 4]);
    assert_eq!(ages(&sessions, Visit::PLACE.is_in([Place(2), Place(7)])).await, [2]);
    assert_eq!(ages(&sessions, Visit::BADGE.is_in([Uuid::from_u128(1)])).await, [1]);
    assert_eq!(ages(&sessions, Visit::ID.is_in([Uuid::nil()])).await, [0; 0]);
}

async fn a_list_may_be_longer_than_a_statement_takes_placeholders(db: TestDatabase) {
    let sessions = visits(&db).await;
    assert_eq!(ages(&sessions, Visit::AGE.is_in(2..70_000)).await, [2, 3, 4]);
    assert_eq!(ages(&sessions, Visit::AGE.is_not_in(2..70_000)).await, [1]);
    let names = || (0..70_000).map(|number| format!("{number}")).chain(["c".to_owned()]);
    assert_eq!(ages(&sessions, Visit::NAME.is_in(names())).await, [3]);
    let badges = || (2..70_000).map(Uuid::from_u128);
    assert_eq!(ages(&sessions, Visit::BADGE.is_in(badges())).await, [2, 3, 4]);
}

async fn null_is_asked_for_and_never_equal_to_anything(db: TestDatabase) {
    let sessions = visits(&db).await;
    assert_eq!(ages(&sessions, Visit::NOTE.is_null()).await, [1]);
    assert_eq!(ages(&sessions, Visit::NOTE.is_not_null()).await, [2, 3, 4]);
    assert_eq!(ages(&sessions, Visit::NOTE.eq("")).await, [2]);
    assert_eq!(ages(&sessions, Visit::NOTE.ne("")).await, [3, 4]);
    assert_eq!(ages(&sessions, Visit::NOTE.is_not_in(["seen"])).await, [2, 4]);
    assert_eq!(ages(&sessions, Visit::EXPIRES_AT.is_null()).await, [0; 0]);
}

async fn filters_combine(db: TestDatabase) {
    let sessions = visits(&db).await;
    let (young, old) = (|| Visit::AGE.lt(2), || Visit::AGE.gt(3));
    assert_eq!(ages(&sessions, young().or(old())).await, [1, 4]);
    assert_eq!(ages(&sessions, young().or(old()).not()).await, [2, 3]);
    assert_eq!(ages(&sessions, young().not().and(old().not())).await, [2, 3]);
    assert_eq!(ages(&sessions, young().not().not()).await, [1]);
    assert_eq!(ages(&sessions, young().and(old())).await, [0; 0]);
    assert_eq!(ages(&sessions, young().and(old()).not()).await, [1, 2, 3, 4]);
    assert_eq!(
        ages(&sessions, Visit::AGE.ge(2).and(young().or(old())).or(Visit::NAME.eq("c"))).await,
        [3, 4]
    );
    let both = sessions.query().filter(Visit::AGE.gt(1)).filter(Visit::AGE.lt(4)).count().await.unwrap();
    assert_eq!(both, 2);
}

async fn any_condition_and_expression_of_sea_query_is_a_filter(db: TestDatabase) {
    let sessions = visits(&db).await;
    assert_eq!(ages(&sessions, Expr::col("age").modulo(2).eq(0)).await, [2, 4]);
    assert_eq!(ages(&sessions, Expr::col(("visits", "name")).like("d%")).await, [4]);
    let condition = Condition::any().add(Expr::col("age").eq(1)).add(Expr::col("age").between(3, 3));
    assert_eq!(ages(&sessions, condition.clone()).await, [1, 3]);
    assert_eq!(ages(&sessions, condition.clone().not()).await, [2, 4]);
    let mixed = Visit::AGE.eq(4).or(condition);
    assert_eq!(ages(&sessions, mixed).await, [1, 3, 4]);
    assert_eq!(ages(&sessions, Condition::all()).await, [1, 2, 3, 4]);
}

async fn the_built_in_columns_are_filtered_by(db: TestDatabase) {
    let sessions = visits(&db).await;
    let second = sessions.query().filter(Visit::AGE.eq(2)).fetch_one().await.unwrap();
    assert_eq!(ages(&sessions, Visit::ID.eq(second.id)).await, [2]);
    assert_eq!(ages(&sessions, Visit::INSERTED_AT.eq(START + Duration::SECOND)).await, [2]);
    assert_eq!(ages(&sessions, Visit::UPDATED_AT.gt(START + Duration::SECOND)).await, [3, 4]);
    assert_eq!(ages(&sessions, Visit::EXPIRES_AT.le(START + DAY * 7)).await, [1]);
    // An instant is one, whatever offset it is written with.
    let elsewhere = (START + Duration::SECOND).to_offset(time::macros::offset!(+9));
    assert_eq!(ages(&sessions, Visit::INSERTED_AT.lt(elsewhere)).await, [1]);
    assert_eq!(sessions.query().id(second.id).fetch_all().await.unwrap(), [second]);
    assert_eq!(sessions.query().id(Uuid::nil()).fetch_optional().await.unwrap(), None);
}

async fn a_session_is_found_by_its_token(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let other = sessions.create(user("1")).await.unwrap();
    assert_eq!(sessions.query().token(&created.token).fetch_one().await.unwrap(), created.session);
    let wrong = sessions.query().token(&other.token).id(created.session.id);
    assert_eq!(wrong.fetch_optional().await.unwrap(), None);
    let unknown = sessions.query().token("a-token-that-nobody-was-given");
    assert_eq!(unknown.fetch_optional().await.unwrap(), None);
}

async fn a_token_that_cannot_be_one_costs_no_query(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    db.database().close().await;
    // A closed pool fails every query that is asked.
    let error = sessions.query().token(&created.token).fetch_optional().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let oversized = "x".repeat(10_000_000);
    for token in ["", &oversized] {
        assert_eq!(sessions.authenticate(token).await.unwrap(), None);
        let query = || sessions.query().token(token);
        assert_eq!(query().fetch_optional().await.unwrap(), None);
        assert_eq!(query().fetch_one().await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(query().fetch_all().await.unwrap(), []);
        assert_eq!(query().stream().count().await, 0);
        assert_eq!(query().count().await.unwrap(), 0);
        assert!(!query().exists().await.unwrap());
        assert_eq!(query().expire_all().await.unwrap(), 0);
        assert_eq!(query().status(Status::All).delete_all().await.unwrap(), 0);
    }
}

async fn a_status_selects_valid_expired_or_all(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    sessions.create(user("never").never_expires()).await.unwrap();
    sessions.create(user("later").expires_at(START + Duration::MICROSECOND)).await.unwrap();
    sessions.create(user("now").expires_at(START)).await.unwrap();
    sessions.create(user("before").expires_at(START - DAY)).await.unwrap();
    for (status, users) in [
        (Status::Valid, vec!["never", "later"]),
        (Status::Expired, vec!["now", "before"]),
        (Status::All, vec!["never", "later", "now", "before"]),
    ] {
        let found = sessions.query().status(status).oldest_first().fetch_all().await.unwrap();
        let found: Vec<String> = found.into_iter().map(|session| session.into_row().fields.user_id).collect();
        assert_eq!(found, users);
        assert_eq!(sessions.query().status(status).count().await.unwrap(), users.len() as u64);
    }
    assert_eq!(sessions.query().count().await.unwrap(), 2);
}

async fn sessions_come_newest_first_oldest_first_or_as_asked(db: TestDatabase) {
    let sessions = visits(&db).await;
    let ages = |found: Vec<cloakroom::Session<Visit>>| -> Vec<i32> {
        found.into_iter().map(|session| session.fields.age).collect()
    };
    assert_eq!(ages(sessions.query().fetch_all().await.unwrap()), [4, 3, 2, 1]);
    assert_eq!(ages(sessions.query().oldest_first().fetch_all().await.unwrap()), [1, 2, 3, 4]);
    assert_eq!(ages(sessions.query().limit(2).fetch_all().await.unwrap()), [4, 3]);
    assert_eq!(ages(sessions.query().oldest_first().limit(2).fetch_all().await.unwrap()), [1, 2]);
    assert_eq!(ages(sessions.query().limit(0).fetch_all().await.unwrap()), [0; 0]);
    let by_guest = sessions
        .query()
        .order_by(Expr::col("is_guest"), Order::Asc)
        .order_by(Expr::col(("visits", "age")), Order::Desc);
    assert_eq!(ages(by_guest.fetch_all().await.unwrap()), [3, 1, 4, 2]);
}

async fn sessions_of_one_instant_come_in_the_order_of_their_creation(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for number in 0..20 {
        sessions.create(user(&format!("{number}"))).await.unwrap();
    }
    let found = sessions.query().oldest_first().fetch_all().await.unwrap();
    let found: Vec<String> = found.into_iter().map(|session| session.into_row().fields.user_id).collect();
    assert_eq!(found, (0..20).map(|number| format!("{number}")).collect::<Vec<_>>());
}

/// A thousand sessions, a hundred of each instant.
async fn thousand(db: &TestDatabase) -> Sessions<UserSession> {
    let sessions = db.sessions::<UserSession>().await;
    rows::insert(db, "sessions", 1_000, |number| Row {
        user_id: format!("'{}'", number % 3),
        // Ids and instants do not go the same way.
        inserted_at: START - Duration::seconds(i64::try_from(number / 100).unwrap()),
        expires_at: Some(START + DAY),
    })
    .await;
    sessions
}

async fn paging_by_a_cursor_misses_none_and_repeats_none(db: TestDatabase) {
    let sessions = thousand(&db).await;
    for is_oldest_first in [false, true] {
        let query = || {
            let query = sessions.query().filter(UserSession::USER_ID.ne("0"));
            if is_oldest_first { query.oldest_first() } else { query }
        };
        let all: Vec<Uuid> = query().fetch_all().await.unwrap().iter().map(|session| session.id).collect();
        assert_eq!(all.len(), 666);
        let mut paged = Vec::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            let mut page = query().limit(37);
            if let Some(cursor) = cursor {
                page = page.after(cursor);
            }
            let page = page.fetch_all().await.unwrap();
            let Some(last) = page.last() else { break };
            cursor = Some(last.cursor().to_string().parse().unwrap());
            paged.extend(page.iter().map(|session| session.id));
        }
        assert_eq!(paged, all);
    }
    let last = sessions.query().oldest_first().limit(1).fetch_one().await.unwrap();
    assert_eq!(sessions.query().after(last.cursor()).count().await.unwrap(), 0);
    assert_eq!(sessions.query().oldest_first().after(last.cursor()).count().await.unwrap(), 999);
    assert!(!sessions.query().after(last.cursor()).exists().await.unwrap());
}

async fn a_cursor_of_any_instant_is_compared_with(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    sessions.create(user("1")).await.unwrap();
    let nil = Uuid::nil().simple();
    // The first and the last microsecond that a cursor can name.
    for (micros, count) in [("-62135596800000000", 0), ("253402300799999999", 1), ("0", 0)] {
        let cursor: Cursor = format!("{micros}_{nil}").parse().unwrap();
        assert_eq!(sessions.query().after(cursor).count().await.unwrap(), count, "{micros}");
    }
}

async fn an_order_of_its_own_cannot_be_paged_by_a_cursor(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let created = sessions.create(user("1")).await.unwrap();
    let ordered = || sessions.query().order_by(Expr::col("user_id"), Order::Asc);
    let error = ordered().after(created.session.cursor()).fetch_all().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = ordered().stream().try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = ordered().limit(0).stream().try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

async fn one_session_is_asked_for_and_there_are_none_or_several(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let query = || sessions.query().filter(UserSession::USER_ID.eq("1"));
    assert_eq!(query().fetch_optional().await.unwrap(), None);
    let error = query().fetch_one().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("sessions"), "{error}");

    let first = sessions.create(user("1")).await.unwrap().session;
    assert_eq!(query().fetch_optional().await.unwrap(), Some(first.clone()));
    assert_eq!(query().fetch_one().await.unwrap(), first);

    db.clock().advance(Duration::SECOND);
    let second = sessions.create(user("1")).await.unwrap().session;
    for error in [query().fetch_optional().await.unwrap_err(), query().fetch_one().await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::MultipleSessions);
    }
    assert_eq!(query().limit(1).fetch_one().await.unwrap(), second);
    assert_eq!(query().oldest_first().limit(1).fetch_one().await.unwrap(), first);
    assert_eq!(query().limit(0).fetch_optional().await.unwrap(), None);
}

async fn a_stream_yields_what_fetch_all_does_also_over_many_pages(db: TestDatabase) {
    let sessions = thousand(&db).await;
    let other = db.sessions::<Visit>().await;
    assert_eq!(other.query().stream().count().await, 0);
    for limit in [None, Some(0), Some(1), Some(499), Some(500), Some(501), Some(1_000), Some(2_000)] {
        let query = || match limit {
            Some(limit) => sessions.query().limit(limit),
            None => sessions.query(),
        };
        let streamed: Vec<_> = query().stream().try_collect().await.unwrap();
        assert!(streamed == query().fetch_all().await.unwrap(), "limit {limit:?}");
        let expected = limit.map_or(1_000, |limit| Ord::min(limit, 1_000));
        assert_eq!(streamed.len() as u64, expected);
    }
    let oldest: Vec<_> = sessions.query().oldest_first().stream().try_collect().await.unwrap();
    assert!(oldest == sessions.query().oldest_first().fetch_all().await.unwrap());
    let cursor = oldest[899].cursor();
    assert_eq!(sessions.query().oldest_first().after(cursor).stream().count().await, 100);
}

async fn a_stream_holds_no_connection_between_its_pages(db: TestDatabase) {
    thousand(&db).await;
    let one = pools::of(&db, 1).await;
    let sessions = Sessions::<UserSession>::new(one.clone(), db.config().build().unwrap()).unwrap();
    let mut stream = sessions.query().stream();
    let mut seen = HashSet::new();
    while let Some(session) = stream.next().await {
        let session = session.unwrap();
        assert!(seen.insert(session.id));
        if seen.len() % 100 == 1 {
            assert!(sessions.delete(session).await.unwrap());
        }
    }
    assert_eq!(seen.len(), 1_000);
    assert_eq!(sessions.query().count().await.unwrap(), 990);
    one.close().await;
}

async fn a_stream_dropped_half_way_leaves_the_connection_usable(db: TestDatabase) {
    thousand(&db).await;
    let one = pools::of(&db, 1).await;
    let sessions = Sessions::<UserSession>::new(one.clone(), db.config().build().unwrap()).unwrap();
    for taken in [1, 500, 501, 600] {
        let seen: Vec<_> = sessions.query().stream().take(taken).try_collect().await.unwrap();
        assert_eq!(seen.len(), taken);
        assert_eq!(sessions.query().count().await.unwrap(), 1_000);
    }
    one.close().await;
}

async fn a_stream_is_of_the_instant_at_which_it_began(db: TestDatabase) {
    let sessions = thousand(&db).await;
    let mut stream = sessions.query().stream();
    stream.next().await.unwrap().unwrap();
    db.clock().advance(DAY * 2);
    assert_eq!(stream.count().await, 999);
    assert_eq!(sessions.query().stream().count().await, 0);
}

async fn a_stream_ends_after_its_first_error(db: TestDatabase) {
    let sessions = thousand(&db).await;
    let mut stream = sessions.query().stream();
    stream.next().await.unwrap().unwrap();
    db.execute("DROP TABLE sessions").await;
    let rest: Vec<_> = stream.collect().await;
    assert_eq!(rest.len(), 500);
    let (last, before) = rest.split_last().unwrap();
    assert!(before.iter().all(Result::is_ok));
    assert_eq!(last.as_ref().unwrap_err().kind(), ErrorKind::MissingTable);
}

async fn counting_and_existence_respect_limit_and_filter(db: TestDatabase) {
    let sessions = visits(&db).await;
    let query = || sessions.query();
    assert_eq!(query().count().await.unwrap(), 4);
    assert_eq!(query().limit(3).count().await.unwrap(), 3);
    assert_eq!(query().limit(9).count().await.unwrap(), 4);
    assert_eq!(query().limit(0).count().await.unwrap(), 0);
    assert_eq!(query().filter(Visit::AGE.gt(2)).oldest_first().limit(1).count().await.unwrap(), 1);
    assert_eq!(query().filter(Visit::AGE.gt(9)).count().await.unwrap(), 0);
    assert!(query().exists().await.unwrap());
    assert!(!query().limit(0).exists().await.unwrap());
    assert!(query().filter(Visit::AGE.eq(3)).order_by(Expr::col("age"), Order::Asc).exists().await.unwrap());
    assert!(!query().filter(Visit::AGE.gt(9)).exists().await.unwrap());
    assert!(!query().status(Status::Expired).exists().await.unwrap());
}

async fn expiring_all_ends_what_matches_and_is_valid(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let ended = START - DAY;
    sessions.create(user("1").expires_at(ended)).await.unwrap();
    let mut tokens = Vec::new();
    for user_id in ["1", "1", "1", "2"] {
        db.clock().advance(Duration::SECOND);
        tokens.push(sessions.create(user(user_id)).await.unwrap().token);
    }
    sessions.create(user("1").never_expires()).await.unwrap();
    let query = || sessions.query().filter(UserSession::USER_ID.eq("1"));

    assert_eq!(query().status(Status::Expired).expire_all().await.unwrap(), 0);
    assert_eq!(query().limit(0).expire_all().await.unwrap(), 0);
    // The oldest valid one.
    db.clock().advance(Duration::SECOND);
    let now = START + Duration::SECOND * 5;
    assert_eq!(query().oldest_first().limit(1).expire_all().await.unwrap(), 1);
    assert_eq!(sessions.authenticate(&tokens[0]).await.unwrap(), None);
    assert!(sessions.authenticate(&tokens[1]).await.unwrap().is_some());

    assert_eq!(query().status(Status::All).expire_all().await.unwrap(), 3);
    assert_eq!(query().expire_all().await.unwrap(), 0);
    let expired = query().status(Status::All).oldest_first().fetch_all().await.unwrap();
    let expiries: Vec<_> = expired.iter().map(|session| session.expires_at.unwrap()).collect();
    assert_eq!(expiries, [ended, now, now, now, now]);
    assert!(expired[1..].iter().all(|session| session.updated_at == now));
    assert_eq!(expired[0].updated_at, START);
    assert!(sessions.authenticate(&tokens[3]).await.unwrap().is_some());
}

async fn deleting_all_removes_what_matches(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for (number, is_valid) in [(1, true), (1, false), (1, true), (2, false), (2, true), (3, true)] {
        let expires_at = if is_valid { START + DAY } else { START };
        sessions.create(user(&format!("{number}")).expires_at(expires_at)).await.unwrap();
        db.clock().advance(Duration::SECOND);
    }
    let of = |user_id: &str| sessions.query().filter(UserSession::USER_ID.eq(user_id));
    // The newest that is valid.
    assert_eq!(of("1").limit(1).delete_all().await.unwrap(), 1);
    let left = of("1").status(Status::All).fetch_all().await.unwrap();
    assert_eq!(
        left.iter().map(|session| session.inserted_at).collect::<Vec<_>>(),
        [START + Duration::SECOND, START]
    );
    assert_eq!(of("2").delete_all().await.unwrap(), 1);
    assert_eq!(of("2").delete_all().await.unwrap(), 0);
    assert_eq!(of("2").status(Status::Expired).limit(5).delete_all().await.unwrap(), 1);
    assert_eq!(of("9").status(Status::All).delete_all().await.unwrap(), 0);
    assert_eq!(sessions.query().limit(0).delete_all().await.unwrap(), 0);
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 3);
    assert_eq!(sessions.query().status(Status::All).delete_all().await.unwrap(), 3);
}

/// Runs a statement of sea-query's as an application would, and returns the users in the rows.
async fn run(database: &Database, statement: &(impl SqlxBinder + Sync)) -> Vec<String> {
    match database {
        Database::Sqlite(pool) => {
            let (sql, values) = statement.build_sqlx(SqliteQueryBuilder);
            let rows = sqlx::query_with(AssertSqlSafe(sql), values).fetch_all(pool).await.unwrap();
            rows.iter().map(|row| sqlx::Row::get(row, "user_id")).collect()
        }
        Database::Postgres(pool) => {
            let (sql, values) = statement.build_sqlx(PostgresQueryBuilder);
            let rows = sqlx::query_with(AssertSqlSafe(sql), values).fetch_all(pool).await.unwrap();
            rows.iter().map(|row| sqlx::Row::get(row, "user_id")).collect()
        }
        Database::MySql(pool) => {
            let (sql, values) = statement.build_sqlx(MysqlQueryBuilder);
            let rows = sqlx::query_with(AssertSqlSafe(sql), values).fetch_all(pool).await.unwrap();
            rows.iter().map(|row| sqlx::Row::get(row, "user_id")).collect()
        }
        other => panic!("no such database: {other:?}"),
    }
}

async fn a_query_becomes_a_select_to_go_on_composing(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for user_id in ["1", "2", "3", "2"] {
        sessions.create(user(user_id)).await.unwrap();
        db.clock().advance(Duration::SECOND);
    }
    sessions.create(user("4").expires_at(START)).await.unwrap();
    let database = db.database();
    let query = || sessions.query();

    let select = query().into_select().unwrap();
    assert_eq!(run(&database, &select).await, ["2", "3", "2", "1"]);
    let select = query().filter(UserSession::USER_ID.ne("2")).oldest_first().limit(5).into_select().unwrap();
    assert_eq!(run(&database, &select).await, ["1", "3"]);
    let created = sessions.create(user("5")).await.unwrap();
    let select = query().id(created.session.id).token(&created.token).into_select().unwrap();
    assert_eq!(run(&database, &select).await, ["5"]);
    let select = query().token("").into_select().unwrap();
    assert_eq!(run(&database, &select).await, [""; 0]);
    let third = query().filter(UserSession::USER_ID.eq("3")).fetch_one().await.unwrap();
    let select =
        query().after(third.cursor()).filter(UserSession::INSERTED_AT.gt(START)).into_select().unwrap();
    assert_eq!(run(&database, &select).await, ["2"]);

    // One more condition, and a place inside of another query.
    let mut select = query().into_select().unwrap();
    select.and_where(Expr::col("user_id").eq("2"));
    assert_eq!(run(&database, &select).await, ["2", "2"]);
    let mut outer = Query::select();
    outer.column("user_id").distinct().from_subquery(select, "inner_query");
    assert_eq!(run(&database, &outer).await, ["2"]);
}

async fn a_query_becomes_a_delete_to_go_on_composing(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    for user_id in ["1", "2", "3"] {
        sessions.create(user(user_id)).await.unwrap();
        db.clock().advance(Duration::SECOND);
    }
    sessions.create(user("4").expires_at(START)).await.unwrap();
    let database = db.database();
    let delete = sessions.query().limit(1).into_delete().unwrap();
    run(&database, &delete).await;
    let mut delete = sessions.query().into_delete().unwrap();
    delete.and_where(Expr::col("user_id").ne("1"));
    run(&database, &delete).await;
    let delete = sessions.query().token("").into_delete().unwrap();
    run(&database, &delete).await;
    let left = sessions.query().status(Status::All).oldest_first().fetch_all().await.unwrap();
    let left: Vec<String> = left.into_iter().map(|session| session.into_row().fields.user_id).collect();
    assert_eq!(left, ["1", "4"]);
}

async fn a_value_that_sea_query_has_no_form_for_is_refused_in_a_statement(db: TestDatabase) {
    let sessions = db.sessions::<Visit>().await;
    let own = || sessions.query().filter(Visit::ROLE.eq(Role::Admin));
    assert_eq!(own().into_select().unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(own().into_delete().unwrap_err().kind(), ErrorKind::Unsupported);
    let data = sessions.query().data(json!({}));
    assert_eq!(data.into_select().unwrap_err().kind(), ErrorKind::Unsupported);
}

async fn data_is_compared_as_a_whole_whatever_the_order_of_its_keys(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let data = json!({"b": {"y": [1, {"q": null, "p": "é"}], "x": 2}, "a": true});
    let created = sessions.create(user("1").data(data)).await.unwrap().session;
    sessions.create(user("2").data(json!({"a": true}))).await.unwrap();
    sessions.create(user("3")).await.unwrap();
    let other_order = r#"{"a": true, "b": {"x": 2, "y": [1, {"p": "é", "q": null}]}}"#;
    let other_order: serde_json::Value = serde_json::from_str(other_order).unwrap();
    assert_eq!(sessions.query().data(other_order).fetch_all().await.unwrap(), [created]);
    for (data, count) in [
        (json!({"a": true}), 1),
        (json!({}), 1),
        (json!({"a": false}), 0),
        (json!({"a": "true"}), 0),
        (json!({"a": true, "b": {"x": 2}}), 0),
        (json!(null), 0),
        (json!([]), 0),
    ] {
        assert_eq!(sessions.query().data(data.clone()).count().await.unwrap(), count, "{data}");
    }
}

async fn data_that_others_wrote_is_compared_too(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    rows::insert(&db, "sessions", 1, |_| Row { user_id: "'1'".into(), inserted_at: START, expires_at: None })
        .await;
    // SQLite compares as text what it has made of the JSON, so there the keys must be sorted.
    let written = match db.kind() {
        Kind::Sqlite => r#"{ "a":  [ 1, 2 ], "b": {"x": null } }"#,
        Kind::Postgres | Kind::MariaDb => r#"{ "b": {"x": null }, "a":  [ 1, 2 ] }"#,
    };
    db.execute(&format!("UPDATE sessions SET data = '{written}'")).await;
    assert_eq!(sessions.query().data(json!({"a": [1, 2], "b": {"x": null}})).count().await.unwrap(), 1);
    assert_eq!(sessions.query().data(json!({"a": [2, 1], "b": {"x": null}})).count().await.unwrap(), 0);
}

async fn a_dynamic_field_is_compared_by_its_name(db: TestDatabase) {
    visits(&db).await;
    let table = DynamicFields::definition_from(&db.database(), None, "visits").await.unwrap().unwrap();
    let config = db.config().build().unwrap();
    let sessions = Sessions::<DynamicFields>::with_definition(db.database(), table.clone(), config).unwrap();
    let count = async |name: &str, value: DynamicValue| {
        sessions.query().filter(DynamicFields::equals(&table, name, &value)).count().await
    };
    assert_eq!(count("name", DynamicValue::Text("a".into())).await.unwrap(), 1);
    assert_eq!(count("age", DynamicValue::Integer(2)).await.unwrap(), 1);
    assert_eq!(count("weight", DynamicValue::Float(1.5)).await.unwrap(), 1);
    assert_eq!(count("is_guest", DynamicValue::Bool(true)).await.unwrap(), 2);
    assert_eq!(count("badge", DynamicValue::Uuid(Uuid::from_u128(4))).await.unwrap(), 1);
    assert_eq!(count("seen_at", DynamicValue::Timestamp(START + DAY)).await.unwrap(), 1);
    assert_eq!(count("photo", DynamicValue::Bytes(vec![0, 3])).await.unwrap(), 1);
    assert_eq!(count("inserted_at", DynamicValue::Timestamp(START)).await.unwrap(), 1);
    assert_eq!(count("id", DynamicValue::Uuid(Uuid::nil())).await.unwrap(), 0);

    for unknown in ["nmae", "", "auth_token_digest", "data", "name\" --"] {
        let error = count(unknown, DynamicValue::Text("a".into())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownField, "{unknown}");
        assert!(error.to_string().contains(&format!("{unknown:?}")), "{error}");
    }
    let error = count("note", DynamicValue::Null).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("note"), "{error}");
}

async fn one_call_is_one_statement(db: TestDatabase) {
    let watched = Watched::<UserSession>::new(&db).await;
    let sessions = &watched.sessions;
    let created = sessions.create(user("1")).await.unwrap();
    let mut session = created.session.clone();
    let count =
        async |operation: Pin<Box<dyn Future<Output = ()> + '_>>| watched.statements(operation).await.len();
    let authenticate = || async { drop(sessions.authenticate(&created.token).await.unwrap().unwrap()) };
    assert_eq!(count(Box::pin(authenticate())).await, 1);
    assert_eq!(count(Box::pin(async { drop(sessions.query().fetch_one().await.unwrap()) })).await, 1);
    assert_eq!(count(Box::pin(async { assert!(sessions.query().exists().await.unwrap()) })).await, 1);
    assert_eq!(count(Box::pin(async { sessions.update(&mut session).await.unwrap() })).await, 1);
    db.clock().advance(DAY * 2);
    // Extended, in a second one; after which nothing is due.
    assert_eq!(count(Box::pin(authenticate())).await, 2);
    assert_eq!(count(Box::pin(authenticate())).await, 1);
    // What has expired by this machine's clock alone ends in a statement of its own, unless one can tell which it was.
    let statements = if db.kind() == Kind::Postgres { 1 } else { 2 };
    assert_eq!(
        count(Box::pin(async { assert_eq!(sessions.query().expire_all().await.unwrap(), 1) })).await,
        statements
    );
    assert_eq!(count(Box::pin(async { assert_eq!(sessions.delete_expired().await.unwrap(), 1) })).await, 1);
}

each_mode! {
    every_comparison_of_a_column_means_what_it_says,
    text_compares_case_sensitively_and_to_the_last_space,
    a_column_is_compared_with_lists_also_empty_ones,
    a_list_may_be_longer_than_a_statement_takes_placeholders,
    null_is_asked_for_and_never_equal_to_anything,
    filters_combine,
    any_condition_and_expression_of_sea_query_is_a_filter,
    the_built_in_columns_are_filtered_by,
    a_session_is_found_by_its_token,
    a_token_that_cannot_be_one_costs_no_query,
    a_status_selects_valid_expired_or_all,
    sessions_come_newest_first_oldest_first_or_as_asked,
    sessions_of_one_instant_come_in_the_order_of_their_creation,
    paging_by_a_cursor_misses_none_and_repeats_none,
    a_cursor_of_any_instant_is_compared_with,
    an_order_of_its_own_cannot_be_paged_by_a_cursor,
    one_session_is_asked_for_and_there_are_none_or_several,
    a_stream_yields_what_fetch_all_does_also_over_many_pages,
    a_stream_holds_no_connection_between_its_pages,
    a_stream_dropped_half_way_leaves_the_connection_usable,
    a_stream_is_of_the_instant_at_which_it_began,
    a_stream_ends_after_its_first_error,
    counting_and_existence_respect_limit_and_filter,
    expiring_all_ends_what_matches_and_is_valid,
    deleting_all_removes_what_matches,
    a_query_becomes_a_select_to_go_on_composing,
    a_query_becomes_a_delete_to_go_on_composing,
    a_value_that_sea_query_has_no_form_for_is_refused_in_a_statement,
    data_is_compared_as_a_whole_whatever_the_order_of_its_keys,
    data_that_others_wrote_is_compared_too,
    a_dynamic_field_is_compared_by_its_name,
    one_call_is_one_statement,
}
