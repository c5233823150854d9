//! Random requests: no header makes the readers panic, and a cookie is found if and only if it was written.

use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use url::Url;

use crate::client::Client;
use crate::cookie::{cookie_values, is_cookie_value};
use crate::credentials::{Credentials, TokenSource};
use crate::next::Next;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn rounds() -> u64 {
    setting("CLOAKROOM_FUZZ_ROUNDS", 2_000)
}

fn random() -> Rng {
    Rng::with_seed(setting("CLOAKROOM_FUZZ_SEED", 1))
}

/// Bytes many of which have a meaning in a header.
fn bytes(random: &mut Rng, most: usize) -> Vec<u8> {
    const MEANT: &[u8] = b"; ,=\"\t\\ab_-Bearer\xc2\xa0\xff";
    let byte = |random: &mut Rng| {
        if random.bool() { MEANT[random.usize(..MEANT.len())] } else { random.u8(..) }
    };
    let bytes: Vec<u8> = (0..random.usize(0..most)).map(|_| byte(random)).collect();
    bytes.into_iter().filter(|byte| HeaderValue::from_bytes(&[b'a', *byte, b'a']).is_ok()).collect()
}

/// As a browser keeps it: without a semicolon, with no white space around it, and without some other bytes.
fn part(random: &mut Rng, most: usize, others: &[u8]) -> Vec<u8> {
    let is_kept = |byte: &u8| *byte != b';' && !others.contains(byte);
    let bytes: Vec<u8> = bytes(random, most).into_iter().filter(is_kept).collect();
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(is_text).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(is_text).map_or(start, |last| last + 1);
    bytes[start..end].to_vec()
}

#[test]
fn of_the_cookies_that_a_browser_writes_those_of_a_name_are_found_and_no_others() {
    const NAMES: [&str; 4] = ["__Host-Http-session", "__host-http-session", "a", "ab"];
    let random = &mut random();
    for _ in 0..rounds() {
        let cookies: Vec<(Vec<u8>, Vec<u8>)> = (0..random.usize(0..8))
            .map(|_| {
                let name = if random.bool() {
                    NAMES[random.usize(..NAMES.len())].as_bytes().to_vec()
                } else {
                    part(random, 6, b"=")
                };
                // A pair of quotation marks around a value is left out.
                (name, part(random, 8, b"\""))
            })
            .collect();
        let written: Vec<_> = cookies.iter().map(|(name, value)| [&name[..], b"=", value].concat()).collect();
        let header = HeaderValue::from_bytes(&written.join(&b"; "[..])).unwrap();
        let headers = HeaderMap::from_iter([(header::COOKIE, header)]);
        for wanted in NAMES {
            let found: Vec<_> = cookie_values(&headers, wanted).collect();
            let expected: Vec<_> = cookies
                .iter()
                .filter(|(name, _)| name == wanted.as_bytes())
                .map(|(_, value)| &value[..])
                .collect();
            assert_eq!(found, expected, "{headers:?}");
        }
    }
}

#[test]
fn whatever_the_headers_are_what_is_looked_up_is_a_token_and_there_are_few() {
    let sources =
        [TokenSource::Cookie, TokenSource::Bearer, TokenSource::Header(HeaderName::from_static("x-api-key"))];
    let names = [header::COOKIE, header::AUTHORIZATION, HeaderName::from_static("x-api-key")];
    let random = &mut random();
    for _ in 0..rounds() {
        let mut headers = HeaderMap::new();
        for _ in 0..random.usize(0..5) {
            let name = names[random.usize(..names.len())].clone();
            let mut value = bytes(random, 60);
            if name == header::COOKIE && random.bool() {
                value = (0..random.usize(0..12))
                    .flat_map(|_| [&b"a="[..], &part(random, 6, b""), b"; "].concat())
                    .collect();
            } else if name == header::AUTHORIZATION && random.bool() {
                value = [b"Bearer ", &value[..]].concat();
            }
            headers.append(name, HeaderValue::from_bytes(&value).unwrap());
        }
        let found = Credentials::read(&sources, "a", &headers);
        assert!(found.from_cookies.len() <= 8);
        assert!(found.from_cookies.len() <= found.cookies);
        for token in &found.from_cookies {
            assert!(!token.expose().is_empty() && is_cookie_value(token.expose().as_bytes()));
        }
        if let Some(token) = &found.from_api {
            assert!(!token.expose().is_empty() && token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(found.is_from_api);
        }
        // It would be the same as the name that is looked for.
        assert!(!format!("{found:?}").contains("Bearer"));
    }
}

#[test]
fn no_query_leads_to_another_origin_and_no_header_makes_a_guard_panic() {
    const MEANT: &[u8] = b"//\\%25cCfF092dDeE.?&=next#+@:; ax\t\n";
    let random = &mut random();
    let page = Url::parse("https://site.example/login").unwrap();
    let mut places = 0;
    for _ in 0..rounds() {
        let text: Vec<u8> = (0..random.usize(0..16)).map(|_| MEANT[random.usize(..MEANT.len())]).collect();
        let query = format!("next=/{}", String::from_utf8_lossy(&text));
        if let Some(place) = Next::in_query(Some(&query)).as_str() {
            places += 1;
            assert_eq!(page.join(place).unwrap().origin(), page.origin(), "{query:?}");
        }
        let value = HeaderValue::from_bytes(&bytes(random, 40)).unwrap_or(HeaderValue::from_static("q=.5"));
        Client::of(&Method::GET, &HeaderMap::from_iter([(header::ACCEPT, value)]), false);
    }
    assert!(places > 0, "some are places");
}
