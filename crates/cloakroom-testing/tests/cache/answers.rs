//! What is answered out of memory, and what is not.

use std::time::Duration;

use cloakroom::{Cache, ErrorKind, Token};
use cloakroom_testing::{START, TestDatabase, each_database, user};
use serde_json::json;

use crate::scene::{Scene, deaf};

async fn a_hit_asks_the_database_nothing(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let created = sessions.create(user("1234").data(json!({"n": 1.5}))).await.unwrap();
    let read = sessions.authenticate(&created.token).await.unwrap();
    assert_eq!(read.as_ref(), Some(&created.session));

    scene.db.execute_anew(&format!("DROP TABLE {}", scene.table)).await;
    for _ in 0..3 {
        let mut kept = sessions.clone().authenticate(&created.token).await.unwrap().unwrap();
        assert_eq!(kept, created.session);
        // The answer is the caller's own.
        kept.fields.user_id.clear();
        *kept.data = json!(null);
    }
}

async fn a_session_that_was_just_made_is_not_kept_before_it_was_read(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let token = sessions.create(user("1234")).await.unwrap().token;
    assert!(!scene.is_kept(&sessions, &token).await);
    assert!(scene.is_kept(&sessions, &token).await);
}

async fn without_a_cache_nothing_is_kept(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(None));
    let token = scene.create().await;
    for _ in 0..3 {
        assert!(!scene.is_kept(&sessions, &token).await);
    }
}

async fn errors_are_not_kept(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let (known, unknown) = (scene.create().await, scene.create().await);
    sessions.authenticate(&known).await.unwrap().unwrap();
    let rename = |from: &str, to: &str| format!("ALTER TABLE {from} RENAME TO {to}");
    let away = format!("{}_away", scene.table);
    scene.db.execute_anew(&rename(&scene.table, &away)).await;
    for _ in 0..3 {
        let error = sessions.authenticate(&unknown).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingTable);
        assert!(sessions.authenticate(&known).await.unwrap().is_some());
        assert!(sessions.authenticate_fresh(&known).await.is_err());
    }
    scene.db.execute_anew(&rename(&away, &scene.table)).await;
    assert!(sessions.authenticate(&unknown).await.unwrap().is_some());
}

async fn absences_are_not_kept(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let token = Token::generate(64).unwrap();
    for _ in 0..3 {
        assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
    }
    let created = sessions.create(user("1234").import_token(token.clone())).await.unwrap();
    assert_eq!(sessions.authenticate(&token).await.unwrap(), Some(created.session));
}

async fn an_expired_session_is_not_kept(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let new = user("1234").expires_at(START);
    let token = sessions.create(new).await.unwrap().token;
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
    scene.set_column(&token, "expires_at = NULL").await;
    assert!(sessions.authenticate(&token).await.unwrap().is_some());
}

async fn what_cannot_be_a_token_is_refused(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let longest = "x".repeat(5000);
    for bytes in [&b""[..], b"\0", b"\xff\xfe", longest.as_bytes()] {
        assert_eq!(sessions.authenticate(bytes).await.unwrap(), None);
        assert_eq!(sessions.authenticate_fresh(bytes).await.unwrap(), None);
    }
}

async fn a_fresh_answer_comes_from_the_database_and_is_kept(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let token = scene.create().await;
    sessions.authenticate(&token).await.unwrap().unwrap();
    for name in ["one", "two"] {
        scene.set_column(&token, &format!("user_id = '{name}'")).await;
        let kept = sessions.authenticate(&token).await.unwrap().unwrap();
        assert_ne!(kept.fields.user_id, name);
        let fresh = sessions.authenticate_fresh(&token).await.unwrap().unwrap();
        assert_eq!(fresh.fields.user_id, name);
        assert_eq!(sessions.authenticate(&token).await.unwrap(), Some(fresh));
    }
    assert!(scene.is_kept(&sessions, &token).await);
}

