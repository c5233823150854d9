//! Readers and revokers at once: whoever asks after the revocation has returned is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::{Cache, Sessions};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database, user};
use tokio::task::JoinSet;

use crate::scene::{Own, Scene, deaf, listening};

const LANES: usize = 24;
const READERS: usize = 3;

/// How many sessions are revoked in all.
fn rounds(db: &TestDatabase) -> usize {
    match db.kind() {
        Kind::Sqlite => 1500,
        Kind::Postgres => 1000,
        Kind::MariaDb => 800,
    }
}

/// Makes a session, has it read by many, and revokes it in one of many ways.
async fn round(sessions: &Sessions<UserSession>, number: usize) {
    let created = sessions.create(user(&number.to_string())).await.unwrap();
    let is_revoked = Arc::new(AtomicBool::new(false));
    let answers = Arc::new(AtomicUsize::new(0));
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let (sessions, token) = (sessions.clone(), created.token.clone());
        let (is_revoked, answers) = (Arc::clone(&is_revoked), Arc::clone(&answers));
        readers.spawn(async move {
            loop {
                let is_over = is_revoked.load(Ordering::SeqCst);
                let answer = sessions.authenticate(&token).await.unwrap();
                assert!(!is_over || answer.is_none(), "a revoked session was accepted in round {number}");
                answers.fetch_add(1, Ordering::SeqCst);
                if is_over {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    // In the middle of the first lookups, or of the hits after them.
    while answers.load(Ordering::SeqCst) < number % 7 {
        tokio::task::yield_now().await;
    }
    let mut session = created.session;
    match number % 12 {
        0 => assert_eq!(sessions.query().id(session.id).expire_all().await.unwrap(), 1),
        1 => assert_eq!(sessions.query().id(session.id).delete_all().await.unwrap(), 1),
        2 | 3 => drop(sessions.rotate(&mut session).await.unwrap()),
        4..8 => assert!(sessions.expire(&mut session).await.unwrap()),
        _ => assert!(sessions.delete(session).await.unwrap()),
    }
    is_revoked.store(true, Ordering::SeqCst);
    while let Some(reader) = readers.join_next().await {
        reader.unwrap();
    }
}

async fn race(scene: &Scene, cache: Cache) {
    let sessions = scene.node(scene.db.config().cache(cache));
    let (next, rounds) = (Arc::new(AtomicUsize::new(0)), rounds(&scene.db));
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        let (sessions, next) = (sessions.clone(), Arc::clone(&next));
        lanes.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= rounds {
                    return;
                }
                round(&sessions, number).await;
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
}

async fn whoever_asks_after_a_revocation_is_refused(db: TestDatabase) {
    let cache = if db.kind() == Kind::Postgres { listening() } else { deaf() };
    race(&Scene::set(db).await, cache).await;
}

async fn whoever_asks_after_the_callers_commit_is_refused(db: TestDatabase) {
    let scene = Arc::new(Scene::set(db).await);
    let cache = deaf().max_staleness(Duration::from_mins(1));
    let sessions = scene.node(scene.db.config().cache(cache));
    for number in 0..40 {
        let created = sessions.create(user("1234")).await.unwrap();
        let is_revoked = Arc::new(AtomicBool::new(false));
        let mut readers = JoinSet::new();
        for _ in 0..READERS {
            let (sessions, token) = (sessions.clone(), created.token.clone());
            let is_revoked = Arc::clone(&is_revoked);
            readers.spawn(async move {
                loop {
                    let is_over = is_revoked.load(Ordering::SeqCst);
                    let answer = sessions.authenticate(&token).await.unwrap();
                    assert!(!is_over || answer.is_none(), "a revoked session was accepted");
                    if is_over {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        let mut own = Own::begin(&scene.db).await;
        let mut within = own.within(&sessions);
        if number % 5 == 0 {
            within.query().id(created.session.id).expire_all().await.unwrap();
        } else {
            within.delete(created.session).await.unwrap();
        }
        for _ in 0..number % 3 {
            tokio::task::yield_now().await;
        }
        own.commit().await;
        is_revoked.store(true, Ordering::SeqCst);
        while let Some(reader) = readers.join_next().await {
            reader.unwrap();
        }
        // What is closed to all opens again.
        scene.db.clock().advance(Duration::from_mins(1));
    }
}

each_database! {
    whoever_asks_after_a_revocation_is_refused,
    whoever_asks_after_the_callers_commit_is_refused,
}
