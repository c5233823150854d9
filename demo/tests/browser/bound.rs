//! Sessions that are bound to the browser's device.

use std::time::Duration;

use cloakroom_testing::{Kind, TestDatabase};

use crate::api::{Page, send};
use crate::chromium::{Browser, Driver, Profile, Signs};
use crate::club::who;
use crate::device_club::{BOUND_COOKIE, CHALLENGED, COOKIE, DeviceClub, ENDED, RENEW_AT, RENEWED};
use crate::front::{APP, Front};
use crate::site::Site;
use crate::walk::sign_up;

crate::in_a_browser!(
    a_bound_cookie_is_renewed_whenever_it_is_gone_and_a_copy_of_it_is_worth_nothing_after_that,
    requests_of_two_tabs_wait_for_one_renewal,
    a_bound_session_outlives_a_restart_of_the_browser,
    a_link_of_another_site_finds_the_user_logged_in,
    a_copy_in_another_browser_works_until_the_real_one_renews_and_is_never_renewed,
    the_demo_binds_a_session_and_renews_it_until_its_user_logs_out,
    who_logs_out_is_logged_out_and_the_device_forgets_its_key,
    who_logs_in_as_somebody_else_stays_somebody_else,
    who_has_used_up_the_browsers_signatures_is_not_forgotten_and_can_log_in,
);

const BINDS: Profile = Profile { binds_sessions: Some(Signs::WithoutLimit), ..Profile::DEFAULT };

struct Meeting {
    db: TestDatabase,
    club: DeviceClub,
    driver: Driver,
    ada: Browser,
}

impl Meeting {
    /// A club, and a browser in which somebody is logged in and bound.
    async fn with(name: &str) -> Self {
        Self::in_browser(BINDS, name).await
    }

    async fn in_browser(profile: Profile, name: &str) -> Self {
        let db = TestDatabase::new(Kind::Sqlite).await;
        let club = DeviceClub::start(&db).await;
        let driver = Driver::start();
        let ada = driver.open(&club.origin(APP), profile).await;
        let meeting = Self { db, club, driver, ada };
        meeting.log_in(name).await;
        meeting
    }

    async fn log_in(&self, name: &str) {
        self.ada.go(&format!("/login/{name}")).await;
        self.ada.until_bound().await;
        let session = self.club.session(name).await.expect("she has logged in");
        assert!(session.is_bound());
    }

    /// Lets the ten minutes of the bound cookie and of its token pass, and the three by which clocks may differ.
    async fn wait(&self) {
        self.db.clock().advance(Duration::from_mins(14));
        self.ada.lose_cookie(BOUND_COOKIE).await;
    }

    /// Goes to a page after that, and says who is greeted there.
    async fn come_later(&self) -> String {
        self.wait().await;
        self.ada.go("/").await;
        who(&self.ada).await
    }

    async fn token(&self) -> String {
        token_of(&self.ada).await
    }

    /// What another program hears that has copied these cookies.
    async fn with_copied(&self, request: &str, cookies: &str) -> Page {
        let head = format!("{request} HTTP/1.1\r\nHost: {APP}\r\nCookie: {cookies}\r\n");
        let address = self.club.address;
        tokio::task::spawn_blocking(move || send(address, &head, "")).await.expect("an answer")
    }

    /// Whom the page greets that is asked for with a copied token.
    async fn greeted_with(&self, token: &str) -> String {
        let page = self.with_copied("GET /", &format!("{COOKIE}={token}")).await.body;
        page.split_once("id=who>").and_then(|(_, rest)| rest.split('<').next()).expect("a name").to_owned()
    }
}

