//! Each application is started as a program, and used over HTTP as by a browser or by a client of its API.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Response;

/// A program that serves. It is stopped when this is dropped.
struct Application {
    process: Child,
    address: String,
    lines: Vec<String>,
    agent: Agent,
}

impl Application {
    /// Starts it, and reads the lines that it prints until it serves.
    fn start(program: &str) -> Self {
        let mut command = Command::new(program);
        let process = command.arg("0").stdout(Stdio::piped()).spawn().unwrap();
        let config = Agent::config_builder().max_redirects(0).http_status_as_error(false).build();
        let agent = config.new_agent();
        let mut started = Self { process, address: String::new(), lines: Vec::new(), agent };
        for line in BufReader::new(started.process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if line.starts_with("http://") {
                started.address = line;
                return started;
            }
            started.lines.push(line);
        }
        panic!("{program} has ended: {:?}", started.lines);
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

type Answer = Response<ureq::Body>;

/// A browser: it opens pages, sends forms, and keeps one cookie.
struct Browser<'a> {
    site: &'a Application,
    cookie: Option<String>,
}

impl<'a> Browser<'a> {
    fn new(site: &'a Application) -> Self {
        Self { site, cookie: None }
    }

    fn keep_cookie(&mut self, answer: &Answer) {
        let Some(cookie) = answer.headers().get("set-cookie") else { return };
        let cookie = cookie.to_str().unwrap();
        let pair = cookie.split(';').next().unwrap();
        self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
    }

    fn open(&mut self, path: &str) -> Answer {
        let mut request = self.site.agent.get(self.site.url(path)).header("accept", "text/html");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.call().unwrap();
        self.keep_cookie(&answer);
        answer
    }

