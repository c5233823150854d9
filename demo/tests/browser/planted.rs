//! A sibling host plants cookies. The demo's cookie is named so that browsers take it from the demo's own host alone.

use std::net::SocketAddr;

use crate::api::send;
use crate::chromium::{Browser, Cookie, Driver, Profile};
use crate::front::{APP, Front, SITE};
use crate::look::keep;
use crate::sibling::{Means, Sibling};
use crate::site::Site;
use crate::walk::{PASSWORD, log_in, sign_up};

crate::in_a_browser!(
    what_a_sibling_plants_logs_nobody_in_as_somebody_else_nor_locks_anybody_out,
    a_browser_that_is_logged_in_stays_so_whatever_a_sibling_plants,
);

/// What browsers refuse under some conditions, and what they take in any case.
const PREFIXES: [&str; 5] = ["", "__Secure-", "__Http-", "__Host-", "__Host-Http-"];

const PATHS: [&str; 5] = ["/", "/account", "/login", "/logout", "/signup"];

const MADE_UP: &str = "aTokenThatNobodyWasEverGivenAndThatIsLongEnoughToBeTakenForOneOfThem";

/// The demo behind TLS, a host beside it, and a browser that goes to both.
struct Neighbourhood {
    _site: Site,
    _front: Front,
    sibling: Sibling,
    _driver: Driver,
    ada: Browser,
    mallory: Mallory,
}

impl Neighbourhood {
    async fn build() -> Self {
        let site = Site::start();
        let front = Front::of(site.address).await;
        let (sibling, driver) = (Sibling::start().await, Driver::start());
        let ada = driver.open(&front.origin(APP), Profile::default()).await;
        let mallory = Mallory::sign_up(site.address);
        Self { _site: site, _front: front, sibling, _driver: driver, ada, mallory }
    }

    /// Plants this value under every name and path, by every means.
    async fn plant(&self, value: &str) {
        let own = &self.mallory.cookie_name;
        self.sibling.plant(&self.ada, planted(bare(own), value)).await;
        for path in PATHS {
            let kept = of_the_site(&self.ada, path).await;
            // It did arrive, and not under the one name that counts.
            assert!(kept.len() >= 4, "{path}: {kept:?}");
            assert!(kept.iter().all(|cookie| cookie.name != *own), "{path}: {kept:?}");
        }
    }
}

/// Who has the sibling host, and an account of her own in the demo.
struct Mallory {
    demo: SocketAddr,
    cookie_name: String,
    token: String,
}

impl Mallory {
    fn sign_up(demo: SocketAddr) -> Self {
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let head = format!("POST /signup HTTP/1.1\r\nHost: {APP}\r\n{form}");
        let page = send(demo, &head, "name=mallory&password=a-coat-of-another-s");
        assert_eq!(page.status, 303, "{}", page.body);
        let mut cookies = page.headers("set-cookie").filter(|cookie| !cookie.starts_with("last_user="));
        let (name, rest) = cookies.next().and_then(|cookie| cookie.split_once('=')).expect("a cookie");
        let token = rest.split(';').next().expect("a value").to_owned();
        Self { demo, cookie_name: name.to_owned(), token }
    }

    /// She is still logged in, as herself and on one device.
    fn assert_is_herself(&self) {
        let cookie = format!("{}={}", self.cookie_name, self.token);
        let head = format!("GET /account HTTP/1.1\r\nHost: {APP}\r\nCookie: {cookie}\r\n");
        let page = send(self.demo, &head, "");
        assert_eq!(page.status, 200);
        assert!(page.body.contains("title=\"mallory\""), "{}", page.body);
        assert_eq!(page.body.matches("data-id").count(), 1, "{}", page.body);
    }
}

/// Every name with every prefix, for this host and the domain above, for all paths, with and without `Secure` and
/// `HttpOnly`, by header and by script. Browsers refuse a part of them.
fn planted(bare: &str, value: &str) -> Vec<(Means, String)> {
    let mut cookies = Vec::new();
    let names = PREFIXES.iter().map(|prefix| format!("{prefix}{bare}"));
    for name in names.chain(["last_user".to_owned()]) {
        for path in PATHS {
            for domain in ["", &format!("; Domain={SITE}"), &format!("; Domain={APP}")] {
                for attributes in ["", "; Secure", "; HttpOnly", "; Secure; HttpOnly"] {
                    let cookie = format!("{name}={value}; Path={path}{domain}{attributes}");
                    if !attributes.contains("HttpOnly") {
                        cookies.push((Means::Script, cookie.clone()));
                    }
                    cookies.push((Means::Header, cookie));
                }
            }
        }
    }
    cookies
}

