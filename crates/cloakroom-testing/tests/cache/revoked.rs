//! What this process revokes is seen by its very next call, through whatever clone of the handle.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use cloakroom::{Cache, CreatedSession, Sessions, Status, Token};
use cloakroom_testing::{Kind, TestDatabase, UserSession, each_database, user};
use time::OffsetDateTime;

use crate::scene::{Scene, deaf, listening};

/// Everything that revokes, or changes what was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    Expire,
    ExpireAsItWasReadBefore,
    Delete,
    Update,
    UpdateToTheEnd,
    UpdateWith,
    Rotate,
    ExpireAll,
    DeleteAll,
    DeleteAllByToken,
}

pub(crate) const CHANGES: [Change; 10] = [
    Change::Expire,
    Change::ExpireAsItWasReadBefore,
    Change::Delete,
    Change::Update,
    Change::UpdateToTheEnd,
    Change::UpdateWith,
    Change::Rotate,
    Change::ExpireAll,
    Change::DeleteAll,
    Change::DeleteAllByToken,
];

impl Change {
    /// Makes the change; the token that is valid afterwards where there is one.
    pub(crate) async fn make(
        self,
        sessions: &Sessions<UserSession>,
        created: &CreatedSession<UserSession>,
        now: OffsetDateTime,
    ) -> Option<Token> {
        let mut session = created.session.clone();
        // The test has written the row behind the library's back.
        sessions.reload(&mut session).await.unwrap();
        let query = || sessions.query().id(session.id);
        match self {
            Self::Expire => assert!(sessions.expire(&mut session).await.unwrap()),
            Self::ExpireAsItWasReadBefore => {
                let mut before = session.clone();
                session.fields.user_id = "meanwhile".into();
                sessions.update(&mut session).await.unwrap();
                assert!(sessions.expire(&mut before).await.unwrap());
            }
            Self::Delete => assert!(sessions.delete(session).await.unwrap()),
            Self::Update => {
                session.fields.user_id = "changed".into();
                sessions.update(&mut session).await.unwrap();
                return Some(created.token.clone());
            }
            Self::UpdateToTheEnd => {
                session.expires_at = Some(now);
                sessions.update(&mut session).await.unwrap();
            }
            Self::UpdateWith => {
                let change = |session: &mut cloakroom::Session<UserSession>| {
                    session.fields.user_id = "changed".into();
                };
                sessions.update_with(&mut session, change).await.unwrap();
                return Some(created.token.clone());
            }
            Self::Rotate => return Some(sessions.rotate(&mut session).await.unwrap()),
            Self::ExpireAll => assert_eq!(query().expire_all().await.unwrap(), 1),
            Self::DeleteAll => assert_eq!(query().status(Status::All).delete_all().await.unwrap(), 1),
            Self::DeleteAllByToken => {
                assert_eq!(sessions.query().token(&created.token).delete_all().await.unwrap(), 1);
            }
        }
        None
    }

    pub(crate) fn changes_fields(self) -> bool {
        matches!(self, Self::Update | Self::UpdateWith)
    }
}

/// Caches of every sort that the database has.
fn caches(db: &TestDatabase) -> Vec<Cache> {
    if db.kind() == Kind::Postgres { vec![deaf(), listening()] } else { vec![deaf()] }
}

/// The caller's own side: polled once, the change goes on without it.
async fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// The server has committed the change, and its caller has not read the answer yet.
async fn between_the_commit_of_a_change_and_its_return_nothing_of_before_is_answered(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let strict = scene.node_apart(scene.db.config()).await;
    for change in CHANGES {
        let mut was_between = false;
        // It may be that the answer comes before anything else is asked, on a busy machine most often.
        for _ in 0..500 {
            let created = sessions.create(user("1234")).await.unwrap();
            scene.until_kept(&sessions, &created.token).await;
            // The test has written the row behind the cache's back.
            let kept = sessions.authenticate(&created.token).await.unwrap();
            let before = strict.authenticate(&created.token).await.unwrap();
            let mut change = Box::pin(change.make(&sessions, &created, scene.db.now()));
            while poll(&mut change).await.is_pending() {
                for _ in 0..20 {
                    if strict.authenticate(&created.token).await.unwrap() == before {
                        continue;
                    }
                    let answer = sessions.authenticate(&created.token).await.unwrap();
                    assert_ne!(answer, kept, "the cache answered as if nothing were committed");
                    was_between = true;
                    break;
                }
            }
            if was_between {
                break;
            }
        }
        assert!(was_between, "{change:?} was never seen between its commit and its return");
    }
}

