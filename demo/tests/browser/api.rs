//! As much of HTTP as a client needs that is no browser.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer whose body is a problem or a person, in JSON.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: serde_json::Value,
}

/// `GET path`, with the API key as a bearer token.
pub(crate) fn get_with_key(address: SocketAddr, path: &str, key: &str) -> Answer {
    let page = send(address, &format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {key}\r\n"), "");
    let content_type = page.headers("content-type").next().unwrap_or_default().to_owned();
    let body = serde_json::from_str(&page.body).unwrap_or_else(|e| panic!("{e}: {}", page.body));
    Answer { status: page.status, content_type, body }
}

/// An answer as it came.
pub(crate) struct Page {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Page {
    /// The values of the headers of this name.
    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Sends this first line, these headers and this body. The host is the address, unless a header says another.
pub(crate) fn send(address: SocketAddr, head: &str, body: &str) -> Page {
    let mut stream = TcpStream::connect(address).expect("the demo listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it is not zero");
    let host = if head.contains("\r\nHost: ") { String::new() } else { format!("Host: {address}\r\n") };
    let length = body.len();
    write!(stream, "{head}{host}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .expect("the demo reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the demo answers");

    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).expect("a status line").parse().expect("a number");
    Page { status, head: head.to_owned(), body: body.to_owned() }
}
