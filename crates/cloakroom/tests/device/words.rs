//! What the browser is told.

use cloakroom::device::{
    BoundCookie, BoundSessionId, Challenge, EndpointPath, Instructions, InstructionsError, challenge_header,
    end_of_binding, registration_header,
};
use cloakroom::uuid::Uuid;
use serde_json::{Value, json};

fn challenge() -> Challenge {
    Challenge::from_stored("YlqyWrtGKPLyuS7mvtuZX5iPdXRyF4hD").unwrap()
}

fn instructions() -> Instructions {
    let cookie = BoundCookie::new("__Host-session", "Path=/; Secure; HttpOnly; SameSite=Lax").unwrap();
    Instructions::new("a-1".parse().unwrap(), EndpointPath::from_static("/device/renew"), cookie)
}

#[test]
fn the_headers_are_as_chromium_takes_them() {
    let path = EndpointPath::from_static("/device/register");
    assert_eq!(
        registration_header(&path, &challenge()),
        r#"(ES256 RS256);path="/device/register";challenge="YlqyWrtGKPLyuS7mvtuZX5iPdXRyF4hD""#
    );
    let id = BoundSessionId::from(Uuid::from_u128(7));
    assert_eq!(
        challenge_header(&challenge(), &id),
        r#""YlqyWrtGKPLyuS7mvtuZX5iPdXRyF4hD";id="00000000000000000000000000000007""#
    );
}

#[test]
fn the_instructions_are_as_chromium_takes_them() {
    let plain = json!({
        "session_identifier": "a-1",
        "refresh_url": "/device/renew",
        "scope": { "include_site": false },
        "credentials": [{
            "type": "cookie", "name": "__Host-session", "attributes": "Path=/; Secure; HttpOnly; SameSite=Lax",
        }],
    });
    assert_eq!(serde_json::to_value(instructions()).unwrap(), plain);
    let more = instructions()
        .exclude(EndpointPath::from_static("/static"))
        .allow_initiator("*.example.com")
        .unwrap();
    let more = serde_json::to_value(more).unwrap();
    assert_eq!(
        more["scope"],
        json!({
            "include_site": false,
            "scope_specification": [{ "type": "exclude", "domain": "*", "path": "/static" }],
        })
    );
    assert_eq!(more["allowed_refresh_initiators"], json!(["*.example.com"]));
    let end: Value = serde_json::from_str(&end_of_binding(&"a-1".parse().unwrap())).unwrap();
    assert_eq!(end, json!({ "session_identifier": "a-1", "continue": false }));
}

#[test]
fn a_path_is_on_the_same_host_and_needs_no_escapes() {
    for path in ["/", "/a", "/a/b?c=d&e", "/~a%20b"] {
        assert_eq!(path.parse::<EndpointPath>().unwrap().as_str(), path);
    }
    let long = format!("/{}", "a".repeat(255));
    for path in [
        "",
        "a",
        "//evil.test/",
        "/\\evil.test",
        "/a\"b",
        "/a b",
        "/a\r\nb",
        "/é",
        "/a#b",
        "https://evil.test/",
        &long,
    ] {
        assert!(path.parse::<EndpointPath>().is_err(), "{path}");
    }
    assert!(long[..255].parse::<EndpointPath>().is_ok());
}

#[test]
#[should_panic(expected = "a path of an endpoint")]
fn a_path_of_the_program_is_checked_too() {
    let _ = EndpointPath::from_static("//evil.test/");
}

#[test]
fn a_bound_session_has_a_name_of_plain_characters() {
    for id in ["a", "A-9_z", &"a".repeat(128)] {
        assert_eq!(id.parse::<BoundSessionId>().unwrap().as_str(), id);
    }
    for id in ["", "a b", "a\"", "a;b", "a.b", "é", "a\n", &"a".repeat(129)] {
        assert!(id.parse::<BoundSessionId>().is_err(), "{id}");
    }
}

#[test]
fn instructions_that_a_browser_would_not_take_are_an_error() {
    for name in ["", "a b", "a=b", "a;b", "é", "a\n"] {
        assert_eq!(BoundCookie::new(name, "").unwrap_err(), InstructionsError::CookieName, "{name}");
    }
    for name in ["__Host-Http-session", "__host-http-a", "__HOST-HTTP-"] {
        assert_eq!(BoundCookie::new(name, "").unwrap_err(), InstructionsError::CookiePrefix, "{name}");
    }
    for name in ["__Host-session", "__Http-session", "__Secure-session", "session", "__Host-Htt"] {
        assert!(BoundCookie::new(name, "Path=/; Secure; HttpOnly").is_ok(), "{name}");
    }
    for attributes in [
        "Path=/\n",
        "Path=/é",
        "Secure\0",
        "Path=/; Max-Age=600",
        "Path=/;max-age=600",
        "Expires=Thu, 01 Jan 2026 00:00:00 GMT",
        "Secure; Partitioned",
        "Priority=High",
        "Path=/; ",
        ";",
    ] {
        assert_eq!(
            BoundCookie::new("a", attributes).unwrap_err(),
            InstructionsError::CookieAttributes,
            "{attributes}"
        );
    }
    for attributes in ["", "path=/a; HTTPONLY ;secure;samesite=None; Domain=a.test"] {
        assert!(BoundCookie::new("a", attributes).is_ok(), "{attributes}");
    }
    for host in [
        "",
        "*.",
        "a..b",
        ".a",
        "https://a.test",
        "a.test/",
        "a.*.test",
        "a test",
        "**.test",
        "a.test:1",
        "A.test",
    ] {
        assert_eq!(instructions().allow_initiator(host).unwrap_err(), InstructionsError::Initiator, "{host}");
    }
    for host in ["a.test", "*.a.test", "localhost", "*"] {
        assert!(instructions().allow_initiator(host).is_ok(), "{host}");
    }
}
