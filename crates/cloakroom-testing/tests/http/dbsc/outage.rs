//! The server is killed while browsers renew, and comes back.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Clock, Config, Database, ManualClock, Sessions};
use cloakroom_testing::START;
use cloakroom_testing::servers::Server;
use cloakroom_web::{Dbsc, SessionLayer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::browser::Browser;
use super::{MINUTE, Web, routes};
use crate::harness::{Framework, Site};
use crate::outage::each_server;

const BROWSERS: usize = 12;

/// How often the server is killed.
const OUTAGES: usize = 3;

/// Renews without a pause, until the database was away and is back.
async fn renew_through_an_outage(
    browser: &mut Browser,
    clock: &ManualClock,
    site: &Site,
    renewed: &Semaphore,
    away: &Semaphore,
) {
    let mut was_away = false;
    loop {
        let held = browser.challenge.clone();
        let answer = browser.ask(clock, site).await;
        match (answer.status.as_u16(), answer.body.as_str()) {
            (200, "") => {
                if was_away {
                    return;
                }
                renewed.add_permits(1);
            }
            (403, "") => assert!(browser.challenge.is_some()),
            (503, "") => {
                // It signs the same again.
                browser.challenge = held;
                if !was_away {
                    away.add_permits(1);
                }
                was_away = true;
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn goes_and_comes_back(mut server: Server, database: Database) {
    let clock = Arc::new(ManualClock::new(START));
    let config = Config::builder().clock(Arc::clone(&clock) as Arc<dyn Clock>).build().unwrap();
    let sessions = Sessions::<Web>::new(database, config).unwrap();
    sessions.migrate().await.unwrap();
    let layer = SessionLayer::new(sessions.clone()).dbsc(Dbsc::default());
    let site = Arc::new(Site::start(Framework::Axum, routes().layer(layer)).await);
    let mut browsers = Vec::new();
    for number in 0..BROWSERS {
        browsers.push((number, Browser::bound(&clock, &site, &number.to_string()).await));
    }
    let (renewed, away) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    for _ in 0..OUTAGES {
        let mut renewing = JoinSet::new();
        for (number, mut browser) in browsers.drain(..) {
            let (clock, site) = (Arc::clone(&clock), Arc::clone(&site));
            let (renewed, away) = (Arc::clone(&renewed), Arc::clone(&away));
            renewing.spawn(async move {
                renew_through_an_outage(&mut browser, &clock, &site, &renewed, &away).await;
                (number, browser)
            });
        }
        let many = u32::try_from(BROWSERS).unwrap();
        renewed.acquire_many(3 * many).await.unwrap().forget();
        server.kill();
        away.acquire_many(many).await.unwrap().forget();
        server.start().unwrap();
        browsers = renewing.join_all().await;
        renewed.forget_permits(usize::MAX);
    }
    assert_eq!(sessions.query().count().await.unwrap(), BROWSERS as u64);
    for (number, mut browser) in browsers {
        for wait in [Duration::ZERO, MINUTE * 10] {
            clock.advance(wait);
            let answer = browser.visit(&clock, &site, "GET", "/me").await;
            assert_eq!((answer.status.as_u16(), answer.body), (200, number.to_string()));
        }
        assert!(browser.id.is_some(), "it is still bound");
    }
    sessions.database().close().await;
}

each_server!(
    browsers_that_renew_while_the_server_is_killed_are_logged_in_when_it_is_back,
    super::goes_and_comes_back
);
