//! axum-login, which is made for the version of tower-sessions before.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, StatusCode, header};
use axum::routing::get;
use axum_login::tower_sessions::SessionManagerLayer;
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId, login_required};
use cloakroom_testing::{TestDatabase, each_database};
use time::OffsetDateTime;
use tower::ServiceExt;

use crate::store;

#[derive(Clone, Debug)]
struct User(i64);

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.0
    }

    fn session_auth_hash(&self) -> &[u8] {
        b"of the password"
    }
}

/// Knows every user, and takes any password.
#[derive(Clone)]
struct Users;

impl AuthnBackend for Users {
    type User = User;
    type Credentials = i64;
    type Error = Infallible;

    async fn authenticate(&self, user: i64) -> Result<Option<User>, Infallible> {
        Ok(Some(User(user)))
    }

    async fn get_user(&self, user: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(Some(User(*user)))
    }
}

async fn log_in(Path(user): Path<i64>, mut auth: AuthSession<Users>) {
    let user = auth.authenticate(user).await.unwrap().unwrap();
    auth.login(&user).await.unwrap();
}

async fn ask(site: &Router, path: &str, cookie: &str) -> (StatusCode, Option<String>) {
    let request = Request::builder().uri(path).header(header::COOKIE, cookie).body(Body::empty()).unwrap();
    let answer = site.clone().oneshot(request).await.unwrap();
    let set = answer.headers().get(header::SET_COOKIE);
    let set = set.map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned());
    (answer.status(), set)
}

async fn a_user_of_axum_login_is_listed_and_signed_out_everywhere_at_once(db: TestDatabase) {
    let store = store(&db).await;
    let sessions = store.sessions().clone();
    db.clock().advance(OffsetDateTime::now_utc() - db.now());
    let layer = AuthManagerLayerBuilder::new(Users, SessionManagerLayer::new(store)).build();
    let site = Router::new()
        .route("/account", get(|| async { "yours" }))
        .route_layer(login_required!(Users))
        .route("/login/{user}", get(log_in))
        .layer(layer);
    let mut cookies = Vec::new();
    for user in [7, 7, 8] {
        let (status, cookie) = ask(&site, &format!("/login/{user}"), "").await;
        assert_eq!(status, StatusCode::OK);
        cookies.push(cookie.unwrap());
    }
    for cookie in &cookies {
        assert_eq!(ask(&site, "/account", cookie).await.0, StatusCode::OK);
    }
    let of_user = || sessions.query().owner("7");
    assert_eq!(of_user().count().await.unwrap(), 2);
    assert_eq!(of_user().expire_all().await.unwrap(), 2);
    let statuses = [
        ask(&site, "/account", &cookies[0]).await.0,
        ask(&site, "/account", &cookies[1]).await.0,
        ask(&site, "/account", &cookies[2]).await.0,
    ];
    assert_eq!(statuses, [StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED, StatusCode::OK]);
}

each_database! { a_user_of_axum_login_is_listed_and_signed_out_everywhere_at_once }
