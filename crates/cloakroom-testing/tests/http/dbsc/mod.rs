//! Sessions that are bound to the browser's device, with a client that speaks the protocol as Chromium does.

mod balancer;
mod browser;
mod nodes;
mod outage;

use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cloakroom::device::DeviceKey;
use cloakroom::{NewSession, SessionTable, Sessions};
use cloakroom_testing::{Device, TestDatabase};
use cloakroom_web::{
    CurrentSession, Dbsc, RequireBound, SessionLayer, SessionManager, SessionRejection, SiteData,
    TokenSource, require_bound,
};
use http::StatusCode;
use serde_json::Value;

use crate::capture::Captured;
use crate::harness::{Answer, App, Framework, Last, Maybe, Site, get, middleware, post};
use browser::Browser;

const MINUTE: Duration = Duration::from_mins(1);

const COOKIE: &str = "__Host-Http-session";
const MARKER: &str = "__Host-session-bound";

#[derive(Clone, Debug, SessionTable)]
#[session(table = "web")]
struct Web {
    user_id: String,
    #[session(device_key)]
    device_key: Option<DeviceKey>,
}

type Manager = SessionManager<Web>;

fn web(user_id: &str) -> NewSession<Web> {
    NewSession::new(Web { user_id: user_id.to_owned(), device_key: None })
}

async fn log_in(manager: Manager, Last(user): Last) -> Result<String, SessionRejection> {
    Ok(manager.log_in(web(&user)).await?.session.id.to_string())
}

fn routes() -> App {
    let guarded = App::new().route("/pay", get(async || "paid")).route_layer(require_bound::<Web>());
    App::new()
        .route("/me", get(async |session: CurrentSession<Web>| session.fields.user_id.clone()))
        .route(
            "/do",
            post(async |session: CurrentSession<Web>, body: String| {
                format!("{} {body}", session.fields.user_id)
            }),
        )
        .route("/maybe", get(maybe).post(maybe))
        .route("/login/{user}", post(log_in))
        .route(
            "/logout",
            post(async |manager: Manager| Ok::<_, SessionRejection>(manager.log_out().await?.to_string())),
        )
        .route(
            "/rotate",
            post(async |manager: Manager| {
                Ok::<_, SessionRejection>(manager.rotate().await?.expose().to_owned())
            }),
        )
        .route("/offer", post(async |manager: Manager| manager.offer_binding().await.map(|()| "")))
        .route(
            "/bound",
            get(async |manager: Manager| {
                Ok::<_, SessionRejection>(manager.require_bound().await?.fields.user_id.clone())
            }),
        )
        .route("/own", get(async |session: RequireBound<Web>| session.fields.user_id.clone()))
        .merge(guarded)
}

async fn maybe(session: Maybe<Web>) -> String {
    session.as_ref().map_or("nobody".to_owned(), |session| session.fields.user_id.clone())
}

async fn site(on: Framework, db: &TestDatabase) -> (Sessions<Web>, Site) {
    let sessions = db.sessions::<Web>().await;
    let site =
        Site::start(on, routes().layer(SessionLayer::new(sessions.clone()).dbsc(Dbsc::default()))).await;
    (sessions, site)
}

