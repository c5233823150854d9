//! Several schemes side by side: tokens are found under each, and stored under the newest.

use std::time::Duration;

use cloakroom::{Hashing, Key, Scheme, Sessions, Token};
use cloakroom_testing::{START, TestDatabase, UserSession, at_once, each_mode, listening, user};

fn key(number: u8) -> Key {
    Key::from_bytes([number; 32]).unwrap()
}

pub(crate) fn old_key() -> Scheme {
    Scheme::hmac_sha256("2025-04", &key(1))
}

pub(crate) fn new_key() -> Scheme {
    Scheme::hmac_sha256("2026-11", &key(2))
}

/// A scheme of every kind that can stand first.
pub(crate) fn own_schemes() -> Vec<Scheme> {
    vec![
        new_key(),
        old_key(),
        Scheme::hmac_sha512("long", &key(3)),
        Scheme::sha256(),
        Scheme::hashed(Hashing::Sha512),
        Scheme::salted(Hashing::Sha384, "pepper"),
    ]
}

pub(crate) async fn with(
    db: &TestDatabase,
    schemes: impl IntoIterator<Item = Scheme>,
) -> Sessions<UserSession> {
    db.sessions_with(db.config().digests(schemes)).await
}

pub(crate) async fn is_valid(sessions: &Sessions<UserSession>, token: impl AsRef<[u8]>) -> bool {
    sessions.authenticate(token).await.unwrap().is_some()
}

pub(crate) async fn stored(db: &TestDatabase) -> Vec<String> {
    let stored =
        db.texts("SELECT auth_token_digest FROM sessions WHERE user_id <> 'nobody' ORDER BY id").await;
    stored.into_iter().map(Option::unwrap).collect()
}

pub(crate) fn digest(scheme: &Scheme, token: impl AsRef<[u8]>) -> String {
    scheme.digest(token).unwrap().expose().to_owned()
}

async fn a_token_is_found_under_an_older_scheme_and_stored_under_the_newest(db: TestDatabase) {
    for older in own_schemes().into_iter().skip(1) {
        let before = with(&db, [older.clone()]).await;
        let created = before.create(user("1")).await.unwrap();
        let token = &created.token;
        assert_eq!(stored(&db).await, [digest(&older, token)]);

        let both = with(&db, [new_key(), Scheme::hashed(Hashing::Sha224), older.clone()]).await;
        let found = both.authenticate(token).await.unwrap().unwrap();
        assert_eq!(stored(&db).await, [digest(&new_key(), token)], "{older:?}");
        assert_eq!((found.id, &found.fields, found.expires_at), {
            let session = &created.session;
            (session.id, &session.fields, session.expires_at)
        });
        // What was returned is as the row is.
        let mut found = found;
        found.fields.user_id = "2".into();
        both.update(&mut found).await.unwrap();
        assert!(is_valid(&both, token).await && is_valid(&with(&db, [new_key()]).await, token).await);
        assert!(!is_valid(&with(&db, [older]).await, token).await);
        both.delete(found).await.unwrap();
    }
}

async fn the_order_of_the_list_says_where_new_tokens_go(db: TestDatabase) {
    let sessions = with(&db, own_schemes()).await;
    let mut created = sessions.create(user("1")).await.unwrap();
    assert_eq!(stored(&db).await, [digest(&new_key(), &created.token)]);
    let token = sessions.rotate(&mut created.session).await.unwrap();
    assert_eq!(stored(&db).await, [digest(&new_key(), &token)]);
    assert!(!is_valid(&sessions, &created.token).await);
    let with_token = user("2").import_token(Token::import("a-token-of-long-ago").unwrap());
    let imported = sessions.create(with_token).await.unwrap();
    assert!(stored(&db).await.contains(&digest(&new_key(), &imported.token)));
}

async fn what_ends_a_session_ends_it_under_every_scheme(db: TestDatabase) {
    let before = with(&db, [old_key()]).await;
    let sessions = with(&db, [new_key(), old_key()]).await;
    let tokens =
        [before.create(user("1")).await.unwrap().token, sessions.create(user("1")).await.unwrap().token];
    for token in &tokens {
        assert!(is_valid(&sessions, token).await);
    }
    assert_eq!(sessions.query().filter(UserSession::USER_ID.eq("1")).expire_all().await.unwrap(), 2);
    for token in &tokens {
        assert!(!is_valid(&sessions, token).await && !is_valid(&before, token).await);
    }
    // An expired session is not stored anew.
    let late = before.create(user("1")).await.unwrap().token;
    db.clock().set(START + Duration::from_hours(24 * 30));
    assert!(!is_valid(&sessions, &late).await);
    assert!(stored(&db).await.contains(&digest(&old_key(), &late)));
}

async fn a_due_extension_is_written_too(db: TestDatabase) {
    let created = with(&db, [old_key()]).await.create(user("1")).await.unwrap();
    let sessions = with(&db, [new_key(), old_key()]).await;
    db.clock().advance(Duration::from_hours(48));
    let found = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!(found.expires_at, Some(db.now() + Duration::from_hours(24 * 7)));
    assert_eq!(stored(&db).await, [digest(&new_key(), &created.token)]);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap().unwrap(), found);
}

async fn what_only_looks_leaves_the_row_as_it_is(db: TestDatabase) {
    let created = with(&db, [old_key()]).await.create(user("1")).await.unwrap();
    let (token, session) = (&created.token, Some(created.session));
    let sessions = with(&db, [new_key(), old_key()]).await;
    assert_eq!(sessions.authenticate_without_extending(token).await.unwrap(), session);
    assert_eq!(sessions.query().token(token).fetch_optional().await.unwrap(), session);
    assert_eq!(sessions.query().token(token).expire_all().await.unwrap(), 1);
    let other = with(&db, [old_key()]).await.create(user("1")).await.unwrap();
    let mut transaction = sessions.begin().await.unwrap();
    let mut within = sessions.within(&mut transaction);
    assert_eq!(within.authenticate(&other.token).await.unwrap(), Some(other.session));
    transaction.commit().await.unwrap();
    assert_eq!(stored(&db).await, [digest(&old_key(), token), digest(&old_key(), &other.token)]);
    assert!(is_valid(&sessions, &other.token).await);
    assert_eq!(stored(&db).await, [digest(&old_key(), token), digest(&new_key(), &other.token)]);
}

async fn a_session_that_is_stored_anew_is_announced(db: TestDatabase) {
    let before = with(&db, [old_key()]).await;
    let token = before.create(user("1")).await.unwrap().token;
    // From now on the cache of this process answers, which does not know the new key.
    while at_once(before.authenticate(&token)).is_none() {
        assert!(is_valid(&before, &token).await);
    }
    assert!(is_valid(&with(&db, [new_key(), old_key()]).await, &token).await);
    while is_valid(&before, &token).await {
        tokio::task::yield_now().await;
    }
}

listening! {
    a_session_that_is_stored_anew_is_announced,
    a_token_is_found_under_an_older_scheme_and_stored_under_the_newest,
    the_order_of_the_list_says_where_new_tokens_go,
    what_ends_a_session_ends_it_under_every_scheme,
    a_due_extension_is_written_too,
    what_only_looks_leaves_the_row_as_it_is,
}

each_mode! {
    a_token_is_found_under_an_older_scheme_and_stored_under_the_newest,
    the_order_of_the_list_says_where_new_tokens_go,
    what_ends_a_session_ends_it_under_every_scheme,
    a_due_extension_is_written_too,
    what_only_looks_leaves_the_row_as_it_is,
}
