use std::time::Duration;

use cloakroom::{CreatedSession, ErrorKind, NewSession, Result, Sessions, Token};
use cloakroom_testing::{ApiKey, Kind, Role, TestDatabase, UserSession, coalesced, hold_connections, user};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::lookups::SLOTS;
use crate::statements::Watched;
use crate::{all, begin, pool, soon};

type Created = CreatedSession<UserSession>;

fn create(sessions: &Sessions<UserSession>, new: NewSession<UserSession>) -> JoinHandle<Result<Created>> {
    let sessions = sessions.clone();
    begin(async move { sessions.create(new).await })
}

/// Makes all of these, which all are asked for before the first is made.
async fn create_at_once(
    sessions: &Sessions<UserSession>,
    new: Vec<NewSession<UserSession>>,
) -> Vec<Result<Created>> {
    let held = hold_connections(sessions.database()).await;
    let asked: Vec<_> = new.into_iter().map(|new| create(sessions, new)).collect();
    drop(held);
    all(asked).await
}

async fn watched(db: &TestDatabase, max_batch: usize) -> Watched<UserSession> {
    Watched::on(db, pool::of(db, 3).await, db.config().max_batch(max_batch)).await
}

fn users(count: usize) -> Vec<NewSession<UserSession>> {
    (0..count).map(|n| user(&n.to_string()).data(json!({"n": n}))).collect()
}

/// How many rows a statement inserts.
fn rows(sql: &str) -> usize {
    let values = sql.split_once("VALUES").expect(sql).1;
    values.matches("), (").count() + 1
}

async fn assert_each_has_its_row(sessions: &Sessions<UserSession>, created: &[Created]) {
    for (n, one) in created.iter().enumerate() {
        assert_eq!(one.session.fields.user_id, n.to_string());
        assert_eq!(one.session.data, json!({"n": n}));
        assert_eq!(sessions.authenticate(&one.token).await.unwrap().as_ref(), Some(&one.session));
    }
    assert_eq!(sessions.query().count().await.unwrap(), created.len() as u64);
}

async fn many_rows_go_in_few_statements(db: TestDatabase) {
    for (max_batch, most) in [(256, 256), (100, 64), (7, 4), (1, 1)] {
        let watched = watched(&db, max_batch).await;
        let mut created = Vec::new();
        let operation = async { created = create_at_once(&watched.sessions, users(150)).await };
        let statements = watched.statements(operation).await;
        let sizes: Vec<_> = statements.iter().map(|sql| rows(sql)).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 150);
        assert!(sizes.iter().all(|size| size.is_power_of_two() && *size <= most), "{sizes:?}");
        // The greatest there can be, and what is left over in powers of two.
        assert!(sizes.len() <= SLOTS + 150 / most + 8, "{sizes:?}");
        let created: Vec<_> = created.into_iter().map(Result::unwrap).collect();
        assert_each_has_its_row(&watched.sessions, &created).await;
    }
}

async fn rows_of_every_type_go_together(db: TestDatabase) {
    db.sessions::<ApiKey>().await;
    let config = db.config().build().unwrap();
    let sessions = Sessions::<ApiKey>::new(pool::of(&db, 1).await, config).unwrap();
    let held = hold_connections(sessions.database()).await;
    let asked = (0..60_i32).map(|n| {
        let role = if n % 2 == 0 { Role::Admin } else { Role::Reader };
        let key = ApiKey { user_id: n.to_string(), role, quota: (n % 3 == 0).then_some(n) };
        let new = NewSession::new(key);
        let new = if n % 5 == 0 { new.never_expires() } else { new };
        let sessions = sessions.clone();
        begin(async move { sessions.create(new).await.unwrap() })
    });
    let asked: Vec<_> = asked.collect();
    drop(held);
    for created in all(asked).await {
        let read = sessions.authenticate(&created.token).await.unwrap();
        assert_eq!(read, Some(created.session));
    }
    sessions.database().close().await;
}

async fn a_row_is_there_for_everybody_when_its_caller_hears_of_it(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let config = db.config().build().unwrap();
    let elsewhere = Sessions::<UserSession>::new(pool::of(&db, 4).await, config).unwrap();
    let asked = (0..200).map(|n| {
        let (sessions, elsewhere) = (sessions.clone(), elsewhere.clone());
        tokio::spawn(async move {
            let created = sessions.create(user(&n.to_string())).await.unwrap();
            assert_eq!(elsewhere.authenticate(&created.token).await.unwrap(), Some(created.session));
        })
    });
    all(asked.collect()).await;
    elsewhere.database().close().await;
}

