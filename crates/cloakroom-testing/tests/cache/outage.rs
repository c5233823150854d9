//! The server goes and comes back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cloakroom::{Config, NewSession, Sessions, Token};
use cloakroom_testing::servers::{self, Server};
use cloakroom_testing::{UserSession, user};
use sqlx::postgres::PgPoolOptions;

use crate::scene::{listening, until};

async fn kept(sessions: &Sessions<UserSession>, token: &Token, strict: &Sessions<UserSession>) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    until("the session is kept", async || {
        let mut session = strict.authenticate(token).await.unwrap().unwrap();
        session.fields.user_id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        strict.update(&mut session).await.unwrap();
        sessions.authenticate(token).await.unwrap().unwrap().fields.user_id != session.fields.user_id
    })
    .await;
}

async fn goes_and_comes_back(mut server: Server) {
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_millis(300));
    let pool = pool.connect_lazy(server.url()).unwrap();
    let cached = Config::builder().cache(listening()).build().unwrap();
    let sessions = Sessions::<UserSession>::new(pool.clone(), cached).unwrap();
    let silent = Config::builder().announce(false).build().unwrap();
    let strict = Sessions::<UserSession>::new(pool.clone(), silent).unwrap();
    sessions.migrate().await.unwrap();
    let new = || -> NewSession<UserSession> { user("1234") };
    let (token, other) = (sessions.create(new()).await.unwrap(), sessions.create(new()).await.unwrap());
    for kill in [false, true] {
        for created in [&token, &other] {
            kept(&sessions, &created.token, &strict).await;
        }
        if kill {
            server.kill();
        } else {
            server.stop();
        }
        // Once the end is noticed, what cannot be asked for is an error, and never an absence.
        until("the end is noticed", async || {
            let answer = sessions.authenticate(&token.token).await;
            assert!(!matches!(answer, Ok(None)));
            answer.is_err()
        })
        .await;
        sessions.authenticate(&other.token).await.unwrap_err();
        server.start().unwrap();
        until("the database answers", async || strict.authenticate(&token.token).await.is_ok()).await;
        until("the database answers", async || sessions.authenticate(&token.token).await.is_ok()).await;
    }
    kept(&sessions, &other.token, &strict).await;
    // It hears again what others revoke.
    let elsewhere = Sessions::<UserSession>::new(pool.clone(), Config::default()).unwrap();
    let mut session = elsewhere.authenticate(&other.token).await.unwrap().unwrap();
    assert!(elsewhere.expire(&mut session).await.unwrap());
    until("the node refuses", async || sessions.authenticate(&other.token).await.unwrap().is_none()).await;
    drop(sessions);
    pool.close().await;
}

mod postgres {
    #[test]
    #[cfg_attr(not(feature = "servers"), ignore = "PostgreSQL: run `cargo xtask test`")]
    fn a_server_that_is_away_is_an_error_and_back_again_it_is_heard() {
        let server = super::servers::postgres().unwrap();
        tokio::runtime::Runtime::new().unwrap().block_on(super::goes_and_comes_back(server));
    }
}