async fn a_log_in_asks_the_browser_to_bind_its_session(db: TestDatabase, on: Framework) {
    let (sessions, site) = site(on, &db).await;
    let mut browser = Browser::log_in(db.clock(), &site, "1234").await;
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [COOKIE]);
    let left = browser.cookies[COOKIE].1 - db.now();
    assert!(left > time::Duration::days(399), "it lasts, as without a device");
    // Before it is bound the session is as any other.
    let answer = browser.send(db.clock(), &site, "GET", "/me").await;
    answer.assert_is(200, "1234");
    assert_eq!(answer.header("secure-session-registration"), None);

    let answer = browser.register(db.clock(), &site).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, Some("no-store")));
    let json: Value = serde_json::from_str(&answer.body).unwrap();
    let session = sessions.query().fetch_one().await.unwrap();
    assert!(session.is_bound());
    assert_eq!(json["session_identifier"], session.id.simple().to_string());
    assert_eq!(json["refresh_url"], "/dbsc/refresh");
    assert_eq!(json["scope"]["include_site"], false);
    assert_eq!(json.get("allowed_refresh_initiators"), None);
    let credential = &json["credentials"][0];
    assert_eq!((&credential["type"], &credential["name"]), (&"cookie".into(), &MARKER.into()));
    let attributes = credential["attributes"].as_str().unwrap();
    assert_eq!(answer.cookies(), [format!("{MARKER}=1; {attributes}; Max-Age=600")]);
    for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(attributes.split("; ").any(|it| it == attribute), "{attributes}");
    }
    assert!(browser.challenge.is_some(), "the next one comes along");
    browser.visit(db.clock(), &site, "GET", "/me").await.assert_is(200, "1234");
}

async fn a_registration_that_is_no_good_is_403_and_the_session_stays(db: TestDatabase, on: Framework) {
    let (_, site) = site(on, &db).await;
    let mut browser = Browser::log_in(db.clock(), &site, "1234").await;
    let right = browser.challenge.clone().unwrap();
    let text = |proof: Vec<u8>| String::from_utf8(proof).unwrap();
    let (good, wrong) = (text(browser.device.registration(&right)), text(browser.device.registration("x")));
    let cookie = browser.header(db.now());
    let cookie = ("cookie", cookie.as_str());
    let two = format!("{}; {COOKIE}={}", cookie.1, "x".repeat(64));
    for headers in [
        vec![cookie],
        vec![cookie, ("secure-session-response", &wrong)],
        vec![cookie, ("secure-session-response", "no proof")],
        vec![cookie, ("secure-session-response", &good), ("secure-session-response", &good)],
        vec![("secure-session-response", &good)],
        vec![("cookie", &two), ("secure-session-response", &good)],
    ] {
        let answer = site.post("/dbsc/register", &headers).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (403, ""));
        assert_eq!((answer.cookies().len(), answer.header("cache-control")), (0, Some("no-store")));
        browser.send(db.clock(), &site, "GET", "/me").await.assert_is(200, "1234");
    }
    let answer = site.get("/dbsc/register", &[cookie]).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("POST")));
    assert_eq!(browser.register(db.clock(), &site).await.status, StatusCode::OK);
}

async fn a_renewal_takes_one_round_and_gives_another_token(db: TestDatabase, on: Framework) {
    let (_, site) = site(on, &db).await;
    let mut browser = Browser::bound(db.clock(), &site, "1234").await;
    for _ in 0..3 {
        db.clock().advance(MINUTE * 10);
        let before = browser.token();
        let answer = browser.ask(db.clock(), &site).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.cookies().len(), 2);
        assert_ne!(browser.token(), before);
        let left = browser.cookies[MARKER].1 - db.now();
        assert_eq!(left, time::Duration::minutes(10));
        browser.visit(db.clock(), &site, "GET", "/me").await.assert_is(200, "1234");
    }
    assert_eq!(browser.signed, 3);
    // Without a challenge in hand it takes two requests, and one proof.
    browser.challenge = None;
    let answer = browser.ask(db.clock(), &site).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str(), answer.cookies().len()), (403, "", 0));
    assert_eq!(browser.ask(db.clock(), &site).await.status, StatusCode::OK);
    assert_eq!(browser.signed, 4);
}

