//! The example does what it says. It is compiled as a part of these tests, so that no build of an older one is run.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use http::Request;
use http::request::Builder;
use http_body_util::{BodyExt, Full};

use crate::harness::{Answer, Site};

/// Ended with the test, whatever comes of it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Set for the process that is to run the example.
const RUNS: &str = "CLOAKROOM_TEST_RUNS_EXAMPLE";

mod login {
    include!("../../../cloakroom-axum/examples/login.rs");

    /// Not a case of its own: the process that the test below speaks to.
    #[test]
    fn runs_if_it_is_asked_to() {
        if std::env::var_os(super::RUNS).is_some() {
            main().unwrap();
        }
    }
}

fn start() -> (Running, Site) {
    let test = std::env::current_exe().expect("a test knows its own file");
    let mut command = Command::new(test);
    // The example takes the first argument for its port, and the harness takes it for one more name of a test.
    command.args(["0", "--exact", "example::login::runs_if_it_is_asked_to", "--nocapture"]).env(RUNS, "1");
    let child = command.stdout(Stdio::piped()).spawn().expect("a test can run itself");
    let mut running = Running(child);
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut addresses =
        lines.map_while(Result::ok).filter_map(|line| Some(line.split_once("http://")?.1.to_owned()));
    let address = addresses.next().expect("it prints its address").parse().unwrap();
    (running, Site { address })
}

async fn log_in(site: &Site) -> String {
    let request = Request::post("/login").header("host", "localhost:3000");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = site.send_raw(request.body(Full::from("user_id=1234")).unwrap()).await;
    assert_eq!((response.status().as_u16(), &response.headers()["location"]), (303, &"/".parse().unwrap()));
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    response.into_body().collect().await.unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

async fn send(site: &Site, request: Builder, cookie: &str) -> Answer {
    let request = request.header("host", "localhost:3000").header("accept", "text/html");
    site.send(request.header("cookie", cookie)).await
}

#[tokio::test]
async fn the_login_example_logs_in_lists_devices_and_logs_out() {
    let (_running, site) = start();
    // The page is protected.
    let answer = send(&site, Request::get("/"), "").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some("/login?next=/")));
    assert!(send(&site, Request::get("/login"), "").await.body.contains("<form"));
    let (phone, laptop) = (log_in(&site).await, log_in(&site).await);
    assert_ne!(phone, laptop);
    let page = send(&site, Request::get("/"), &phone).await.body;
    assert_eq!((page.matches("<li>").count(), page.matches("(here)").count()), (2, 1), "{page}");
    // Another site's page ends no session.
    let forged = Request::post("/logout").header("sec-fetch-site", "cross-site");
    assert_eq!(send(&site, forged, &phone).await.status, 403);
    // One device goes; the other sees it gone.
    let answer = send(&site, Request::post("/logout"), &phone).await;
    assert_eq!(answer.header("location"), Some("/login"));
    assert_eq!(send(&site, Request::get("/"), &phone).await.status, 303);
    let page = send(&site, Request::get("/"), &laptop).await.body;
    assert_eq!(page.matches("<li>").count(), 1, "{page}");
}

#[test]
fn the_login_example_is_under_sixty_lines() {
    assert!(include_str!("../../../cloakroom-axum/examples/login.rs").lines().count() < 60);
}

#[test]
fn what_the_readme_shows_is_the_example_s() {
    let example = include_str!("../../../cloakroom-axum/examples/login.rs");
    let readme = include_str!("../../../../README.md");
    let (_, section) = readme.split_once("## On the web, with axum").unwrap();
    let excerpt = section.split("```").nth(1).unwrap().strip_prefix("rs").unwrap();
    let lines: Vec<_> = excerpt.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(lines.len() > 15);
    for line in lines {
        assert!(example.lines().any(|known| known.trim() == line), "{line}");
    }
}
