//! Logging in and out.

use std::time::Duration;

use cloakroom::{Cache, Status, Token};
use cloakroom_testing::{TestDatabase, UserSession, user};
use cloakroom_web::{SessionLayer, SessionRejection, TokenSource};
use serde_json::json;

use crate::harness::{
    Current, Framework, LONGEST, Last, Manager, Site, bearer, cookie, logged_in, post, routes, set,
};

async fn logging_in_ends_the_session_that_the_request_came_with(db: TestDatabase, on: Framework) {
    let (sessions, planted) = logged_in(&db).await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    // Another user's, as an attacker would plant it; and one's own, logging in again.
    for name in ["5678", "1234"] {
        let planted = sessions.create(user("1234")).await.unwrap();
        let answer = site.post(&format!("/login/{name}"), &[("cookie", &cookie(&planted))]).await;
        assert_eq!(answer.cookies(), [set(&answer.body, LONGEST)]);
        assert_ne!(answer.body, planted.token.expose());
        assert!(sessions.authenticate(&planted.token).await.unwrap().is_none());
        let new = sessions.authenticate(&answer.body).await.unwrap().unwrap();
        assert_eq!(new.fields.user_id, name);
        assert_ne!(new.id, planted.session.id);
    }
    assert!(sessions.authenticate(&planted.token).await.unwrap().is_some(), "no other session ends");
}

async fn logging_in_with_a_token_that_is_none_makes_a_new_one(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<UserSession>().await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let made_up = "a-token-that-a-client-made-up";
    for cookie in [format!("__Host-Http-session={made_up}"), "__Host-Http-session=".to_owned()] {
        let answer = site.post("/login/1234", &[("cookie", &cookie)]).await;
        assert_eq!(answer.cookies(), [set(&answer.body, LONGEST)]);
    }
    assert!(sessions.authenticate(made_up).await.unwrap().is_none());
    assert_eq!(sessions.query().count().await.unwrap(), 2);
}

async fn what_is_done_shows_to_the_rest_of_the_request(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let app = routes()
        .route(
            "/twice",
            post(async |before: Current, manager: Manager| {
                let first = manager.log_in(user("first")).await?;
                let second = manager.log_in(user("second")).await?;
                let now = manager.current().await?.expect("somebody is logged in");
                assert_eq!(now.id, second.session.id);
                let ended = [&before.0, &first.session];
                for session in ended {
                    let found =
                        manager.sessions().query().id(session.id).status(Status::All).fetch_one().await?;
                    assert!(!found.is_valid(manager.sessions().config().now()));
                }
                Ok::<_, SessionRejection>(second.token.expose().to_owned())
            }),
        )
        .route(
            "/in-and-out",
            post(async |manager: Manager| {
                manager.log_in(user("1234")).await?;
                assert!(manager.log_out().await? && manager.current().await?.is_none());
                Ok::<_, SessionRejection>("gone")
            }),
        )
        .layer(SessionLayer::new(sessions.clone()));
    let site = Site::start(on, app).await;
    let answer = site.post("/twice", &[("cookie", &cookie(&created))]).await;
    assert_eq!(answer.cookies(), [set(&answer.body, LONGEST)], "one cookie, the last");
    // Nothing to forget for who had no cookie, and nothing to set.
    site.post("/in-and-out", &[]).await.assert_is(200, "gone");
    let cookie = format!("__Host-Http-session={}", answer.body);
    site.post("/in-and-out", &[("cookie", &cookie)]).await.assert_cleared(200);
    assert_eq!(sessions.query().count().await.unwrap(), 0);
}