async fn what_was_refused_when_asked_afresh_is_not_answered_out_of_memory(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let token = scene.create().await;
    sessions.authenticate(&token).await.unwrap().unwrap();
    scene.delete_row(&token).await;
    assert!(sessions.authenticate(&token).await.unwrap().is_some());
    assert_eq!(sessions.authenticate_fresh(&token).await.unwrap(), None);
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
}

async fn the_capacity_is_a_bound_and_the_least_recently_used_goes(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let cache = Cache::new(1).listen(false).max_staleness(Duration::from_mins(1));
    let sessions = scene.node(scene.db.config().cache(cache));
    let mut tokens = Vec::new();
    for _ in 0..64 {
        tokens.push(scene.create().await);
    }
    let (often, once) = tokens.split_at(8);
    for token in often {
        sessions.authenticate(token).await.unwrap().unwrap();
        scene.set_column(token, "user_id = 'changed'").await;
    }
    for token in once {
        sessions.authenticate(token).await.unwrap().unwrap();
        for token in often {
            let kept = sessions.authenticate(token).await.unwrap().unwrap();
            assert_ne!(kept.fields.user_id, "changed", "it was pushed out by what is not used again");
        }
    }
    for token in &tokens {
        scene.delete_row(token).await;
    }
    let mut kept = 0;
    for token in &tokens {
        kept += usize::from(sessions.authenticate(token).await.unwrap().is_some());
    }
    // Two sets of sixteen are the least that there are.
    assert_eq!(kept, 32);
}

async fn what_is_never_extended_by_a_read_is_kept_until_it_expires(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let cache = deaf().max_staleness(Duration::from_hours(24 * 30));
    let sessions = scene.node(scene.db.config().auto_extend(false).cache(cache));
    let token = scene.create().await;
    sessions.authenticate(&token).await.unwrap().unwrap();
    // With `auto_extend`, an extension would be due from the second day on.
    for _ in 0..6 {
        scene.db.clock().advance(Duration::from_hours(24));
        assert!(scene.is_kept(&sessions, &token).await);
    }
    scene.db.clock().advance(Duration::from_hours(24));
    assert_eq!(sessions.authenticate(&token).await.unwrap(), None);
}

async fn made_up_tokens_take_no_room(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(Cache::new(8).listen(false)));
    let token = scene.create().await;
    sessions.authenticate(&token).await.unwrap().unwrap();
    for _ in 0..50 {
        assert_eq!(sessions.authenticate(Token::generate(64).unwrap()).await.unwrap(), None);
    }
    assert!(scene.is_kept(&sessions, &token).await);
}

async fn a_session_with_much_data_is_read_each_time(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(Cache::new(16).listen(false)));
    for (length, is_kept) in [(60 * 1024, true), (70 * 1024, false)] {
        let new = user("1234").data(json!({ "x": "x".repeat(length) }));
        let token = sessions.create(new).await.unwrap().token;
        sessions.authenticate(&token).await.unwrap().unwrap();
        assert_eq!(scene.is_kept(&sessions, &token).await, is_kept, "{length}");
        assert!(sessions.authenticate(&token).await.unwrap().is_some());
    }
}

each_database! {
    a_session_with_much_data_is_read_each_time,
    a_hit_asks_the_database_nothing,
    a_session_that_was_just_made_is_not_kept_before_it_was_read,
    without_a_cache_nothing_is_kept,
    errors_are_not_kept,
    absences_are_not_kept,
    an_expired_session_is_not_kept,
    what_cannot_be_a_token_is_refused,
    a_fresh_answer_comes_from_the_database_and_is_kept,
    what_was_refused_when_asked_afresh_is_not_answered_out_of_memory,
    the_capacity_is_a_bound_and_the_least_recently_used_goes,
    what_is_never_extended_by_a_read_is_kept_until_it_expires,
    made_up_tokens_take_no_room,
}
