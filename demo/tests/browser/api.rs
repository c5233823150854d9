//! As much of HTTP as a client of the API needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: serde_json::Value,
}

/// `GET path`, with the API key as a bearer token.
pub(crate) fn get_with_key(address: SocketAddr, path: &str, key: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the demo listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it is not zero");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    )
    .expect("the demo reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the demo answers");

    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let content_type = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map_or("", |(_, value)| value.trim());
    Answer {
        status: status.parse().expect("a number"),
        content_type: content_type.to_owned(),
        body: serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}")),
    }
}