async fn logging_out_ends_the_session_and_clears_the_cookie(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let other = sessions.create(user("1234")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    for was_valid in ["true", "false"] {
        let answer = site.post("/logout", &[("cookie", &cookie(&created))]).await;
        answer.assert_cleared(200);
        assert_eq!(answer.body, was_valid);
    }
    site.post("/logout", &[]).await.assert_is(200, "false");
    assert_eq!(site.get("/me", &[("cookie", &cookie(&created))]).await.status, 401);
    site.get("/me", &[("cookie", &cookie(&other))]).await.assert_is(200, "1234");
}

async fn logging_out_everywhere_ends_all_that_match_and_no_other(db: TestDatabase, on: Framework) {
    let (sessions, here) = logged_in(&db).await;
    let there = sessions.create(user("1234")).await.unwrap();
    let other = sessions.create(user("5678")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    // One's own session, among them.
    let answer = site.post("/everywhere/1234", &[("cookie", &cookie(&here))]).await;
    answer.assert_cleared(200);
    assert_eq!(answer.body, "2");
    assert_eq!(site.get("/me", &[("cookie", &cookie(&there))]).await.status, 401);
    // Somebody else's: one stays logged in.
    let mine = sessions.create(user("1234")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    site.post("/everywhere/5678", &[("cookie", &cookie(&mine))]).await.assert_is(200, "1");
    assert_eq!(site.get("/me", &[("cookie", &cookie(&other))]).await.status, 401);
    site.get("/me", &[("cookie", &cookie(&mine))]).await.assert_is(200, "1234");
    // And without being logged in, as from a link in an e-mail.
    site.post("/everywhere/1234", &[]).await.assert_is(200, "1");
}

async fn logging_out_the_others_leaves_this_one(db: TestDatabase, on: Framework) {
    let (sessions, here) = logged_in(&db).await;
    let there = sessions.create(user("1234")).await.unwrap();
    let other = sessions.create(user("5678")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions))).await;
    site.post("/others/1234", &[("cookie", &cookie(&here))]).await.assert_is(200, "1");
    assert_eq!(site.get("/me", &[("cookie", &cookie(&there))]).await.status, 401);
    site.get("/me", &[("cookie", &cookie(&here))]).await.assert_is(200, "1234");
    site.get("/me", &[("cookie", &cookie(&other))]).await.assert_is(200, "5678");
    // Who has no session has no others.
    site.post("/others/5678", &[]).await.assert_refused(401, "You are not logged in.");
    site.post("/others/5678", &[("cookie", &cookie(&there))]).await.assert_cleared(401);
    site.get("/me", &[("cookie", &cookie(&other))]).await.assert_is(200, "5678");
}

async fn rotating_changes_the_token_and_keeps_the_session(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    db.clock().advance(Duration::from_hours(1));
    let answer = site.post("/rotate", &[("cookie", &cookie(&created))]).await;
    assert_eq!(answer.cookies(), [set(&answer.body, LONGEST)]);
    let rotated = sessions.authenticate(&answer.body).await.unwrap().unwrap();
    assert_eq!((rotated.id, rotated.expires_at), (created.session.id, created.session.expires_at));
    site.post("/rotate", &[("cookie", &cookie(&created))]).await.assert_cleared(401);
    site.post("/rotate", &[]).await.assert_refused(401, "You are not logged in.");
}

async fn rotating_takes_others_writes_in_its_stride_but_not_another_s_rotation(
    db: TestDatabase,
    on: Framework,
) {
    let (sessions, created) = logged_in(&db).await;
    // Another request writes the session, between this one's reading and its rotating.
    let app = routes()
        .route(
            "/written",
            post(async |mut session: Current, manager: Manager| {
                "5678".clone_into(&mut session.fields.user_id);
                manager.sessions().update(&mut session).await?;
                Ok::<_, SessionRejection>(manager.rotate().await?.expose().to_owned())
            }),
        )
        .route(
            "/rotated",
            post(async |mut session: Current, manager: Manager| {
                manager.sessions().rotate(&mut session).await?;
                manager.rotate().await.map(|_| "")
            }),
        )
        .layer(SessionLayer::new(sessions.clone()));
    let site = Site::start(on, app).await;
    let answer = site.post("/written", &[("cookie", &cookie(&created))]).await;
    assert_eq!(answer.cookies().len(), 1);
    let session = sessions.authenticate(&answer.body).await.unwrap().unwrap();
    assert_eq!(session.fields.user_id, "5678");
    // Whoever holds the old token only must not come by the new one.
    let cookie = format!("__Host-Http-session={}", answer.body);
    site.post("/rotated", &[("cookie", &cookie)]).await.assert_cleared(401);
}

async fn rotating_goes_by_the_row_where_the_cache_has_an_older_one(db: TestDatabase, on: Framework) {
    // As another process would write it, and where nobody announces anything.
    let elsewhere = db.sessions_with::<UserSession>(db.config().announce(false)).await;
    let cache = Cache::new(8).max_staleness(Duration::from_hours(1)).listen(false);
    let sessions = db.sessions_with::<UserSession>(db.config().cache(cache)).await;
    let mut created = sessions.create(user("1234")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    site.get("/me", &[("cookie", &cookie(&created))]).await.assert_is(200, "1234");
    "5678".clone_into(&mut created.session.fields.user_id);
    elsewhere.update(&mut created.session).await.unwrap();
    site.get("/me", &[("cookie", &cookie(&created))]).await.assert_is(200, "1234");
    let answer = site.post("/rotate", &[("cookie", &cookie(&created))]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(sessions.authenticate(&answer.body).await.unwrap().unwrap().fields.user_id, "5678");
}

async fn a_session_that_ends_meanwhile_is_neither_rotated_nor_extended(db: TestDatabase, on: Framework) {
    let sessions = db.sessions_with::<UserSession>(db.config().auto_extend(false)).await;
    let app = routes()
        .route(
            "/rotate/{delete}",
            post(async |mut session: Current, manager: Manager, delete: Last| {
                end(&mut session, &manager, delete.0.parse().unwrap()).await?;
                manager.rotate().await.map(|_| "")
            }),
        )
        .route(
            "/extend/{delete}",
            post(async |mut session: Current, manager: Manager, delete: Last| {
                end(&mut session, &manager, delete.0.parse().unwrap()).await?;
                manager.extend().await.map(|is_extended| is_extended.to_string())
            }),
        )
        .layer(SessionLayer::new(sessions.clone()));
    let site = Site::start(on, app).await;
    let cookies = four_cookies(&sessions).await;
    db.clock().advance(Duration::from_hours(48));
    site.post("/rotate/false", &[("cookie", &cookies[0])]).await.assert_cleared(401);
    site.post("/rotate/true", &[("cookie", &cookies[1])]).await.assert_cleared(401);
    site.post("/extend/false", &[("cookie", &cookies[2])]).await.assert_cleared(401);
    site.post("/extend/true", &[("cookie", &cookies[3])]).await.assert_cleared(401);
    assert_eq!(sessions.query().count().await.unwrap(), 0);
}

async fn end(session: &mut Current, manager: &Manager, delete: bool) -> Result<(), SessionRejection> {
    if delete {
        manager.sessions().delete(session.0.clone()).await?;
    } else {
        manager.sessions().expire(session).await?;
    }
    Ok(())
}

async fn four_cookies(sessions: &cloakroom::Sessions<UserSession>) -> Vec<String> {
    let mut cookies = Vec::new();
    for _ in 0..4 {
        cookies.push(cookie(&sessions.create(user("1234")).await.unwrap()));
    }
    cookies
}

async fn extending_sends_the_cookie_again_where_it_was_due(db: TestDatabase, on: Framework) {
    let sessions = db.sessions_with::<UserSession>(db.config().auto_extend(false)).await;
    let created = sessions.create(user("1234")).await.unwrap();
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions))).await;
    let cookie = cookie(&created);
    db.clock().advance(Duration::from_hours(1));
    site.post("/extend", &[("cookie", &cookie)]).await.assert_is(200, "false");
    db.clock().advance(Duration::from_hours(48));
    site.get("/me", &[("cookie", &cookie)]).await.assert_is(200, "1234");
    let answer = site.post("/extend", &[("cookie", &cookie)]).await;
    assert_eq!(
        (answer.body.as_str(), answer.cookies()),
        ("true", vec![&*set(created.token.expose(), LONGEST)])
    );
    site.post("/extend", &[]).await.assert_refused(401, "You are not logged in.");
}