async fn a_copied_cookie_is_worth_nothing_after_the_next_renewal_or_its_time(
    db: TestDatabase,
    on: Framework,
) {
    let (_, site) = site(on, &db).await;
    let mut browser = Browser::bound(db.clock(), &site, "1234").await;
    let copied = |browser: &Browser| Browser {
        cookies: browser.cookies.clone(),
        id: browser.id.clone(),
        challenge: browser.challenge.clone(),
        ..Browser::default()
    };
    let mut thief = copied(&browser);
    thief.send(db.clock(), &site, "GET", "/me").await.assert_is(200, "1234");
    // It has no key.
    thief.refresh(db.clock(), &site).await;
    assert_eq!(thief.id, None, "its bound session has ended");
    db.clock().advance(MINUTE * 8);
    browser.refresh(db.clock(), &site).await;
    db.clock().advance(MINUTE);
    assert_eq!(thief.send(db.clock(), &site, "GET", "/maybe").await.body, "");
    assert_eq!(thief.send(db.clock(), &site, "GET", "/maybe").await.body, "nobody");
    assert_eq!(thief.send(db.clock(), &site, "GET", "/me").await.status, StatusCode::UNAUTHORIZED);
    browser.visit(db.clock(), &site, "GET", "/me").await.assert_is(200, "1234");

    // The device sleeps.
    let mut thief = copied(&browser);
    db.clock().advance(MINUTE * 13);
    thief.refresh(db.clock(), &site).await;
    assert_eq!(thief.id, None);
    for _ in 0..2 {
        assert_eq!(thief.send(db.clock(), &site, "GET", "/me").await.status, StatusCode::UNAUTHORIZED);
    }
    db.clock().advance(Duration::from_hours(24));
    let answer = browser.visit(db.clock(), &site, "GET", "/me").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "1234"));
}

async fn a_token_past_its_time_keeps_its_cookie_and_the_request_is_sent_again(
    db: TestDatabase,
    on: Framework,
) {
    let (_, site) = site(on, &db).await;
    let mut browser = Browser::bound(db.clock(), &site, "1234").await;
    let marker = browser.cookies[MARKER].clone();
    db.clock().advance(MINUTE * 14);
    // As the browser's clock may have it: the bound cookie is there, and the token past its time.
    let later = db.now() + time::Duration::hours(1);
    let with_marker = |browser: &mut Browser| {
        browser.cookies.insert(MARKER.to_owned(), (marker.0.clone(), later));
    };
    for (method, path, is_sent_again) in
        [("GET", "/me", true), ("GET", "/maybe", true), ("POST", "/do", true), ("POST", "/maybe", false)]
    {
        with_marker(&mut browser);
        let answer = browser.send(db.clock(), &site, method, path).await;
        assert_eq!(answer.status == StatusCode::TEMPORARY_REDIRECT, is_sent_again, "{method} {path}");
        if is_sent_again {
            assert_eq!(answer.header("location"), Some(path));
        }
        assert_eq!(
            answer.cookies(),
            [format!("{MARKER}=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0")]
        );
        assert!(browser.has(COOKIE, db.now()) && !browser.has(MARKER, db.now()));
        // Without it there is no second time.
        let answer = browser.send(db.clock(), &site, method, path).await;
        assert_ne!(answer.status, StatusCode::TEMPORARY_REDIRECT);
        assert!(answer.cookies().is_empty(), "{:?}", answer.cookies());
    }
    with_marker(&mut browser);
    let answer = browser.visit(db.clock(), &site, "POST", "/do").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "1234 "));

    // No path leads to another host.
    db.clock().advance(MINUTE * 14);
    for path in ["//example.com/me", "/\\example.com/me"] {
        with_marker(&mut browser);
        let cookies = browser.header(db.now());
        let request = http::Request::get(path).header("cookie", cookies.as_str()).header("accept", "*/*");
        if request.uri_ref().is_some() {
            let answer = site.send(request).await;
            assert_eq!(answer.header("location"), None, "{path}");
        }
    }
}

