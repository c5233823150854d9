//! A client of one page that sends the same requests over and over.

use std::net::SocketAddr;
use std::sync::Arc;

use super::connections::Connections;
use crate::failure::Outcome;
use crate::measure::Call;

#[derive(Clone)]
pub struct Client {
    connections: Connections,
    /// One for each row.
    requests: Arc<[String]>,
}

impl Client {
    pub fn new(address: SocketAddr, rows: u64, cookie: fn(u64) -> String) -> Self {
        let request = |row| {
            let cookie = cookie(row);
            format!("GET / HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\n\r\n")
        };
        Self { connections: Connections::new(address), requests: (0..rows).map(request).collect() }
    }
}

impl Call for Client {
    async fn call(&self, random: u64) -> Outcome {
        let request = &self.requests[random as usize % self.requests.len()];
        let mut buffer = [0; 1024];
        let (head, response) = self.connections.exchange(request.as_bytes(), &mut buffer).await?;
        names_a_user(head.status, &response[head.body..])
    }
}

/// Checks the answer to a request with a session.
pub fn names_a_user(status: u16, body: &[u8]) -> Outcome {
    match status {
        200 if body.starts_with(b"user-") => Ok(()),
        200 => Err("the page names no user".into()),
        status => Err(format!("the page was answered with {status}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_status_and_another_page_are_failures() {
        assert!(names_a_user(200, b"user-1").is_ok());
        assert!(names_a_user(200, b"log in").is_err());
        assert!(names_a_user(401, b"user-1").unwrap_err().to_string().contains("401"));
    }
}
