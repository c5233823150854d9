//! Connections that are kept open, and as much of HTTP as a client needs that sends one request at a time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::failure::Outcome;

#[derive(Clone)]
pub struct Connections {
    pub address: SocketAddr,
    idle: Arc<Mutex<Vec<TcpStream>>>,
}

/// What is known of a response whose head has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// Where its body begins.
    pub body: usize,
    /// How long the body is.
    length: usize,
}

impl Connections {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, idle: Arc::default() }
    }

    /// Sends a request, and reads its response into the buffer, to which it is cut.
    pub async fn exchange<'b>(&self, request: &[u8], buffer: &'b mut [u8]) -> Outcome<(Head, &'b [u8])> {
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => connect(self.address).await?,
        };
        connection.write_all(request).await?;
        let mut length = 0;
        let head = loop {
            let read = connection.read(&mut buffer[length..]).await?;
            length += read;
            match head(&buffer[..length])? {
                Some(head) if length >= head.body + head.length => break head,
                _ if read == 0 => return Err("the response has no end".into()),
                _ => {}
            }
        };
        self.put_back(connection);
        Ok((head, &buffer[..head.body + head.length]))
    }

    fn take(&self) -> Option<TcpStream> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, connection: TcpStream) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

async fn connect(address: SocketAddr) -> Outcome<TcpStream> {
    let connection = TcpStream::connect(address).await?;
    connection.set_nodelay(true)?;
    Ok(connection)
}

/// Returns the head of a response, if all of it has arrived.
fn head(response: &[u8]) -> Outcome<Option<Head>> {
    let Some(end) = response.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let mut lines = std::str::from_utf8(&response[..end])?.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status = status.ok_or("the response has no status")?;
    let length = lines.find_map(|line| value(line, "content-length")).map(str::parse);
    let length = length.ok_or("the response does not tell its length")??;
    Ok(Some(Head { status, body: end + 4, length }))
}

/// Returns the value of a header's line, if it is of that name.
pub fn value<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (of, value) = line.split_once(':')?;
    of.eq_ignore_ascii_case(name).then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_all_of_it_is_there() {
        let response =
            b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nuser-1";
        let body = response.len() - 6;
        for length in 0..body {
            assert_eq!(head(&response[..length]).unwrap(), None, "after {length} bytes");
        }
        let read = Head { status: 403, body, length: 6 };
        assert_eq!(head(&response[..body]).unwrap(), Some(read));
        assert_eq!(head(response).unwrap(), Some(read));
    }

    #[test]
    fn a_response_without_a_length_or_a_status_is_a_failure() {
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(head(b"HTTP/2 200\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
