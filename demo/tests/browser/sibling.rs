//! A host beside the application's, in the hands of somebody who wishes it no good.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{AppendHeaders, Html, IntoResponse};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::chromium::Browser;
use crate::front::Front;

const HOST: &str = "evil.site.test";

pub(crate) struct Sibling {
    front: Front,
    cookies: Cookies,
}

/// How a page has a browser keep a cookie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Means {
    /// By `Set-Cookie`.
    Header,
    /// By `document.cookie`.
    Script,
}

/// What the page sets, in this order.
type Cookies = Arc<Mutex<Vec<(Means, String)>>>;

impl Sibling {
    pub(crate) async fn start() -> Self {
        let cookies = Cookies::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let app = Router::new().route("/", get(page)).with_state(Arc::clone(&cookies));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { front: Front::of(address).await, cookies }
    }

    /// Has the browser open a page that sets all these, in this order.
    pub(crate) async fn plant(&self, browser: &Browser, cookies: Vec<(Means, String)>) {
        *self.cookies.lock().expect("nobody panics with it") = cookies;
        browser.visit(&self.front.origin(HOST)).await;
        assert_eq!(browser.title().await, "planted");
    }
}

async fn page(State(cookies): State<Cookies>) -> impl IntoResponse {
    let cookies = cookies.lock().expect("nobody panics with it");
    let by =
        |wanted| cookies.iter().filter(move |(means, _)| *means == wanted).map(|(_, cookie)| cookie.clone());
    let scripted = by(Means::Script).collect::<serde_json::Value>();
    let page = format!(
        "<!doctype html><title></title><link rel=icon href='data:,'><p>A harmless page.</p>\
         <script>for (const cookie of {scripted}) document.cookie = cookie; document.title = 'planted'</script>"
    );
    let headers: Vec<_> = by(Means::Header).map(|cookie| (header::SET_COOKIE, cookie)).collect();
    (AppendHeaders(headers), Html(page))
}