async fn a_link_from_another_site_finds_the_user_logged_in(db: TestDatabase, on: Framework) {
    let (_, site) = site(on, &db).await;
    let mut browser = Browser::bound(db.clock(), &site, "1234").await;
    let link = async |browser: &mut Browser, from: &str| {
        let cookies = browser.header(db.now());
        let headers = [("cookie", &*cookies), ("sec-fetch-mode", "navigate"), ("sec-fetch-site", from)];
        let answer = site.get("/me", &headers).await;
        browser.keep(&answer, db.now());
        answer
    };
    link(&mut browser, "cross-site").await.assert_is(200, "1234");
    for from in ["cross-site", "same-site"] {
        db.clock().advance(MINUTE * 20);
        // Not held back, so it comes with the token alone.
        let answer = link(&mut browser, from).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""));
        assert_eq!((answer.header("refresh"), answer.header("cache-control")), (Some("0"), Some("no-store")));
        assert!(browser.has(COOKIE, db.now()));
        // From there it is the site's own.
        browser.refresh(db.clock(), &site).await;
        let answer = link(&mut browser, "same-origin").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "1234"));
    }
    // Who is logged out is sent nowhere.
    let answer = site.get("/me", &[("sec-fetch-mode", "navigate"), ("sec-fetch-site", "cross-site")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("refresh")), (401, None));
}

async fn a_session_that_has_ended_ends_the_bound_session_of_the_browser(db: TestDatabase, on: Framework) {
    let (sessions, site) = site(on, &db).await;
    let ended = |answer: &Answer, id: &str| {
        let told = format!(r#"{{"session_identifier":"{id}","continue":false}}"#);
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &told));
        assert!(answer.cookies().is_empty() && answer.header("cache-control") == Some("no-store"));
    };
    let mut browser = Browser::bound(db.clock(), &site, "1234").await;
    let id = browser.id.clone().unwrap();
    sessions.query().expire_all().await.unwrap();
    ended(&browser.ask(db.clock(), &site).await, &id);
    ended(&site.post("/dbsc/refresh", &[("sec-secure-session-id", &id)]).await, &id);

    // A name alone means no session, and another's name ends nothing here.
    let mut browser = Browser::bound(db.clock(), &site, "1234").await;
    let mut other = Browser::bound(db.clock(), &site, "5678").await;
    let (own, id) = (other.id.clone(), browser.id.clone().unwrap());
    ended(&site.post("/dbsc/refresh", &[("sec-secure-session-id", &id)]).await, &id);
    other.id = Some(id.clone());
    other.challenge = None;
    ended(&other.ask(db.clock(), &site).await, &id);
    other.id = own;
    for browser in [&mut browser, &mut other] {
        browser.challenge = None;
        browser.refresh(db.clock(), &site).await;
        assert!(browser.id.is_some());
    }
    let answer = site.post("/dbsc/refresh", &[("sec-secure-session-id", "a\"b")]).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (403, ""));
}

async fn a_second_log_in_ends_the_session_before_and_the_browser_goes_on_with_the_new_one(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, site) = site(on, &db).await;
    let mut browser = Browser::bound(db.clock(), &site, "1234").await;
    let (first, its_challenge) = (browser.id.clone().unwrap(), browser.challenge.clone());
    // Also if the token is past its time by then.
    db.clock().advance(MINUTE * 20);
    browser.log_in_again(db.clock(), &site, "5678").await;
    browser.register(db.clock(), &site).await;
    assert_eq!(sessions.query().count().await.unwrap(), 1);
    // Chromium renews the older one first.
    let second = browser.id.replace(first.clone());
    let next = std::mem::replace(&mut browser.challenge, its_challenge);
    let answer = browser.ask(db.clock(), &site).await;
    assert!(answer.body.contains(&first) && answer.body.contains("false"), "{}", answer.body);
    (browser.id, browser.challenge) = (second, next);
    db.clock().advance(MINUTE * 10);
    let answer = browser.visit(db.clock(), &site, "GET", "/me").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "5678"));
}

async fn a_log_out_ends_it_here_and_in_the_browser(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<Web>().await;
    for clears in [false, true] {
        let mut layer = SessionLayer::new(sessions.clone());
        if clears {
            layer = layer.clear_site_data([SiteData::Cookies]);
        }
        let site = Site::start(on, routes().layer(layer.dbsc(Dbsc::default()))).await;
        for is_past in [false, true] {
            let mut browser = Browser::bound(db.clock(), &site, "1234").await;
            if is_past {
                db.clock().advance(MINUTE * 20);
            }
            let answer = browser.send(db.clock(), &site, "POST", "/logout").await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "true"));
            assert_eq!(answer.header("clear-site-data").is_some(), clears);
            assert!(!browser.has(COOKIE, db.now()) && !browser.has(MARKER, db.now()));
            assert_eq!(sessions.query().count().await.unwrap(), 0);
            let answer = browser.ask(db.clock(), &site).await;
            assert!(answer.body.ends_with(r#""continue":false}"#), "{}", answer.body);
        }
    }
}

