//! What fails, fails those whom it concerns.

use std::error::Error as _;
use std::time::Duration;

use cloakroom::{ErrorKind, NewSession, SessionFields, Sessions};
use cloakroom_testing::{ApiKey, Role, TestDatabase, UserSession, coalesced, hold_connections, user};
use futures_util::future::try_join_all;
use tokio::task::JoinHandle;

use crate::{all, begin, pool, soon};

const CALLERS: usize = 50;

pub(crate) type Answers<T> = Vec<JoinHandle<cloakroom::Result<Option<cloakroom::Session<T>>>>>;

pub(crate) fn ask<T: SessionFields>(sessions: &Sessions<T>, tokens: &[cloakroom::Token]) -> Answers<T> {
    let ask = |token: &cloakroom::Token| {
        let (sessions, token) = (sessions.clone(), token.clone());
        begin(async move { sessions.authenticate(&token).await })
    };
    tokens.iter().map(ask).collect()
}

async fn a_row_that_does_not_decode_fails_its_own_caller(db: TestDatabase) {
    db.sessions::<ApiKey>().await;
    let config = db.config().build().unwrap();
    let sessions = Sessions::<ApiKey>::new(pool::of(&db, 1).await, config).unwrap();
    let new = (0..CALLERS).map(|n| {
        let user_id = if n % 10 == 3 { "bad".to_owned() } else { n.to_string() };
        sessions.create(NewSession::new(ApiKey { user_id, role: Role::Reader, quota: None }))
    });
    let created = try_join_all(new).await.unwrap();
    let tokens: Vec<_> = created.into_iter().map(|created| created.token).collect();
    db.execute("UPDATE api_keys SET role = 'nonsense' WHERE user_id = 'bad'").await;
    let held = hold_connections(sessions.database()).await;
    let asked = ask(&sessions, &tokens);
    drop(held);
    for (n, answer) in all(asked).await.into_iter().enumerate() {
        if n % 10 == 3 {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
            assert!(error.to_string().contains("role"), "{error}");
            assert!(error.source().is_some());
        } else {
            assert_eq!(answer.unwrap().unwrap().fields.user_id, n.to_string());
        }
    }
    sessions.database().close().await;
}

async fn a_statement_that_fails_fails_all_of_its_callers_with_the_cause(db: TestDatabase) {
    db.sessions::<UserSession>().await;
    let config = db.config().build().unwrap();
    let sessions = Sessions::<UserSession>::new(pool::of(&db, 1).await, config).unwrap();
    let token = sessions.create(user("1234")).await.unwrap().token;
    let held = hold_connections(sessions.database()).await;
    let asked = ask(&sessions, &vec![token.clone(); CALLERS]);
    let rows: Vec<_> = (0..CALLERS)
        .map(|_| {
            let sessions = sessions.clone();
            begin(async move { sessions.create(user("5678")).await })
        })
        .collect();
    db.execute_anew("ALTER TABLE sessions RENAME TO elsewhere").await;
    drop(held);
    let lookups = all(asked).await.into_iter().map(Result::unwrap_err);
    let creates = all(rows).await.into_iter().map(Result::unwrap_err);
    for error in lookups.chain(creates) {
        assert_eq!(error.kind(), ErrorKind::MissingTable, "{error:?}");
        assert!(error.to_string().contains("migrate()"), "{error}");
        let cause = error.source().expect("the cause is kept").to_string();
        assert!(cause.contains("sessions"), "{cause}");
    }
    db.execute_anew("ALTER TABLE elsewhere RENAME TO sessions").await;
    assert!(sessions.authenticate(&token).await.unwrap().is_some());
    sessions.database().close().await;
}

async fn an_exhausted_pool_is_unavailable_to_all_who_wait(db: TestDatabase) {
    let token = db.sessions::<UserSession>().await.create(user("1234")).await.unwrap().token;
    let config = db.config().build().unwrap();
    let pool = pool::with_patience(&db, 2, Duration::from_millis(500)).await;
    let sessions = Sessions::<UserSession>::new(pool, config).unwrap();
    let held = hold_connections(sessions.database()).await;
    let asked = ask(&sessions, &vec![token.clone(); CALLERS]);
    let rows: Vec<_> = (0..CALLERS)
        .map(|_| {
            let sessions = sessions.clone();
            begin(async move { sessions.create(user("5678")).await })
        })
        .collect();
    let lookups = all(asked).await.into_iter().map(Result::unwrap_err);
    let creates = all(rows).await.into_iter().map(Result::unwrap_err);
    for error in lookups.chain(creates) {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().contains("time-out"), "{error}");
    }
    drop(held);
    assert!(soon(sessions.authenticate(&token)).await.unwrap().is_some());
    assert_eq!(sessions.query().count().await.unwrap(), 1);
    sessions.database().close().await;
}

coalesced! {
    a_row_that_does_not_decode_fails_its_own_caller,
    a_statement_that_fails_fails_all_of_its_callers_with_the_cause,
    an_exhausted_pool_is_unavailable_to_all_who_wait,
}
