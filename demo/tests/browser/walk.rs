//! The path that a person would walk by hand, on two devices.

use crate::api::get_with_key;
use crate::chromium::{Browser, Driver, Profile};
use crate::site::Site;

crate::in_a_browser!(
    two_devices_see_and_end_each_other_and_keys_are_minted_and_revoked,
    the_whole_walk_needs_no_scripts,
);

const NAME: &str = "ada";
pub(crate) const PASSWORD: &str = "a-coat-and-a-ticket";
const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";

async fn two_devices_see_and_end_each_other_and_keys_are_minted_and_revoked() {
    walk(true).await;
}

async fn the_whole_walk_needs_no_scripts() {
    walk(false).await;
}

async fn walk(has_scripts: bool) {
    let site = Site::start();
    let driver = Driver::start();
    let here = driver.open(&site.origin(), Profile { has_scripts, ..Profile::default() }).await;
    let there = driver
        .open(&site.origin(), Profile { has_scripts, user_agent: Some(FIREFOX), ..Profile::DEFAULT })
        .await;

    here.go("/").await;
    sign_up(&here, NAME).await;
    assert_eq!(here.count("#sessions tr[data-id]").await, 1);
    a_wrong_password_is_refused(&there).await;
    log_in(&there, NAME, PASSWORD).await;
    one_signs_the_other_out(&here, &there).await;
    a_key_works_until_it_is_revoked(&here, &site).await;
    everyone_is_signed_out(&here, &there).await;

    here.close().await;
    there.close().await;
}

pub(crate) async fn sign_up(browser: &Browser, name: &str) {
    browser.go("/signup").await;
    browser.submit(&[("name", name), ("password", PASSWORD)]).await;
    assert_eq!(browser.path().await, "/account");
}

pub(crate) async fn log_in(browser: &Browser, name: &str, password: &str) {
    browser.go("/login").await;
    browser.submit(&[("name", name), ("password", password)]).await;
    assert_eq!(browser.path().await, "/account");
}

async fn a_wrong_password_is_refused(browser: &Browser) {
    browser.go("/account").await;
    assert_eq!(browser.path().await, "/login");
    browser.fill("name", NAME).await;
    browser.fill("password", "not-her-password").await;
    // Chromium's console has a line about the answer's status, by which we know that it is heard.
    browser.follow("form:has([name=password]) button").await;
    assert!(!browser.text(".error").await.is_empty());
    let console = browser.take_console().await;
    assert!(matches!(&console[..], [line] if line.contains("401")), "{console:?}");
    browser.go("/account").await;
    assert_eq!(browser.path().await, "/login");
}

async fn one_signs_the_other_out(here: &Browser, there: &Browser) {
    here.go("/account").await;
    for browser in [here, there] {
        assert_eq!(browser.count("#sessions tr[data-id]").await, 2);
        assert_eq!(browser.count("#sessions tr.current").await, 1);
    }
    let other = there.attribute("#sessions tr.current", "data-id").await;
    let row = format!("#sessions tr[data-id='{other}']");
    assert_ne!(here.attribute("#sessions tr.current", "data-id").await, other);
    assert!(here.text(&row).await.contains("Firefox"), "{}", here.text(&row).await);

    // She calls it by a name of her own, and sees that it was used a moment ago.
    here.open_details(&format!("{row} summary")).await;
    here.fill_in(&format!("{row} [name=label]"), "My old laptop").await;
    here.click(&format!("{row} .rename")).await;
    assert_says(here, "The device has a new name.").await;
    assert!(here.text(&row).await.contains("My old laptop"));
    assert_eq!(here.count(&format!("{row} [data-label='Last active'] time")).await, 1);

    here.click(&format!("{row} .expire")).await;
    assert_eq!(here.path().await, "/account");
    assert_says(here, "The device is logged out.").await;
    assert_eq!(here.count(&format!("{row}.expired")).await, 1);
    assert_eq!(here.count("#sessions tr.expired").await, 1);
    here.click("#ended").await;
    assert_eq!(here.count("#sessions tr[data-id]").await, 1);
    here.click("#ended").await;
    assert_eq!(here.count("#sessions tr[data-id]").await, 2);
    here.click("nav.view a[href*=used]").await;
    assert_eq!(here.count("#sessions tr[data-id]").await, 2);
    // What was done is said once.
    assert_eq!(here.count(".notice").await, 0);

    there.click("a[href='/keys']").await;
    assert_eq!(there.path().await, "/login");
    here.click("a[href='/keys']").await;
    assert_eq!(here.path().await, "/keys");
}

async fn a_key_works_until_it_is_revoked(browser: &Browser, site: &Site) {
    let key = mint(browser, "deployment").await;
    assert!(!key.contains(char::is_whitespace), "{} characters", key.len());
    let call = |key: &str| get_with_key(site.address, "/api/me", key);
    let answer = call(&key);
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
    assert!(answer.body.to_string().contains(NAME), "{}", answer.body);

    assert!(key.starts_with("cloakroom_demo_"), "it begins otherwise");
    // It is shown once.
    browser.go("/keys").await;
    assert_eq!(browser.count("#new-key").await, 0);
    assert_eq!(browser.count("#keys tr[data-id]").await, 1);
    assert_eq!(call(&key).status, 200);

    browser.click("#keys tr[data-id] .revoke").await;
    assert_says(browser, "The key is revoked.").await;
    for refused in [key.as_str(), "none-that-was-ever-minted"] {
        let answer = call(refused);
        assert_eq!((answer.status, answer.content_type.as_str()), (401, "application/problem+json"));
        assert_eq!(answer.body["status"], 401);
    }
}

pub(crate) async fn mint(browser: &Browser, name: &str) -> String {
    browser.go("/keys").await;
    browser.click("#make-key").await;
    browser.submit(&[("name", name)]).await;
    browser.find("#new-key").await;
    browser.text("#new-key").await.trim().to_owned()
}

async fn everyone_is_signed_out(here: &Browser, there: &Browser) {
    log_in(there, NAME, PASSWORD).await;
    here.go("/account").await;
    here.click("#logout-everywhere").await;
    assert!(here.text("main").await.contains("2 devices will be logged out"));
    there.click("a[href='/audit']").await;
    assert_eq!(there.path().await, "/audit");
    assert!(there.text("#entries").await.contains("Logged in"));
    here.click("#everywhere").await;
    assert_says(here, "You are logged out everywhere: 2 devices.").await;
    there.click("a[href='/keys']").await;
    assert_eq!(there.path().await, "/login");
    here.go("/account").await;
    assert_eq!(here.path().await, "/login");
}

/// The page says what was just done.
pub(crate) async fn assert_says(browser: &Browser, notice: &str) {
    assert!(browser.text(".notice").await.contains(notice), "{}", browser.text(".notice").await);
}
