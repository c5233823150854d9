//! A client that speaks the protocol as Chromium does.

use std::collections::HashMap;
use std::time::Duration;

use cloakroom::{Clock, ManualClock};
use cloakroom_testing::Device;
use http::StatusCode;
use serde_json::Value;
use time::OffsetDateTime;

use super::{COOKIE, MARKER};
use crate::harness::{Answer, Site};

/// A browser: its cookies, with when they end, and its bound session.
#[derive(Default)]
pub(super) struct Browser {
    pub(super) cookies: HashMap<String, (String, OffsetDateTime)>,
    pub(super) device: Device,
    pub(super) id: Option<String>,
    pub(super) challenge: Option<String>,
    /// How many proofs it has signed.
    pub(super) signed: usize,
}

impl Browser {
    pub(super) fn header(&self, now: OffsetDateTime) -> String {
        let valid = self.cookies.iter().filter(|(_, (_, end))| *end > now);
        valid.map(|(name, (value, _))| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub(super) fn has(&self, name: &str, now: OffsetDateTime) -> bool {
        self.cookies.get(name).is_some_and(|(_, end)| *end > now)
    }

    pub(super) fn token(&self) -> String {
        self.cookies[COOKIE].0.clone()
    }

    /// Keeps the cookies and the challenge of an answer.
    pub(super) fn keep(&mut self, answer: &Answer, now: OffsetDateTime) {
        for cookie in answer.cookies() {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let age = attributes.split("; ").find_map(|it| it.strip_prefix("Max-Age=")).unwrap();
            let end = now + time::Duration::seconds(age.parse().unwrap());
            self.cookies.insert(name.to_owned(), (value.to_owned(), end));
        }
        if let Some(next) = answer.header("secure-session-challenge") {
            let (challenge, id) = next.split_once(";id=").unwrap();
            assert_eq!(Some(id.trim_matches('"')), self.id.as_deref());
            self.challenge = Some(challenge.trim_matches('"').to_owned());
        }
    }

    /// Sends it as a browser without a bound session does, or beside one.
    pub(super) async fn send(
        &mut self,
        clock: &ManualClock,
        site: &Site,
        method: &str,
        path: &str,
    ) -> Answer {
        let cookies = self.header(clock.now());
        let headers = [("cookie", cookies.as_str())];
        let headers = if cookies.is_empty() { &[][..] } else { &headers[..] };
        let answer = match method {
            "GET" => site.get(path, headers).await,
            _ => site.post(path, headers).await,
        };
        self.keep(&answer, clock.now());
        answer
    }

    /// Sends it, and renews first if the bound cookie is missing; follows a redirect to itself.
    pub(super) async fn visit(
        &mut self,
        clock: &ManualClock,
        site: &Site,
        method: &str,
        path: &str,
    ) -> Answer {
        for _ in 0..5 {
            if self.id.is_some() && !self.has(MARKER, clock.now()) {
                self.refresh(clock, site).await;
            }
            let answer = self.send(clock, site, method, path).await;
            if answer.status != StatusCode::TEMPORARY_REDIRECT {
                return answer;
            }
            assert_eq!(answer.header("location"), Some(path));
        }
        panic!("redirected for ever")
    }

    pub(super) async fn log_in(clock: &ManualClock, site: &Site, user: &str) -> Self {
        let mut browser = Self::default();
        browser.log_in_again(clock, site, user).await;
        browser
    }

    pub(super) async fn log_in_again(&mut self, clock: &ManualClock, site: &Site, user: &str) {
        let answer = self.send(clock, site, "POST", &format!("/login/{user}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let registration = answer.header("secure-session-registration").unwrap();
        let rest = registration.strip_prefix(r#"(ES256 RS256);path="/dbsc/register";challenge=""#).unwrap();
        self.challenge = Some(rest.strip_suffix('"').unwrap().to_owned());
        self.id = None;
        // Later than the creation, as it always is outside of tests: else the cookie is sent again.
        clock.advance(Duration::from_secs(1));
    }

    pub(super) async fn bound(clock: &ManualClock, site: &Site, user: &str) -> Self {
        let mut browser = Self::log_in(clock, site, user).await;
        let answer = browser.register(clock, site).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        browser
    }

    pub(super) async fn register(&mut self, clock: &ManualClock, site: &Site) -> Answer {
        self.try_register(clock, site).await.unwrap()
    }

    /// Registers, and returns nothing if the connection ends without an answer.
    pub(super) async fn try_register(&mut self, clock: &ManualClock, site: &Site) -> Option<Answer> {
        let proof = self.device.registration(self.challenge.as_deref().unwrap());
        let (cookies, proof) = (self.header(clock.now()), String::from_utf8(proof).unwrap());
        let headers = [("cookie", &*cookies), ("secure-session-response", &*proof)];
        let answer = site.try_post("/dbsc/register", &headers).await?;
        if let Ok(Value::Object(json)) = serde_json::from_str(&answer.body) {
            self.id = Some(json["session_identifier"].as_str().unwrap().to_owned());
        }
        self.keep(&answer, clock.now());
        Some(answer)
    }

    /// One request to the renewal's path, with a proof if there is a challenge in hand.
    pub(super) async fn ask(&mut self, clock: &ManualClock, site: &Site) -> Answer {
        self.try_ask(clock, site).await.unwrap()
    }

    /// The same, but nothing if the connection ends without an answer. Then the browser still has what it had.
    pub(super) async fn try_ask(&mut self, clock: &ManualClock, site: &Site) -> Option<Answer> {
        let cookies = self.header(clock.now());
        let id = self.id.clone().unwrap();
        let mut headers = vec![("sec-secure-session-id", id.as_str())];
        if !cookies.is_empty() {
            headers.push(("cookie", cookies.as_str()));
        }
        let proof = self.challenge.as_deref().map(|challenge| {
            self.signed += 1;
            String::from_utf8(self.device.proof(challenge)).unwrap()
        });
        headers.extend(proof.as_deref().map(|proof| ("secure-session-response", proof)));
        let answer = site.try_post("/dbsc/refresh", &headers).await?;
        self.challenge = None;
        self.keep(&answer, clock.now());
        Some(answer)
    }

    /// Renews, as section 6 of what was measured has it: anything but the known answers ends the bound session.
    pub(super) async fn refresh(&mut self, clock: &ManualClock, site: &Site) {
        for _ in 0..5 {
            let answer = self.ask(clock, site).await;
            match answer.status.as_u16() {
                200 if answer.body.is_empty() => return,
                403 if self.challenge.is_some() => {}
                500 | 503 => return,
                _ => break,
            }
        }
        (self.id, self.challenge) = (None, None);
    }
}
