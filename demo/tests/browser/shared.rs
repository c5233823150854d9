//! A cookie that every host of the site shares, or that has no prefix: then a browser may hold two of one name.
//!
//! What a host of the same domain plants under the very name, domain and path of such a cookie takes its place;
//! that is what `domain` means. It neither makes anybody somebody else's session's owner nor locks anybody out.

use cloakroom_axum::CookieConfig;
use cloakroom_testing::{Kind, TestDatabase, user};

use crate::chromium::{Browser, Driver, Profile};
use crate::club::{Club, enter, who};
use crate::front::{APP, SITE};
use crate::look::keep;
use crate::sibling::{Means, Sibling};

crate::in_a_browser!(
    two_cookies_of_which_one_is_valid_are_a_session_whichever_is_sent_first,
    a_longer_path_does_not_make_a_cookie_count_more,
    with_two_valid_sessions_a_browser_is_neither_and_can_log_in,
    a_valid_session_planted_for_one_page_does_not_keep_anybody_from_it,
    where_the_domain_is_switched_on_the_old_cookie_goes_with_the_next_log_in,
    where_the_domain_is_switched_off_nobody_is_locked_out,
    a_session_that_was_planted_ends_when_somebody_logs_in,
);

/// Needs `Secure`, and may have a domain.
const NAME: &str = "__Secure-session";

const MADE_UP: &str = "aTokenThatNobodyWasEverGivenAndThatIsLongEnoughToBeTakenForOneOfThem";

const WWW: &str = "www.site.test";

fn shared() -> CookieConfig {
    CookieConfig::builder().name(NAME).domain(SITE).build().expect("it is sound")
}

fn of_one_host() -> CookieConfig {
    CookieConfig::builder().name(NAME).build().expect("it is sound")
}

/// For every host of the site.
fn for_all(value: &str, path: &str) -> (Means, String) {
    (Means::Header, format!("{NAME}={value}; Domain={SITE}; Path={path}; Secure; HttpOnly; Max-Age=86400"))
}

/// The same without what a script cannot say.
fn by_script(value: &str, path: &str) -> (Means, String) {
    (Means::Script, format!("{NAME}={value}; Domain={SITE}; Path={path}; Secure"))
}

/// What a browser holds of the cookie: for which domain, and which value.
async fn held(browser: &Browser, path: &str) -> Vec<(String, String)> {
    let cookies = browser.cookies(path).await.into_iter().filter(|cookie| cookie.name == NAME);
    cookies.map(|cookie| (cookie.domain, cookie.value)).collect()
}

async fn assert_is(browser: &Browser, name: &str) {
    for page in ["/", "/account"] {
        browser.go(page).await;
        assert_eq!((browser.path().await.as_str(), who(browser).await.as_str()), (page, name));
    }
}

async fn assert_is_nobody(browser: &Browser) {
    browser.go("/").await;
    assert_eq!(who(browser).await, "nobody");
    browser.go("/account").await;
    assert_eq!(browser.path().await, "/login");
}

async fn log_out(browser: &Browser) {
    browser.go("/").await;
    browser.click("#logout").await;
    assert_eq!((browser.path().await.as_str(), who(browser).await.as_str()), ("/", "nobody"));
}

/// Whoever it is: can log in, sees it, can log out, and can do so again.
async fn assert_is_not_locked_out(browser: &Browser) {
    for _ in 0..2 {
        enter(browser, "ada").await;
        assert_is(browser, "ada").await;
        log_out(browser).await;
        assert_is_nobody(browser).await;
    }
}

async fn start(cookie: CookieConfig) -> (TestDatabase, Club, Sibling, Driver) {
    let db = TestDatabase::new(Kind::Sqlite).await;
    let club = Club::start(&db, cookie).await;
    (db, club, Sibling::start().await, Driver::start())
}

/// A session of the sibling's owner, begun somewhere else.
async fn of_mallory(club: &Club) -> String {
    club.sessions.create(user("mallory")).await.expect("a session").token.expose().to_owned()
}

async fn two_cookies_of_which_one_is_valid_are_a_session_whichever_is_sent_first() {
    let (_db, club, sibling, driver) = start(of_one_host()).await;
    for planted_first in [true, false] {
        let ada = driver.open(&club.origin(APP), Profile::default()).await;
        let planted = || vec![for_all("planted-by-header", "/"), by_script(MADE_UP, "/")];
        if planted_first {
            sibling.plant(&ada, planted()).await;
        }
        enter(&ada, "ada").await;
        assert_eq!(ada.path().await, "/account");
        // Anew, since logging in may have had the browser forget what it sent.
        sibling.plant(&ada, planted()).await;
        assert_is(&ada, "ada").await;
        let received = club.received("/account", NAME);
        assert_eq!(received.len(), 2, "{received:?}");
        log_out(&ada).await;
        assert_is_nobody(&ada).await;
        sibling.plant(&ada, planted()).await;
        assert_is_not_locked_out(&ada).await;
        ada.close().await;
    }
}

