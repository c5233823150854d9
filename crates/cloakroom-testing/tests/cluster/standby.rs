//! A handle on a standby alone.

use std::time::Duration;

use cloakroom::{Cache, ErrorKind, Sessions, Token};
use cloakroom_testing::{UserSession, user};

use crate::capture;
use crate::pair::{Scene, with};
use crate::waiting::until;

const DAY: Duration = Duration::from_hours(24);

async fn is_valid(sessions: &Sessions<UserSession>, token: &Token) -> bool {
    sessions.authenticate(token).await.unwrap().is_some()
}

/// How often the standby has refused a write.
fn refusals(scene: &Scene) -> usize {
    scene.servers.standby.log().matches("in a read-only transaction").count()
}

async fn an_extension_that_is_due_is_not_tried_by_each_lookup(scene: Scene) {
    let token = scene.create().await;
    scene.catch_up().await;
    for config in [scene.config(), scene.config().max_batch(1)] {
        let standby = with(scene.standby(), config);
        scene.clock.advance(DAY + DAY);
        let before = refusals(&scene);
        for _ in 0..20 {
            assert!(is_valid(&standby, &token).await);
        }
        assert_eq!(refusals(&scene) - before, 1);
        // It is tried again now and then, since a standby may be promoted.
        scene.clock.advance(Duration::from_secs(11));
        for _ in 0..20 {
            assert!(is_valid(&standby, &token).await);
        }
        assert_eq!(refusals(&scene) - before, 2);
        // What the caller asks for is tried each time.
        assert_eq!(standby.create(user("1234")).await.unwrap_err().kind(), ErrorKind::ReadOnly);
    }
}

async fn the_cache_answers_from_memory_for_as_long_as_answers_may_be_old(scene: Scene) {
    capture::start("cloakroom");
    let max_staleness = Duration::from_secs(5);
    // The lease runs on the same clock, which this case moves.
    let cached =
        scene.config().cache(Cache::new(100).max_staleness(max_staleness).lease(Duration::from_mins(1)));
    let (strict, cached) = (scene.on(scene.standby()), with(scene.standby(), cached));
    let due = scene.create().await;
    scene.clock.advance(DAY + DAY);
    let token = scene.create().await;
    scene.catch_up().await;
    for token in [&token, &due] {
        // Whether the next answer is from memory shows once the row is gone.
        assert!(is_valid(&cached, token).await);
    }
    until("the cache knows that the server is a standby, and keeps what it reads", async || {
        let read = cached.authenticate(&token).await.unwrap().unwrap();
        scene.change(&token).await;
        scene.catch_up().await;
        cached.authenticate(&token).await.unwrap().unwrap() == read
    })
    .await;
    // Once more, since what was read before does not count.
    assert!(is_valid(&cached, &token).await && is_valid(&cached, &due).await);
    scene.delete_rows().await;
    scene.catch_up().await;
    assert!(!is_valid(&strict, &token).await);
    until("the lease is renewed", async || is_valid(&cached, &token).await).await;
    // A session that is due for an extension, which cannot be written, is kept as well.
    assert!(is_valid(&cached, &due).await);
    scene.clock.advance(max_staleness + Duration::from_micros(1));
    assert!(!is_valid(&cached, &token).await && !is_valid(&cached, &due).await);
    // By the listener's task, on whichever thread that runs.
    assert!(capture::text().contains("the cache hears of no revocation, since the server is a standby"));
}

async fn it_is_said_once_that_a_standby_lags(scene: Scene) {
    capture::start("cloakroom");
    let token = scene.create().await;
    scene.catch_up().await;
    let standby = scene.on(scene.standby());
    for _ in 0..5 {
        assert!(is_valid(&standby, &token).await);
        assert_eq!(standby.query().count().await.unwrap(), 1);
    }
    assert_eq!(capture::count_here("the database is a standby"), 1);
}

async fn everything_goes_on_after_a_promotion(mut scene: Scene) {
    let token = scene.create().await;
    scene.catch_up().await;
    let standby = scene.on(scene.standby());
    let listening = scene.config().cache(Cache::new(100).lease(Duration::from_hours(1)));
    let cached = with(scene.standby(), listening);
    scene.clock.advance(DAY + DAY);
    assert!(is_valid(&standby, &token).await && is_valid(&cached, &token).await);
    let refused = standby.authenticate(&token).await.unwrap().unwrap();

    scene.servers.fail_over().unwrap();
    assert!(is_valid(&standby, &token).await);
    let created = standby.create(user("1234")).await.unwrap();
    assert!(is_valid(&cached, &created.token).await);
    // Extensions are written again, and revocations heard.
    scene.clock.advance(Duration::from_secs(11));
    let extended = standby.authenticate(&token).await.unwrap().unwrap();
    assert!(extended.expires_at > refused.expires_at);
    until("what was created is kept", async || {
        let mut session = standby.authenticate(&created.token).await.unwrap().unwrap();
        session.fields.user_id = format!("{}.", session.fields.user_id);
        let silent = with(scene.standby(), scene.config().announce(false));
        silent.update(&mut session).await.unwrap();
        cached.authenticate(&created.token).await.unwrap().unwrap().fields.user_id != session.fields.user_id
    })
    .await;
    until("the new primary is listened to", async || {
        let created = standby.create(user("1234")).await.unwrap();
        assert!(is_valid(&cached, &created.token).await);
        let mut session = created.session;
        assert!(standby.expire(&mut session).await.unwrap());
        let is_heard = async || !is_valid(&cached, &created.token).await;
        tokio::time::timeout(Duration::from_secs(2), until("", is_heard)).await.is_ok()
    })
    .await;
}

on_a_pair!(
    an_extension_that_is_due_is_not_tried_by_each_lookup,
    the_cache_answers_from_memory_for_as_long_as_answers_may_be_old,
    it_is_said_once_that_a_standby_lags,
    everything_goes_on_after_a_promotion,
);
