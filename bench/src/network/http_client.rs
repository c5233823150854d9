//! A client that keeps its connections and reads only the necessary part of a response.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::failure::Outcome;
use crate::measure::Call;

#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    /// One for each row.
    requests: Arc<[String]>,
    idle: Arc<Mutex<Vec<TcpStream>>>,
}

impl Client {
    pub fn new(address: SocketAddr, rows: u64, cookie: fn(u64) -> String) -> Self {
        let request = |row| {
            let cookie = cookie(row);
            format!("GET / HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\n\r\n")
        };
        Self { address, requests: (0..rows).map(request).collect(), idle: Arc::default() }
    }

    fn take(&self) -> Option<TcpStream> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, connection: TcpStream) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

impl Call for Client {
    async fn call(&self, random: u64) -> Outcome {
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => connect(self.address).await?,
        };
        let request = &self.requests[random as usize % self.requests.len()];
        connection.write_all(request.as_bytes()).await?;
        let mut response = [0; 1024];
        let mut length = 0;
        loop {
            let read = connection.read(&mut response[length..]).await?;
            length += read;
            match body(&response[..length])? {
                Some(body) if body.starts_with(b"user-") => break,
                Some(_) => return Err("the page names no user".into()),
                None if read == 0 => return Err("the response has no end".into()),
                None => {}
            }
        }
        self.put_back(connection);
        Ok(())
    }
}

async fn connect(address: SocketAddr) -> Outcome<TcpStream> {
    let connection = TcpStream::connect(address).await?;
    connection.set_nodelay(true)?;
    Ok(connection)
}

/// Returns the body of a response, if all of it has arrived.
fn body(response: &[u8]) -> Outcome<Option<&[u8]>> {
    let Some(end) = response.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&response[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status != "HTTP/1.1 200 OK" {
        return Err(format!("the page was answered with {status}").into());
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    let length = length.ok_or("the response does not tell its length")??;
    Ok(response[end + 4..].get(..length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_when_all_of_it_is_there() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nuser-1";
        assert_eq!(body(response).unwrap(), Some(&b"user-1"[..]));
        for length in 0..response.len() {
            assert_eq!(body(&response[..length]).unwrap(), None, "after {length} bytes");
        }
    }

    #[test]
    fn another_status_is_a_failure() {
        let response = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
        assert!(body(response).unwrap_err().to_string().contains("401 Unauthorized"));
        assert!(body(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
