//! The cookie: its attributes, its end, when it is sent again and when it is not.

use std::time::Duration;

use cloakroom::NewSession;
use cloakroom_testing::{TestDatabase, UserSession, user};
use cloakroom_web::{CookieConfig, SameSite, SessionLayer, SessionRejection, TokenSource};

use crate::harness::{
    Current, Framework, LONGEST, Manager, Reply, Site, bearer, cookie, get, logged_in, post, routes, set,
};

const DAY: Duration = Duration::from_hours(24);

async fn logging_in_sets_the_strict_cookie_for_as_long_as_the_session_can_live(
    db: TestDatabase,
    on: Framework,
) {
    let sessions = db.sessions::<UserSession>().await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions))).await;
    let answer = site.post("/login/1234", &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.cookies(), [set(&answer.body, LONGEST)]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let cookie = format!("__Host-Http-session={}", answer.body);
    assert_eq!(site.get("/me", &[("cookie", &cookie)]).await.body, "1234");
}

async fn max_age_is_what_the_session_can_live_and_no_more_than_browsers_allow(
    db: TestDatabase,
    on: Framework,
) {
    let log_in_for = |change: fn(NewSession<UserSession>) -> NewSession<UserSession>| {
        post(move |manager: Manager| log_in(manager, change))
    };
    let app = || {
        routes()
            .route("/hour", log_in_for(|new| new.expires_in(DAY / 24)))
            .route("/slides", log_in_for(|new| new.sliding(DAY / 24)))
            .route("/forever", log_in_for(NewSession::never_expires))
            .route("/past", log_in_for(|new| new.expires_at(cloakroom_testing::START)))
    };
    db.clock().advance(DAY);
    for (lifetime, expected) in [
        (None, [("/hour", "3600"), ("/slides", LONGEST), ("/forever", LONGEST), ("/past", "0")]),
        (Some(DAY * 1000), [("/hour", "3600"), ("/slides", LONGEST), ("/forever", LONGEST), ("/past", "0")]),
        (
            Some(DAY * 30),
            [("/hour", "3600"), ("/slides", "2592000"), ("/forever", "2592000"), ("/past", "0")],
        ),
    ] {
        let sessions = db.sessions_with::<UserSession>(db.config().max_lifetime(lifetime)).await;
        let site = Site::start(on, app().layer(SessionLayer::new(sessions))).await;
        for (path, max_age) in expected {
            let answer = site.post(path, &[]).await;
            assert_eq!(answer.cookies(), [set(&answer.body, max_age)], "{path} {lifetime:?}");
        }
    }
}

async fn a_cookie_ends_with_the_browser_unless_its_session_has_a_life_of_its_own(
    db: TestDatabase,
    on: Framework,
) {
    let sessions = db.sessions::<UserSession>().await;
    let cookie = CookieConfig::builder().ends_with_browser(true).build().unwrap();
    let log_in_for = |change: fn(NewSession<UserSession>) -> NewSession<UserSession>| {
        post(move |manager: Manager| log_in(manager, change))
    };
    let app = routes()
        .route("/once", log_in_for(|new| new))
        .route("/remember", log_in_for(|new| new.sliding(30 * DAY)))
        .route("/past", log_in_for(|new| new.expires_at(cloakroom_testing::START)))
        .layer(SessionLayer::new(sessions).cookie(cookie));
    let site = Site::start(on, app).await;
    let without_max_age = |token: &str| set(token, "0").replace("; Max-Age=0", "");
    for (path, lasts) in [("/once", false), ("/remember", true)] {
        db.clock().set(cloakroom_testing::START);
        let answer = site.post(path, &[]).await;
        let expected = if lasts { set(&answer.body, LONGEST) } else { without_max_age(&answer.body) };
        assert_eq!(answer.cookies(), std::slice::from_ref(&expected), "{path}");
        // What is sent again is of the same kind.
        db.clock().advance(6 * DAY);
        let cookie = format!("__Host-Http-session={}", answer.body);
        assert_eq!(site.get("/me", &[("cookie", &cookie)]).await.cookies(), [expected], "{path}");
    }
    let answer = site.post("/past", &[]).await;
    assert_eq!(answer.cookies(), [set(&answer.body, "0")]);
}

async fn log_in(
    manager: Manager,
    change: impl FnOnce(NewSession<UserSession>) -> NewSession<UserSession>,
) -> Result<String, SessionRejection> {
    Ok(manager.log_in(change(user("1234"))).await?.token.expose().to_owned())
}

async fn an_extended_session_has_its_cookie_sent_again(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions))).await;
    let cookie = cookie(&created);
    site.get("/me", &[("cookie", &cookie)]).await.assert_is(200, "1234");
    db.clock().advance(2 * DAY);
    // Whoever asks for nothing extends nothing.
    site.get("/free", &[("cookie", &cookie)]).await.assert_is(200, "free");
    let answer = site.get("/maybe", &[("cookie", &cookie)]).await;
    assert_eq!(answer.body, "1234");
    assert_eq!(answer.cookies(), [set(created.token.expose(), LONGEST)]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    db.clock().advance(Duration::from_secs(1));
    site.get("/me", &[("cookie", &cookie)]).await.assert_is(200, "1234");
}

