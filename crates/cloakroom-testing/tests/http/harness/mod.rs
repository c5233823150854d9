//! What the cases share: an application for each framework, a client over real HTTP, and what an answer must be.

mod app;
mod extract;

pub(crate) use app::{App, Csrf, Framework, Middleware, get, middleware, post};
pub(crate) use extract::{Last, Maybe, MaybeFresh, Refused, Reply};

use std::net::SocketAddr;

use axum::body::Bytes;
use cloakroom::{CreatedSession, Sessions};
use cloakroom_testing::{TestDatabase, UserSession, user};
use cloakroom_web::{CurrentSession, FreshSession, SessionManager, SessionRejection};
use http::{HeaderMap, Request, StatusCode, header, request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

pub(crate) type Current = CurrentSession<UserSession>;
pub(crate) type Fresh = FreshSession<UserSession>;
pub(crate) type Manager = SessionManager<UserSession>;

/// 400 days, which is what browsers keep a cookie at most, and what a session can live by default, since it has no
/// absolute lifetime.
pub(crate) const LONGEST: &str = "34560000";

pub(crate) const CLEARED: &str = "__Host-Http-session=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0";

/// The cookie as it is set by default.
pub(crate) fn set(token: &str, max_age: &str) -> String {
    format!("__Host-Http-session={token}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age={max_age}")
}

/// A small application: whoever asks, and everything that a manager does. The layer is the test's to add.
pub(crate) fn routes() -> App {
    App::new()
        .route("/free", get(async || "free"))
        .route("/me", get(async |session: Current| session.fields.user_id.clone()))
        .route("/fresh", get(async |session: Fresh| session.fields.user_id.clone()))
        .route(
            "/maybe",
            get(async |session: Maybe<UserSession>| {
                session.as_ref().map_or("nobody".to_owned(), |session| session.fields.user_id.clone())
            }),
        )
        .route("/login/{user}", post(log_in))
        .route(
            "/logout",
            post(async |manager: Manager| Ok::<_, SessionRejection>(manager.log_out().await?.to_string())),
        )
        .route(
            "/everywhere/{user}",
            post(async |manager: Manager, Last(user): Last| {
                let ended = manager.log_out_everywhere(UserSession::USER_ID.eq(user)).await?;
                Ok::<_, SessionRejection>(ended.to_string())
            }),
        )
        .route(
            "/others/{user}",
            post(async |manager: Manager, Last(user): Last| {
                let ended = manager.log_out_others(UserSession::USER_ID.eq(user)).await?;
                Ok::<_, SessionRejection>(ended.to_string())
            }),
        )
        .route(
            "/rotate",
            post(async |manager: Manager| {
                Ok::<_, SessionRejection>(manager.rotate().await?.expose().to_owned())
            }),
        )
        .route(
            "/extend",
            post(async |manager: Manager| Ok::<_, SessionRejection>(manager.extend().await?.to_string())),
        )
}

async fn log_in(manager: Manager, Last(name): Last) -> Result<String, SessionRejection> {
    Ok(manager.log_in(user(&name)).await?.token.expose().to_owned())
}

/// The sessions of the default table, and one of them.
pub(crate) async fn logged_in(db: &TestDatabase) -> (Sessions<UserSession>, CreatedSession<UserSession>) {
    let sessions = db.sessions().await;
    let created = sessions.create(user("1234")).await.unwrap();
    // A later instant than that of the creation, as it always is outside of tests.
    db.clock().advance(std::time::Duration::from_secs(1));
    (sessions, created)
}

pub(crate) fn cookie(created: &CreatedSession<UserSession>) -> String {
    format!("__Host-Http-session={}", created.token.expose())
}

pub(crate) fn bearer(created: &CreatedSession<UserSession>) -> String {
    format!("Bearer {}", created.token.expose())
}

/// An application that listens on a port of its own.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Site {
    pub(crate) async fn start(on: Framework, app: App) -> Self {
        match on {
            Framework::Axum => Self::serve(app.into_axum()).await,
            Framework::Actix => Self { address: app.start_on_actix() },
        }
    }

    /// Starts an application that only axum can have.
    pub(crate) async fn serve(app: axum::Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address }
    }

    /// Sends it over a connection of its own. The host is `example.com`, unless the request says another.
    pub(crate) async fn send_raw(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        self.try_send_raw(request).await.unwrap()
    }

    async fn try_send_raw(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<http::Response<Incoming>, hyper::Error> {
        request.headers_mut().entry(header::HOST).or_insert("example.com".parse().unwrap());
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await
    }

    pub(crate) async fn send(&self, request: request::Builder) -> Answer {
        self.try_send(request).await.unwrap()
    }

    async fn try_send(&self, request: request::Builder) -> Option<Answer> {
        let response = self.try_send_raw(request.body(Full::default()).unwrap()).await.ok()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Some(Answer { status: parts.status, headers: parts.headers, body })
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(with(Request::get(path), headers)).await
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(with(Request::post(path), headers)).await
    }

    /// Returns nothing if the connection ends without an answer.
    pub(crate) async fn try_post(&self, path: &str, headers: &[(&str, &str)]) -> Option<Answer> {
        self.try_send(with(Request::post(path), headers)).await
    }
}

fn with(request: request::Builder, headers: &[(&str, &str)]) -> request::Builder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// The session's user, told to who has one, and no change of the cookie.
    #[track_caller]
    pub(crate) fn assert_is(&self, status: u16, body: &str) {
        assert_eq!((self.status.as_u16(), self.body.as_str()), (status, body));
        assert!(self.cookies().is_empty(), "{:?}", self.cookies());
        assert_eq!(self.header("cache-control"), None);
    }

    /// A program's request is refused for what it has presented, and no cookie changes.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, detail: &str) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.body);
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!((&problem["status"], &problem["detail"]), (&status.into(), &detail.into()));
        self.assert_is(status, &self.body);
    }

    #[track_caller]
    pub(crate) fn assert_cleared(&self, status: u16) {
        assert_eq!((self.status.as_u16(), self.cookies()), (status, vec![CLEARED]), "{}", self.body);
        assert_eq!(self.header("cache-control"), Some("no-store"));
    }
}