async fn a_longer_path_does_not_make_a_cookie_count_more() {
    let (_db, club, sibling, driver) = start(shared()).await;
    let ada = driver.open(&club.origin(APP), Profile::default()).await;
    let paths = ["/account", "/login", "/logout"];
    let planted = || paths.iter().map(|path| for_all(MADE_UP, path)).collect::<Vec<_>>();
    sibling.plant(&ada, planted()).await;
    enter(&ada, "ada").await;
    sibling.plant(&ada, planted()).await;
    assert_is(&ada, "ada").await;
    let received = club.received("/account", NAME);
    assert!(received.len() == 2 && received[0] == MADE_UP, "{received:?}");
    log_out(&ada).await;
    assert_is_nobody(&ada).await;
    sibling.plant(&ada, planted()).await;
    assert_is_not_locked_out(&ada).await;
    ada.close().await;
}

async fn with_two_valid_sessions_a_browser_is_neither_and_can_log_in() {
    let (_db, club, sibling, driver) = start(of_one_host()).await;
    let ada = driver.open(&club.origin(APP), Profile::default()).await;
    enter(&ada, "ada").await;
    assert_is(&ada, "ada").await;
    let known = of_mallory(&club).await;
    sibling.plant(&ada, vec![for_all(&known, "/")]).await;
    assert_eq!(held(&ada, "/").await.len(), 2);
    ada.go("/").await;
    assert_eq!(who(&ada).await, "nobody");
    keep("shared-two-valid", &ada.screenshot().await);
    enter(&ada, "ada").await;
    assert_is(&ada, "ada").await;
    keep("shared-logged-in-again", &ada.screenshot().await);
    log_out(&ada).await;
    assert_is_nobody(&ada).await;
    sibling.plant(&ada, vec![for_all(&of_mallory(&club).await, "/")]).await;
    assert_is_not_locked_out(&ada).await;
    ada.close().await;
}

async fn a_valid_session_planted_for_one_page_does_not_keep_anybody_from_it() {
    let (_db, club, sibling, driver) = start(shared()).await;
    let ada = driver.open(&club.origin(APP), Profile::default()).await;
    let known = of_mallory(&club).await;
    sibling.plant(&ada, vec![for_all(&known, "/account")]).await;
    enter(&ada, "ada").await;
    // At once, or after one log-in more; never as somebody else.
    if ada.path().await == "/login" {
        ada.submit(&[("name", "ada")]).await;
    }
    assert_is(&ada, "ada").await;
    log_out(&ada).await;
    assert_is_nobody(&ada).await;
    assert_is_not_locked_out(&ada).await;
    ada.close().await;
}

async fn where_the_domain_is_switched_on_the_old_cookie_goes_with_the_next_log_in() {
    let (db, before, _sibling, driver) = start(of_one_host()).await;
    let ada = driver.open(&before.origin(APP), Profile::default()).await;
    enter(&ada, "ada").await;
    let old = held(&ada, "/").await;
    assert!(matches!(&old[..], [(domain, _)] if domain == APP), "{old:?}");

    // Another port of the same host: browsers share cookies among those.
    let club = Club::start(&db, shared()).await;
    let ada = ada.at(&club.origin(APP));
    assert_is(&ada, "ada").await;
    enter(&ada, "ada").await;
    assert_is(&ada, "ada").await;
    let new = held(&ada, "/").await;
    assert!(matches!(&new[..], [(domain, token)] if domain == ".site.test" && *token != old[0].1), "{new:?}");
    log_out(&ada).await;
    assert_eq!(held(&ada, "/").await, []);

    // Logged in on one host before, and on another since: two that are valid.
    let ada = ada.at(&before.origin(APP));
    enter(&ada, "ada").await;
    let ada = ada.at(&club.origin(WWW));
    enter(&ada, "ada").await;
    let ada = ada.at(&club.origin(APP));
    assert_eq!(held(&ada, "/").await.len(), 2);
    assert_is_nobody(&ada).await;
    enter(&ada, "ada").await;
    assert_is(&ada, "ada").await;
    assert_eq!(held(&ada, "/").await.len(), 1);
    log_out(&ada).await;
    assert_eq!(held(&ada, "/").await, []);
    ada.close().await;
}

async fn where_the_domain_is_switched_off_nobody_is_locked_out() {
    let (db, before, _sibling, driver) = start(shared()).await;
    let ada = driver.open(&before.origin(APP), Profile::default()).await;
    enter(&ada, "ada").await;
    let club = Club::start(&db, of_one_host()).await;
    let ada = ada.at(&club.origin(APP));
    assert_is(&ada, "ada").await;
    assert_is_not_locked_out(&ada).await;
    // As long as both are in service.
    let ada = ada.at(&before.origin(APP));
    assert_is_not_locked_out(&ada).await;
    ada.close().await;
}

async fn a_session_that_was_planted_ends_when_somebody_logs_in() {
    let (_db, club, sibling, driver) = start(shared()).await;
    let ada = driver.open(&club.origin(APP), Profile::default()).await;
    let known = of_mallory(&club).await;
    sibling.plant(&ada, vec![for_all(&known, "/")]).await;
    enter(&ada, "ada").await;
    assert_is(&ada, "ada").await;
    let held = held(&ada, "/").await;
    assert!(matches!(&held[..], [(_, token)] if *token != known), "{held:?}");
    // Whoever planted it has nothing: neither what they knew, nor what it became.
    assert!(club.sessions.authenticate(&known).await.expect("an answer").is_none());
    ada.close().await;
}
