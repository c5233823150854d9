use std::net::SocketAddr;

use axum::body::Bytes;
use cloakroom_demo::app::App;
use cloakroom_testing::TestDatabase;
use http_body_util::{BodyExt, Full};
use hyper::header::{self, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
pub(crate) const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 \
    (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

/// The demo, listening.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
}

impl Site {
    pub(crate) async fn start(db: &TestDatabase) -> Self {
        Self::start_with(db, |app| app).await
    }

    pub(crate) async fn start_with(db: &TestDatabase, with: impl FnOnce(App) -> App) -> Self {
        let app = with(App::new(db.database(), db.config()).await.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = app.clone().router().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { address, app }
    }

    /// A browser with no cookies yet.
    pub(crate) fn browser(&self) -> Browser {
        Browser { address: self.address, agent: FIREFOX, cookies: Vec::new() }
    }

    /// A browser in which this user has just signed up.
    pub(crate) async fn signed_up(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.post("/signup", &[("name", name), ("password", PASSWORD)]).await;
        answer.assert_moved("/account");
        browser
    }

    /// Another browser, in which this user has logged in.
    pub(crate) async fn logged_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        browser.agent = IPHONE;
        let answer = browser.post("/login", &[("name", name), ("password", PASSWORD)]).await;
        answer.assert_moved("/account");
        browser
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.address, method, path, headers, String::new()).await
    }
}

/// Keeps cookies, and says about itself what browsers say.
pub(crate) struct Browser {
    address: SocketAddr,
    pub(crate) agent: &'static str,
    pub(crate) cookies: Vec<(String, String)>,
}

impl Browser {
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], String::new()).await
    }

    pub(crate) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let origin = format!("http://{}", self.address);
        let headers = [
            ("origin", origin.as_str()),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.send("POST", path, &headers, encode(form)).await
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut all = vec![("user-agent", self.agent), ("accept", "text/html,*/*;q=0.8")];
        if !cookies.is_empty() {
            all.push(("cookie", &cookies));
        }
        all.extend_from_slice(headers);
        let answer = send(self.address, method, path, &all, body).await;
        for cookie in answer.cookies() {
            let (name, rest) = cookie.split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !cookie.contains("Max-Age=0") {
                let value = rest.split(';').next().unwrap();
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    /// The session's token.
    pub(crate) fn token(&self) -> &str {
        let cookie = self.cookies.iter().find(|(name, _)| name == "session");
        &cookie.expect("there is a session").1
    }

    pub(crate) fn has_session(&self) -> bool {
        self.cookies.iter().any(|(name, _)| name == "session")
    }

    /// Makes a key and returns it.
    pub(crate) async fn make_key(&mut self, form: &[(&str, &str)]) -> String {
        let page = self.post("/keys/new", form).await;
        page.assert_status(200);
        page.text("new-key").to_owned()
    }

    /// The ids of the rows on a page.
    pub(crate) async fn rows(&mut self, path: &str) -> Vec<String> {
        self.get(path).await.rows()
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn assert_status(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.body);
    }

    #[track_caller]
    pub(crate) fn assert_moved(&self, to: &str) {
        assert_eq!((self.status.as_u16(), self.header("location")), (303, Some(to)), "{}", self.body);
    }

    /// The browser is sent to log in, and from there back to this path.
    #[track_caller]
    pub(crate) fn assert_sent_to_log_in(&self, from: &str) {
        self.assert_moved(&format!("/login?next={from}"));
    }

    /// The page says this of what was done before.
    #[track_caller]
    pub(crate) fn assert_notice(&self, text: &str) {
        let notice = format!("<p class=\"notice\" role=\"status\">{text}</p>");
        assert!(self.body.contains(&notice), "{text}: {}", self.body);
    }

    pub(crate) fn rows(&self) -> Vec<String> {
        let rows = self.body.split("data-id=\"").skip(1);
        rows.map(|row| row.split('"').next().unwrap().to_owned()).collect()
    }

    /// The text of the element with this id, which holds no other.
    pub(crate) fn text(&self, id: &str) -> &str {
        let start = self.body.find(&format!("id=\"{id}\"")).expect("there is such an element");
        let (_, rest) = self.body[start..].split_once('>').unwrap();
        rest.split('<').next().unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", address.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// As a browser encodes a form.
fn encode(form: &[(&str, &str)]) -> String {
    use std::fmt::Write;

    let mut encoded = String::new();
    for (name, value) in form {
        let separator = if encoded.is_empty() { "" } else { "&" };
        write!(encoded, "{separator}{name}=").unwrap();
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() {
                encoded.push(char::from(byte));
            } else {
                write!(encoded, "%{byte:02X}").unwrap();
            }
        }
    }
    encoded
}
