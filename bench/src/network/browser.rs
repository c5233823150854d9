//! A browser without its windows. It logs in, binds its session to a key, asks for the page, and renews: as Chromium speaks
//! Device Bound Session Credentials.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cloakroom_testing::Device;

use super::connections::{Connections, value};
use super::http_client::names_a_user;
use crate::failure::Outcome;

/// How often a browser asks, at most, for one renewal.
const ROUNDS: usize = 5;

/// More than any answer has.
const ROOM: usize = 4096;

pub struct Browser {
    connections: Connections,
    device: Device,
    held: Mutex<Held>,
    /// One renewal at a time.
    renewing: tokio::sync::Mutex<()>,
}

/// What the browser has been given.
#[derive(Default)]
struct Held {
    cookies: Vec<(String, String)>,
    id: String,
    challenge: Option<String>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Browser {
    pub fn new(connections: &Connections) -> Self {
        let connections = connections.clone();
        Self {
            connections,
            device: Device::new(),
            held: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
        }
    }

    /// Logs in as a user. The application may ask for a registration by its answer.
    pub async fn log_in(&self, user: &str) -> Outcome {
        let answer = self.send("POST", &format!("/login/{user}"), &[]).await?;
        answer.expect(200)?;
        let asked = answer.header("secure-session-registration");
        self.held().challenge = asked.and_then(|asked| parameter(asked, "challenge"));
        Ok(())
    }

    /// Registers the device's key, as the answer to the log-in asked for.
    pub async fn register(&self) -> Outcome {
        let challenge = self.held().challenge.take().ok_or("no registration was asked for")?;
        let proof = String::from_utf8(self.device.registration(&challenge))?;
        let answer = self.send("POST", "/dbsc/register", &[("secure-session-response", &proof)]).await?;
        answer.expect(200)?;
        let instructions: serde_json::Value = serde_json::from_str(&answer.body)?;
        let id = instructions["session_identifier"].as_str().ok_or("the bound session has no name")?;
        id.clone_into(&mut self.held().id);
        self.keep_challenge(&answer)
    }

    /// Renews the session.
    pub async fn renew(&self) -> Outcome {
        let _renewing = self.renewing.lock().await;
        for _ in 0..ROUNDS {
            let (id, challenge) = {
                let mut held = self.held();
                (held.id.clone(), held.challenge.take())
            };
            let proof =
                challenge.map(|challenge| String::from_utf8(self.device.proof(&challenge))).transpose()?;
            let mut headers = vec![("sec-secure-session-id", id.as_str())];
            headers.extend(proof.as_deref().map(|proof| ("secure-session-response", proof)));
            let before = self.token();
            let answer = self.send("POST", "/dbsc/refresh", &headers).await?;
            self.keep_challenge(&answer)?;
            if answer.status != 403 {
                answer.expect(200)?;
                let is_renewed = answer.body.is_empty() && self.token() != before;
                return if is_renewed { Ok(()) } else { Err("the session was not renewed".into()) };
            }
        }
        Err(format!("no renewal in {ROUNDS} rounds").into())
    }

    /// Asks for the page.
    pub async fn visit(&self) -> Outcome {
        let mut request = String::with_capacity(256);
        self.write_head(&mut request, "GET", "/")?;
        request.push_str("\r\n");
        let mut buffer = [0; 1024];
        let (head, response) = self.connections.exchange(request.as_bytes(), &mut buffer).await?;
        names_a_user(head.status, &response[head.body..])
    }

    /// Returns the token of the session.
    pub fn token(&self) -> Option<String> {
        let held = self.held();
        let session = held.cookies.iter().find(|(name, _)| !name.ends_with("-bound"));
        session.map(|(_, token)| token.clone())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host is not this machine's: an application may treat that as development.
    fn write_head(&self, request: &mut String, method: &str, path: &str) -> Outcome {
        write!(request, "{method} {path} HTTP/1.1\r\nhost: example.com\r\n")?;
        let held = self.held();
        for (index, (name, value)) in held.cookies.iter().enumerate() {
            write!(request, "{} {name}={value}", if index == 0 { "cookie:" } else { ";" })?;
        }
        if !held.cookies.is_empty() {
            request.push_str("\r\n");
        }
        Ok(())
    }

    /// Sends a request without a body, and keeps the cookies of the answer.
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Outcome<Answer> {
        let mut request = String::with_capacity(1024);
        self.write_head(&mut request, method, path)?;
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n")?;
        }
        request.push_str("content-length: 0\r\n\r\n");
        let mut buffer = vec![0; ROOM];
        let (head, response) = self.connections.exchange(request.as_bytes(), &mut buffer).await?;
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
        let (status, body) = (head.status, text(&response[head.body..])?);
        let answer = Answer { status, head: text(&response[..head.body])?, body };
        let mut kept = self.held();
        for cookie in answer.headers("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').ok_or("a cookie has no value")?;
            kept.cookies.retain(|(kept, _)| kept != name);
            kept.cookies.push((name.to_owned(), value.to_owned()));
        }
        drop(kept);
        Ok(answer)
    }

    fn keep_challenge(&self, answer: &Answer) -> Outcome {
        let mut held = self.held();
        if let Some(next) = answer.header("secure-session-challenge") {
            if parameter(next, "id").as_deref() != Some(&held.id) {
                return Err("the challenge is of another session".into());
            }
            held.challenge = next.split('"').nth(1).map(str::to_owned);
        }
        Ok(())
    }
}

impl Answer {
    fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.split("\r\n").skip(1).filter_map(move |line| value(line, name))
    }

    fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers(name).next()
    }

    fn expect(&self, status: u16) -> Outcome {
        if self.status == status {
            return Ok(());
        }
        Err(format!("the answer is {} {}", self.status, self.body).into())
    }
}

/// Returns a parameter of a structured header: `…;name="value"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    let (_, rest) = header.split_once(&format!(";{name}=\""))?;
    rest.split('"').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_their_names() {
        let header = r#"(ES256 RS256);path="/dbsc/register";challenge="abc""#;
        assert_eq!(parameter(header, "challenge").as_deref(), Some("abc"));
        assert_eq!(parameter(header, "path").as_deref(), Some("/dbsc/register"));
        assert_eq!(parameter(header, "id"), None);
    }
}