async fn a_change_is_seen_by_the_very_next_call(db: TestDatabase) {
    let scene = Scene::set(db).await;
    for cache in caches(&scene.db) {
        let sessions = scene.node(scene.db.config().cache(cache));
        let clones = [sessions.clone(), sessions.clone(), sessions.clone()];
        for (change, by) in CHANGES.into_iter().flat_map(|change| [(change, 0), (change, 1)]) {
            let created = sessions.create(user("1234")).await.unwrap();
            scene.until_kept(&clones[0], &created.token).await;
            let valid = change.make(&clones[by], &created, scene.db.now()).await;
            for clone in &clones {
                if change.changes_fields() {
                    let seen = clone.authenticate(&created.token).await.unwrap().unwrap();
                    assert_eq!(seen.fields.user_id, "changed", "{change:?}");
                } else {
                    assert_eq!(clone.authenticate(&created.token).await.unwrap(), None, "{change:?}");
                }
            }
            if let Some(token) = valid {
                assert!(clones[2].authenticate(&token).await.unwrap().is_some(), "{change:?}");
                scene.until_kept(&clones[1], &token).await;
            }
        }
    }
}

async fn a_change_on_a_connection_of_the_callers_is_seen_by_the_very_next_call(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let created = sessions.create(user("1234")).await.unwrap();
    scene.until_kept(&sessions, &created.token).await;
    macro_rules! delete_on {
        ($pool:expr) => {{
            let mut connection = $pool.acquire().await.unwrap();
            assert!(sessions.on_connection(&mut *connection).delete(created.session).await.unwrap());
        }};
    }
    match scene.db.kind() {
        Kind::Sqlite => delete_on!(scene.db.sqlite_pool()),
        Kind::Postgres => delete_on!(scene.db.postgres_pool()),
        Kind::MariaDb => delete_on!(scene.db.mariadb_pool()),
    }
    assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
}

async fn an_extension_is_seen_by_the_very_next_call(db: TestDatabase) {
    let scene = Scene::set(db).await;
    for cache in caches(&scene.db) {
        let config = scene.db.config().auto_extend(false).cache(cache.max_staleness(Duration::MAX));
        let sessions = scene.node(config);
        let created = sessions.create(user("1234")).await.unwrap();
        scene.until_kept(&sessions, &created.token).await;
        scene.db.clock().advance(Duration::from_hours(48));
        let mut session = created.session;
        sessions.reload(&mut session).await.unwrap();
        assert!(sessions.clone().extend(&mut session).await.unwrap());
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), Some(session));
    }
}

async fn deleting_what_has_expired_does_no_harm(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().auto_extend(false).cache(deaf()));
    let valid = sessions.create(user("1234")).await.unwrap().token;
    let short = sessions.create(user("1234").expires_in(Duration::from_secs(2))).await.unwrap().token;
    for token in [&valid, &short] {
        sessions.authenticate(token).await.unwrap().unwrap();
    }
    scene.db.clock().advance(Duration::from_secs(2));
    assert_eq!(sessions.delete_expired().await.unwrap(), 1);
    assert_eq!(sessions.authenticate(&short).await.unwrap(), None);
    assert!(scene.is_kept(&sessions, &valid).await);
}

async fn what_nobody_revoked_stays(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let sessions = scene.node(scene.db.config().cache(deaf()));
    let other = scene.create().await;
    sessions.authenticate(&other).await.unwrap().unwrap();
    // One chance in four thousand each that they share a stripe: not all of them do.
    let mut stayed = 0;
    for _ in 0..3 {
        let created = sessions.create(user("1234")).await.unwrap();
        assert!(sessions.delete(created.session).await.unwrap());
        stayed += usize::from(scene.is_kept(&sessions, &other).await);
    }
    assert!(stayed >= 2, "a revocation voids the answers about other sessions");
}

async fn what_was_dropped_with_its_table_is_seen_by_the_very_next_call(db: TestDatabase) {
    let scene = Scene::set(db).await;
    for cache in caches(&scene.db) {
        let sessions = scene.node(scene.db.config().cache(cache));
        let created = sessions.create(user("1234")).await.unwrap();
        scene.until_kept(&sessions, &created.token).await;
        sessions.migrate_down().await.unwrap();
        assert!(sessions.authenticate(&created.token).await.is_err());
        sessions.migrate().await.unwrap();
        assert_eq!(sessions.authenticate(&created.token).await.unwrap(), None);
    }
}

each_database! {
    what_was_dropped_with_its_table_is_seen_by_the_very_next_call,
    between_the_commit_of_a_change_and_its_return_nothing_of_before_is_answered,
    a_change_is_seen_by_the_very_next_call,
    a_change_on_a_connection_of_the_callers_is_seen_by_the_very_next_call,
    an_extension_is_seen_by_the_very_next_call,
    deleting_what_has_expired_does_no_harm,
    what_nobody_revoked_stays,
}
