//! Every operation of the library, for tests of what holds for all of them.

use std::time::{Duration, Instant};

use cloakroom::{Error, Session, Sessions, Status, Token};
use cloakroom_testing::{UserSession, user};
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, TryStreamExt};

/// How an operation ended, and how long it took.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) operation: &'static str,
    pub(crate) error: Option<Error>,
    pub(crate) took: Duration,
}

/// Runs every operation on `session`, all at once.
pub(crate) async fn every_operation(
    sessions: &Sessions<UserSession>,
    session: &Session<UserSession>,
    token: &Token,
) -> Vec<Outcome> {
    every_operation_but(&[], sessions, session, token).await
}

/// Runs every operation but some.
pub(crate) async fn every_operation_but(
    left_out: &[&str],
    sessions: &Sessions<UserSession>,
    session: &Session<UserSession>,
    token: &Token,
) -> Vec<Outcome> {
    let query = || sessions.query().status(Status::All);
    let mut operations: Vec<(&'static str, BoxFuture<'_, Result<(), Error>>)> = vec![
        ("create", async { sessions.create(user("new")).await.map(drop) }.boxed()),
        (
            "authenticate",
            async {
                let found = sessions.authenticate(token).await?;
                assert!(found.is_some(), "trouble looks like being signed out");
                Ok(())
            }
            .boxed(),
        ),
        ("reload", async { sessions.reload(&mut session.clone()).await }.boxed()),
        ("update", async { sessions.update(&mut session.clone()).await }.boxed()),
        ("update_with", async { sessions.update_with(&mut session.clone(), |_| ()).await }.boxed()),
        ("extend", async { sessions.extend(&mut session.clone()).await.map(drop) }.boxed()),
        ("expire", async { sessions.expire(&mut session.clone()).await.map(drop) }.boxed()),
        ("rotate", async { sessions.rotate(&mut session.clone()).await.map(drop) }.boxed()),
        ("delete", async { sessions.delete(session.clone()).await.map(drop) }.boxed()),
        ("delete_expired", async { sessions.delete_expired().await.map(drop) }.boxed()),
        ("fetch_one", async { query().id(session.id).fetch_one().await.map(drop) }.boxed()),
        ("fetch_optional", async { query().id(session.id).fetch_optional().await.map(drop) }.boxed()),
        ("fetch_all", async { query().fetch_all().await.map(drop) }.boxed()),
        ("stream", async { query().stream().try_collect::<Vec<_>>().await.map(drop) }.boxed()),
        ("count", async { query().count().await.map(drop) }.boxed()),
        ("exists", async { query().exists().await.map(drop) }.boxed()),
        ("expire_all", async { query().expire_all().await.map(drop) }.boxed()),
        ("delete_all", async { query().delete_all().await.map(drop) }.boxed()),
        (
            "has_many",
            async {
                let owners = ["1234".to_owned()];
                sessions.query().has_many(UserSession::USER_ID, owners).await.map(drop)
            }
            .boxed(),
        ),
    ];
    operations.retain(|(operation, _)| !left_out.contains(operation));
    join_all(operations.into_iter().map(|(operation, future)| async move {
        let start = Instant::now();
        let error = future.await.err();
        Outcome { operation, error, took: start.elapsed() }
    }))
    .await
}
