//! Cookies and headers of other systems, as these systems made them, in front of sessions that were moved.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cloakroom::time::OffsetDateTime;
use cloakroom::time::format_description::well_known::Rfc3339;
use cloakroom::{Hashing, ImportedSession, Reading, Scheme, Sessions, Token};
use cloakroom_testing::{TestDatabase, UserSession, user};
use cloakroom_web::{SessionLayer, SignedCookie, TokenSource};
use serde_json::Value;

use crate::harness::{App, Framework, Site, routes};

fn vectors(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cloakroom-testing/tests/moving/vectors");
    serde_json::from_str(&fs::read_to_string(folder.join(format!("{name}.json"))).unwrap()).unwrap()
}

fn instant(value: &Value) -> Option<OffsetDateTime> {
    value.as_str().map(|text| OffsetDateTime::parse(text, &Rfc3339).unwrap())
}

/// The sessions of a system that stores tokens, or digests of a scheme, at the instant at which it was asked.
async fn moved(db: &TestDatabase, vectors: &Value, adopted: Option<Scheme>) -> Sessions<UserSession> {
    db.clock().set(instant(&vectors["at"]).unwrap());
    let schemes = [Scheme::sha256()].into_iter().chain(adopted.clone());
    // Nothing is extended, so that what sets a cookie is the move alone.
    let config = db.config().digests(schemes).auto_extend(false);
    let sessions = db.sessions_with::<UserSession>(config).await;
    let rows = vectors["exported"].as_array().unwrap().iter().map(|row| {
        let new = user("1234");
        let new = match instant(&row["expires_at"]) {
            Some(expires_at) => new.expires_at(expires_at),
            None => new.never_expires(),
        };
        match (&adopted, row["digest"].as_str()) {
            (Some(scheme), Some(digest)) => {
                ImportedSession::with_digest(new, scheme.parse_digest(digest).unwrap())
            }
            _ => ImportedSession::with_token(new, Token::import(row["token"].as_str().unwrap()).unwrap()),
        }
    });
    sessions.import(rows.collect()).await.unwrap();
    // A later instant than that of the import, as it always is outside of tests.
    db.clock().advance(Duration::from_secs(1));
    sessions
}

fn secrets(vectors: &Value) -> Vec<String> {
    let secrets = vectors["secret"].as_array().unwrap().iter();
    secrets.map(|secret| secret.as_str().unwrap().to_owned()).collect()
}

fn app(sessions: &Sessions<UserSession>, signed: SignedCookie) -> App {
    let sources = [TokenSource::Cookie, TokenSource::Bearer, TokenSource::SignedCookie(signed)];
    routes().layer(SessionLayer::new(sessions.clone()).sources(sources))
}

