//! Lists on SQLite that go past the pool: when they do, and when they do not.

use std::slice;
use std::time::{Duration, Instant};

use cloakroom::sea_query::{Expr, ExprTrait, Order};
use cloakroom::{CreatedSession, Session, Sessions, Status};
use cloakroom_testing::{TestDatabase, UserSession, at_once, hold_connections, patience, user};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

use crate::direct::{begin, begun, path_of};

type Query<'s> = cloakroom::SessionQuery<'s, UserSession>;

/// Returns what a query finds while all connections of the pool are held, or `None` if it asks the pool.
async fn past_the_pool<'s>(
    sessions: &'s Sessions<UserSession>,
    query: impl Fn(Query<'s>) -> Query<'s>,
) -> Option<Vec<Session<UserSession>>> {
    let _held = hold_connections(sessions.database()).await;
    at_once(query(sessions.query()).fetch_all()).map(Result::unwrap)
}

/// Returns what a query finds past the pool. A slow machine makes reads slow, after which the pool is asked for a while.
async fn listed<'s>(
    sessions: &'s Sessions<UserSession>,
    query: impl Fn(Query<'s>) -> Query<'s>,
) -> Vec<Session<UserSession>> {
    let until = Instant::now() + patience();
    loop {
        if let Some(found) = past_the_pool(sessions, &query).await {
            return found;
        }
        assert!(Instant::now() < until, "every list asks the pool");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn is_left_to_the_pool<'s>(
    sessions: &'s Sessions<UserSession>,
    created: &CreatedSession<UserSession>,
    query: impl Fn(Query<'s>) -> Query<'s>,
) {
    // Lookups go past it.
    begin(sessions, created).await;
    assert_eq!(past_the_pool(sessions, query).await, None);
}

async fn a_list_needs_no_connection_of_the_pool(db: TestDatabase) {
    let (sessions, frieda) = begun(&db).await;
    let mut expected = vec![frieda.session.clone()];
    for number in 0..3 {
        db.clock().advance(Duration::from_secs(1));
        sessions.create(user("other")).await.unwrap();
        let created = sessions.create(user("frieda").data(serde_json::json!({ "number": number }))).await;
        expected.insert(0, created.unwrap().session);
    }
    let of_frieda = UserSession::USER_ID.eq("frieda");
    assert_eq!(listed(&sessions, |query| query.filter(of_frieda.clone())).await, expected);
    let first = listed(&sessions, |query| query.filter(of_frieda.clone()).limit(2)).await;
    assert_eq!(first, expected[..2]);
    let after = first[1].cursor();
    let others = listed(&sessions, |query| query.filter(of_frieda.clone()).after(after).limit(5)).await;
    assert_eq!(others, expected[2..]);
    let id = expected[1].id;
    assert_eq!(listed(&sessions, |query| query.id(id)).await, expected[1..2]);
    let by_token = listed(&sessions, |query| query.token(&frieda.token)).await;
    assert_eq!(by_token, slice::from_ref(&frieda.session));
    let neither = of_frieda.clone().or(UserSession::USER_ID.is_in(["other"])).not();
    assert_eq!(listed(&sessions, |query| query.filter(neither.clone()).status(Status::All)).await, []);

    // What was committed before is seen.
    assert_eq!(sessions.query().id(id).expire_all().await.unwrap(), 1);
    expected.remove(1);
    assert_eq!(listed(&sessions, |query| query.filter(of_frieda.clone())).await, expected);
    db.clock().set(frieda.session.expires_at.unwrap());
    expected.pop();
    assert_eq!(listed(&sessions, |query| query.filter(of_frieda.clone())).await, expected);
    // A transaction sees its own writes.
    let mut transaction = sessions.begin().await.unwrap();
    sessions.within(&mut transaction).query().id(expected[0].id).delete_all().await.unwrap();
    let within = sessions.within(&mut transaction).query().filter(of_frieda.clone()).fetch_all().await;
    assert_eq!(within.unwrap(), expected[1..]);
    transaction.rollback().await.unwrap();
}

async fn a_list_by_sql_of_the_application_s_is_read_as_its_connections_read_it(db: TestDatabase) {
    let options = SqliteConnectOptions::new()
        .filename(path_of(&db))
        .journal_mode(SqliteJournalMode::Wal)
        .collation("reversed", |one, other| other.cmp(one));
    let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await.unwrap();
    let sessions = Sessions::<UserSession>::new(pool.clone(), db.config().build().unwrap()).unwrap();
    sessions.migrate().await.unwrap();
    let created = sessions.create(user("frieda")).await.unwrap();
    let before_emil = || Expr::cust("user_id COLLATE reversed < 'emil'");
    assert_eq!(
        sessions.query().filter(before_emil()).fetch_all().await.unwrap(),
        slice::from_ref(&created.session)
    );
    let is_it = || Expr::col("user_id").eq("frieda");
    let of_frieda = || UserSession::USER_ID.eq("frieda");
    is_left_to_the_pool(&sessions, &created, |query| query.filter(is_it())).await;
    is_left_to_the_pool(&sessions, &created, |query| query.filter(of_frieda().and(is_it()))).await;
    is_left_to_the_pool(&sessions, &created, |query| query.filter(of_frieda().or(is_it()).not())).await;
    is_left_to_the_pool(&sessions, &created, |query| query.order_by(Expr::col("user_id"), Order::Asc)).await;
    assert_eq!(listed(&sessions, |query| query.filter(of_frieda())).await, [created.session]);
    pool.close().await;
}

async fn a_long_list_is_left_to_the_pool(db: TestDatabase) {
    let (sessions, created) = begun(&db).await;
    let rows = "WITH numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000)
        INSERT INTO sessions (id, auth_token_digest, user_id, data, expires_at, inserted_at, updated_at)
        SELECT randomblob(16), 'digest ' || n, 'other', data, expires_at, inserted_at, updated_at FROM sessions, numbers";
    db.execute(rows).await;
    assert_eq!(sessions.query().fetch_all().await.unwrap().len(), 5001);
    is_left_to_the_pool(&sessions, &created, |query| query).await;
    // The others are not.
    let frieda = listed(&sessions, |query| query.filter(UserSession::USER_ID.eq("frieda"))).await;
    assert_eq!(frieda, [created.session]);
}

async fn a_list_of_large_data_is_left_to_the_pool(db: TestDatabase) {
    let (sessions, created) = begun(&db).await;
    let large = || serde_json::json!({ "text": "x".repeat(300_000) });
    for _ in 0..3 {
        sessions.create(user("few").data(large())).await.unwrap();
    }
    for _ in 0..5 {
        sessions.create(user("many").data(large())).await.unwrap();
    }
    assert_eq!(sessions.query().filter(UserSession::USER_ID.eq("many")).fetch_all().await.unwrap().len(), 5);
    is_left_to_the_pool(&sessions, &created, |query| query.filter(UserSession::USER_ID.eq("many"))).await;
    let few = listed(&sessions, |query| query.filter(UserSession::USER_ID.eq("few")).oldest_first()).await;
    assert_eq!(few.len(), 3);
}

async fn what_does_not_decode_is_read_by_the_pool(db: TestDatabase) {
    let (sessions, created) = begun(&db).await;
    let of_frieda = || UserSession::USER_ID.eq("frieda");
    assert_eq!(listed(&sessions, |query| query.filter(of_frieda())).await, slice::from_ref(&created.session));
    db.execute("UPDATE sessions SET data = '{'").await;
    assert_eq!(past_the_pool(&sessions, |query| query.filter(of_frieda())).await, None);
    let each = sessions.query().filter(of_frieda()).fetch_each().await.unwrap();
    assert_eq!(each[0].as_ref().unwrap_err().id, created.session.id);
    // A value that is bound in a form of the driver's own.
    let data = || created.session.data.clone();
    assert_eq!(past_the_pool(&sessions, |query| query.data(data())).await, None);
    db.execute("UPDATE sessions SET data = '{}'").await;
    assert_eq!(sessions.query().data(data()).fetch_all().await.unwrap().len(), 1);
    begin(&sessions, &created).await;
}

mod sqlite {
    cloakroom_testing::each_case!(
        Sqlite,
        Direct,
        super,
        a_list_needs_no_connection_of_the_pool,
        a_list_by_sql_of_the_application_s_is_read_as_its_connections_read_it,
        a_long_list_is_left_to_the_pool,
        a_list_of_large_data_is_left_to_the_pool,
        what_does_not_decode_is_read_by_the_pool
    );
}
