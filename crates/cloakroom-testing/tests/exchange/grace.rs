//! Rotation with a grace: the old key works until then, and no longer.

use std::time::Duration;

use cloakroom::{ErrorKind, Key as SchemeKey, Scheme, Sessions, Token, TokenFormat};
use cloakroom_testing::{START, TestDatabase, each_mode};
use serde_json::json;

use crate::{DAY, Key, MICROSECOND, SECOND, count, key};

async fn works(sessions: &Sessions<Key>, token: &Token) -> bool {
    sessions.authenticate(token).await.unwrap().is_some()
}

async fn the_old_key_works_until_then_and_no_longer(db: TestDatabase) {
    let sessions = db.sessions::<Key>().await;
    let mut created = sessions.create(key("1234")).await.unwrap();
    assert_eq!(sessions.authenticate(&created.token).await.unwrap().unwrap().old_token_until(), None);
    let new = sessions.rotate_with_grace(&mut created.session, SECOND * 3600).await.unwrap();
    let until = START + Duration::from_hours(1);
    for wait in [Duration::ZERO, SECOND, (SECOND * 3599).saturating_sub(MICROSECOND)] {
        db.clock().advance(wait);
        // Twice: a cache would know it by then.
        for _ in 0..2 {
            let by_old = sessions.authenticate(&created.token).await.unwrap().unwrap();
            assert_eq!((by_old.id, by_old.old_token_until()), (created.session.id, Some(until)));
            let by_new = sessions.authenticate(&new).await.unwrap().unwrap();
            assert_eq!((&by_new, by_new.old_token_until()), (&created.session, None));
            let looked = sessions.authenticate_without_extending(&created.token).await.unwrap().unwrap();
            assert_eq!((&looked, looked.old_token_until()), (&created.session, Some(until)));
            assert!(sessions.authenticate_fresh(&created.token).await.unwrap().is_some());
        }
    }
    db.clock().advance(MICROSECOND);
    assert!(!works(&sessions, &created.token).await);
    assert!(sessions.authenticate_fresh(&created.token).await.unwrap().is_none());
    assert!(works(&sessions, &new).await);
    assert!(!works(&sessions, &Token::generate(64).unwrap()).await);
}

async fn lists_show_which_keys_work(db: TestDatabase) {
    let live = TokenFormat::prefixed("acme_live").unwrap();
    let sessions = db.sessions_with::<Key>(db.config().token_format(live.clone())).await;
    let mut created = sessions.create(key("1234")).await.unwrap();
    assert_eq!(sessions.retired_tokens(&created.session).await.unwrap(), []);
    let second = sessions.rotate_with_grace(&mut created.session, DAY).await.unwrap();
    assert_eq!(created.session.hint(), Some(&*live.hint(&second)));
    db.clock().advance(SECOND);
    let third = sessions.rotate_with_grace(&mut created.session, DAY * 2).await.unwrap();
    assert_eq!(created.session.hint(), Some(&*live.hint(&third)));
    let listed = sessions.retired_tokens(&created.session).await.unwrap();
    let shown: Vec<_> =
        listed.iter().map(|old| (old.retired_at, old.usable_until, old.hint.clone())).collect();
    let after = START + SECOND;
    assert_eq!(
        shown,
        [
            (after, after + DAY * 2, Some(live.hint(&second))),
            (START, START + DAY, Some(live.hint(&created.token)))
        ]
    );
    db.clock().set(START + DAY);
    assert_eq!(sessions.retired_tokens(&created.session).await.unwrap(), listed[..1]);
    let mut transaction = sessions.begin().await.unwrap();
    let within = sessions.within(&mut transaction).retired_tokens(&created.session).await.unwrap();
    assert_eq!(within, listed[..1]);
    transaction.rollback().await.unwrap();
    db.clock().set(START + DAY * 3);
    assert_eq!(sessions.retired_tokens(&created.session).await.unwrap(), []);
}

