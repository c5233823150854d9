//! What passes through the layer untouched: streams in both directions, upgrades, other middleware. Bodies and upgrades are of
//! a framework's own types, so these cases are axum's; `actix_alone.rs` has actix-web's.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::{any, get};
use cloakroom_testing::{TestDatabase, each_database};
use cloakroom_web::SessionLayer;
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::harness::{Current, LONGEST, Site, cookie, logged_in, routes, set};

/// A body whose chunks the test hands out, one by one.
struct Chunks(mpsc::Receiver<&'static str>);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(Frame::data(Bytes::from(chunk)))))
    }
}

async fn a_response_reaches_the_client_while_it_is_still_being_made(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let (sender, receiver) = mpsc::channel(1);
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
    let stream = async move |_: Current| Body::new(Chunks(receiver.lock().unwrap().take().unwrap()));
    let app = routes().into_axum().route("/stream", get(stream)).layer(SessionLayer::new(sessions));
    let site = Site::serve(app).await;
    db.clock().advance(Duration::from_hours(48));
    let request = Request::get("/stream").header("cookie", cookie(&created)).body(Full::default()).unwrap();
    // The head, with the cookie, before there is any body.
    let mut response = site.send_raw(request).await;
    assert_eq!(response.headers()[header::SET_COOKIE], set(created.token.expose(), LONGEST));
    for chunk in ["one", "two"] {
        sender.send(chunk).await.unwrap();
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), chunk);
    }
    drop(sender);
    assert!(response.body_mut().frame().await.is_none());
}

async fn a_request_s_body_reaches_the_handler_as_it_was_sent(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let echo = async |_: Current, body: Body| body;
    let app = routes().into_axum().route("/echo", any(echo)).layer(SessionLayer::new(sessions));
    let site = Site::serve(app).await;
    let sent = Bytes::from(vec![7; 1 << 20]);
    let request = Request::post("/echo").header("cookie", cookie(&created));
    let response = site.send_raw(request.body(Full::new(sent.clone())).unwrap()).await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), sent);
}

/// What a WebSocket's handler does, without the WebSocket: answers 101 and takes over the connection.
async fn upgrade(session: Current, mut request: Request) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut connection = TokioIo::new(upgrade.await.unwrap());
        connection.write_all(session.fields.user_id.as_bytes()).await?;
        let mut said = [0; 5];
        connection.read_exact(&mut said).await?;
        connection.write_all(&said).await?;
        Ok::<_, io::Error>(())
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}

async fn a_connection_can_be_upgraded_by_who_is_logged_in(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let site =
        Site::serve(routes().into_axum().route("/socket", any(upgrade)).layer(SessionLayer::new(sessions)))
            .await;
    let request =
        || Request::get("/socket").header(header::CONNECTION, "upgrade").header(header::UPGRADE, "websocket");
    let refused = site.send(request()).await;
    assert_eq!(refused.status, 401);
    db.clock().advance(Duration::from_hours(48));
    let request = request().header("cookie", cookie(&created)).body(Full::default()).unwrap();
    let response = site.send_raw(request).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()[header::UPGRADE], "websocket");
    assert_eq!(response.headers()[header::SET_COOKIE], set(created.token.expose(), LONGEST));
    let mut connection = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut heard = [0; 4];
    connection.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"1234");
    connection.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    connection.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}

async fn middleware_inside_and_outside_sees_what_it_should(db: TestDatabase) {
    let (sessions, created) = logged_in(&db).await;
    let inside = middleware::map_response(async |mut response: Response| {
        assert!(!response.headers().contains_key(header::SET_COOKIE), "the cookie is not yet there");
        response.headers_mut().insert("x-inside", HeaderValue::from_static("yes"));
        response
    });
    let outside = middleware::map_response(async |mut response: Response| {
        let cookie = response.headers().get(header::SET_COOKIE);
        let is_sensitive = cookie.is_some_and(HeaderValue::is_sensitive);
        response.headers_mut().insert("x-sensitive", HeaderValue::from(u16::from(is_sensitive)));
        response
    });
    let app = routes().into_axum().layer(inside).layer(SessionLayer::new(sessions)).layer(outside);
    let site = Site::serve(app).await;
    db.clock().advance(Duration::from_hours(48));
    let answer = site.get("/me", &[("cookie", &cookie(&created))]).await;
    assert_eq!((answer.header("x-inside"), answer.header("x-sensitive")), (Some("yes"), Some("1")));
    assert_eq!(site.get("/no-such-page", &[("cookie", &cookie(&created))]).await.status, 404);
}

each_database! {
    a_response_reaches_the_client_while_it_is_still_being_made,
    a_request_s_body_reaches_the_handler_as_it_was_sent,
    a_connection_can_be_upgraded_by_who_is_logged_in,
    middleware_inside_and_outside_sees_what_it_should,
}
