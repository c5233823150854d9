//! What Chromium and a server have said to each other, recorded by exchange.mjs.

use std::collections::BTreeMap;

use cloakroom::device::{
    BoundCookie, BoundSessionId, Challenge, DeviceAlgorithm, DeviceKey, EndpointPath, Instructions, Proof,
    ProofError, challenge_header, end_of_binding, registration_header,
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Turn {
    method: String,
    path: String,
    request: BTreeMap<String, String>,
    status: u16,
    response: BTreeMap<String, String>,
    body: String,
}

impl Turn {
    fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    fn proof(&self) -> Proof<'_> {
        Proof::parse(self.request["secure-session-response"].as_bytes()).unwrap()
    }

    /// The challenge that the answer has for the next proof.
    fn challenge(&self) -> Option<Challenge> {
        let registration = self.response.get("secure-session-registration");
        let text = match registration {
            Some(header) => header.split("challenge=").nth(1)?,
            None => self.response.get("secure-session-challenge")?,
        };
        Some(Challenge::from_stored(text.split('"').nth(1)?).unwrap())
    }
}

fn exchanges() -> BTreeMap<String, Vec<Turn>> {
    serde_json::from_str(include_str!("exchange.json")).unwrap()
}

/// Goes through an exchange as a server that remembers the key and the challenge.
fn replay(turns: &[Turn]) -> (DeviceKey, Vec<Result<(), ProofError>>) {
    let (mut challenge, mut key, mut renewals) = (None::<Challenge>, None, Vec::new());
    for turn in turns {
        if turn.is("POST", "/device/register") {
            let proof = turn.proof();
            assert!(challenge.as_ref().unwrap().is(proof.challenge()));
            assert_eq!(key.replace(proof.self_signed_key().unwrap()), None);
        } else if turn.is("POST", "/device/renew") {
            let proof = turn.proof();
            assert!(challenge.as_ref().unwrap().is(proof.challenge()));
            renewals.push(proof.verify(key.as_ref().unwrap()));
        }
        if let Some(next) = turn.challenge() {
            challenge = Some(next);
        }
    }
    (key.unwrap(), renewals)
}

#[test]
fn what_chromium_sends_from_the_log_in_to_the_end_is_good() {
    let exchanges = exchanges();
    assert_eq!(exchanges.keys().collect::<Vec<_>>(), ["ES256", "RS256"]);
    for (algorithm, turns) in exchanges {
        let (key, renewals) = replay(&turns);
        assert_eq!(key.algorithm().name(), algorithm);
        // Two renewals, before one of which the challenge was too old, and the end.
        assert_eq!(renewals, [Ok(()); 4], "{algorithm}");
        let statuses = turns.iter().filter(|turn| turn.is("POST", "/device/renew")).map(|turn| turn.status);
        assert_eq!(statuses.collect::<Vec<_>>(), [200, 403, 200, 200]);
        let tokens = turns.iter().filter_map(|turn| turn.response.get("set-cookie")).count();
        assert_eq!(tokens, 4);
    }
}

#[test]
fn what_chromium_sends_for_one_session_is_worth_nothing_for_another() {
    let exchanges = exchanges();
    let keys: Vec<DeviceKey> = exchanges.values().map(|turns| replay(turns).0).collect();
    for (turns, other) in exchanges.values().zip(keys.iter().rev()) {
        for turn in turns.iter().filter(|turn| turn.is("POST", "/device/renew")) {
            assert_eq!(turn.proof().verify(other), Err(ProofError::Algorithm));
            assert_eq!(turn.proof().self_signed_key(), Err(ProofError::NoKey));
        }
    }
}

#[test]
fn a_renewal_comes_without_the_cookie_and_with_the_name_of_the_session() {
    for turn in exchanges().values().flatten().filter(|turn| turn.method == "POST") {
        let is_renewal = turn.path == "/device/renew";
        assert_eq!(turn.request.contains_key("cookie"), !is_renewal);
        let id = turn.request.get("sec-secure-session-id").map(|id| id.parse::<BoundSessionId>().unwrap());
        assert_eq!(id.is_some(), is_renewal);
        assert_eq!(turn.request["content-length"], "0");
        assert_eq!(turn.request["sec-fetch-site"], "same-origin");
        assert_eq!(turn.request["origin"], "https://app.test");
    }
}

/// What is written here is what Chromium has taken.
#[test]
fn the_recorded_server_has_said_what_the_library_says() {
    let turns = &exchanges()[DeviceAlgorithm::Es256.name()];
    let id: BoundSessionId = "0197d3b04c5a7f3e9a41c2d5e6f70819".parse().unwrap();
    let registered = turns.iter().position(|turn| turn.is("POST", "/device/register")).unwrap();
    let path = EndpointPath::from_static("/device/register");
    let asked = &turns[registered - 1];
    assert_eq!(
        asked.response["secure-session-registration"],
        registration_header(&path, &asked.challenge().unwrap())
    );
    let cookie = BoundCookie::new("__Host-session", "Path=/; Secure; HttpOnly; SameSite=Lax").unwrap();
    let instructions = Instructions::new(id.clone(), EndpointPath::from_static("/device/renew"), cookie)
        .exclude(EndpointPath::from_static("/static"))
        .allow_initiator("*.example.com")
        .unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&turns[registered].body).unwrap(),
        serde_json::to_value(instructions).unwrap()
    );
    for turn in &turns[registered..] {
        if let Some(challenge) = turn.challenge() {
            assert_eq!(turn.response["secure-session-challenge"], challenge_header(&challenge, &id));
        }
    }
    let end = turns.iter().rfind(|turn| turn.is("POST", "/device/renew")).unwrap();
    assert_eq!(end.body, end_of_binding(&id));
}