async fn a_further_rotation_shortens_the_time_of_an_older_key_and_never_lengthens_it(db: TestDatabase) {
    let sessions = db.sessions::<Key>().await;
    for (first, second, ends) in [(10, 5, 5), (5, 10, 5), (10, 0, 0)] {
        let mut created = sessions.create(key("1234")).await.unwrap();
        let middle = sessions.rotate_with_grace(&mut created.session, SECOND * first).await.unwrap();
        let last = sessions.rotate_with_grace(&mut created.session, SECOND * second).await.unwrap();
        for passed in 0..=10 {
            assert_eq!(works(&sessions, &created.token).await, passed < ends, "{first} {second} {passed}");
            assert_eq!(works(&sessions, &middle).await, passed < second, "{first} {second} {passed}");
            assert!(works(&sessions, &last).await);
            db.clock().advance(SECOND);
        }
    }
}

async fn a_rotation_without_a_grace_leaves_no_old_key_good(db: TestDatabase) {
    let sessions = db.sessions::<Key>().await;
    let mut created = sessions.create(key("1234")).await.unwrap();
    let second = sessions.rotate_with_grace(&mut created.session, DAY).await.unwrap();
    assert!(works(&sessions, &created.token).await);
    let third = sessions.rotate(&mut created.session).await.unwrap();
    for old in [&created.token, &second] {
        assert!(!works(&sessions, old).await);
    }
    assert_eq!(sessions.authenticate(&third).await.unwrap(), Some(created.session.clone()));
    assert_eq!(sessions.retired_tokens(&created.session).await.unwrap(), []);
}

async fn an_old_key_ends_with_its_session(db: TestDatabase) {
    let sessions = db.sessions_with::<Key>(db.config().ttl(DAY)).await;
    for how in ["expire", "expire all", "delete", "delete all", "expiry"] {
        let mut created = sessions.create(key("1234")).await.unwrap();
        sessions.rotate_with_grace(&mut created.session, DAY * 7).await.unwrap();
        assert!(works(&sessions, &created.token).await);
        let mine = || sessions.query().id(created.session.id);
        match how {
            "expire" => assert!(sessions.expire(&mut created.session.clone()).await.unwrap()),
            "expire all" => assert_eq!(mine().expire_all().await.unwrap(), 1),
            "delete" => assert!(sessions.delete(created.session.clone()).await.unwrap()),
            "delete all" => assert_eq!(mine().delete_all().await.unwrap(), 1),
            _ => db.clock().advance(DAY),
        }
        assert!(!works(&sessions, &created.token).await, "{how}");
    }
}

async fn a_session_that_was_found_by_an_old_key_is_used_like_any_other(db: TestDatabase) {
    let sessions = db.sessions_with::<Key>(db.config().ttl(DAY * 7).extend_after(DAY)).await;
    let mut created = sessions.create(key("1234")).await.unwrap();
    let new = sessions.rotate_with_grace(&mut created.session, DAY * 5).await.unwrap();
    db.clock().advance(DAY * 2);
    let looked = sessions.authenticate_without_extending(&created.token).await.unwrap().unwrap();
    assert_eq!(looked.expires_at, Some(START + DAY * 7));
    let mut by_old = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!((by_old.expires_at, by_old.old_token_until()), (Some(START + DAY * 9), Some(START + DAY * 5)));
    *by_old.data = json!({"seen": true});
    sessions.update(&mut by_old).await.unwrap();
    assert_eq!(sessions.authenticate(&new).await.unwrap(), Some(by_old.clone()));
    // It may replace the key that it was not found by.
    let third = sessions.rotate_with_grace(&mut by_old, DAY).await.unwrap();
    for token in [&created.token, &new, &third] {
        assert!(works(&sessions, token).await);
    }
    assert!(sessions.expire(&mut by_old).await.unwrap());
    for token in [&created.token, &new, &third] {
        assert!(!works(&sessions, token).await);
    }
}

