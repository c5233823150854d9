//! On PostgreSQL: a node that does not hear from the server answers nothing out of memory for longer than the
//! lease, and nothing of before when it hears again.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Cache, Database, Sessions};
use cloakroom_testing::{START, TestDatabase, UserSession};

use crate::clocks::Clocks;
use crate::proxy::Proxy;
use crate::scene::{Scene, listening, until};

const TICK: Duration = Duration::from_micros(1);

/// So long that on no machine, however busy, the silence itself is noticed meanwhile.
const LONG: Duration = Duration::from_mins(1);

/// So short that it is noticed soon.
const SHORT: Duration = Duration::from_millis(600);

async fn a_node_that_is_cut_off_answers_for_the_lease_and_no_longer(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let here = scene.node(scene.db.config());
    let proxy = Proxy::start(scene.db.url()).await;
    let (config, clock) = scene.config_apart(listening().lease(LONG));
    let there = scene.node_on(Database::connect(&proxy.url(scene.db.url())).await.unwrap(), config);
    let (token, other) = (scene.create().await, scene.create().await);
    for token in [&token, &other] {
        scene.until_kept(&there, token).await;
    }
    // It has last heard what was sent at this instant, for no other has been yet.
    proxy.freeze();
    let mut session = here.authenticate(&token).await.unwrap().unwrap();
    assert!(here.expire(&mut session).await.unwrap());
    clock.advance(LONG);
    assert!(there.authenticate(&token).await.unwrap().is_some());
    clock.advance(TICK);
    assert_eq!(there.authenticate(&token).await.unwrap(), None);
    for _ in 0..3 {
        assert!(!scene.is_kept(&there, &other).await);
    }
    // Heard again, it answers again.
    proxy.thaw();
    scene.until_kept(&there, &other).await;
    assert_eq!(there.authenticate(&token).await.unwrap(), None);
    assert_eq!(proxy.listeners(), 1);
}

async fn a_machine_that_slept_while_it_was_cut_off_answers_nothing(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let proxy = Proxy::start(scene.db.url()).await;
    let clocks = Clocks::new();
    let config = scene.db.config().cache(listening().lease(LONG)).clock(Arc::clone(&clocks) as _);
    let there = scene.node_on(Database::connect(&proxy.url(scene.db.url())).await.unwrap(), config);
    let token = scene.create().await;
    scene.until_kept(&there, &token).await;
    proxy.freeze();
    // The monotonic clock stands still, and no answer is so old yet that it would not be given.
    clocks.set_wall(START + LONG);
    assert!(scene.is_kept(&there, &token).await);
    clocks.set_wall(START + LONG + TICK);
    assert!(!scene.is_kept(&there, &token).await);
}

async fn what_was_revoked_while_a_node_was_cut_off_is_heard_when_it_is_back(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let here = scene.node(scene.db.config());
    let proxy = Proxy::start(scene.db.url()).await;
    let there = proxied(&scene, &proxy, listening().lease(LONG)).await;
    let token = scene.create().await;
    scene.until_kept(&there, &token).await;
    proxy.freeze();
    let mut session = here.authenticate(&token).await.unwrap().unwrap();
    assert!(here.expire(&mut session).await.unwrap());
    assert!(there.authenticate(&token).await.unwrap().is_some(), "it cannot have heard");
    proxy.thaw();
    until("the node has heard", async || there.authenticate(&token).await.unwrap().is_none()).await;
}

async fn proxied(scene: &Scene, proxy: &Proxy, cache: Cache) -> Sessions<UserSession> {
    let database = Database::connect(&proxy.url(scene.db.url())).await.unwrap();
    scene.node_on(database, scene.db.config().cache(cache))
}

async fn a_silent_connection_is_given_up_for_another(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let proxy = Proxy::start(scene.db.url()).await;
    let there = proxied(&scene, &proxy, listening().lease(SHORT)).await;
    let token = scene.create().await;
    scene.until_kept(&there, &token).await;
    proxy.freeze();
    // The injected clock stands still; the silence is measured by what has passed.
    until("the silence is noticed", async || !scene.is_kept(&there, &token).await).await;
    until("another connection is tried", async || proxy.listeners() > 1).await;
    // That one falls silent at its very beginning.
    until("a third is tried", async || proxy.listeners() > 2).await;
    for _ in 0..10 {
        assert!(!scene.is_kept(&there, &token).await);
    }
    proxy.thaw();
    scene.until_kept(&there, &token).await;
}

