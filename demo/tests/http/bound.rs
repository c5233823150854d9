//! Sessions that are bound to the device: `--dbsc`.

use std::time::Duration;

use cloakroom_axum::Dbsc;
use cloakroom_testing::{Device, TestDatabase, each_database};

use crate::harness::{Answer, Browser, FIREFOX, Site};

/// Not localhost, where the demo does without TLS and browsers bind nothing.
const HOST: (&str, &str) = ("host", "demo.test");

async fn get(browser: &mut Browser, path: &str) -> Answer {
    browser.send("GET", path, &[HOST], String::new()).await
}

async fn post(browser: &mut Browser, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
    let mut all =
        vec![HOST, ("sec-fetch-site", "same-origin"), ("content-type", "application/x-www-form-urlencoded")];
    all.extend_from_slice(headers);
    browser.send("POST", path, &all, form.to_owned()).await
}

fn challenge(answer: &Answer, header: &str) -> String {
    let quoted = answer.header(header).expect("there is a challenge").split('"');
    quoted.filter(|text| text.len() == 32).map(str::to_owned).next().expect("it has 32 characters")
}

async fn sign_up(browser: &mut Browser, name: &str) -> Answer {
    let form = format!("name={name}&password=correct+horse");
    let answer = post(browser, "/signup", &[], &form).await;
    answer.assert_moved("/account");
    answer
}

async fn the_devices_page_shows_which_are_bound_and_they_are_renewed(db: TestDatabase) {
    let site = Site::start_with(&db, |app| app.bind_devices(Dbsc::default())).await;
    let mut browser = site.browser();
    assert_eq!(browser.agent, FIREFOX);
    let answer = sign_up(&mut browser, "bob").await;
    let device = Device::new();
    let proof = device.registration(&challenge(&answer, "secure-session-registration"));
    let page = get(&mut browser, "/account").await;
    assert!(!page.body.contains("badge bound"), "{}", page.body);

    let proof = String::from_utf8(proof).unwrap();
    let answer = post(&mut browser, "/dbsc/register", &[("secure-session-response", &proof)], "").await;
    answer.assert_status(200);
    let next = challenge(&answer, "secure-session-challenge");
    let page = get(&mut browser, "/account").await;
    assert_eq!((page.status.as_u16(), page.body.matches("badge bound").count()), (200, 1), "{}", page.body);

    db.clock().advance(Duration::from_mins(20));
    let page = get(&mut browser, "/account").await;
    page.assert_status(307);
    let proof = String::from_utf8(device.proof(&next)).unwrap();
    let id = answer.json()["session_identifier"].as_str().unwrap().to_owned();
    let headers = [("sec-secure-session-id", &*id), ("secure-session-response", &*proof)];
    post(&mut browser, "/dbsc/refresh", &headers, "").await.assert_status(200);
    get(&mut browser, "/account").await.assert_status(200);
    // It also ends like any other.
    post(&mut browser, "/logout", &[], "").await.assert_moved("/");
    get(&mut browser, "/account").await.assert_sent_to_log_in("/account");
}

async fn without_it_nothing_is_offered(db: TestDatabase) {
    let site = Site::start(&db).await;
    let mut browser = site.browser();
    let answer = sign_up(&mut browser, "bob").await;
    assert_eq!(answer.header("secure-session-registration"), None);
    post(&mut browser, "/dbsc/refresh", &[], "").await.assert_status(404);
}

each_database!(the_devices_page_shows_which_are_bound_and_they_are_renewed, without_it_nothing_is_offered,);
