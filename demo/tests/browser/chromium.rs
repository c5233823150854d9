//! Chromium and its driver.

use std::env;
use std::fs;
use std::num::NonZero;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

use crate::front;
use crate::process::Process;

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The right of one test to have browsers. There are as many as processors: a page that loads too slowly is laid out in
/// steps, and what moves then is no fault of the page.
struct Turn;

/// How many tests have browsers.
static TURNS: Mutex<usize> = Mutex::new(0);

static TURN_ENDED: Condvar = Condvar::new();

impl Turn {
    fn wait() -> Self {
        let most = thread::available_parallelism().map_or(1, NonZero::get);
        let turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = TURN_ENDED.wait_while(turns, |turns| *turns >= most);
        *waited.unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        TURN_ENDED.notify_one();
    }
}

/// The driver, which starts and ends the browsers.
pub(crate) struct Driver {
    _process: Process,
    url: String,
    directory: TempDir,
    /// Ends after the driver.
    _turn: Turn,
}

/// What is told to a browser when it starts.
#[derive(Clone, Copy)]
pub(crate) struct Profile {
    /// What it says that it is; by default what it really is.
    pub(crate) user_agent: Option<&'static str>,
    pub(crate) has_scripts: bool,
    /// Whether it binds sessions to the device.
    pub(crate) binds_sessions: Option<Signs>,
}

/// How often a browser renews the sessions of a site. Its keys are in software, since test machines have no security chip.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Signs {
    /// As every browser does: six times in nine minutes.
    AsUsual,
    /// As often as a test wants.
    WithoutLimit,
}

impl Profile {
    pub(crate) const DEFAULT: Self = Self { user_agent: None, has_scripts: true, binds_sessions: None };
}

impl Default for Profile {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A browser with an empty profile: a device that nobody has used before.
pub(crate) struct Browser {
    client: Client,
    /// The scheme, host and port that paths belong to.
    origin: String,
    /// Its profile's folder.
    data: PathBuf,
}

/// What a browser keeps, and would send.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    /// With a dot in front where it is not for one host alone.
    pub(crate) domain: String,
    pub(crate) path: String,
}

impl Driver {
    /// Waits until not too many other tests have browsers, and starts the driver.
    pub(crate) fn start() -> Self {
        let turn = Turn::wait();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new(program("CLOAKROOM_TEST_CHROMEDRIVER"));
        // Profiles and other litter go where we remove them.
        command.arg("--port=0").env("TMPDIR", directory.path()).env("HOME", directory.path());
        // It takes any free port of IPv6, and gives up where the same is taken in IPv4.
        let mut attempts = (0..5).map(|_| Process::try_start(&command, "started successfully on port "));
        let started = attempts.find_map(|attempt| match attempt {
            Ok(started) => Some(started),
            Err(output) if output.contains("Address already in use") => None,
            Err(output) => panic!("{command:?} does not start:\n{output}"),
        });
        let (process, port) = started.expect("some port is free");
        Self { _turn: turn, _process: process, url: format!("http://127.0.0.1:{port}"), directory }
    }

    /// A browser that looks at what is at this origin.
    pub(crate) async fn open(&self, origin: &str, profile: Profile) -> Browser {
        let data = tempfile::tempdir_in(&self.directory).expect("a temporary directory").keep();
        self.open_in(data, origin, profile).await
    }

    /// Ends the browser and starts it again.
    pub(crate) async fn restart(&self, browser: Browser, profile: Profile) -> Browser {
        let Browser { client, origin, data } = browser;
        client.close().await.expect("the browser closes");
        self.open_in(data, &origin, profile).await
    }

    async fn open_in(&self, data: PathBuf, origin: &str, profile: Profile) -> Browser {
        let mut arguments = vec![
            "--headless=new".to_owned(),
            format!("--user-data-dir={}", data.display()),
            "--window-size=1100,800".to_owned(),
            "--host-resolver-rules=MAP *.test 127.0.0.1".to_owned(),
            format!("--ignore-certificate-errors-spki-list={}", front::fingerprint()),
        ];
        let quiet = [
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-breakpad",
            "--hide-scrollbars",
            "--lang=en",
        ];
        arguments.extend(quiet.map(str::to_owned));
        if fs::metadata(&data).expect("just created").uid() == 0 {
            // Chromium's sandbox does not work for root. It sees no page but ours.
            arguments.push("--no-sandbox".to_owned());
        }
        arguments.extend(profile.user_agent.map(|agent| format!("--user-agent={agent}")));
        if let Some(signs) = profile.binds_sessions {
            let quota = if signs == Signs::WithoutLimit { ":RefreshQuota/false" } else { "" };
            arguments.push(format!(
                "--enable-features=DeviceBoundSessions{quota},\
                 EnableBoundSessionCredentialsSoftwareKeysForManualTesting"
            ));
        }
        let scripts = if profile.has_scripts { 1 } else { 2 };
        let wanted = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL", "performance": if profile.binds_sessions.is_some() { "ALL" } else { "OFF" } },
            "goog:chromeOptions": {
                "binary": program("CLOAKROOM_TEST_CHROMIUM"),
                "args": arguments,
                "prefs": { "profile.managed_default_content_settings.javascript": scripts },
            },
        });
        let wanted: Capabilities = serde_json::from_value(wanted).expect("an object");
        let connector = HttpConnector::new();
        let client = ClientBuilder::new(connector).capabilities(wanted).connect(&self.url).await;
        let client = client.expect("a browser starts");
        let browser = Browser { client, origin: origin.to_owned(), data };
        assert_eq!(browser.runs_scripts().await, profile.has_scripts);
        if profile.binds_sessions.is_some() {
            browser.devtools("Network.enableDeviceBoundSessions", json!({ "enable": true })).await;
        }
        browser
    }
}

