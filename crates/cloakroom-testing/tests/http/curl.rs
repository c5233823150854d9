//! The same under curl, with its own idea of cookies and headers.

use std::process::Stdio;

use cloakroom_testing::{TestDatabase, UserSession};
use cloakroom_web::{CookieConfig, SessionLayer, TokenSource};
use tokio::process::Command;

use crate::harness::{Framework, Site, routes};

/// What curl prints, or `None` where there is no curl.
async fn curl(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60"]).args(arguments);
    let output = command.stderr(Stdio::inherit()).output().await;
    if output.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        eprintln!("skipped: there is no curl on this machine");
        return None;
    }
    let output = output.unwrap();
    assert!(output.status.success(), "curl failed: {}", output.status);
    Some(String::from_utf8(output.stdout).unwrap())
}

async fn a_cookie_jar_is_filled_used_and_emptied(db: TestDatabase, on: Framework) {
    let sessions = db.sessions::<UserSession>().await;
    let cookie = CookieConfig::builder().insecure_on_localhost(true).build().unwrap();
    let layer =
        SessionLayer::new(sessions).cookie(cookie).sources([TokenSource::Cookie, TokenSource::Bearer]);
    let site = Site::start(on, routes().layer(layer)).await;
    let url = |path: &str| format!("http://{}{path}", site.address);
    let directory = tempfile::tempdir().unwrap();
    let jar = directory.path().join("jar");
    let jar = ["--cookie", jar.to_str().unwrap(), "--cookie-jar", jar.to_str().unwrap()];
    let with_jar = async |more: &[&str]| curl(&[&jar[..], more].concat()).await;

    let Some(token) = with_jar(&["--request", "POST", &url("/login/1234")]).await else { return };
    assert_eq!(with_jar(&[&url("/me")]).await.unwrap(), "1234");
    assert_eq!(curl(&["--oauth2-bearer", &token, &url("/me")]).await.unwrap(), "1234");
    assert_eq!(with_jar(&["--request", "POST", &url("/logout")]).await.unwrap(), "true");
    assert!(!std::fs::read_to_string(jar[1]).unwrap().contains(&token), "curl has forgotten it");
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    let me = url("/me");
    let refused = [&status[..], &["--oauth2-bearer", &token, &me]].concat();
    assert_eq!(curl(&refused).await.unwrap(), "401");
}

each_framework! {
    a_cookie_jar_is_filled_used_and_emptied,
}