    fn send(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let mut request = self.site.agent.post(self.site.url(path)).header("accept", "text/html");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.send_form(form.iter().copied()).unwrap();
        self.keep_cookie(&answer);
        answer
    }
}

fn location(answer: &Answer) -> &str {
    answer.headers().get("location").unwrap_or_else(|| panic!("{answer:?}")).to_str().unwrap()
}

/// Whether the answer's cookie stays when the browser is closed.
fn outlives_the_browser(answer: &Answer) -> bool {
    answer.headers().get("set-cookie").unwrap().to_str().unwrap().contains("Max-Age=")
}

fn text(mut answer: Answer) -> String {
    assert_eq!(answer.status(), 200);
    answer.body_mut().read_to_string().unwrap()
}

const LOG_IN: [(&str, &str); 2] = [("name", "robin"), ("password", "a password")];

#[test]
fn a_site_logs_in_lists_devices_and_asks_for_the_password_again() {
    let site = Application::start(env!("CARGO_BIN_EXE_site"));
    let (mut phone, mut laptop) = (Browser::new(&site), Browser::new(&site));
    assert_eq!(location(&phone.open("/")), "/login?next=/");
    assert_eq!(
        location(&phone.send("/login?next=/", &[("name", "robin"), ("password", "no")])),
        "/login?next=/"
    );
    assert!(phone.cookie.is_none());
    // A link of a stranger's leads nowhere else.
    let answer = phone.send("/login?next=https://example.com/", &LOG_IN);
    assert_eq!((location(&answer), outlives_the_browser(&answer)), ("/", false));
    let remembered = [LOG_IN[0], LOG_IN[1], ("remember", "on")];
    let answer = laptop.send("/login", &remembered);
    assert_eq!((location(&answer), outlives_the_browser(&answer)), ("/", true));

    let page = text(phone.open("/"));
    assert!(page.contains("Hello, robin") && page.matches("Sign out").count() == 2, "{page}");
    let other = page.lines().find(|line| line.contains("action=/end/") && !line.contains("(here)")).unwrap();
    let path = other.split("action=").nth(1).unwrap().split('>').next().unwrap();
    assert_eq!(location(&phone.send(path, &[])), "/");
    assert_eq!(location(&laptop.open("/")), "/login?next=/");

    // Just logged in: the password may be changed. All other devices are signed out by that.
    assert_eq!(location(&laptop.send("/login", &LOG_IN)), "/");
    assert!(text(phone.open("/password")).contains("new-password"));
    let old = phone.cookie.clone();
    assert_eq!(location(&phone.send("/confirm?next=/password", &LOG_IN[1..])), "/password");
    assert_ne!(phone.cookie, old, "who proves to be the user gets a new token");
    assert_eq!(location(&phone.send("/password", &[("password", "another one")])), "/");
    assert_eq!(location(&laptop.open("/")), "/login?next=/");
    assert!(text(phone.open("/")).contains("Hello, robin"));
    assert_eq!(location(&laptop.send("/login", &LOG_IN)), "/login");

    assert_eq!(location(&phone.send("/logout", &[])), "/login");
    assert_eq!(location(&phone.open("/")), "/login?next=/");
}

#[test]
fn an_api_makes_keys_that_can_do_no_more_than_their_maker() {
    let api = Application::start(env!("CARGO_BIN_EXE_api"));
    let first = api.lines[0].strip_prefix("the first key: ").unwrap();
    let call = |method: &str, path: &str, key: &str, body: Option<Value>| {
        let bearer = format!("Bearer {key}");
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(api.url(path))
            .header("authorization", &bearer)
            .header("content-type", "application/json");
        let body = body.map_or(String::new(), |body| body.to_string());
        api.agent.run(request.body(body).unwrap()).unwrap()
    };
    let json = |mut answer: Answer| -> Value {
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer.body_mut().read_json().unwrap()
    };

    let refused = api.agent.get(api.url("/orders")).call().unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["www-authenticate"]),
        (401, &"Bearer".parse().unwrap())
    );
    let reader = json(call("POST", "/keys", first, Some(json!({ "name": "reads", "scope": "read keys" }))));
    let key = reader["key"].as_str().unwrap();
    assert_eq!(call("GET", "/orders", key, None).status(), 200);
    let refused = call("POST", "/orders", key, None);
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
    assert_eq!(refused.status(), 403);
    assert!(
        challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"write\""),
        "{challenge}"
    );
    assert_eq!(call("POST", "/orders", first, None).status(), 200);
    // A key makes no key that can do more than itself, and none with a scope that does not exist.
    let more = json!({ "name": "more", "scope": "read write" });
    assert_eq!(call("POST", "/keys", key, Some(more)).status(), 403);
    assert_eq!(call("POST", "/keys", first, Some(json!({ "name": "odd", "scope": "fly" }))).status(), 422);

    let listed = json(call("GET", "/keys", key, None));
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(
        listed.iter().all(|shown| shown["key"].is_null() && shown["hint"].as_str().unwrap().contains('…'))
    );
    assert!(listed.iter().all(|shown| shown["last_used_at"].is_string()), "{listed:?}");

    // The old key is good for another day, and ends with its session.
    let rotated = json(call("POST", "/rotate", key, None));
    let new = rotated["key"].as_str().unwrap();
    assert_eq!(call("GET", "/orders", key, None).status(), 200);
    assert_eq!(call("GET", "/orders", new, None).status(), 200);
    // What was replaced may have leaked: it gets no successor of its own, and makes no key.
    assert_eq!(call("POST", "/rotate", key, None).status(), 403);
    let another = json!({ "name": "another", "scope": "read" });
    assert_eq!(call("POST", "/keys", key, Some(another)).status(), 403);
    let path = format!("/keys/{}", reader["id"].as_str().unwrap());
    assert_eq!(call("DELETE", &path, first, None).status(), 204);
    assert_eq!(call("DELETE", &path, first, None).status(), 404);
    for ended in [key, new] {
        let refused = call("GET", "/orders", ended, None);
        assert_eq!(refused.status(), 401);
        assert!(refused.headers()["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    }
}

/// What the site that is moved does, before and after.
fn a_small_site(program: &str) -> Application {
    let site = Application::start(program);
    let mut browser = Browser::new(&site);
    assert!(location(&browser.open("/")).starts_with("/login?next="));
    assert!(text(browser.open("/login?next=%2F")).contains("<form method=post>"));
    let wrong = browser.send("/login?next=%2F", &[("name", "robin"), ("password", "no")]);
    assert_eq!(wrong.status(), 401);
    assert_eq!(location(&browser.send("/login?next=%2F", &LOG_IN)), "/");
    assert_eq!(text(browser.open("/")), "Hello, robin!");
    let stolen = browser.cookie.clone();
    assert_eq!(location(&browser.send("/logout", &[])), "/login");
    browser.cookie = stolen;
    assert!(location(&browser.open("/")).starts_with("/login?next="));
    site
}

#[test]
fn the_site_that_is_moved_does_what_it_did_and_is_shorter() {
    a_small_site(env!("CARGO_BIN_EXE_before"));
    let after = a_small_site(env!("CARGO_BIN_EXE_after"));
    // What it did not do: a link of a stranger's does not lead away.
    let mut browser = Browser::new(&after);
    assert_eq!(location(&browser.send("/login?next=https://example.com/", &LOG_IN)), "/");
    let lines = |text: &str| text.lines().count();
    let (before, after) = (include_str!("../moved/before.rs"), include_str!("../moved/after.rs"));
    assert!(lines(after) < lines(before));
}

#[test]
fn each_application_is_short() {
    for (name, text) in [("site", include_str!("../site/main.rs")), ("api", include_str!("../api.rs"))] {
        let lines = text.lines().count();
        assert!(lines < 110, "{name} has {lines} lines");
    }
}
