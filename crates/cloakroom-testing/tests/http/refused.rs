//! What an application has set up in a way that cannot work, and is told so.

use actix_web::dev::{ServiceRequest, ServiceResponse, Transform, fn_service};
use cloakroom::Sessions;
use cloakroom_testing::{ApiKey, TestDatabase, UserSession};
use cloakroom_web::{CookieConfig, CurrentSession, SessionLayer, SessionRejection, TokenSource};

use crate::harness::{App, Framework, Site, cookie, get, logged_in, routes};

fn named(name: &'static str) -> CookieConfig {
    CookieConfig::builder().name(name).insecure_on_localhost(true).build().unwrap()
}

fn app() -> App {
    routes().route("/key", get(async |_: CurrentSession<ApiKey>| "key")).route(
        "/why",
        get(async |session: Result<CurrentSession<UserSession>, SessionRejection>| {
            session.map_or_else(|error| error.to_string(), |_| String::new())
        }),
    )
}

async fn two_layers_whose_cookies_have_one_name_are_refused_and_it_is_said_why(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, created) = logged_in(&db).await;
    let keys = db.sessions::<ApiKey>().await;
    let same = [
        app().layer(SessionLayer::new(keys.clone())).layer(SessionLayer::new(sessions.clone())),
        // With one of another name between them.
        app()
            .layer(SessionLayer::new(keys.clone()))
            .layer(SessionLayer::new(keys.clone()).cookie(named("__Host-other")))
            .layer(SessionLayer::new(sessions.clone())),
    ];
    for app in same {
        let site = Site::start(on, app).await;
        for headers in [&[][..], &[("cookie", &*cookie(&created))]] {
            for path in ["/me", "/maybe", "/key", "/fresh"] {
                site.get(path, headers).await.assert_is(500, "Something went wrong here.\n");
            }
            for path in ["/login/1234", "/logout", "/everywhere/1234"] {
                site.post(path, headers).await.assert_is(500, "Something went wrong here.\n");
            }
            site.get("/free", headers).await.assert_is(200, "free");
            let why = site.get("/why", headers).await.body;
            assert!(why.contains("`__Host-Http-session`") && why.contains("CookieConfig"), "{why}");
        }
    }
    assert_eq!(sessions.query().count().await.unwrap(), 1, "nobody was logged in or out");
}

async fn so_are_two_layers_of_one_table(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let layer = || SessionLayer::new(sessions.clone());
    let site = Site::start(on, app().layer(layer()).layer(layer())).await;
    site.get("/me", &[("cookie", &cookie(&created))]).await.assert_is(500, "Something went wrong here.\n");
    // On another route each is fine.
    let both = app().layer(layer()).merge(
        App::new().route("/other", get(async |_: CurrentSession<UserSession>| "other")).layer(layer()),
    );
    let site = Site::start(on, both).await;
    site.get("/me", &[("cookie", &cookie(&created))]).await.assert_is(200, "1234");
    site.get("/other", &[("cookie", &cookie(&created))]).await.assert_is(200, "other");
}

async fn layers_with_names_of_their_own_are_fine_and_so_are_those_without_cookies(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, created) = logged_in(&db).await;
    let keys = db.sessions::<ApiKey>().await;
    let keys = || SessionLayer::new(keys.clone());
    for other in [
        keys().cookie(named("__Host-Http-Session")),
        keys().cookie(named("__Host-session")),
        keys().sources([TokenSource::Bearer]),
    ] {
        let site = Site::start(on, app().layer(other).layer(SessionLayer::new(sessions.clone()))).await;
        site.get("/me", &[("cookie", &cookie(&created))]).await.assert_is(200, "1234");
        assert_eq!(site.get("/key", &[("cookie", &cookie(&created))]).await.status, 401);
    }
    // Where names have no prefix, these have one name.
    let app = app()
        .layer(keys().cookie(named("__Host-a")))
        .layer(SessionLayer::new(sessions).cookie(named("__Secure-a")));
    let site = Site::start(on, app).await;
    assert_eq!(site.get("/me", &[]).await.status, 401);
    let answer = site.get("/why", &[("host", "localhost:3000")]).await;
    assert!(answer.body.contains("`a`"), "{}", answer.body);
}

async fn answer(request: ServiceRequest) -> Result<ServiceResponse, actix_web::Error> {
    Ok(request.into_response(actix_web::HttpResponse::Ok()))
}

/// What the panic says that comes of adding this layer to a router.
fn refusal(on: Framework, layer: SessionLayer<UserSession>) -> Option<String> {
    let adding = std::panic::AssertUnwindSafe(|| match on {
        Framework::Axum => drop(axum::Router::<()>::new().route("/", axum::routing::get("")).layer(layer)),
        // As actix-web does it in each worker.
        Framework::Actix => drop(layer.new_transform(fn_service(answer))),
    });
    let panic = std::panic::catch_unwind(adding).err()?;
    Some(*panic.downcast::<String>().expect("it has a message"))
}

async fn a_layer_whose_cookie_could_not_hold_its_tokens_is_refused_when_it_is_added(
    db: TestDatabase,
    on: Framework,
) {
    const NAME: &str = "__Host-Http-session";
    db.sessions::<UserSession>().await;
    let sessions = |length| {
        let config = db.config().token_length(length).build().unwrap();
        Sessions::<UserSession>::new(db.database(), config).unwrap()
    };
    let longest = 4096 - NAME.len();
    let refused = refusal(on, SessionLayer::new(sessions(longest + 1))).expect("it is refused");
    for part in [NAME, "4097 bytes", "4096", "token_length"] {
        assert!(refused.contains(part), "{refused}");
    }
    // With a shorter name, or without cookies, it fits.
    assert_eq!(refusal(on, SessionLayer::new(sessions(longest + 1)).cookie(named("__Host-session"))), None);
    assert_eq!(refusal(on, SessionLayer::new(sessions(4096)).sources([TokenSource::Bearer])), None);
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions(longest)))).await;
    let token = site.post("/login/1234", &[]).await.body;
    assert_eq!(token.len(), longest);
    db.clock().advance(std::time::Duration::from_secs(1));
    site.get("/me", &[("cookie", &format!("{NAME}={token}"))]).await.assert_is(200, "1234");
}

each_framework! {
    two_layers_whose_cookies_have_one_name_are_refused_and_it_is_said_why,
    so_are_two_layers_of_one_table,
    layers_with_names_of_their_own_are_fine_and_so_are_those_without_cookies,
    a_layer_whose_cookie_could_not_hold_its_tokens_is_refused_when_it_is_added,
}