async fn while_the_database_is_away_it_is_503_and_the_browser_stays_logged_in(
    db: TestDatabase,
    on: Framework,
) {
    let (_, site) = site(on, &db).await;
    let mut browser = Browser::bound(db.clock(), &site, "1234").await;
    let mut unbound = Browser::log_in(db.clock(), &site, "5678").await;
    db.clock().advance(MINUTE * 10);
    db.execute("ALTER TABLE web RENAME TO elsewhere").await;
    let challenge = browser.challenge.clone();
    let answers = [browser.ask(db.clock(), &site).await, unbound.register(db.clock(), &site).await];
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (503, ""));
        assert!(answer.cookies().is_empty() && answer.header("secure-session-challenge").is_none());
    }
    db.execute("ALTER TABLE elsewhere RENAME TO web").await;
    browser.challenge = challenge;
    let answer = browser.visit(db.clock(), &site, "GET", "/me").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "1234"));
    assert_eq!(unbound.register(db.clock(), &site).await.status, StatusCode::OK);
}

async fn a_browser_that_does_not_speak_it_keeps_its_lasting_cookie(db: TestDatabase, on: Framework) {
    let (_, site) = site(on, &db).await;
    let mut browser = Browser::log_in(db.clock(), &site, "1234").await;
    for _ in 0..3 {
        db.clock().advance(Duration::from_hours(48));
        let answer = browser.send(db.clock(), &site, "GET", "/me").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "1234"));
        assert!(!browser.has(MARKER, db.now()));
    }
    // A page may offer it once more, for sessions from before.
    let answer = browser.send(db.clock(), &site, "POST", "/offer").await;
    assert!(answer.header("secure-session-registration").is_some());
    browser.challenge = None;
    let mut bound = Browser::bound(db.clock(), &site, "1234").await;
    let answer = bound.send(db.clock(), &site, "POST", "/offer").await;
    assert_eq!((answer.status.as_u16(), answer.header("secure-session-registration")), (200, None));
}

async fn a_guard_lets_only_bound_sessions_pass(db: TestDatabase, on: Framework) {
    let (sessions, site) = site(on, &db).await;
    let mut bound = Browser::bound(db.clock(), &site, "1234").await;
    let mut unbound = Browser::log_in(db.clock(), &site, "5678").await;
    bound.send(db.clock(), &site, "GET", "/pay").await.assert_is(200, "paid");
    bound.send(db.clock(), &site, "GET", "/bound").await.assert_is(200, "1234");
    bound.send(db.clock(), &site, "GET", "/own").await.assert_is(200, "1234");
    for path in ["/pay", "/bound", "/own"] {
        let answer = unbound.send(db.clock(), &site, "GET", path).await;
        answer.assert_refused(403, "This needs a browser that binds its session to the device.");
        assert_eq!(site.get(path, &[]).await.status, StatusCode::UNAUTHORIZED);
    }
    // A token in a header is never bound, and a layer without cookies offers nothing.
    let layer = SessionLayer::new(sessions.clone()).sources([TokenSource::Bearer]).dbsc(Dbsc::default());
    let site = Site::start(on, routes().layer(layer)).await;
    let answer = site.post("/login/1234", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.header("secure-session-registration")), (200, None));
    let created = sessions.create(web("9")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let challenge = sessions.device_challenge(&created.session).await.unwrap().unwrap();
    let proof = String::from_utf8(Device::new().registration(challenge.as_str())).unwrap();
    let bearer = format!("Bearer {}", created.token.expose());
    let headers = [("authorization", bearer.as_str()), ("secure-session-response", &proof)];
    assert_eq!(site.post("/dbsc/register", &headers).await.status, StatusCode::FORBIDDEN);
    site.get("/me", &headers[..1]).await.assert_is(200, "9");
}