async fn after_a_gap_nothing_of_before_it_is_answered(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let proxy = Proxy::start(scene.db.url()).await;
    let there = proxied(&scene, &proxy, listening()).await;
    let (token, other) = (scene.create().await, scene.create().await);
    for token in [&token, &other] {
        scene.until_kept(&there, token).await;
    }
    // Nobody announces it, and nobody asks for it before the node hears again.
    scene.delete_row(&token).await;
    proxy.cut();
    until("the node listens again", async || proxy.listeners() > 1).await;
    scene.until_kept(&there, &other).await;
    assert_eq!(there.authenticate(&token).await.unwrap(), None);
}

async fn what_is_revoked_in_a_gap_is_never_missed(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let here = scene.node(scene.db.config());
    let proxy = Proxy::start(scene.db.url()).await;
    let there = proxied(&scene, &proxy, listening()).await;
    for round in 0..12 {
        let token = scene.create().await;
        scene.until_kept(&there, &token).await;
        let before = proxy.listeners();
        proxy.cut();
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        // Somewhere between the cut and the next LISTEN.
        assert_eq!(here.query().token(&token).expire_all().await.unwrap(), 1);
        until("the node refuses", async || there.authenticate(&token).await.unwrap().is_none()).await;
        until("the node listens again", async || proxy.listeners() > before).await;
        for _ in 0..3 {
            assert_eq!(there.authenticate(&token).await.unwrap(), None);
        }
    }
}

async fn a_connection_that_the_server_ends_is_noticed_at_once(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let name = scene.db.unique_name();
    let url = format!("{}&application_name={name}", scene.db.url());
    let there = scene.node_on(Database::connect(&url).await.unwrap(), scene.db.config().cache(listening()));
    let (token, other) = (scene.create().await, scene.create().await);
    for _ in 0..3 {
        for token in [&token, &other] {
            scene.until_kept(&there, token).await;
        }
        let listens =
            format!("FROM pg_stat_activity WHERE application_name = '{name}' AND query LIKE 'LISTEN %'");
        let before = scene.db.texts(&format!("SELECT pid::text {listens}")).await;
        assert_eq!(before.len(), 1);
        scene.set_column(&token, "data = '{\"seen\": true}'").await;
        scene.db.execute(&format!("SELECT pg_terminate_backend(pid) {listens}")).await;
        until("the end is noticed", async || {
            there.authenticate(&token).await.unwrap().unwrap().data["seen"] == true
        })
        .await;
        scene.until_kept(&there, &other).await;
        scene.set_column(&token, "data = '{}'").await;
        until("another connection listens", async || {
            let now = scene.db.texts(&format!("SELECT pid::text {listens}")).await;
            now.len() == 1 && now != before
        })
        .await;
        there.authenticate_fresh(&token).await.unwrap();
    }
}

/// Not a promise on time, but nobody wants a server asked for a thousand connections a second.
async fn a_server_that_refuses_listeners_is_not_stormed(db: TestDatabase) {
    let scene = Scene::set(db).await;
    let proxy = Proxy::start(scene.db.url()).await;
    let there = proxied(&scene, &proxy, listening()).await;
    let token = scene.create().await;
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        proxy.cut();
        assert!(there.authenticate(&token).await.unwrap().is_some());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(proxy.listeners() <= 25, "{} connections in a second", proxy.listeners());
    scene.until_kept(&there, &token).await;
}

on_postgres! {
    a_node_that_is_cut_off_answers_for_the_lease_and_no_longer,
    a_machine_that_slept_while_it_was_cut_off_answers_nothing,
    what_was_revoked_while_a_node_was_cut_off_is_heard_when_it_is_back,
    a_silent_connection_is_given_up_for_another,
    after_a_gap_nothing_of_before_it_is_answered,
    what_is_revoked_in_a_gap_is_never_missed,
    a_connection_that_the_server_ends_is_noticed_at_once,
    a_server_that_refuses_listeners_is_not_stormed,
}