async fn a_bound_cookie_is_renewed_whenever_it_is_gone_and_a_copy_of_it_is_worth_nothing_after_that() {
    let meeting = Meeting::with("ada").await;
    let mut copied = meeting.token().await;
    for _ in 0..2 {
        assert_eq!(meeting.greeted_with(&copied).await, "ada");
        // The browser renews before the time of the token is over.
        meeting.ada.lose_cookie(BOUND_COOKIE).await;
        meeting.ada.go("/").await;
        assert_eq!(who(&meeting.ada).await, "ada");
        // The browser had the challenge in hand.
        assert_eq!(meeting.club.take_renewals(), [RENEWED]);
        let token = meeting.token().await;
        assert_ne!(token, copied);
        // For requests that are under way.
        assert_eq!(meeting.greeted_with(&copied).await, "ada");
        meeting.db.clock().advance(Duration::from_secs(31));
        assert_eq!(meeting.greeted_with(&copied).await, "nobody");
        copied = token;
    }
    // Who has the cookies and not the key.
    let session = meeting.club.session("ada").await.expect("she is logged in");
    let cookies =
        format!("{COOKIE}={copied}; {BOUND_COOKIE}=1\r\nSec-Secure-Session-Id: {}", session.id.simple());
    let answer = meeting.with_copied(&format!("POST {RENEW_AT}"), &cookies).await;
    assert_eq!((answer.status, answer.headers("set-cookie").count()), (403, 0));
    meeting.club.take_renewals();

    // It was given the challenge that the browser has too, and if it does not renew it is over by itself.
    assert_eq!(meeting.come_later().await, "ada");
    assert_eq!(meeting.greeted_with(&copied).await, "nobody");
    meeting.ada.close().await;
}

async fn requests_of_two_tabs_wait_for_one_renewal() {
    let meeting = Meeting::with("ada").await;
    let Meeting { ada, club, .. } = &meeting;
    ada.go("/").await;
    let first = ada.new_tab().await;
    ada.go("/").await;
    meeting.wait().await;
    let held = club.hold_renewals().await;
    let fetch = "const fetched = () => fetch('/').then((page) => page.text());\
        window.pages = Promise.all(Array.from({ length: 10 }, fetched))";
    ada.run(fetch).await;
    let second = ada.to_tab(first).await;
    ada.run(fetch).await;
    drop(held);
    for _ in 0..2 {
        let pages = ada.run_async("window.pages.then(done)").await;
        let pages = pages.as_array().expect("a list");
        assert_eq!(pages.len(), 10);
        assert!(pages.iter().all(|page| page.as_str().is_some_and(|page| page.contains("id=who>ada<"))));
        ada.to_tab(second.clone()).await;
    }
    assert_eq!(club.take_renewals(), [RENEWED]);
}

async fn a_bound_session_outlives_a_restart_of_the_browser() {
    let mut meeting = Meeting::with("ada").await;
    let before = meeting.token().await;
    meeting.ada = meeting.driver.restart(meeting.ada, BINDS).await;
    meeting.ada.go("/").await;
    assert_eq!(who(&meeting.ada).await, "ada");
    assert_eq!(meeting.token().await, before);
    assert_eq!(meeting.come_later().await, "ada");
    // The browser has forgotten the challenge, and not the key.
    assert_eq!(meeting.club.take_renewals(), [CHALLENGED, RENEWED]);
    assert_ne!(meeting.token().await, before);
    meeting.ada.close().await;
}

async fn a_link_of_another_site_finds_the_user_logged_in() {
    let meeting = Meeting::with("ada").await;
    let Meeting { ada, club, .. } = &meeting;
    let port = club.origin("").rsplit_once(':').expect("a port").1.to_owned();
    for _ in 0..2 {
        let before = meeting.token().await;
        meeting.wait().await;
        ada.visit(&format!("{}/link/{port}", club.origin("elsewhere.test"))).await;
        ada.follow("#there").await;
        // The browser does not renew before such a request, but before the page that it gets asks for itself again.
        assert_eq!(ada.find("#who").await.text().await.expect("a name"), "ada");
        assert_eq!(club.take_renewals(), [RENEWED]);
        assert_ne!(meeting.token().await, before);
    }
    meeting.ada.close().await;
}

async fn a_copy_in_another_browser_works_until_the_real_one_renews_and_is_never_renewed() {
    let meeting = Meeting::with("ada").await;
    let thief = meeting.driver.open(&meeting.club.origin(APP), BINDS).await;
    thief.take_cookies_of(&meeting.ada).await;
    thief.go("/").await;
    assert_eq!(who(&thief).await, "ada");
    meeting.ada.lose_cookie(BOUND_COOKIE).await;
    meeting.ada.go("/").await;
    meeting.db.clock().advance(Duration::from_secs(31));
    assert_eq!(meeting.club.take_renewals(), [RENEWED]);
    for _ in 0..2 {
        thief.go("/").await;
        assert_eq!(who(&thief).await, "nobody");
    }
    assert_eq!(meeting.club.take_renewals(), []);
    assert_eq!(meeting.come_later().await, "ada");
    thief.close().await;
    meeting.ada.close().await;
}