fn program(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run `cargo xtask test`"))
}

impl Browser {
    /// A page that says so, since a setting could be ignored.
    async fn runs_scripts(&self) -> bool {
        let page = "data:text/html,<title>off</title><script>document.title='on'</script>";
        self.client.goto(page).await.expect("a page");
        let runs = self.client.title().await.expect("a title") == "on";
        // A line about the script that was blocked.
        self.take_console().await;
        runs
    }

    /// The same browser, looking at what is at another origin.
    pub(crate) fn at(self, origin: &str) -> Self {
        Self { origin: origin.to_owned(), ..self }
    }

    pub(crate) async fn go(&self, path: &str) {
        self.visit(&format!("{}{path}", self.origin)).await;
    }

    /// Goes to a page of any site.
    pub(crate) async fn visit(&self, url: &str) {
        self.client.goto(url).await.expect("a page");
        self.expect_silence().await;
    }

    /// Goes to a page whose status is an error, which the console says too.
    pub(crate) async fn go_in_vain(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.origin)).await.expect("a page");
        let console = self.take_console().await;
        assert!(matches!(&console[..], [line] if line.contains("status of 4")), "{path}: {console:?}");
    }

    /// Clicks, and waits for the page that follows.
    pub(crate) async fn click(&self, css: &str) {
        self.follow(css).await;
        self.expect_silence().await;
    }

    /// Does so whatever the console says of it.
    pub(crate) async fn follow(&self, css: &str) {
        let element = self.find(css).await;
        element.click().await.unwrap_or_else(|e| panic!("{css}: {e}"));
        // The driver may be back before the browser has asked for the next page. What was clicked
        // goes with its page.
        let deadline = Instant::now() + PATIENCE;
        while element.is_enabled().await.is_ok() {
            assert!(Instant::now() < deadline, "{css} led nowhere");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn fill(&self, field: &str, value: &str) {
        self.fill_in(&format!("[name={field}]"), value).await;
    }

    pub(crate) async fn fill_in(&self, css: &str, value: &str) {
        let field = self.find(css).await;
        field.clear().await.expect("a field");
        field.send_keys(value).await.expect("a field");
    }

    /// Clicks on what opens without another page.
    pub(crate) async fn open_details(&self, css: &str) {
        self.find(css).await.click().await.unwrap_or_else(|e| panic!("{css}: {e}"));
    }

    /// Chooses the option with this value.
    pub(crate) async fn choose(&self, field: &str, value: &str) {
        let field = self.find(&format!("select[name={field}]")).await;
        field.select_by_value(value).await.expect("there is such an option");
    }

    /// Fills in the form with these fields, and sends it.
    pub(crate) async fn submit(&self, fields: &[(&str, &str)]) {
        for (field, value) in fields {
            self.fill(field, value).await;
        }
        let last = fields.last().expect("some fields").0;
        self.click(&format!("form:has([name={last}]) button")).await;
    }

    pub(crate) async fn find(&self, css: &str) -> Element {
        let wait = self.client.wait().at_most(PATIENCE);
        match wait.for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(e) => panic!("no `{css}` at {}: {e}\n{}", self.path().await, self.text("body").await),
        }
    }

    pub(crate) async fn count(&self, css: &str) -> usize {
        self.client.find_all(Locator::Css(css)).await.expect("an answer").len()
    }

    pub(crate) async fn text(&self, css: &str) -> String {
        let element = self.client.find(Locator::Css(css)).await;
        element.unwrap_or_else(|e| panic!("{css}: {e}")).text().await.expect("a text")
    }

    pub(crate) async fn attribute(&self, css: &str, name: &str) -> String {
        let value = self.find(css).await.attr(name).await.expect("an answer");
        value.unwrap_or_else(|| panic!("{css} has no {name}"))
    }

    pub(crate) async fn path(&self) -> String {
        self.client.current_url().await.expect("an address").path().to_owned()
    }

    pub(crate) async fn title(&self) -> String {
        self.client.title().await.expect("a title")
    }

    /// The cookies that a request for this path would carry.
    pub(crate) async fn cookies(&self, path: &str) -> Vec<Cookie> {
        let urls = json!({ "urls": [format!("{}{path}", self.origin)] });
        let answer = self.devtools("Network.getCookies", urls).await;
        Vec::deserialize(&answer["cookies"]).expect("a list of cookies")
    }

    /// Takes the cookie away, as the browser does when its time is over.
    pub(crate) async fn lose_cookie(&self, name: &str) {
        self.devtools("Network.deleteCookies", json!({ "name": name, "url": format!("{}/", self.origin) }))
            .await;
    }

    /// Copies what another browser keeps for this place.
    pub(crate) async fn take_cookies_of(&self, other: &Self) {
        for Cookie { name, value, .. } in other.cookies("/").await {
            let cookie = json!({
                "name": name, "value": value, "url": format!("{}/", self.origin), "path": "/",
                "secure": true, "httpOnly": true, "sameSite": "Lax",
            });
            let kept = self.devtools("Network.setCookie", cookie).await;
            assert_eq!(kept["success"], true, "{name}");
        }
    }

    /// Waits until the browser has bound a session to the device.
    pub(crate) async fn until_bound(&self) {
        let event = self
            .until_devtools_say("Network.deviceBoundSessionEventOccurred", |event| {
                !event["creationEventDetails"].is_null()
            })
            .await;
        assert_eq!(event["creationEventDetails"]["fetchResult"], "Success", "{event}");
    }

    /// Waits until it has forgotten a bound session for this reason.
    pub(crate) async fn until_forgotten(&self, reason: &str) {
        self.until_devtools_say("Network.deviceBoundSessionEventOccurred", |event| {
            event["terminationEventDetails"]["deletionReason"] == reason
        })
        .await;
    }

    /// Waits for an event of the `DevTools` protocol, and returns its parameters. Those before it are taken away.
    pub(crate) async fn until_devtools_say(&self, method: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        loop {
            let entries = self.command("se/log", json!({ "type": "performance" })).await;
            for entry in entries.as_array().cloned().unwrap_or_default() {
                let text = entry["message"].as_str().expect("JSON as text");
                let message: Value = serde_json::from_str(text).expect("JSON");
                let message = &message["message"];
                if message["method"] == method {
                    if is_it(&message["params"]) {
                        return message["params"].clone();
                    }
                    others.push(message["params"].to_string());
                }
            }
            assert!(Instant::now() < deadline, "{method} did not come, but {others:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs a script in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    /// Runs a script that calls `done` with its result.
    pub(crate) async fn run_async(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; {script}");
        self.client.execute_async(&script, Vec::new()).await.unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    /// Opens a tab and turns to it. Returns the one before.
    pub(crate) async fn new_tab(&self) -> WindowHandle {
        let new = self.client.new_window(true).await.expect("a tab");
        self.to_tab(new.handle).await
    }

    /// Turns to a tab. Returns the one before.
    pub(crate) async fn to_tab(&self, tab: WindowHandle) -> WindowHandle {
        let before = self.client.window().await.expect("a tab");
        self.client.switch_to_window(tab).await.expect("the tab is there");
        before
    }

    async fn expect_silence(&self) {
        let console = self.take_console().await;
        assert!(console.is_empty(), "the console at {}: {console:#?}", self.path().await);
    }

    /// What has come to the console since the last look, which is then no surprise.
    pub(crate) async fn take_console(&self) -> Vec<String> {
        let entries = self.command("se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| format!("{}: {}", entry["level"], entry["message"])).collect()
    }

    /// Waits for a line on the console, which may come after the page; nothing else is to be there.
    pub(crate) async fn until_console_says(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut console = self.take_console().await;
        while console.is_empty() {
            assert!(Instant::now() < deadline, "the console never said `{text}`");
            tokio::time::sleep(Duration::from_millis(5)).await;
            console = self.take_console().await;
        }
        assert!(matches!(&console[..], [line] if line.contains(text)), "{console:?}");
    }

    /// A command of the `DevTools` protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.command("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    async fn command(&self, path: &'static str, parameters: Value) -> Value {
        let command = ChromiumCommand { path, parameters };
        self.client.issue_cmd(command).await.unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("a picture")
    }

    pub(crate) async fn close(self) {
        self.client.close().await.expect("the browser closes");
    }
}

/// A command that only Chromium has.
#[derive(Debug)]
struct ChromiumCommand {
    path: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for ChromiumCommand {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.parameters.to_string()))
    }
}
