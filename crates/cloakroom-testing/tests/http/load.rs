//! Many requests at a time, over few connections to the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use cloakroom_testing::TestDatabase;
use cloakroom_web::SessionLayer;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::harness::{Framework, Site, cookie, logged_in, routes};

const REQUESTS: usize = 10_000;
const CLIENTS: usize = 64;

/// That no connection of the pool is leaked shows at the end of every case, when the pool closes.
async fn ten_thousand_requests_are_answered_without_an_error(db: TestDatabase, on: Framework) {
    let (sessions, created) = logged_in(&db).await;
    let site = Site::start(on, routes().layer(SessionLayer::new(sessions))).await;
    let left = Arc::new(AtomicUsize::new(REQUESTS));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client(site.address, cookie(&created), Arc::clone(&left)));
    }
    let answered: usize = clients.join_all().await.into_iter().sum();
    assert_eq!(answered, REQUESTS);
}

/// Asks for as long as there is something left to ask; how often that was.
async fn client(address: std::net::SocketAddr, cookie: String, left: Arc<AtomicUsize>) -> usize {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut answered = 0;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let request = Request::get("/me").header(header::HOST, "example.com").header(header::COOKIE, &cookie);
        let response = sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "1234");
        sender.ready().await.unwrap();
        answered += 1;
    }
    answered
}

each_framework_on_each_database! { ten_thousand_requests_are_answered_without_an_error }
