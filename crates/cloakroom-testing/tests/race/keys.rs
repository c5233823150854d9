//! A key that is replaced under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cloakroom::{Key, Scheme, Sessions, Token};
use cloakroom_testing::{TestDatabase, UserSession, each_mode, user};

use crate::at_once;

const CALLERS: usize = 64;

fn scheme(name: &'static str, number: u8) -> Scheme {
    Scheme::hmac_sha256(name, &Key::from_bytes([number; 32]).unwrap())
}

fn old() -> Scheme {
    scheme("a", 1)
}

fn new() -> Scheme {
    scheme("b", 2)
}

async fn with(db: &TestDatabase, schemes: impl IntoIterator<Item = Scheme>) -> Sessions<UserSession> {
    db.sessions_with(db.config().digests(schemes)).await
}

/// The valid sessions of this test under a scheme.
async fn count(sessions: &Sessions<UserSession>, scheme: &str) -> u64 {
    let counts = sessions.count_by_scheme().await.unwrap();
    counts.into_iter().find(|count| count.scheme == scheme).map_or(0, |count| count.valid)
}

async fn a_key_is_replaced_under_load(db: TestDatabase) {
    let before = with(&db, [old()]).await;
    let mut tokens = Vec::new();
    for number in 0..4 * CALLERS {
        tokens.push(before.create(user(&number.to_string())).await.unwrap().token);
    }
    let tokens = Arc::new(tokens);
    // Each caller goes through all sessions, over and over, with the settings of the process that it is in.
    let nodes = [with(&db, [old(), new().incoming()]).await, with(&db, [new(), old()]).await];
    let (is_done, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let sessions = nodes[usize::from(caller >= CALLERS / 2)].clone();
            let (tokens, is_done, refused) =
                (Arc::clone(&tokens), Arc::clone(&is_done), Arc::clone(&refused));
            tokio::spawn(async move {
                let mut place = caller;
                while !is_done.load(Ordering::Relaxed) {
                    place = (place + 7) % tokens.len();
                    if sessions.authenticate(&tokens[place]).await.unwrap().is_none() {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    // A cache answers without waiting.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let last = with(&db, [new(), old()]).await;
    for token in &*tokens {
        assert!(last.authenticate(token).await.unwrap().is_some());
    }
    // Although processes with the old order go on, nothing is stored under the old key again.
    assert_eq!(count(&last, "a").await, u64::from(count_of_others(&db).await));
    is_done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(refused.load(Ordering::Relaxed), 0);
    assert_eq!(count(&last, "a").await, u64::from(count_of_others(&db).await));
    let after = with(&db, [new()]).await;
    let gone = with(&db, [old()]).await;
    for token in &*tokens {
        assert!(after.authenticate(token).await.unwrap().is_some());
        assert!(gone.authenticate(token).await.unwrap().is_none());
    }
}

/// Sessions that the harness has made to see whether a cache keeps them.
async fn count_of_others(db: &TestDatabase) -> u32 {
    let sql = "SELECT CAST(COUNT(*) AS CHAR(9)) FROM sessions WHERE user_id = 'nobody' AND auth_token_digest LIKE 'a$%'";
    db.texts(sql).await[0].as_deref().unwrap().trim().parse().unwrap()
}

async fn callers_that_store_one_session_anew_at_once_end_the_same(db: TestDatabase) {
    let before = with(&db, [old()]).await;
    let sessions = with(&db, [new(), old()]).await;
    for round in 0..8 {
        let created = before.create(user(&round.to_string())).await.unwrap();
        let token: Arc<Token> = Arc::new(created.token);
        let answers = at_once(16, |_| {
            let (sessions, token) = (sessions.clone(), Arc::clone(&token));
            async move { sessions.authenticate(&*token).await.unwrap() }
        })
        .await;
        // Each is told of the session as it is, whoever wrote it.
        let stored = sessions.authenticate_fresh(&*token).await.unwrap().unwrap();
        for answer in answers {
            let answer = answer.expect("the token is valid");
            assert_eq!((answer.id, &answer.fields), (stored.id, &stored.fields));
        }
        let digest = new().digest(&*token).unwrap();
        let sql =
            format!("SELECT auth_token_digest FROM sessions WHERE auth_token_digest = '{}'", digest.expose());
        assert_eq!(db.texts(&sql).await.len(), 1);
    }
}

each_mode! {
    a_key_is_replaced_under_load,
    callers_that_store_one_session_anew_at_once_end_the_same,
}
