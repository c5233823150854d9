//! What is kept of tokens that were exchanged, and for how long.

use std::time::Duration;

use cloakroom_testing::{Kind, TestDatabase, each_database};

use crate::{App, SECOND, app, assert_reused, count, exchanged, seals};

/// All that the table of old tokens holds, in hexadecimal where it is not text.
async fn stored(db: &TestDatabase) -> String {
    let hex = |column: &str| match db.kind() {
        Kind::Postgres => format!("encode({column}, 'hex')"),
        Kind::Sqlite | Kind::MariaDb => format!("HEX({column})"),
    };
    let mut all = String::new();
    let sealed = hex("sealed");
    for column in ["token_digest", "hint", &*sealed] {
        for text in db.texts(&format!("SELECT {column} FROM app_sessions_retired_tokens")).await {
            all.push_str(&text.unwrap_or_default().to_lowercase());
            all.push('\n');
        }
    }
    all
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

async fn the_table_of_old_tokens_holds_no_token(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    let mut tokens = vec![sessions.create(app("1234")).await.unwrap().token];
    for _ in 0..5 {
        let next = exchanged(&sessions, tokens.last().unwrap()).await;
        tokens.push(next.token);
    }
    let stored = stored(&db).await;
    let digests: Vec<_> = tokens.iter().map(|token| sessions.config().digest(token).unwrap()).collect();
    for digest in &digests[..5] {
        assert!(stored.contains(digest.expose()));
    }
    // Neither the present token's digest, nor any token, nor a part of one.
    assert!(!stored.contains(digests[5].expose()));
    for token in &tokens {
        let token = token.expose();
        for part in [&token[..16], &token[24..40], &token[48..]] {
            assert!(!stored.contains(&part.to_lowercase()) && !stored.contains(&hex(part)));
        }
    }
}

async fn a_seal_is_wiped_when_its_token_is_exchanged_in_turn(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    let mut token = sessions.create(app("1234")).await.unwrap().token;
    let other = exchanged(&sessions, &sessions.create(app("5678")).await.unwrap().token).await;
    for exchanges in 1..4 {
        token = exchanged(&sessions, &token).await.token;
        // And none of another session's.
        assert_eq!(seals(&db).await, 2);
        assert_eq!(count(&db, "app_sessions_retired_tokens").await, 1 + exchanges);
    }
    exchanged(&sessions, &other.token).await;
    assert_eq!(seals(&db).await, 2);
}

async fn a_prune_wipes_seals_after_the_grace_and_not_before(db: TestDatabase) {
    let sessions = db.sessions_with::<App>(db.config().timeout(Duration::from_mins(2))).await;
    let created = sessions.create(app("1234")).await.unwrap();
    let next = exchanged(&sessions, &created.token).await;
    sessions.delete_expired().await.unwrap();
    assert_eq!(exchanged(&sessions, &created.token).await.token, next.token);
    // A call that began within the grace may be under way for as long as its time-out.
    db.clock().advance(SECOND * 30 + SECOND * 119);
    sessions.delete_expired().await.unwrap();
    assert_eq!(seals(&db).await, 1);
    db.clock().advance(SECOND);
    sessions.delete_expired().await.unwrap();
    assert_eq!(seals(&db).await, 0);
    assert_reused(&sessions, &created.token, &next.token).await;
}

async fn a_prune_wipes_in_batches(db: TestDatabase) {
    let sessions = db.sessions::<App>().await;
    for number in 0..7 {
        let created = sessions.create(app(&number.to_string())).await.unwrap();
        exchanged(&sessions, &created.token).await;
    }
    db.clock().advance(SECOND * 90);
    let mut pruner = cloakroom::Pruner::builder(Duration::from_hours(1)).batch(3).spawn(sessions.clone());
    assert_eq!(pruner.run_ended().await.failures, 0);
    pruner.stop().await;
    assert_eq!((seals(&db).await, count(&db, "app_sessions_retired_tokens").await), (0, 7));
}

each_database! {
    the_table_of_old_tokens_holds_no_token,
    a_seal_is_wiped_when_its_token_is_exchanged_in_turn,
    a_prune_wipes_seals_after_the_grace_and_not_before,
    a_prune_wipes_in_batches,
}