async fn who_logs_out_is_logged_out_and_the_device_forgets_its_key() {
    let meeting = Meeting::with("ada").await;
    meeting.ada.go("/logout").await;
    assert_eq!(meeting.come_later().await, "nobody");
    meeting.ada.until_forgotten("ServerRequested").await;
    meeting.club.take_renewals();
    assert_eq!(meeting.come_later().await, "nobody");
    assert_eq!(meeting.club.take_renewals(), []);

    // At once, if the application wants that.
    meeting.log_in("ada").await;
    // The console loses what is said while a page makes room for another.
    meeting.ada.run_async("fetch('/leave').then(() => done())").await;
    meeting.ada.until_console_says("Clear-Site-Data").await;
    meeting.ada.until_forgotten("StoragePartitionCleared").await;
    assert!(meeting.ada.cookies("/").await.is_empty());
    assert_eq!(meeting.come_later().await, "nobody");
    assert_eq!(meeting.club.take_renewals(), []);
    meeting.ada.close().await;
}

async fn who_logs_in_as_somebody_else_stays_somebody_else() {
    let meeting = Meeting::with("ada").await;
    meeting.log_in("grace").await;
    assert!(meeting.club.session("ada").await.is_none());
    // The browser asks for its older session first, and hears that it is over.
    assert_eq!(meeting.come_later().await, "grace");
    let renewals = meeting.club.take_renewals();
    assert_eq!((renewals.first(), renewals.last()), (Some(&ENDED), Some(&RENEWED)), "{renewals:?}");
    assert_eq!(meeting.come_later().await, "grace");
    assert_eq!(meeting.club.take_renewals(), [RENEWED]);
    meeting.ada.close().await;
}

async fn who_has_used_up_the_browsers_signatures_is_not_forgotten_and_can_log_in() {
    let profile = Profile { binds_sessions: Some(Signs::AsUsual), ..Profile::DEFAULT };
    let meeting = Meeting::in_browser(profile, "ada").await;
    // The registration was the first of six.
    for _ in 0..5 {
        assert_eq!(meeting.come_later().await, "ada");
    }
    assert_eq!(meeting.club.take_renewals(), [RENEWED; 5]);
    assert_eq!(meeting.come_later().await, "nobody");
    assert_eq!(meeting.club.take_renewals(), []);
    assert!(meeting.club.session("ada").await.is_some_and(|session| session.is_bound()));

    // The browser signs no registration either. The new session lasts, as in a browser that binds none.
    meeting.ada.go("/login/grace").await;
    meeting.ada.go("/").await;
    assert_eq!(who(&meeting.ada).await, "grace");
    assert!(meeting.club.session("grace").await.is_some_and(|session| !session.is_bound()));
    meeting.ada.close().await;
}

async fn the_demo_binds_a_session_and_renews_it_until_its_user_logs_out() {
    let site = Site::start_with(&["--dbsc"]);
    let (front, driver) = (Front::of(site.address).await, Driver::start());
    let ada = driver.open(&front.origin(APP), BINDS).await;
    sign_up(&ada, "ada").await;
    ada.until_bound().await;
    let mut token = token_of(&ada).await;
    for _ in 0..2 {
        ada.lose_cookie(BOUND_COOKIE).await;
        ada.go("/account").await;
        assert_eq!(ada.path().await, "/account");
        assert_eq!(ada.count("#sessions .bound").await, 1);
        let renewed = token_of(&ada).await;
        assert_ne!(renewed, token);
        token = renewed;
    }
    ada.click("#logout").await;
    assert!(ada.cookies("/").await.iter().all(|cookie| !cookie.name.contains("session")));
    ada.go("/account").await;
    assert_eq!(ada.path().await, "/login");
    ada.until_forgotten("ServerRequested").await;
    ada.close().await;
}

async fn token_of(browser: &Browser) -> String {
    let cookies = browser.cookies("/").await;
    let cookie = cookies.iter().find(|cookie| cookie.name == COOKIE);
    cookie.unwrap_or_else(|| panic!("{cookies:?}")).value.clone()
}