async fn the_hook_records_the_device_when_somebody_logs_in_and_only_then(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<UserSession>().await;
    let layer = SessionLayer::new(sessions.clone()).on_log_in(|request, mut new| {
        new.fields_mut().user_id += "!";
        let agent = request.headers.get("user-agent").and_then(|agent| agent.to_str().ok());
        new.data(json!({ "agent": agent, "path": request.uri.path() }))
    });
    let site = Site::start(on, routes().layer(layer)).await;
    let answer = site.post("/login/1234", &[("user-agent", "a phone")]).await;
    let session = sessions.authenticate(&answer.body).await.unwrap().unwrap();
    assert_eq!(session.data, json!({ "agent": "a phone", "path": "/login/1234" }));
    assert_eq!(session.fields.user_id, "1234!");
    // Whatever else the manager does changes no record.
    let cookie = format!("__Host-Http-session={}", answer.body);
    site.post("/rotate", &[("user-agent", "a laptop"), ("cookie", &cookie)]).await;
    let after = sessions.query().id(session.id).fetch_one().await.unwrap();
    assert_eq!((&after.data, &after.fields), (&session.data, &session.fields));
    // Without a hook nothing is recorded.
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions.clone()))).await;
    let answer = site.post("/login/1234", &[("user-agent", "a phone")]).await;
    let session = sessions.authenticate(&answer.body).await.unwrap().unwrap();
    assert_eq!(session.data, json!({}));
}

