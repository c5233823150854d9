//! A handle on a primary and its standby.

use std::time::Duration;

use cloakroom::{Cache, Config, ConfigError, Database, ErrorKind, Sessions, Token};
use cloakroom_testing::{UserSession, user};
use futures_util::TryStreamExt as _;

use crate::pair::{Scene, with};
use crate::waiting::until;

async fn is_valid(sessions: &Sessions<UserSession>, token: &Token) -> bool {
    sessions.authenticate(token).await.unwrap().is_some()
}

async fn tokens_are_looked_up_on_the_primary_and_lists_on_the_standby(scene: Scene) {
    let sessions = scene.on(Database::replica(scene.primary(), scene.standby()));
    let ended = sessions.create(user("1234")).await.unwrap();
    scene.catch_up().await;
    scene.hold_back().await;
    let new = sessions.create(user("1234")).await.unwrap();
    let mut session = sessions.authenticate(&ended.token).await.unwrap().unwrap();
    assert!(sessions.expire(&mut session).await.unwrap());
    assert!(is_valid(&sessions, &new.token).await && !is_valid(&sessions, &ended.token).await);
    assert!(sessions.query().token(&ended.token).fetch_all().await.unwrap().is_empty());
    assert!(sessions.query().token(&ended.token).fetch_optional().await.unwrap().is_none());
    assert_eq!(sessions.query().fetch_one().await.unwrap().id, new.session.id);

    // The list is as old as the standby is behind.
    let listed: Vec<_> = sessions.query().fetch_all().await.unwrap().iter().map(|each| each.id).collect();
    assert_eq!(listed, [ended.session.id]);
    let streamed: Vec<_> = sessions.query().stream().try_collect().await.unwrap();
    assert_eq!(streamed[0].id, ended.session.id);
    assert_eq!(sessions.query().fetch_each().await.unwrap()[0].as_ref().unwrap().id, ended.session.id);
    assert_eq!(sessions.query().id(new.session.id).count().await.unwrap(), 0);
    assert!(!sessions.query().id(new.session.id).exists().await.unwrap());
    // Unless it is asked to be fresh.
    assert_eq!(sessions.query().fresh().fetch_all().await.unwrap()[0].id, new.session.id);
    assert!(sessions.query().id(new.session.id).fresh().exists().await.unwrap());
    scene.catch_up().await;
    assert_eq!(sessions.query().fetch_all().await.unwrap()[0].id, new.session.id);
}

async fn what_ends_many_sessions_ends_those_that_the_standby_does_not_know(scene: Scene) {
    let sessions = scene.on(Database::replica(scene.primary(), scene.standby()));
    scene.hold_back().await;
    let created = sessions.create(user("1234")).await.unwrap();
    let all = || sessions.query().filter(UserSession::USER_ID.eq("1234"));
    assert_eq!(all().expire_all().await.unwrap(), 1);
    assert!(!is_valid(&sessions, &created.token).await);
    assert_eq!(all().status(cloakroom::Status::All).delete_all().await.unwrap(), 1);
}

async fn a_standby_that_is_gone_is_unavailable_for_lists_alone(mut scene: Scene) {
    let cached = scene.config().cache(Cache::new(100).listen(false));
    let replica = Database::replica(scene.primary(), scene.standby()).cached_lookups(true);
    let sessions = with(replica, cached);
    let created = sessions.create(user("1234")).await.unwrap();
    scene.servers.standby.kill();
    assert!(is_valid(&sessions, &created.token).await);
    let error = sessions.query().fetch_all().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(sessions.query().fresh().fetch_all().await.unwrap().len(), 1);
}

