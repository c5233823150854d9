//! Several tables in one application, protected routers, and the helper for applications' tests.

use axum::body::Body;
use axum::middleware;
use cloakroom::{NewSession, SessionFields};
use cloakroom_axum::testing;
use cloakroom_testing::{ApiKey, Role, TestDatabase, UserSession, user};
use cloakroom_web::{
    CookieConfig, CurrentSession, SessionLayer, SessionManager, SessionRejection, TokenSource,
};
use http::Request;
use tower::ServiceExt;
use uuid::Uuid;

use crate::harness::{
    CLEARED, Current, Framework, Last, Maybe, Site, bearer, cookie, get, logged_in, post, routes,
};

type Key = CurrentSession<ApiKey>;

fn key(user_id: &str) -> NewSession<ApiKey> {
    NewSession::new(ApiKey { user_id: user_id.to_owned(), role: Role::Reader, quota: None })
}

async fn browser_sessions_and_api_keys_live_in_one_application(db: TestDatabase, on: Framework) {
    let (sessions, browser) = logged_in(&db).await;
    let keys = db.sessions::<ApiKey>().await;
    let api_key = keys.create(key("5678")).await.unwrap();
    db.clock().advance(std::time::Duration::from_secs(1));
    let who = async |session: Maybe<UserSession>, key: Option<Key>| {
        let session = session.as_ref().map(|session| session.fields.user_id.clone());
        format!("{session:?} {:?}", key.as_ref().map(|key| key.fields.user_id.clone()))
    };
    let app = routes()
        .route("/who", get(who))
        .route("/key", get(async |key: Key| key.fields.user_id.clone()))
        .layer(SessionLayer::new(sessions).redirect_to("/login"))
        .layer(SessionLayer::new(keys).sources([TokenSource::Bearer, TokenSource::header("x-api-key")]));
    let site = Site::start(on, app).await;
    let (cookie, token) = (cookie(&browser), api_key.token.expose());
    let bearer = format!("Bearer {token}");
    let (in_cookie, in_bearer) = (("cookie", cookie.as_str()), ("authorization", bearer.as_str()));
    for (headers, who) in [
        (&[][..], "None None"),
        (&[in_cookie], "Some(\"1234\") None"),
        (&[in_bearer], "None Some(\"5678\")"),
        // Two credentials, and each is for something else.
        (&[in_cookie, in_bearer], "Some(\"1234\") Some(\"5678\")"),
        (&[in_cookie, ("x-api-key", token)], "Some(\"1234\") Some(\"5678\")"),
    ] {
        site.get("/who", headers).await.assert_is(200, who);
    }
    // Each answers in its own way.
    let html = ("accept", "text/html");
    assert_eq!(site.get("/me", &[html, in_bearer]).await.status, 303);
    assert_eq!(site.get("/key", &[html, in_cookie]).await.status, 401);
    assert_eq!(site.get("/key", &[in_cookie, ("authorization", "Bearer ?")]).await.status, 400);
    site.get("/me", &[in_cookie, ("authorization", "Bearer ?")]).await.assert_is(200, "1234");
    // A token of the one is none of the other.
    let crossed = format!("__Host-Http-session={token}");
    assert_eq!(site.get("/who", &[("cookie", &crossed)]).await.body, "None None");
    let crossed = browser.token.expose();
    site.get("/who", &[("x-api-key", crossed)]).await.assert_is(200, "None None");
}

async fn two_tables_with_cookies_of_their_own_do_not_touch_each_other(db: TestDatabase, on: Framework) {
    let (sessions, browser) = logged_in(&db).await;
    let keys = db.sessions::<ApiKey>().await;
    let named = CookieConfig::builder().name("__Host-admin").build().unwrap();
    let app = routes()
        .route(
            "/admin",
            post(async |manager: SessionManager<ApiKey>, _: Current| {
                Ok::<_, SessionRejection>(manager.log_in(key("admin")).await?.token.expose().to_owned())
            }),
        )
        .layer(SessionLayer::new(keys.clone()).cookie(named))
        .layer(SessionLayer::new(sessions));
    let site = Site::start(on, app).await;
    let answer = site.post("/admin", &[("cookie", &cookie(&browser))]).await;
    let token = &answer.body;
    let attributes = "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=34560000";
    assert_eq!(answer.cookies(), [format!("__Host-admin={token}; {attributes}")]);
    let both = format!("{}; __Host-admin={token}", cookie(&browser));
    let answer = site.post("/logout", &[("cookie", &both)]).await;
    assert_eq!(answer.cookies(), [CLEARED]);
    assert!(keys.authenticate(token).await.unwrap().is_some());
}

