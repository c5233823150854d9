//! Reads from a request what it says of the device that sent it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header;
use axum::http::request::Parts;
use cloakroom::{NewSession, Seen, SessionFields};
use woothee::parser::Parser;

use crate::tables::UserSession;

/// The longest text that a text column holds.
const LONGEST: usize = 255;

/// The layer's hook: fills in what is recorded at a log-in.
pub(crate) fn record(request: &Parts, mut new: NewSession<UserSession>) -> NewSession<UserSession> {
    let agent = request.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let fields = new.fields_mut();
    fields.user_agent = agent.map(|agent| agent.chars().take(LONGEST).collect());
    fields.address = Some(address(request).to_string());
    new
}

/// The layer's other hook: from where a session is used. That and when it is used are written a little later.
pub(crate) fn note<T: SessionFields>(request: &Parts, seen: Seen<T>) -> Seen<T> {
    seen.from_client(Some(address(request)), None)
}

/// Returns the connection's own address. Behind a proxy that is the proxy's: see `cloakroom_axum::client_ip`.
pub(crate) fn address(request: &Parts) -> IpAddr {
    let connection = request.extensions.get::<ConnectInfo<SocketAddr>>();
    // Only if there is no connection, as in a test that calls the router itself.
    connection.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip().to_canonical())
}

/// Returns `Firefox on Linux`, as far as the user agent is known.
pub(crate) fn device(user_agent: Option<&str>) -> String {
    let Some(agent) = user_agent.filter(|agent| !agent.trim().is_empty()) else {
        return "Unknown device".to_owned();
    };
    match Parser::new().parse(agent) {
        Some(known) if known.os != "UNKNOWN" => format!("{} on {}", known.name, known.os),
        Some(known) if known.name != "HTTP Library" => known.name.to_owned(),
        // `curl/8.5.0` and similar programs begin with their name.
        _ => agent.split(['/', ' ']).next().unwrap_or(agent).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_by_its_user_agent() {
        for (agent, name) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 \
                 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.5.0", "curl"),
            ("", "Unknown device"),
        ] {
            assert_eq!(device(Some(agent)), name);
        }
        assert_eq!(device(None), "Unknown device");
    }
}