async fn a_bearer_token_that_was_extended_makes_no_cookie(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let sources = [TokenSource::Cookie, TokenSource::Bearer];
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()).sources(sources))).await;
    db.clock().advance(2 * DAY);
    site.get("/me", &[("authorization", &bearer(&created))]).await.assert_is(200, "1234");
    // Through a handle that extends nothing itself.
    let looking = db.sessions_with::<UserSession>(db.config().auto_extend(false)).await;
    let session = looking.query().id(created.session.id).fetch_one().await.unwrap();
    assert!(session.expires_at > created.session.expires_at, "it was extended");
}

async fn a_layer_without_cookies_never_sets_one(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site =
        Site::start(on, routes().layer(SessionLayer::new(sessions).sources([TokenSource::Bearer]))).await;
    let answer = site.post("/login/5678", &[("authorization", &bearer(&created))]).await;
    assert!(answer.status == 200 && answer.cookies().is_empty());
    let new = format!("Bearer {}", answer.body);
    site.get("/me", &[("authorization", &new)]).await.assert_is(200, "5678");
    db.clock().advance(2 * DAY);
    site.get("/me", &[("authorization", &new)]).await.assert_is(200, "5678");
    site.post("/logout", &[("authorization", &new)]).await.assert_is(200, "true");
    assert_eq!(site.get("/me", &[("authorization", &new)]).await.status, 401);
}

async fn every_attribute_is_as_configured(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<UserSession>().await;
    let config = || CookieConfig::builder().name("__Secure-app");
    for (config, attributes) in [
        (config(), "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=34560000"),
        (config().same_site(SameSite::Strict), "HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=34560000"),
        (config().same_site(SameSite::None), "HttpOnly; SameSite=None; Secure; Path=/; Max-Age=34560000"),
        (
            config().domain("example.com").path("/app"),
            "HttpOnly; SameSite=Lax; Secure; Path=/app; Domain=example.com; Max-Age=34560000",
        ),
    ] {
        let layer = SessionLayer::new(sessions.clone()).cookie(config.build().unwrap());
        let site = Site::start(on, routes().layer(layer)).await;
        let answer = site.post("/login/1234", &[]).await;
        assert_eq!(answer.cookies(), [format!("__Secure-app={}; {attributes}", answer.body)]);
        let cookie = format!("__Secure-app={}", answer.body);
        assert_eq!(site.get("/me", &[("cookie", &cookie)]).await.body, "1234");
        // It is cleared with the same attributes, or browsers would keep it.
        let answer = site.post("/logout", &[("cookie", &cookie)]).await;
        let attributes = attributes.replace("34560000", "0");
        let cookies = answer.cookies();
        assert_eq!(cookies.last(), Some(&&*format!("__Secure-app=; {attributes}")));
        // And so is the form that there would be without a domain and a path.
        let host_only = "__Secure-app=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0";
        let has_other_form = attributes.contains("Domain");
        assert_eq!(cookies[..cookies.len() - 1], vec![host_only; usize::from(has_other_form)]);
    }
}

async fn what_the_application_puts_into_the_response_stays(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let app = routes()
        .route(
            "/cached",
            get(async |_: Current| Reply::new(200, "").with("cache-control", "public, max-age=60")),
        )
        .route(
            "/strict",
            get(async |_: Current| Reply::new(200, "").with("cache-control", "no-store, private")),
        )
        .route(
            "/themed",
            get(async |_: Current| {
                Reply::new(200, "").with("set-cookie", "theme=dark").with("set-cookie", "lang=de")
            }),
        )
        .layer(SessionLayer::new(sessions));
    let site = Site::start(on, app).await;
    let cookie = cookie(&created);
    let headers = [("cookie", cookie.as_str())];
    // Nothing is changed in a response that has no session cookie.
    assert_eq!(site.get("/cached", &headers).await.header("cache-control"), Some("public, max-age=60"));
    assert_eq!(site.get("/themed", &headers).await.cookies(), ["theme=dark", "lang=de"]);
    for (path, said) in [("/cached", "no-store"), ("/strict", "no-store, private")] {
        db.clock().advance(2 * DAY);
        let answer = site.get(path, &headers).await;
        assert_eq!((answer.header("cache-control"), answer.cookies().len()), (Some(said), 1), "{path}");
    }
    db.clock().advance(2 * DAY);
    let again = set(created.token.expose(), LONGEST);
    assert_eq!(site.get("/themed", &headers).await.cookies(), ["theme=dark", "lang=de", &again]);
}

each_framework! {
    logging_in_sets_the_strict_cookie_for_as_long_as_the_session_can_live,
    max_age_is_what_the_session_can_live_and_no_more_than_browsers_allow,
    a_cookie_ends_with_the_browser_unless_its_session_has_a_life_of_its_own,
    an_extended_session_has_its_cookie_sent_again,
    a_bearer_token_that_was_extended_makes_no_cookie,
    a_layer_without_cookies_never_sets_one,
    every_attribute_is_as_configured,
    what_the_application_puts_into_the_response_stays,
}