async fn of_two_layers_of_one_table_the_inner_one_counts(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let api = SessionLayer::new(sessions.clone()).sources([TokenSource::Bearer]);
    let site = Site::start(on, routes().layer(api).layer(SessionLayer::new(sessions))).await;
    site.get("/me", &[("authorization", &bearer(&created))]).await.assert_is(200, "1234");
    assert_eq!(site.get("/me", &[("cookie", &cookie(&created))]).await.status, 401);
    let answer = site.post("/login/1234", &[("cookie", &cookie(&created))]).await;
    assert!(answer.status == 200 && answer.cookies().is_empty());
}

async fn one_session_of_a_list_is_ended_by_its_id(db: TestDatabase, on: Framework) {
    let (sessions, here) = logged_in(&db).await;
    let there = sessions.create(user("1234")).await.unwrap();
    let other = sessions.create(user("5678")).await.unwrap();
    db.clock().advance(std::time::Duration::from_secs(1));
    let end = async |here: Current, manager: SessionManager<UserSession>, Last(id): Last| {
        let id = id.parse::<Uuid>().unwrap();
        let mine = UserSession::USER_ID.eq(here.fields.user_id.as_str());
        let ended = manager.log_out_everywhere(mine.and(UserSession::ID.eq(id))).await?;
        Ok::<_, SessionRejection>(ended.to_string())
    };
    let app = routes().route("/end/{id}", post(end)).layer(SessionLayer::new(sessions));
    let site = Site::start(on, app).await;
    let cookie = cookie(&here);
    for (session, ended) in [(&there, "1"), (&there, "0"), (&other, "0")] {
        let answer = site.post(&format!("/end/{}", session.session.id), &[("cookie", &cookie)]).await;
        answer.assert_is(200, ended);
    }
    site.get("/me", &[("cookie", &crate::harness::cookie(&other))]).await.assert_is(200, "5678");
    site.post(&format!("/end/{}", here.session.id), &[("cookie", &cookie)]).await.assert_cleared(200);
}

async fn a_whole_router_is_protected_by_the_extractor(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    assert_eq!(on, Framework::Axum);
    let protected = axum::Router::new()
        .route("/secret", axum::routing::get(async || "the secret"))
        .route_layer(middleware::from_extractor::<Current>());
    let layer = SessionLayer::new(sessions).redirect_to("/login");
    let site = Site::serve(routes().into_axum().merge(protected).layer(layer)).await;
    site.get("/secret", &[("cookie", &cookie(&created))]).await.assert_is(200, "the secret");
    assert_eq!(site.get("/secret", &[]).await.status, 401);
    assert_eq!(site.get("/secret", &[("accept", "text/html")]).await.header("location"), Some("/login"));
    site.get("/free", &[]).await.assert_is(200, "free");
}

async fn a_test_of_an_application_has_a_session_whatever_the_sources_are(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let named = || CookieConfig::builder().name("app").build().unwrap();
    let layers = [
        SessionLayer::new(sessions.clone()).cookie(named()),
        SessionLayer::new(sessions.clone()).sources([TokenSource::header("x-api-key"), TokenSource::Cookie]),
    ];
    for (layer, cookies) in layers.into_iter().zip([1, 0]) {
        assert_eq!(on, Framework::Axum);
        let app = routes().layer(layer).into_axum();
        let request = |path: &str| Request::get(path).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(testing::authenticated(request("/me"), &created)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers().get("set-cookie").is_none());
        // It is a session like any other.
        db.clock().advance(std::time::Duration::from_hours(48));
        let response = app.oneshot(testing::authenticated(request("/me"), &created)).await.unwrap();
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), cookies);
        db.clock().advance(std::time::Duration::from_secs(1));
    }
    let mut ended = created.clone();
    sessions.expire(&mut ended.session).await.unwrap();
    let app = routes().layer(SessionLayer::new(sessions)).into_axum();
    let request = Request::get("/me").header("authorization", bearer(&created)).body(Body::empty()).unwrap();
    let response = app.oneshot(testing::authenticated(request, &created)).await.unwrap();
    assert_eq!(response.status(), 401);
}

each_framework! {
    browser_sessions_and_api_keys_live_in_one_application,
    two_tables_with_cookies_of_their_own_do_not_touch_each_other,
    of_two_layers_of_one_table_the_inner_one_counts,
    one_session_of_a_list_is_ended_by_its_id,
}

/// actix-web makes no layer of an extractor, and a request of its own for tests: `actix_alone.rs`.
mod on_axum_alone {
    on_framework!(Axum: a_whole_router_is_protected_by_the_extractor, a_test_of_an_application_has_a_session_whatever_the_sources_are);
    cloakroom_testing::each_database! { a_whole_router_is_protected_by_the_extractor, a_test_of_an_application_has_a_session_whatever_the_sources_are }
}