async fn a_request_under_way_does_not_bring_the_old_token_back(db: TestDatabase, on: Framework) {
    let config = db.config().ttl(Duration::from_hours(48)).extend_after(Duration::from_secs(10));
    let sessions = db.sessions_with::<Web>(config).await;
    let layer = SessionLayer::new(sessions.clone()).dbsc(Dbsc::default());
    let site = Site::start(on, routes().layer(layer)).await;
    let mut browser = Browser::bound(db.clock(), &site, "1234").await;
    let mut before = Browser { cookies: browser.cookies.clone(), ..Browser::default() };
    db.clock().advance(MINUTE * 8);
    browser.refresh(db.clock(), &site).await;
    db.clock().advance(Duration::from_secs(20));
    // It extends the session, and would send its cookie.
    let read = async || sessions.query().fetch_one().await.unwrap().expires_at;
    let expiry = read().await;
    let answer = before.send(db.clock(), &site, "GET", "/me").await;
    answer.assert_is(200, "1234");
    assert!(read().await > expiry);
    db.clock().advance(MINUTE);
    browser.visit(db.clock(), &site, "GET", "/me").await;
    let answer = browser.visit(db.clock(), &site, "GET", "/me").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "1234"));
}

async fn a_rotation_by_the_application_at_the_moment_of_a_renewal_logs_nobody_out(
    db: TestDatabase,
    on: Framework,
) {
    let (_, site) = site(on, &db).await;
    let mut browser = Browser::bound(db.clock(), &site, "1234").await;
    db.clock().advance(MINUTE * 8);
    // The answer to the request that rotates comes first, and the cookie of the renewal takes its place.
    browser.refresh(db.clock(), &site).await;
    let renewed = browser.cookies.clone();
    let answer = browser.send(db.clock(), &site, "POST", "/rotate").await;
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &browser.token()));
    browser.cookies = renewed;
    let answer = browser.send(db.clock(), &site, "GET", "/me").await;
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT, "{}", answer.body);
    let answer = browser.visit(db.clock(), &site, "GET", "/me").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "1234"));
    // Or the renewal was under way with the token from before.
    db.clock().advance(MINUTE);
    let before = browser.cookies.clone();
    browser.send(db.clock(), &site, "POST", "/rotate").await;
    browser.cookies = before;
    browser.refresh(db.clock(), &site).await;
    assert!(browser.id.is_some());
    db.clock().advance(Duration::from_secs(1));
    browser.visit(db.clock(), &site, "GET", "/me").await.assert_is(200, "1234");
}

async fn limit(request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/login") {
        return next.run(request).await;
    }
    (StatusCode::TOO_MANY_REQUESTS, "<h1>Too many</h1>").into_response()
}

