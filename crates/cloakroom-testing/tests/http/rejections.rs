//! What clients are told, one by one: status, headers, body.

use actix_web::ResponseError;
use axum::response::IntoResponse;
use cloakroom::{NewSession, Status};
use cloakroom_testing::{ApiKey, Role, TestDatabase, UserSession, user};
use cloakroom_web::{SessionLayer, SessionRejection, TokenSource};
use http::StatusCode;
use http_body_util::BodyExt;

use crate::harness::{Framework, Manager, Site, bearer, cookie, get, logged_in, routes};

async fn a_browser_is_sent_to_log_in_and_everybody_else_is_told(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let layer = SessionLayer::new(sessions.clone()).sources([TokenSource::Cookie, TokenSource::Bearer]);
    let site = Site::start(on, routes().layer(layer.redirect_to("/login"))).await;
    let chromium = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
    for (status, headers) in [
        (303, &[chromium][..]),
        (303, &[("accept", "TEXT/HTML")]),
        (401, &[]),
        (401, &[("accept", "*/*")]),
        (401, &[("accept", "application/json")]),
        // Who presents a bearer token is no browser, whatever it accepts.
        (401, &[chromium, ("authorization", "Bearer unknown")]),
    ] {
        let answer = site.get("/me", headers).await;
        match status {
            303 => answer.assert_is(303, "You are not logged in.\n"),
            _ => answer.assert_refused(401, "You are not logged in."),
        }
        assert_eq!(answer.header("location"), (status == 303).then_some("/login"));
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
    }
    // After a form was posted, too: 303 makes a GET of it.
    assert_eq!(site.post("/others/1234", &[chromium]).await.header("location"), Some("/login"));
    // The cookie is cleared on the way.
    let mut ended = created.clone();
    sessions.expire(&mut ended.session).await.unwrap();
    let answer = site.get("/me", &[chromium, ("cookie", &cookie(&created))]).await;
    answer.assert_cleared(303);
    assert_eq!(answer.header("location"), Some("/login"));
    // Neither of these is a matter of logging in.
    assert_eq!(site.get("/maybe", &[chromium]).await.status, 200);
    assert_eq!(site.get("/me", &[chromium, ("authorization", "Bearer ?")]).await.status, 400);
}

async fn the_redirect_may_depend_on_the_request(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<UserSession>().await;
    let layer = SessionLayer::new(sessions.clone());
    let layer = layer.redirect_with(|request| format!("/login?next={}", request.uri.path()));
    let site = Site::start(on, routes().layer(layer)).await;
    let html = [("accept", "text/html")];
    assert_eq!(site.get("/me", &html).await.header("location"), Some("/login?next=/me"));
    // A location that cannot be is no redirect.
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions).redirect_to("/\r\n"))).await;
    site.get("/me", &html).await.assert_is(401, "You are not logged in.\n");
}

async fn a_route_without_the_layer_says_so_to_its_author_alone(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let bare = Site::start(on, routes()).await;
    // A layer of another table is no help.
    let keys = db.sessions::<ApiKey>().await;
    let other = Site::start(on, routes().layer(SessionLayer::new(keys))).await;
    for site in [&bare, &other] {
        for path in ["/me", "/maybe"] {
            let answer = site.get(path, &[("cookie", &cookie(&created))]).await;
            answer.assert_is(500, "Something went wrong here.\n");
        }
        site.post("/login/1234", &[]).await.assert_is(500, "Something went wrong here.\n");
    }
    assert_eq!(sessions.query().count().await.unwrap(), 1);
    let missing = SessionRejection::MissingLayer { table: "UserSession" };
    assert!(missing.to_string().contains("SessionLayer<UserSession>"));
}

/// The response to an error that `?` has turned into a rejection.
async fn response_to(on: Framework, error: cloakroom::Error) -> (StatusCode, String) {
    let rejection = SessionRejection::from(error);
    let (status, body) = match on {
        Framework::Axum => {
            let response = rejection.into_response();
            (response.status(), response.into_body().collect().await.unwrap().to_bytes())
        }
        Framework::Actix => {
            let response = rejection.error_response();
            assert_eq!(response.status(), rejection.status_code());
            let status = response.status().as_u16().try_into().unwrap();
            (status, actix_web::body::to_bytes(response.into_body()).await.unwrap())
        }
    };
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn each_kind_of_error_has_its_status_and_no_detail(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let keys = db.sessions::<ApiKey>().await;
    sessions.create(user("1234")).await.unwrap();

    let none = sessions.query().token("unknown").fetch_one().await.unwrap_err();
    assert_eq!(response_to(on, none).await, (StatusCode::NOT_FOUND, "There is no such session.\n".into()));
    let many = sessions.query().fetch_one().await.unwrap_err();
    assert_eq!(response_to(on, many).await.0, StatusCode::INTERNAL_SERVER_ERROR);

    let mut stale = created.session.clone();
    sessions.rotate(&mut created.session.clone()).await.unwrap();
    let conflict = sessions.rotate(&mut stale).await.unwrap_err();
    assert_eq!(
        response_to(on, conflict).await,
        (StatusCode::CONFLICT, "The session has changed meanwhile.\n".into())
    );
    let mut ended = sessions.query().id(created.session.id).fetch_one().await.unwrap();
    sessions.expire(&mut ended).await.unwrap();
    let expired = sessions.rotate(&mut ended).await.unwrap_err();
    assert_eq!(response_to(on, expired).await.0, StatusCode::CONFLICT);

    let fields = ApiKey { user_id: " ".into(), role: Role::Admin, quota: None };
    let invalid = keys.create(NewSession::new(fields)).await.unwrap_err();
    let told = (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here.\n".to_owned());
    assert_eq!(response_to(on, invalid).await, told);

    keys.migrate_down().await.unwrap();
    let missing = keys.query().status(Status::All).count().await.unwrap_err();
    let told = (StatusCode::SERVICE_UNAVAILABLE, "This is not available for the moment.\n".to_owned());
    assert_eq!(response_to(on, missing).await, told);
    keys.database().close().await;
    let gone = keys.query().count().await.unwrap_err();
    assert_eq!(response_to(on, gone).await, told);
}

async fn a_handler_may_take_the_rejection_and_answer_by_itself(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let own = async |session: Result<crate::harness::Current, SessionRejection>| match session {
        Ok(session) => session.fields.user_id.clone(),
        Err(SessionRejection::LoggedOut(_)) => "please log in".to_owned(),
        Err(other) => other.to_string(),
    };
    let app = routes()
        .route("/own", get(own))
        .route("/swallowed", get(async |manager: Manager| manager.current().await.is_ok().to_string()))
        .layer(SessionLayer::new(sessions).sources([TokenSource::Bearer]));
    let site = Site::start(on, app).await;
    site.get("/own", &[("authorization", &bearer(&created))]).await.assert_is(200, "1234");
    site.get("/own", &[]).await.assert_is(200, "please log in");
    site.get("/own", &[("authorization", "Bearer ?")]).await.assert_is(200, "a credential is malformed");
    site.get("/swallowed", &[("authorization", "Bearer ?")]).await.assert_is(200, "false");
}

each_framework! {
    a_browser_is_sent_to_log_in_and_everybody_else_is_told,
    the_redirect_may_depend_on_the_request,
    a_route_without_the_layer_says_so_to_its_author_alone,
    each_kind_of_error_has_its_status_and_no_detail,
    a_handler_may_take_the_rejection_and_answer_by_itself,
}
