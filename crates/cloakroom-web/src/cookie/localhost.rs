use std::net::SocketAddr;

use http::uri::Authority;
use http::{HeaderMap, Uri, header};

/// Headers that a proxy adds to a request.
const ADDED_BY_PROXIES: [&str; 8] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
];

/// Returns `true` if a browser of this machine sent the request to this machine, as far as the request shows.
pub(crate) fn is_local(uri: &Uri, headers: &HeaderMap, peer: Option<SocketAddr>) -> bool {
    let is_proxied = ADDED_BY_PROXIES.iter().any(|name| headers.contains_key(*name));
    let named = uri.authority().map(|authority| is_local_host(authority.host()));
    let mut hosts = headers.get_all(header::HOST).iter().map(|value| {
        let authority = value.to_str().ok().and_then(|value| value.parse::<Authority>().ok());
        authority.is_some_and(|authority| is_local_host(authority.host()))
    });
    let is_named = named.is_some() || headers.contains_key(header::HOST);
    // `null` says nothing: a page without referrers posts its forms with it.
    let is_at_home = headers.get_all(header::ORIGIN).iter().all(|origin| {
        origin == "null"
            || origin
                .to_str()
                .ok()
                .and_then(|origin| origin.parse::<Uri>().ok())
                .is_some_and(|origin| origin.host().is_some_and(is_local_host))
    });
    !is_proxied
        && is_named
        && named.unwrap_or(true)
        && hosts.all(|is_local| is_local)
        && is_at_home
        && is_from_here(peer)
}

/// Returns `true` if the connection comes from this machine, if that is known.
fn is_from_here(peer: Option<SocketAddr>) -> bool {
    // An IPv4 address may be written as one of IPv6.
    peer.is_none_or(|peer| peer.ip().to_canonical().is_loopback())
}

fn is_local_host(host: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| host.eq_ignore_ascii_case(local))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn local(uri: &str, headers: &[(&'static str, &'static str)]) -> bool {
        local_from(None, uri, headers)
    }

    fn local_from(peer: Option<SocketAddr>, uri: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        is_local(&uri.parse().unwrap(), &headers.collect(), peer)
    }

    #[test]
    fn only_a_request_that_names_this_machine_is_for_localhost() {
        for host in ["localhost", "LocalHost:3000", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:3000"] {
            assert!(local("/", &[("host", host)]), "{host}");
        }
        for host in [
            "example.com",
            "localhost.example.com",
            "example.com:80",
            "127.0.0.2",
            "[::2]",
            "",
            "a b",
            "notlocalhost",
        ] {
            assert!(!local("/", &[("host", host)]), "{host}");
        }
        assert!(!local("/", &[]));
        assert!(local("http://localhost:3000/", &[]));
        assert!(!local("http://example.com/", &[("host", "localhost")]));
        assert!(!local("/", &[("host", "localhost"), ("host", "example.com")]));
    }

    #[test]
    fn a_request_that_came_through_a_proxy_is_for_another_host() {
        for name in [
            "forwarded",
            "via",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-proto",
            "x-forwarded-server",
            "x-real-ip",
        ] {
            assert!(!local("/", &[("host", "localhost"), (name, "localhost")]), "{name}");
        }
    }

    #[test]
    fn a_browser_that_is_on_another_host_is_believed() {
        for origin in ["https://example.com", "http://localhost.example.com", "?"] {
            assert!(!local("/", &[("host", "localhost:3000"), ("origin", origin)]), "{origin}");
        }
        for origin in ["http://localhost:3000", "http://[::1]", "null"] {
            assert!(local("/", &[("host", "localhost:3000"), ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn a_connection_from_another_machine_is_not_for_localhost_whatever_it_says() {
        for (peer, is_from_here) in [
            ("127.0.0.1:50000", true),
            ("127.9.9.9:50000", true),
            ("[::1]:50000", true),
            ("[::ffff:127.0.0.1]:50000", true),
            ("192.0.2.1:50000", false),
            ("[2001:db8::1]:50000", false),
            ("[::ffff:192.0.2.1]:50000", false),
            ("0.0.0.0:50000", false),
        ] {
            let from = Some(peer.parse().unwrap());
            assert_eq!(local_from(from, "/", &[("host", "localhost:3000")]), is_from_here, "{peer}");
            assert!(!local_from(from, "/", &[("host", "example.com")]), "{peer}");
        }
    }
}
