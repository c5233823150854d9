//! What needs the password again: making a key, rotating one, and changing the password.

use cloakroom::Database;

use crate::api::get_with_key;
use crate::chromium::{Browser, Driver, Profile};
use crate::site::Site;
use crate::walk::{PASSWORD, assert_says, log_in, mint, sign_up};

crate::in_a_browser!(
    a_key_is_made_and_rotated_after_the_password_was_given_again,
    keys_and_passwords_need_no_scripts,
);

const NEW_PASSWORD: &str = "another-coat-and-ticket";

async fn a_key_is_made_and_rotated_after_the_password_was_given_again() {
    walk(true).await;
}

async fn keys_and_passwords_need_no_scripts() {
    walk(false).await;
}

async fn walk(has_scripts: bool) {
    let (site, driver) = (Site::start(), Driver::start());
    let profile = Profile { has_scripts, ..Profile::default() };
    let here = driver.open(&site.origin(), profile).await;
    let there = driver.open(&site.origin(), profile).await;
    sign_up(&here, "ada").await;
    log_in(&there, "ada", PASSWORD).await;

    let key = a_key_is_made_after_a_question(&here, &site).await;
    the_key_is_rotated_and_both_work(&here, &site, &key).await;
    an_eleventh_key_ends_another(&here).await;
    a_new_password_logs_the_other_out(&here, &there).await;
    here.close().await;
    there.close().await;
}

/// As if the password had been given long ago.
async fn let_time_pass(site: &Site) {
    let database = Database::connect(&site.database()).await.expect("the file is there");
    let Database::Sqlite(pool) = &database else { panic!("not SQLite: {database:?}") };
    let sql = "UPDATE user_sessions SET authenticated_at = '2020-01-01T00:00:00.000000Z'";
    sqlx::query(sql).execute(pool).await.expect("there is such a column");
    database.close().await;
}

async fn a_key_is_made_after_a_question(browser: &Browser, site: &Site) -> String {
    let_time_pass(site).await;
    browser.go("/keys").await;
    browser.click("#make-key").await;
    assert_eq!(browser.path().await, "/confirm");
    browser.submit(&[("password", PASSWORD)]).await;
    assert_eq!(browser.path().await, "/keys/new");
    // The box for reading is ticked already, and an end is chosen.
    browser.submit(&[("name", "deployment")]).await;
    let key = browser.text("#new-key").await.trim().to_owned();
    let me = get_with_key(site.address, "/api/me", &key);
    assert_eq!((me.status, &me.body["scopes"]), (200, &serde_json::json!("read")));
    key
}

async fn the_key_is_rotated_and_both_work(browser: &Browser, site: &Site, old: &str) {
    browser.go("/keys").await;
    browser.click("#keys .rotate").await;
    browser.choose("grace", "1h").await;
    browser.click("main form button").await;
    let new = browser.text("#new-key").await.trim().to_owned();
    assert_ne!(new, old);
    assert_eq!(browser.count("#old-until time").await, 1);
    for key in [old, &new] {
        assert_eq!(get_with_key(site.address, "/api/me", key).status, 200);
    }
    // One click selects all of it, where no script copies it.
    let selects = browser.find("#new-key").await.css_value("user-select").await.expect("a value");
    assert_eq!(selects, "all");
    browser.go("/keys").await;
    assert_eq!(browser.count("#keys .old").await, 1);
}

async fn an_eleventh_key_ends_another(browser: &Browser) {
    for _ in 2..=10 {
        mint(browser, "deployment").await;
        assert_eq!(browser.count("#evicted").await, 0);
    }
    browser.go("/keys/new").await;
    assert_eq!(browser.count("#next-to-go").await, 1);
    mint(browser, "deployment").await;
    assert_eq!(browser.count("#evicted").await, 1);
    assert_eq!(browser.count("#keys tr.expired").await, 1);
}

async fn a_new_password_logs_the_other_out(here: &Browser, there: &Browser) {
    here.go("/account").await;
    here.click("#password").await;
    here.submit(&[("password", PASSWORD), ("new_password", NEW_PASSWORD)]).await;
    assert_eq!(here.path().await, "/account");
    assert_says(here, "1 other device is logged out.").await;
    there.go("/account").await;
    assert_eq!(there.path().await, "/login");
    log_in(there, "ada", NEW_PASSWORD).await;
}