async fn limit_in_actix(
    request: ServiceRequest,
    next: actix_web::middleware::Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if request.path().starts_with("/login") {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let many = actix_web::HttpResponse::TooManyRequests().body("<h1>Too many</h1>");
    Ok(request.into_response(many).map_into_right_body())
}

async fn the_applications_own_middleware_does_not_come_before_it(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<Web>().await;
    let limited = routes().route("/dbsc/refresh", post(async || "the application's"));
    let limited = limited.layer(middleware!(limit, limit_in_actix));
    let site = Site::start(on, limited.layer(SessionLayer::new(sessions).dbsc(Dbsc::default()))).await;
    let mut browser = Browser::bound(db.clock(), &site, "1234").await;
    browser.refresh(db.clock(), &site).await;
    assert!(browser.id.is_some());
    assert_eq!(site.get("/me", &[]).await.status, StatusCode::TOO_MANY_REQUESTS);
}

async fn other_paths_a_shorter_time_and_a_cookie_for_a_whole_domain(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<Web>().await;
    let cookie =
        cloakroom_web::CookieConfig::builder().name("__Secure-app").domain("example.com").path("/app");
    let dbsc = Dbsc::builder()
        .register_at("/a/register")
        .renew_at("/a/renew?x=1")
        .token_ttl_for_tests(Duration::from_secs(20));
    let layer = SessionLayer::new(sessions.clone()).cookie(cookie.build().unwrap());
    let site = Site::start(on, routes().layer(layer.dbsc(dbsc.build().unwrap()))).await;
    let answer = site.post("/login/1234", &[]).await;
    let registration = answer.header("secure-session-registration").unwrap();
    let challenge = registration.rsplit('"').nth(1).unwrap();
    assert!(registration.contains(r#"path="/a/register""#), "{registration}");
    let proof = String::from_utf8(Device::new().registration(challenge)).unwrap();
    let set = answer.cookies()[0].split(';').next().unwrap().to_owned();
    let headers = [("cookie", set.as_str()), ("secure-session-response", &proof)];
    let answer = site.post("/a/register", &headers).await;
    let json: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(json["refresh_url"], "/a/renew?x=1");
    let attributes = json["credentials"][0]["attributes"].as_str().unwrap();
    assert_eq!(answer.cookies(), [format!("__Secure-app-bound=1; {attributes}; Max-Age=20")]);
    assert!(attributes.contains("Domain=example.com") && attributes.contains("Path=/app"), "{attributes}");
    let answer = site.post("/a/renew?x=1", &[("cookie", set.as_str())]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.header("secure-session-challenge").is_some());
}

#[tokio::test]
async fn what_keeps_a_browser_from_renewing_is_reported_and_no_secret_is() {
    let db = TestDatabase::new(cloakroom_testing::Kind::Sqlite).await;
    let on = Framework::Axum;
    let (_, inner) = site(on, &db).await;
    let captured = Captured::start();
    let mut browser = Browser::bound(db.clock(), &inner, "1234").await;
    let skipped = [("secure-session-skipped", "server_error;session_identifier=\"x\"")];
    inner.get("/me", &skipped).await;
    inner.get("/me", &[("secure-session-skipped", "a\"word")]).await;
    db.clock().advance(MINUTE * 10);
    browser.refresh(db.clock(), &inner).await;
    let sessions = db.sessions::<Web>().await;
    let nested = App::new().nest("/app", routes().layer(SessionLayer::new(sessions).dbsc(Dbsc::default())));
    let site = Site::start(on, nested).await;
    site.get("/app/me", &[]).await;
    let text = captured.take();
    assert!(text.contains("reason=\"server_error\"") || text.contains("reason=server_error"), "{text}");
    assert!(text.contains("unknown") && !text.contains("a\"word"), "{text}");
    assert!(text.contains("nested router"), "{text}");
    for secret in [browser.token(), browser.challenge.clone().unwrap()] {
        assert!(!text.contains(&secret));
    }
}

each_framework! {
    a_log_in_asks_the_browser_to_bind_its_session,
    a_registration_that_is_no_good_is_403_and_the_session_stays,
    a_renewal_takes_one_round_and_gives_another_token,
    a_copied_cookie_is_worth_nothing_after_the_next_renewal_or_its_time,
    a_token_past_its_time_keeps_its_cookie_and_the_request_is_sent_again,
    a_link_from_another_site_finds_the_user_logged_in,
    a_session_that_has_ended_ends_the_bound_session_of_the_browser,
    a_second_log_in_ends_the_session_before_and_the_browser_goes_on_with_the_new_one,
    a_log_out_ends_it_here_and_in_the_browser,
    while_the_database_is_away_it_is_503_and_the_browser_stays_logged_in,
    a_browser_that_does_not_speak_it_keeps_its_lasting_cookie,
    a_guard_lets_only_bound_sessions_pass,
    a_request_under_way_does_not_bring_the_old_token_back,
    a_rotation_by_the_application_at_the_moment_of_a_renewal_logs_nobody_out,
    the_applications_own_middleware_does_not_come_before_it,
    other_paths_a_shorter_time_and_a_cookie_for_a_whole_domain,
}
