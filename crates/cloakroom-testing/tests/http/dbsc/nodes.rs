//! Several nodes behind a balancer without affinity: any of them registers, renews, and logs out.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom::{Sessions, Status};
use cloakroom_testing::TestDatabase;
use cloakroom_web::{Dbsc, SessionLayer};
use http::StatusCode;

use super::balancer::Balancer;
use super::browser::Browser;
use super::{COOKIE, MINUTE, Web, routes};
use crate::harness::{Framework, Site};

const NODES: usize = 3;

async fn nodes(on: Framework, db: &TestDatabase) -> (Vec<Sessions<Web>>, Balancer) {
    let (mut nodes, mut addresses) = (Vec::new(), Vec::new());
    for _ in 0..NODES {
        let sessions = db.sessions::<Web>().await;
        let layer = SessionLayer::new(sessions.clone()).dbsc(Dbsc::default());
        addresses.push(Site::start(on, routes().layer(layer)).await.address);
        nodes.push(sessions);
    }
    (nodes, Balancer::start(addresses).await)
}

async fn any_node_registers_renews_and_logs_out(db: TestDatabase, on: Framework) {
    let (nodes, balancer) = nodes(on, &db).await;
    let (clock, site) = (db.clock(), &balancer.site);
    let mut browser = Browser::log_in(clock, site, "1234").await;
    let logged_in = balancer.last();
    assert_eq!(browser.register(clock, site).await.status, StatusCode::OK);
    assert_ne!(balancer.last(), logged_in);
    let mut renewed_by = BTreeSet::new();
    for _ in 0..2 * NODES {
        clock.advance(MINUTE * 10);
        let before = browser.token();
        // The challenge is of another node, and good here.
        let answer = browser.ask(clock, site).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""));
        assert_ne!(browser.token(), before);
        renewed_by.insert(balancer.last());
        browser.visit(clock, site, "GET", "/me").await.assert_is(200, "1234");
    }
    assert_eq!(renewed_by.len(), NODES);
    let copied = browser.token();
    let renewed = balancer.last();
    assert_eq!(browser.send(clock, site, "POST", "/logout").await.body, "true");
    assert_ne!(balancer.last(), renewed);
    for node in &nodes {
        assert!(node.authenticate(&copied).await.unwrap().is_none());
    }
    for _ in 0..NODES {
        let answer = browser.ask(clock, site).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body.ends_with(r#""continue":false}"#), "{}", answer.body);
    }
}

/// Returns the token of the session's cookie in the head of an answer.
fn token_in(head: &str) -> String {
    let (_, rest) = head.split_once(&format!("set-cookie: {COOKIE}=")).expect("it sets the cookie");
    rest.split(';').next().unwrap().to_owned()
}

async fn a_node_that_ends_between_the_write_and_the_answer_logs_nobody_out(db: TestDatabase, on: Framework) {
    let (nodes, balancer) = nodes(on, &db).await;
    let (clock, site) = (db.clock(), &balancer.site);
    let mut browser = Browser::log_in(clock, site, "1234").await;
    // A registration is sent again as it was.
    balancer.lose_next_answer();
    assert!(browser.try_register(clock, site).await.is_none());
    assert!(balancer.lost().starts_with("HTTP/1.1 200"));
    assert!(nodes[0].query().fetch_one().await.unwrap().is_bound());
    assert_eq!(browser.register(clock, site).await.status, StatusCode::OK);
    for (wait, is_same) in [
        (Duration::ZERO, true),
        (Duration::from_secs(20), true),
        // After the grace of the token that the browser has.
        (MINUTE * 4, true),
        // The successor is too old by then to be given out.
        (MINUTE * 6, false),
    ] {
        clock.advance(MINUTE * 8);
        let held = browser.token();
        balancer.lose_next_answer();
        assert!(browser.try_ask(clock, site).await.is_none());
        let lost = token_in(&balancer.lost());
        assert!(nodes[0].authenticate(&lost).await.unwrap().is_some(), "it was committed");
        assert!(browser.token() == held && held != lost);
        clock.advance(wait);
        // With what it has: the proof is used up, and the answer to it is a challenge.
        let answer = browser.ask(clock, site).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        browser.refresh(clock, site).await;
        assert_eq!(browser.token() == lost, is_same, "{wait:?}");
        for _ in 0..NODES {
            browser.visit(clock, site, "GET", "/me").await.assert_is(200, "1234");
        }
    }
    assert_eq!(nodes[0].query().status(Status::Valid).count().await.unwrap(), 1);
}

async fn an_answer_that_is_lost_time_and_again_is_given_at_last(db: TestDatabase, on: Framework) {
    let (_, balancer) = nodes(on, &db).await;
    let (clock, site) = (db.clock(), &balancer.site);
    let mut browser = Browser::bound(clock, site, "1234").await;
    clock.advance(MINUTE * 8);
    balancer.lose_next_answer();
    assert!(browser.try_ask(clock, site).await.is_none());
    let first = token_in(&balancer.lost());
    for _ in 0..4 {
        // The challenge arrives, and the answer to its proof does not.
        assert_eq!(browser.ask(clock, site).await.status, StatusCode::FORBIDDEN);
        balancer.lose_next_answer();
        assert!(browser.try_ask(clock, site).await.is_none());
        assert_eq!(token_in(&balancer.lost()), first);
    }
    browser.refresh(clock, site).await;
    assert_eq!(browser.token(), first);
    browser.visit(clock, site, "GET", "/me").await.assert_is(200, "1234");
}

each_framework! {
    any_node_registers_renews_and_logs_out,
    a_node_that_ends_between_the_write_and_the_answer_logs_nobody_out,
    an_answer_that_is_lost_time_and_again_is_given_at_last,
}
