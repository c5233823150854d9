//! Sessions that another system has made.

use std::time::Duration;

use cloakroom::{ErrorKind, Hashing, ImportedSession, Sessions, Status, Token};
use cloakroom_testing::{START, TestDatabase, UserSession, each_database, user};
use uuid::Uuid;

const DAY: Duration = Duration::from_hours(24);

fn token(number: usize) -> Token {
    Token::import(format!("a-token-of-long-ago-{number}")).unwrap()
}

fn imported(number: usize) -> ImportedSession<UserSession> {
    ImportedSession::with_token(user(&number.to_string()), token(number))
}

async fn count(sessions: &Sessions<UserSession>) -> u64 {
    sessions.query().status(Status::All).count().await.unwrap()
}

async fn imported_sessions_go_on_with_their_tokens(db: TestDatabase) {
    let sessions = db.sessions_with::<UserSession>(db.config().max_lifetime(30 * DAY)).await;
    let id = Uuid::from_u128(7);
    let digest = Hashing::Sha256.digest(b"", token(1).expose().as_bytes()).unwrap();
    let digest = Hashing::Sha256.parse_digest(&digest.expose().to_uppercase()).unwrap();
    let mut all = vec![
        ImportedSession::with_digest(user("1"), digest).id(id).inserted_at(START - 20 * DAY),
        imported(2),
        ImportedSession::with_token(user("3").never_expires(), token(3)).inserted_at(START - 29 * DAY),
        ImportedSession::with_token(user("4"), token(4)).inserted_at(START - 31 * DAY),
    ];
    // Several statements, and one that is not full.
    all.extend((5..700).map(imported));
    sessions.import(all).await.unwrap();
    assert_eq!(count(&sessions).await, 699);

    let first = sessions.authenticate(token(1)).await.unwrap().unwrap();
    assert_eq!((first.id, &*first.fields.user_id), (id, "1"));
    assert_eq!((first.inserted_at, first.updated_at), (START - 20 * DAY, START));
    assert_eq!(first.expires_at, Some(START + 7 * DAY));
    let third = sessions.authenticate(token(3)).await.unwrap().unwrap();
    assert_eq!(third.expires_at, Some(START + DAY), "the absolute lifetime counts from the creation");
    assert!(sessions.authenticate(token(4)).await.unwrap().is_none(), "and has ended");
    assert!(sessions.authenticate(token(699)).await.unwrap().is_some());
    sessions.import(Vec::new()).await.unwrap();
}

async fn an_import_is_done_as_a_whole_or_not_at_all(db: TestDatabase) {
    let sessions = db.sessions::<UserSession>().await;
    sessions.import(vec![imported(600)]).await.unwrap();
    let with = |last: ImportedSession<UserSession>| (0..600).map(imported).chain([last]).collect::<Vec<_>>();
    let id = sessions.query().fetch_one().await.unwrap().id;
    let (taken, same_id) = (imported(600), imported(601).id(id));
    for (refused, kind) in [(taken, ErrorKind::DuplicateToken), (same_id, ErrorKind::Constraint)] {
        let error = sessions.import(with(refused)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    let early = imported(601).inserted_at(START + Duration::from_micros(1));
    let blank = ImportedSession::with_token(user(" "), token(601));
    for refused in [early, blank] {
        let error = sessions.import(with(refused)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidField, "{error}");
    }
    assert_eq!(count(&sessions).await, 1);
    let dropped = sessions.import(with(imported(601)));
    drop(dropped);
    assert_eq!(count(&sessions).await, 1);
}

each_database! { imported_sessions_go_on_with_their_tokens, an_import_is_done_as_a_whole_or_not_at_all }