async fn lookups_that_are_kept_may_ask_the_standby(scene: Scene) {
    let max_staleness = Duration::from_secs(5);
    let cached = || scene.config().cache(Cache::new(100).listen(false).max_staleness(max_staleness));
    let replica = || Database::replica(scene.primary(), scene.standby());
    let by_standby = with(replica().cached_lookups(true), cached());
    let by_primary = with(replica(), cached());
    let [token, other] = [scene.create().await, scene.create().await];
    scene.catch_up().await;
    // What was revoked before this process had been told is not known in its first moments: the primary is asked.
    for _ in 0..2 {
        assert!(is_valid(&by_standby, &token).await);
        scene.clock.advance(max_staleness + Duration::from_secs(1));
    }
    scene.hold_back().await;
    scene.delete_rows().await;
    assert!(is_valid(&by_standby, &other).await);
    assert!(!is_valid(&by_primary, &other).await);
    // It is kept from there on, and a question that must be fresh is not answered so.
    assert!(by_standby.authenticate_fresh(&other).await.unwrap().is_none());
    // A token that the standby does not know is looked up on the primary.
    let new = scene.create().await;
    assert!(is_valid(&by_standby, &new).await);
}

async fn what_this_process_has_revoked_is_refused_although_the_standby_lags(scene: Scene) {
    let max_staleness = Duration::from_secs(5);
    let cached = scene.config().cache(Cache::new(100).listen(false).max_staleness(max_staleness));
    let sessions = with(Database::replica(scene.primary(), scene.standby()).cached_lookups(true), cached);
    let [token, other] = [scene.create().await, scene.create().await];
    scene.catch_up().await;
    for _ in 0..2 {
        assert!(is_valid(&sessions, &token).await);
        scene.clock.advance(max_staleness + Duration::from_secs(1));
    }
    assert!(is_valid(&sessions, &token).await && is_valid(&sessions, &other).await);
    scene.hold_back().await;
    let mut session = sessions.authenticate(&token).await.unwrap().unwrap();
    assert!(sessions.expire(&mut session).await.unwrap());
    assert!(!is_valid(&sessions, &token).await);
    scene.clock.advance(max_staleness);
    assert!(!is_valid(&sessions, &token).await);
    // All of them at once.
    assert_eq!(sessions.query().expire_all().await.unwrap(), 1);
    assert!(!is_valid(&sessions, &other).await);
}

async fn what_another_process_has_revoked_is_heard_from_the_primary(scene: Scene) {
    let listening = scene.config().cache(Cache::new(100).lease(Duration::from_hours(1)));
    let sessions = with(Database::replica(scene.primary(), scene.standby()).cached_lookups(true), listening);
    let token = scene.create().await;
    scene.catch_up().await;
    // Until it listens, nothing is answered from memory. A write behind the library's back tells.
    let primary = scene.on(scene.primary());
    until("the session is kept", async || {
        let mut session = primary.authenticate(&token).await.unwrap().unwrap();
        session.fields.user_id = format!("{}.", session.fields.user_id);
        let silent = with(scene.primary(), scene.config().announce(false));
        silent.update(&mut session).await.unwrap();
        sessions.authenticate(&token).await.unwrap().unwrap().fields.user_id != session.fields.user_id
    })
    .await;
    scene.hold_back().await;
    scene.end(&token).await;
    until("the session is refused", async || !is_valid(&sessions, &token).await).await;
}

#[test]
fn a_standby_is_of_the_same_kind_as_its_primary() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _within = runtime.enter();
    let postgres = sqlx::PgPool::connect_lazy("postgres://localhost/x").unwrap();
    let mysql = sqlx::MySqlPool::connect_lazy("mysql://localhost/x").unwrap();
    let error =
        Sessions::<UserSession>::new(Database::replica(postgres, mysql), Config::default()).unwrap_err();
    assert!(matches!(error, ConfigError::Replica { .. }), "{error:?}");
}

on_a_pair!(
    tokens_are_looked_up_on_the_primary_and_lists_on_the_standby,
    what_ends_many_sessions_ends_those_that_the_standby_does_not_know,
    a_standby_that_is_gone_is_unavailable_for_lists_alone,
    lookups_that_are_kept_may_ask_the_standby,
    what_this_process_has_revoked_is_refused_although_the_standby_lags,
    what_another_process_has_revoked_is_heard_from_the_primary,
);
