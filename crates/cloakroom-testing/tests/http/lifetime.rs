//! The cookie lives for as long as the session, whoever extends it.

use std::time::Duration;

use cloakroom::{CreatedSession, Sessions};
use cloakroom_testing::{TestDatabase, UserSession, user};
use cloakroom_web::{SessionLayer, TokenSource};
use time::OffsetDateTime;

use crate::harness::{Answer, Framework, Site, bearer, cookie, logged_in, routes};

const HOUR: Duration = Duration::from_hours(1);

/// What a browser makes of its one cookie.
struct Jar {
    cookie: String,
    expires_at: OffsetDateTime,
    set: usize,
}

impl Jar {
    fn take(&mut self, answer: &Answer, now: OffsetDateTime) {
        for cookie in answer.cookies() {
            let (_, max_age) = cookie.split_once("Max-Age=").unwrap();
            self.expires_at = now + Duration::from_secs(max_age.parse().unwrap());
            self.set += 1;
        }
    }
}

async fn log_in(db: &TestDatabase, site: &Site) -> Jar {
    let answer = site.post("/login/1234", &[]).await;
    let mut jar = Jar {
        cookie: format!("__Host-Http-session={}", answer.body),
        expires_at: OffsetDateTime::UNIX_EPOCH,
        set: 0,
    };
    jar.take(&answer, db.now());
    jar
}

/// Comes once a day, at another hour each day. Something else uses the session before, so that this is never the
/// request that extends it. How many days the browser sent a cookie.
async fn come_daily(
    db: &TestDatabase,
    sessions: &Sessions<UserSession>,
    site: &Site,
    jar: &mut Jar,
    days: u32,
) -> u32 {
    let token = jar.cookie.split_once('=').unwrap().1.to_owned();
    for day in 0..days {
        let hour = (day * 7) % 24;
        db.clock().advance(HOUR * hour);
        if sessions.authenticate(&token).await.unwrap().is_none() || jar.expires_at <= db.now() {
            return day;
        }
        db.clock().advance(Duration::from_secs(1));
        let answer = site.get("/me", &[("cookie", &jar.cookie)]).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "1234"));
        jar.take(&answer, db.now());
        db.clock().advance(HOUR * (24 - hour));
    }
    days
}

async fn who_comes_daily_stays_logged_in_though_others_do_all_the_extending(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<UserSession>().await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let mut jar = log_in(&db, &site).await;
    assert_eq!(come_daily(&db, &sessions, &site, &mut jar, 420).await, 420);
    // Set at the log-in, and on two days of a hundred.
    assert!((2..20).contains(&jar.set), "{}", jar.set);
}

async fn with_an_absolute_lifetime_session_and_cookie_end_together(db: TestDatabase, on: Framework) {
    let sessions = db.sessions_with::<UserSession>(db.config().max_lifetime(HOUR * 24 * 30)).await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let mut jar = log_in(&db, &site).await;
    let end = db.now() + HOUR * 24 * 30;
    assert_eq!(jar.expires_at, end);
    // The last extension is not worth a write where it would gain less than a day.
    assert!((29..=30).contains(&come_daily(&db, &sessions, &site, &mut jar, 40).await));
    assert!(jar.expires_at <= end && end - jar.expires_at < Duration::from_secs(2));
}

async fn a_cookie_is_sent_again_only_if_its_session_can_outlive_it(db: TestDatabase, on: Framework) {
    // Browsers keep a cookie for 400 days.
    for (days, set) in [(400, 1), (410, 3)] {
        let sessions = db.sessions_with::<UserSession>(db.config().max_lifetime(HOUR * 24 * days)).await;
        let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
        let mut jar = log_in(&db, &site).await;
        assert_eq!(come_daily(&db, &sessions, &site, &mut jar, 110).await, 110);
        assert_eq!(jar.set, set, "{days}");
    }
}

async fn another_layer_s_extension_does_not_end_the_cookie_early(db: TestDatabase, on: Framework) {
    let (sessions, created): (_, CreatedSession<UserSession>) = logged_in(&db).await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let api = SessionLayer::new(sessions).sources([TokenSource::Bearer]);
    let api = Site::start(on, routes().layer(api)).await;
    // Six days later the other layer extends it, and ten days after the log-in the browser is back.
    db.clock().advance(HOUR * 24 * 6);
    api.get("/me", &[("authorization", &bearer(&created))]).await.assert_is(200, "1234");
    db.clock().advance(HOUR * 24 * 4);
    let answer = site.get("/me", &[("cookie", &cookie(&created))]).await;
    assert_eq!(answer.body, "1234");
    // What the browser was told at its log-in lasted for longer than that.
    let told = site.post("/login/5678", &[]).await;
    let (_, max_age) = told.cookies()[0].split_once("Max-Age=").unwrap();
    assert!(max_age.parse::<u32>().unwrap() > 10 * 24 * 3600);
}

async fn a_cookie_that_outlives_its_session_is_cleared_when_somebody_asks(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    sessions.create(user("1234")).await.unwrap();
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions))).await;
    db.clock().advance(HOUR * 24 * 8);
    site.get("/me", &[("cookie", &cookie(&created))]).await.assert_cleared(401);
}

each_framework! {
    who_comes_daily_stays_logged_in_though_others_do_all_the_extending,
    with_an_absolute_lifetime_session_and_cookie_end_together,
    a_cookie_is_sent_again_only_if_its_session_can_outlive_it,
    another_layer_s_extension_does_not_end_the_cookie_early,
    a_cookie_that_outlives_its_session_is_cleared_when_somebody_asks,
}