async fn a_rotation_of_what_has_changed_or_ended_rotates_nothing(db: TestDatabase) {
    let sessions = db.sessions::<Key>().await;
    let mut created = sessions.create(key("1234")).await.unwrap();
    let mut stale = created.session.clone();
    *created.session.data = json!({"written": true});
    sessions.update(&mut created.session).await.unwrap();
    for rotated in [sessions.rotate_with_grace(&mut stale, DAY).await, sessions.rotate(&mut stale).await] {
        assert_eq!(rotated.unwrap_err().kind(), ErrorKind::Conflict);
    }
    assert_eq!(count(&db, "keys_retired_tokens").await, 0);
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(created.session.clone()));
    sessions.expire(&mut created.session).await.unwrap();
    let error = sessions.rotate_with_grace(&mut created.session, DAY).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
    let mut gone = sessions.create(key("5678")).await.unwrap().session;
    sessions.delete(gone.clone()).await.unwrap();
    for rotated in [sessions.rotate_with_grace(&mut gone, DAY).await, sessions.rotate(&mut gone).await] {
        assert_eq!(rotated.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

async fn a_rolled_back_rotation_retires_nothing(db: TestDatabase) {
    let sessions = db.sessions::<Key>().await;
    let created = sessions.create(key("1234")).await.unwrap();
    let mut session = created.session.clone();
    let mut transaction = sessions.begin().await.unwrap();
    let mut within = sessions.within(&mut transaction);
    let undone = within.rotate_with_grace(&mut session, DAY).await.unwrap();
    assert!(within.authenticate(&undone).await.unwrap().is_some());
    assert!(within.authenticate(&created.token).await.unwrap().unwrap().old_token_until().is_some());
    transaction.rollback().await.unwrap();
    assert!(!works(&sessions, &undone).await);
    let found = sessions.authenticate(&created.token).await.unwrap().unwrap();
    assert_eq!((&found, found.old_token_until()), (&created.session, None));
    assert_eq!(count(&db, "keys_retired_tokens").await, 0);
}

async fn old_keys_are_known_under_every_scheme(db: TestDatabase) {
    let sha256 = db.sessions::<Key>().await;
    let mut created = sha256.create(key("1234")).await.unwrap();
    let scheme_key = SchemeKey::generate().unwrap();
    let schemes = || [Scheme::hmac_sha256("2026-11", &scheme_key), Scheme::sha256()];
    let keyed = db.sessions_with::<Key>(db.config().digests(schemes())).await;
    let new = keyed.rotate_with_grace(&mut created.session, DAY).await.unwrap();
    for token in [&created.token, &new] {
        assert!(works(&keyed, token).await);
    }
}

async fn a_prune_deletes_keys_whose_time_is_over(db: TestDatabase) {
    let sessions = db.sessions_with::<Key>(db.config().ttl(None)).await;
    let mut created = sessions.create(key("1234")).await.unwrap();
    sessions.rotate_with_grace(&mut created.session, DAY).await.unwrap();
    sessions.rotate_with_grace(&mut created.session, DAY * 2).await.unwrap();
    for (passed, left) in [(DAY, 2), (SECOND * 59, 2), (SECOND, 1), (DAY, 0)] {
        db.clock().advance(passed);
        sessions.delete_expired().await.unwrap();
        assert_eq!(count(&db, "keys_retired_tokens").await, left);
    }
}

each_mode! {
    the_old_key_works_until_then_and_no_longer,
    lists_show_which_keys_work,
    a_further_rotation_shortens_the_time_of_an_older_key_and_never_lengthens_it,
    a_rotation_without_a_grace_leaves_no_old_key_good,
    an_old_key_ends_with_its_session,
    a_session_that_was_found_by_an_old_key_is_used_like_any_other,
    a_rotation_of_what_has_changed_or_ended_rotates_nothing,
    a_rolled_back_rotation_retires_nothing,
    old_keys_are_known_under_every_scheme,
    a_prune_deletes_keys_whose_time_is_over,
}