/// Every cookie that the system was presented with gets the answer that the system gave.
async fn each_cookie_is_answered(on: Framework, db: &TestDatabase, name: &str, signed: SignedCookie) {
    let vectors = vectors(name);
    let sessions = moved(db, &vectors, None).await;
    let site = Site::start(on, app(&sessions, signed)).await;
    let mut admitted = 0;
    for presented in vectors["presented"].as_array().unwrap() {
        let (cookie, value) = (presented["cookie"].as_str().unwrap(), presented["value"].as_str().unwrap());
        let answer = site.get("/maybe", &[("cookie", &format!("{cookie}={value}"))]).await;
        let is_strict = presented["what"] == "another character for the same 32 bytes";
        let is_admitted = presented["authenticates"] == true && !is_strict;
        assert_eq!(answer.body, if is_admitted { "1234" } else { "nobody" }, "{}", presented["what"]);
        if !is_admitted {
            // What is not known here may still be known there.
            assert!(answer.cookies().is_empty(), "{}: {:?}", presented["what"], answer.cookies());
            continue;
        }
        admitted += 1;
        let token = presented["token"].as_str().unwrap();
        let [old, own] = answer.cookies()[..] else { panic!("{:?}", answer.cookies()) };
        assert!(old.starts_with(&format!("{cookie}=; ")) && old.contains("Max-Age=0"), "{old}");
        assert!(own.starts_with(&format!("__Host-Http-session={token}; ")), "{own}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        // From then on it is a session like any other.
        let own = format!("__Host-Http-session={token}");
        site.get("/me", &[("cookie", &own)]).await.assert_is(200, "1234");
    }
    assert!(admitted >= 3, "{admitted}");
}

async fn the_cookies_of_express_session_go_on(db: TestDatabase, on: Framework) {
    let secrets = secrets(&vectors("connect-pg-simple"));
    let signed = SignedCookie::express("connect.sid", secrets).unwrap();
    each_cookie_is_answered(on, &db, "connect-pg-simple", signed).await;
}

async fn the_cookies_of_better_auth_go_on(db: TestDatabase, on: Framework) {
    let secret = secrets(&vectors("better-auth-sessions")).remove(0);
    let signed = SignedCookie::better_auth("better-auth.session_token", secret).unwrap();
    each_cookie_is_answered(on, &db, "better-auth-sessions", signed).await;
}

async fn beside_a_cookie_of_the_layers_own_an_old_one_says_nothing(db: TestDatabase, on: Framework) {
    let vectors = vectors("connect-pg-simple");
    let sessions = moved(&db, &vectors, None).await;
    let signed = SignedCookie::express("connect.sid", secrets(&vectors)).unwrap();
    let site = Site::start(on, app(&sessions, signed)).await;
    let good = vectors["presented"][0]["value"].as_str().unwrap();
    let other = vectors["presented"][2]["value"].as_str().unwrap();
    let old = format!("connect.sid={good}");
    let created = sessions.create(user("5678")).await.unwrap();
    db.clock().advance(Duration::from_secs(1));
    let own = format!("__Host-Http-session={}", created.token.expose());
    site.get("/me", &[("cookie", &format!("{old}; {own}"))]).await.assert_is(200, "5678");
    // A cookie that is unknown is cleared, and the old one counts at the next request.
    let unknown = format!("{old}; __Host-Http-session=unknown-token-of-nobody");
    site.get("/maybe", &[("cookie", &unknown)]).await.assert_cleared(200);
    // A log-in replaces the old cookie, and a log-out ends its session and clears it.
    let answer = site.post("/login/9", &[("cookie", &old)]).await;
    assert!(
        answer.cookies().iter().any(|cookie| cookie.starts_with("connect.sid=; ")),
        "{:?}",
        answer.cookies()
    );
    let two = format!("connect.sid={good}; connect.sid={other}");
    assert_eq!(site.get("/maybe", &[("cookie", &two)]).await.body, "nobody", "two sessions are none");
    let last = format!("connect.sid={other}");
    let answer = site.post("/logout", &[("cookie", &last)]).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, "true"));
    assert!(
        answer.cookies().iter().any(|cookie| cookie.starts_with("connect.sid=; ")),
        "{:?}",
        answer.cookies()
    );
    assert_eq!(site.get("/maybe", &[("cookie", &last)]).await.body, "nobody");
    // With an API client's token, one of them would have to be guessed.
    let created = sessions.create(user("5678")).await.unwrap();
    let bearer = format!("Bearer {}", created.token.expose());
    let other = vectors["presented"][3]["value"].as_str().unwrap();
    let answer =
        site.get("/me", &[("cookie", &format!("connect.sid={other}")), ("authorization", &bearer)]).await;
    assert_eq!(answer.status, 400);
}

async fn the_headers_of_other_systems_clients_are_read(db: TestDatabase, on: Framework) {
    let sha512 = || Reading::of(Hashing::Sha512);
    for (name, adopted, scheme) in [
        ("django-rest-knox-5", Some(Scheme::adopted("knox5", sha512())), "Token"),
        ("drf-tokens", None, "Token"),
        ("djangorestframework-api-key", Some(Scheme::adopted("api-key", sha512())), "Api-Key"),
    ] {
        let vectors = vectors(name);
        let sessions = moved(&db, &vectors, adopted).await;
        let sources = [TokenSource::authorization(scheme)];
        let site = Site::start(on, routes().layer(SessionLayer::new(sessions).sources(sources))).await;
        let mut admitted = 0;
        for presented in vectors["presented"].as_array().unwrap() {
            let row = presented["row"].as_u64().map(|row| usize::try_from(row).unwrap());
            if row.is_some_and(|row| !vectors["expected"][row]["left_out"].is_null()) {
                continue;
            }
            let value = presented["value"].as_str().unwrap();
            let answer = site.get("/maybe", &[("authorization", value)]).await;
            let is_admitted = presented["authenticates"] == true;
            assert_eq!(answer.body, if is_admitted { "1234" } else { "nobody" }, "{name}: {row:?}");
            admitted += usize::from(is_admitted);
        }
        assert!(admitted >= 2, "{name}: {admitted}");
    }
}

each_framework! {
    the_cookies_of_express_session_go_on,
    the_cookies_of_better_auth_go_on,
    beside_a_cookie_of_the_layers_own_an_old_one_says_nothing,
    the_headers_of_other_systems_clients_are_read,
}