async fn who_cannot_be_logged_in_stays_who_they_were(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let import = async |manager: Manager, Last(token): Last| {
        let token = Token::import(token.replace('+', ";")).unwrap();
        manager.log_in(user("5678").import_token(token)).await.map(|_| "")
    };
    let app = routes()
        .route("/blank", post(async |manager: Manager| manager.log_in(user("")).await.map(|_| "")))
        .route("/import/{token}", post(import));
    let sources = [TokenSource::Cookie, TokenSource::Bearer];
    let site = Site::start(on, app.layer(SessionLayer::new(sessions.clone()).sources(sources))).await;
    for headers in [("cookie", cookie(&created)), ("authorization", bearer(&created))] {
        let headers = [(headers.0, &*headers.1)];
        for path in ["/blank", "/import/a-token-with+-Domain=example.com"] {
            site.post(path, &headers).await.assert_is(500, "Something went wrong here.\n");
            site.get("/me", &headers).await.assert_is(200, "1234");
        }
    }
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 1, "nothing is left behind");
    let answer = site.post("/import/a-token-of-our-own", &[("cookie", &cookie(&created))]).await;
    assert_eq!(answer.cookies(), [set("a-token-of-our-own", LONGEST)]);
}

each_framework_on_each_database! {
    logging_in_ends_the_session_that_the_request_came_with,
    logging_in_with_a_token_that_is_none_makes_a_new_one,
    what_is_done_shows_to_the_rest_of_the_request,
    logging_out_ends_the_session_and_clears_the_cookie,
    logging_out_everywhere_ends_all_that_match_and_no_other,
    logging_out_the_others_leaves_this_one,
    rotating_changes_the_token_and_keeps_the_session,
    rotating_takes_others_writes_in_its_stride_but_not_another_s_rotation,
    rotating_goes_by_the_row_where_the_cache_has_an_older_one,
    a_session_that_ends_meanwhile_is_neither_rotated_nor_extended,
    extending_sends_the_cookie_again_where_it_was_due,
    the_hook_records_the_device_when_somebody_logs_in_and_only_then,
    who_cannot_be_logged_in_stays_who_they_were,
}
