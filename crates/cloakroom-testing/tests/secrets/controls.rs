//! A test of absence must be able to fail.

use cloakroom::Token;

use crate::capture;
use crate::metered;
use crate::seen::Seen;

#[test]
fn a_planted_leak_is_found_in_whatever_form() {
    capture::start("");
    let digest = "c0ffee00".repeat(8);
    let token = Token::generate(64).unwrap();
    let text = token.expose();
    let middle = &text[20..60];
    let bytes: Vec<u8> =
        (0..32).map(|n| u8::from_str_radix(&digest[n * 2..n * 2 + 2], 16).unwrap()).collect();
    let planted: [&dyn Fn(&mut Seen); 7] = [
        &|seen| seen.show("Planted", &text),
        &|seen| seen.show("Planted", &text.as_bytes()),
        &|seen| seen.print(&format!("Duplicate entry '{digest}'")),
        &|seen| seen.print(&digest.to_uppercase()),
        &|seen| seen.show("Planted", &bytes),
        &|seen| seen.print(&middle),
        &|seen| seen.error(&std::io::Error::other(text)),
    ];
    for plant in planted {
        let mut seen = Seen::default();
        seen.secret("a token", text.as_bytes());
        seen.secret("a digest", digest.as_bytes());
        assert!(seen.leaks().is_empty());
        plant(&mut seen);
        assert!(!seen.leaks().is_empty(), "a planted leak was not found");
    }
}

#[test]
fn a_leak_in_an_event_a_span_or_a_metric_is_found() {
    capture::start("");
    metered::start();
    for (n, plant) in [
        (|secret: &str| tracing::trace!(target: "somebody::else", "{secret}")) as fn(&str),
        |secret| tracing::error!(field = secret),
        |secret| tracing::debug!(field = ?secret.as_bytes()),
        |secret| drop(tracing::trace_span!("span", secret)),
        |secret| drop(metrics::counter!("planted", "label" => secret.to_owned())),
        |secret| {
            let error = std::io::Error::other(secret.to_owned());
            tracing::warn!(error = &error as &(dyn std::error::Error + 'static));
        },
    ]
    .into_iter()
    .enumerate()
    {
        let token = Token::generate(64).unwrap();
        let secret = token.expose();
        let mut seen = Seen::default();
        seen.secret("a planted secret", secret.as_bytes());
        assert!(seen.leaks().is_empty());
        plant(secret);
        assert!(!seen.leaks().is_empty(), "planted leak {n} was not found");
    }
}
