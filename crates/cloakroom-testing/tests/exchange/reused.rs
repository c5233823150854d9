//! An old token that comes again ends its session, and what has ended exchanges nothing.

use cloakroom::{ErrorKind, Exchange, Outcome, Sessions, Status, Token};
use cloakroom_testing::{TestDatabase, each_mode};
use serde_json::json;

use crate::{App, DAY, SECOND, app, assert_reused, count, exchanged, seals};

/// A session's tokens, the present one last.
async fn chain(sessions: &Sessions<App>, length: usize) -> Vec<Token> {
    let mut tokens = vec![sessions.create(app("1234")).await.unwrap().token];
    while tokens.len() < length {
        let next = exchanged(sessions, tokens.last().unwrap()).await;
        tokens.push(next.token);
    }
    tokens
}

async fn every_older_ancestor_ends_the_family_within_the_grace_too(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    for old in 0..3 {
        let tokens = chain(&sessions, 5).await;
        assert_reused(&sessions, &tokens[old], &tokens[4]).await;
    }
    // The last one's predecessor is answered.
    let tokens = chain(&sessions, 5).await;
    assert_eq!(exchanged(&sessions, &tokens[3]).await.token, tokens[4]);
}

async fn every_ancestor_ends_the_family_however_old_also_after_the_pruner_ran(db: TestDatabase) {
    let sessions = db.sessions_with::<App>(db.config().ttl(None)).await;
    for old in 0..5 {
        let tokens = chain(&sessions, 6).await;
        for _ in 0..2 {
            db.clock().advance(DAY * 400);
            sessions.delete_expired().await.unwrap();
        }
        assert_eq!(seals(&db).await, 0);
        assert_reused(&sessions, &tokens[old], &tokens[5]).await;
    }
}

async fn an_ancestor_of_another_branch_ends_the_family_within_its_grace_too(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    let created = sessions.create(app("1234")).await.unwrap();
    let mut next = exchanged(&sessions, &created.token).await;
    let rotated = sessions.rotate(&mut next.session).await.unwrap();
    // What was rotated away is no ancestor.
    assert!(sessions.exchange(&next.token).await.unwrap().is_none());
    assert!(sessions.authenticate(&rotated).await.unwrap().is_some());
    assert_reused(&sessions, &created.token, &rotated).await;
}

async fn reuse_ends_the_session_and_no_other_and_says_which(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    let other = sessions.create(app("5678")).await.unwrap();
    let tokens = chain(&sessions, 3).await;
    let mut read = sessions.authenticate(&tokens[2]).await.unwrap().unwrap();
    // The session is ended whatever was written to it since.
    *read.data = json!({"written": "meanwhile"});
    sessions.update(&mut read).await.unwrap();
    db.clock().advance(SECOND);
    let Some(Exchange::Reused(session)) = sessions.exchange(&tokens[0]).await.unwrap() else {
        panic!("it is reused");
    };
    assert_eq!(
        (session.id, &session.fields.user_id, &session.data),
        (read.id, &"1234".to_owned(), &read.data)
    );
    assert_eq!(session.expires_at, Some(db.now()));
    assert_eq!(sessions.query().status(Status::Expired).fetch_one().await.unwrap(), session);
    assert_eq!(seals(&db).await, 0);
    assert!(sessions.authenticate(&other.token).await.unwrap().is_some());
    let error = sessions.update(&mut read).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

async fn what_has_ended_exchanges_nothing(db: TestDatabase) {
    let sessions = db.sessions_with::<App>(db.config().ttl(DAY)).await;
    for how in ["expire", "expire all", "delete", "delete all", "expiry", "absolute"] {
        let tokens = chain(&sessions, 3).await;
        let mut session = sessions.authenticate(&tokens[2]).await.unwrap().unwrap();
        let mine = || sessions.query().id(session.id);
        match how {
            "expire" => assert!(sessions.expire(&mut session).await.unwrap()),
            "expire all" => assert_eq!(mine().expire_all().await.unwrap(), 1),
            "delete" => assert!(sessions.delete(session).await.unwrap()),
            "delete all" => assert_eq!(mine().delete_all().await.unwrap(), 1),
            "expiry" => {
                session.expires_at = Some(db.now() + SECOND);
                sessions.update(&mut session).await.unwrap();
                db.clock().advance(SECOND);
            }
            _ => db.clock().advance(DAY),
        }
        // The present token, its predecessor within the grace, and an older one.
        for token in tokens.iter().rev() {
            assert!(sessions.exchange(token).await.unwrap().is_none(), "{how}");
        }
        assert_eq!(sessions.query().count().await.unwrap(), 0, "{how}");
    }
}

async fn a_seal_that_does_not_open_is_reuse(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    let one = chain(&sessions, 2).await;
    let other = chain(&sessions, 2).await;
    assert_eq!(exchanged(&sessions, &one[0]).await.token, one[1]);
    // One who can write to the database gives a row the seal of another, or one of their own.
    db.execute(
        "UPDATE app_sessions_retired_tokens SET sealed = (SELECT sealed FROM (SELECT sealed \
         FROM app_sessions_retired_tokens ORDER BY token_digest LIMIT 1) AS one)",
    )
    .await;
    let mut answers = Vec::new();
    for tokens in [&one, &other] {
        answers.push(sessions.exchange(&tokens[0]).await.unwrap().unwrap().is_reused());
    }
    answers.sort_unstable();
    assert_eq!(answers, [false, true]);
}

async fn a_session_that_does_not_decode_is_ended_all_the_same(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    let tokens = chain(&sessions, 3).await;
    let is_sqlite = db.kind() == cloakroom_testing::Kind::Sqlite;
    if !is_sqlite {
        // Other databases check what is stored.
        return;
    }
    db.execute("UPDATE app_sessions SET data = 'no JSON'").await;
    let error = sessions.exchange(&tokens[2]).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Decode, Outcome::NotDone));
    let error = sessions.exchange(&tokens[0]).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Decode, Outcome::Done));
    assert_eq!(count(&db, "app_sessions WHERE expires_at > updated_at").await, 0);
    for token in &tokens {
        assert!(sessions.exchange(token).await.unwrap().is_none());
    }
}

each_mode! {
    every_older_ancestor_ends_the_family_within_the_grace_too,
    every_ancestor_ends_the_family_however_old_also_after_the_pruner_ran,
    an_ancestor_of_another_branch_ends_the_family_within_its_grace_too,
    reuse_ends_the_session_and_no_other_and_says_which,
    what_has_ended_exchanges_nothing,
    a_seal_that_does_not_open_is_reuse,
    a_session_that_does_not_decode_is_ended_all_the_same,
}
