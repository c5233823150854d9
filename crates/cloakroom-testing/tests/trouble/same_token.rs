use cloakroom::{ErrorKind, Hashing, Status, Token};
use cloakroom_testing::{TestDatabase, UserSession, each_database, user};
use futures_util::future::join_all;

async fn of_creates_with_one_token_exactly_one_wins(db: TestDatabase) {
    for hashing in [Hashing::Sha256, Hashing::DangerousPlaintext] {
        let sessions = db.sessions_with::<UserSession>(db.config().hashing(hashing)).await;
        for round in 0..10 {
            let token = Token::generate(64).unwrap();
            let creates = (0..8).map(|n| {
                let (sessions, token) = (sessions.clone(), token.clone());
                tokio::spawn(async move { sessions.create(user(&format!("{n}")).import_token(token)).await })
            });
            let mut winner = None;
            for result in join_all(creates).await {
                match result.unwrap() {
                    Ok(won) => assert!(winner.replace(won.session).is_none(), "two won round {round}"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::DuplicateToken, "{error:?}"),
                }
            }
            assert!(winner.is_some(), "none won round {round}");
            assert_eq!(sessions.authenticate(&token).await.unwrap(), winner);
        }
        let count = sessions.query().status(Status::All).delete_all().await.unwrap();
        assert_eq!(count, 10);
    }
}

async fn the_token_of_an_expired_session_is_still_taken(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    let mut created = sessions.create(user("1234")).await.unwrap();
    sessions.expire(&mut created.session).await.unwrap();
    let error = sessions.create(user("5678").import_token(created.token.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DuplicateToken, "{error:?}");
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
}

async fn a_value_that_names_the_digest_is_no_duplicate_token(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    db.execute("CREATE UNIQUE INDEX one_session_each ON sessions (user_id)").await;
    for user_id in
        ["auth_token_digest", "x' for key 'sessions_auth_token_digest_index", "sessions.auth_token_digest"]
    {
        sessions.create(user(user_id)).await.unwrap();
        let error = sessions.create(user(user_id)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Constraint, "{error:?}");
    }
}

each_database! {
    a_value_that_names_the_digest_is_no_duplicate_token,
    of_creates_with_one_token_exactly_one_wins,
    the_token_of_an_expired_session_is_still_taken,
}