/// A name without the prefix that browsers look at.
fn bare(name: &str) -> &str {
    let longest =
        PREFIXES.iter().filter_map(|prefix| name.strip_prefix(prefix)).min_by_key(|rest| rest.len());
    longest.unwrap_or(name)
}

/// The demo's own: the one that is for its host alone, and for every path.
async fn session_cookie(browser: &Browser) -> Cookie {
    let mut cookies = browser.cookies("/account").await;
    cookies.retain(|cookie| cookie.domain == APP);
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    cookies.remove(0)
}

/// What came from a sibling: the cookies that every host of the site gets.
async fn of_the_site(browser: &Browser, path: &str) -> Vec<Cookie> {
    let mut cookies = browser.cookies(path).await;
    cookies.retain(|cookie| cookie.domain == format!(".{SITE}"));
    cookies
}

async fn assert_is_nobody(browser: &Browser) {
    browser.go("/").await;
    assert_eq!(browser.path().await, "/");
    for page in ["/account", "/keys"] {
        browser.go(page).await;
        assert_eq!(browser.path().await, "/login");
    }
}

/// Logged in, and on no page as somebody else.
async fn assert_is(browser: &Browser, name: &str) {
    for page in ["/account", "/keys"] {
        browser.go(page).await;
        assert_eq!(browser.path().await, page);
        assert_eq!(browser.text(".who").await, name);
    }
}

async fn log_out(browser: &Browser) {
    browser.go("/account").await;
    browser.click("#logout").await;
    assert_eq!(browser.path().await, "/");
}

async fn what_a_sibling_plants_logs_nobody_in_as_somebody_else_nor_locks_anybody_out() {
    let here = Neighbourhood::build().await;
    let Neighbourhood { ada, mallory, .. } = &here;
    for value in [&mallory.token, MADE_UP] {
        // Before there is any cookie of the demo's: what is older is sent first.
        here.plant(value).await;
        assert_is_nobody(ada).await;
    }
    keep("planted-nobody", &ada.screenshot().await);
    here.plant(&mallory.token).await;
    sign_up(ada, "ada").await;
    keep("planted-signed-up", &ada.screenshot().await);
    assert_is(ada, "ada").await;
    // What she has is new, and nobody's who knew something before.
    let first = session_cookie(ada).await.value;
    assert!(first != mallory.token && first != MADE_UP);
    log_out(ada).await;
    assert_is_nobody(ada).await;
    log_in(ada, "ada", PASSWORD).await;
    assert_is(ada, "ada").await;
    let second = session_cookie(ada).await.value;
    assert!(![&mallory.token, MADE_UP, &first].contains(&second.as_str()));
    mallory.assert_is_herself();
    // More than a browser keeps for all hosts of a site. It may forget hers for them, which logs her out.
    let crowd = (0..200).map(|n| (Means::Header, format!("n{n}=1; Domain={SITE}; Path=/; Secure; HttpOnly")));
    here.sibling.plant(ada, crowd.collect()).await;
    log_in(ada, "ada", PASSWORD).await;
    assert_is(ada, "ada").await;
    log_out(ada).await;
    here.ada.close().await;
}

async fn a_browser_that_is_logged_in_stays_so_whatever_a_sibling_plants() {
    let here = Neighbourhood::build().await;
    let Neighbourhood { ada, mallory, .. } = &here;
    sign_up(ada, "ada").await;
    let before = session_cookie(ada).await;
    for value in [&mallory.token, MADE_UP] {
        here.plant(value).await;
        assert_is(ada, "ada").await;
        assert_eq!(session_cookie(ada).await, before);
    }
    log_out(ada).await;
    assert_is_nobody(ada).await;
    log_in(ada, "ada", PASSWORD).await;
    assert_is(ada, "ada").await;
    mallory.assert_is_herself();
    here.ada.close().await;
}