async fn a_bad_row_fails_alone_with_its_own_error(db: TestDatabase) {
    let watched = watched(&db, 256).await;
    let sessions = &watched.sessions;
    db.execute(&format!("CREATE UNIQUE INDEX one_for_each_user ON {} (user_id)", watched.table)).await;
    let taken = sessions.create(user("taken")).await.unwrap();
    let twice = Token::import("a token that is imported twice").unwrap();
    let mut new = users(60);
    let bad = [
        (5, user("x").import_token(taken.token.clone()), Some(ErrorKind::DuplicateToken)),
        (6, user("taken"), Some(ErrorKind::Constraint)),
        (20, user(&"long".repeat(100)), (db.kind() != Kind::Sqlite).then_some(ErrorKind::InvalidField)),
        (33, user(" "), Some(ErrorKind::InvalidField)),
        (41, user("y").import_token(twice.clone()), None),
        (59, user("z").import_token(twice), Some(ErrorKind::DuplicateToken)),
    ];
    let mut expected = vec![None; 60];
    for (at, bad, kind) in bad {
        new[at] = bad;
        expected[at] = kind;
    }
    let mut answers = Vec::new();
    // What is blank is refused before it waits.
    let blank = new.remove(33);
    expected.remove(33);
    let operation = async { answers = create_at_once(sessions, new).await };
    let statements = watched.statements(operation).await;
    assert_eq!(sessions.create(blank).await.unwrap_err().kind(), ErrorKind::InvalidField);
    assert!(statements.len() < 45, "{} statements for 59 rows", statements.len());
    for (at, (answer, expected)) in answers.into_iter().zip(expected).enumerate() {
        match (answer, expected) {
            (Ok(created), None) => {
                let read = sessions.authenticate(&created.token).await.unwrap();
                assert_eq!(read, Some(created.session));
            }
            (Err(error), Some(kind)) => assert_eq!(error.kind(), kind, "{at}: {error:?}"),
            (answer, expected) => panic!("{at}: {answer:?}, not {expected:?}"),
        }
    }
    let good = if db.kind() == Kind::Sqlite { 57 } else { 56 };
    assert_eq!(sessions.query().count().await.unwrap(), good);
}

async fn a_large_row_shares_with_nobody(db: TestDatabase) {
    let watched = watched(&db, 256).await;
    let large = "x".repeat(20_000);
    let new = (0..6).map(|_| user("1234").data(json!({"large": large}))).collect();
    let mut created = Vec::new();
    let operation = async { created = create_at_once(&watched.sessions, new).await };
    let statements = watched.statements(operation).await;
    assert_eq!(statements.iter().map(|sql| rows(sql)).collect::<Vec<_>>(), [1; 6]);
    for one in created {
        let one = one.unwrap();
        assert_eq!(watched.sessions.authenticate(&one.token).await.unwrap(), Some(one.session));
    }
}

async fn a_transactions_row_is_its_own(db: TestDatabase) {
    let direct = db.sessions::<UserSession>().await;
    let config = db.config().max_in_flight(1).build().unwrap();
    let sessions = Sessions::<UserSession>::new(pool::of(&db, 1).await, config).unwrap();
    let held = hold_connections(sessions.database()).await;
    let asked: Vec<_> = (0..8).map(|n| create(&sessions, user(&n.to_string()))).collect();
    macro_rules! in_transaction {
        ($pool:expr) => {{
            let mut transaction = $pool.begin().await.unwrap();
            let created = soon(sessions.within(&mut transaction).create(user("mine"))).await.unwrap();
            let found = soon(sessions.within(&mut transaction).authenticate(&created.token)).await.unwrap();
            assert_eq!(found.as_ref(), Some(&created.session));
            transaction.rollback().await.unwrap();
            created
        }};
    }
    let undone = match db.kind() {
        Kind::Sqlite => in_transaction!(db.sqlite_pool()),
        Kind::Postgres => in_transaction!(db.postgres_pool()),
        Kind::MariaDb => in_transaction!(db.mariadb_pool()),
    };
    drop(held);
    assert!(all(asked).await.iter().all(Result::is_ok));
    assert_eq!(direct.authenticate(&undone.token).await.unwrap(), None);
    assert_eq!(direct.query().count().await.unwrap(), 8);
    sessions.database().close().await;
}

async fn creates_and_lookups_mix_under_load(db: TestDatabase) {
    let sessions = db.sessions_with::<UserSession>(db.config().max_batch(16)).await;
    let asked = (0..40).map(|n| {
        let sessions = sessions.clone();
        tokio::spawn(async move {
            for round in 0..8 {
                let user_id = format!("{n}-{round}");
                let created =
                    sessions.create(user(&user_id).expires_in(Duration::from_hours(1))).await.unwrap();
                let read = sessions.authenticate(&created.token).await.unwrap().unwrap();
                assert_eq!(read.fields.user_id, user_id);
                assert!(sessions.delete(read).await.unwrap());
                assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
            }
        })
    });
    all(asked.collect()).await;
    assert_eq!(sessions.query().count().await.unwrap(), 0);
}

coalesced! {
    many_rows_go_in_few_statements,
    rows_of_every_type_go_together,
    a_row_is_there_for_everybody_when_its_caller_hears_of_it,
    a_bad_row_fails_alone_with_its_own_error,
    a_large_row_shares_with_nobody,
    a_transactions_row_is_its_own,
    creates_and_lookups_mix_under_load,
}
