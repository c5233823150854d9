//! A proxy between the pools and the server that delays everything it passes on.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Proxy {
    port: u16,
}

impl Proxy {
    /// Starts a proxy before the server of `url`. The server's answers arrive `latency` later.
    pub(crate) async fn start(url: &str, latency: Duration) -> io::Result<Self> {
        let server = address(url)?.to_owned();
        let entrance = TcpListener::bind("127.0.0.1:0").await?;
        let port = entrance.local_addr()?.port();
        tokio::spawn(async move {
            while let Ok((client, _)) = entrance.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else {
                    continue;
                };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(carry(from_client, to_server, Duration::ZERO));
                tokio::spawn(carry(from_server, to_client, latency));
            }
        });
        Ok(Self { port })
    }

    /// Returns `url` with the address of this proxy.
    pub(crate) fn url(&self, url: &str) -> io::Result<String> {
        Ok(url.replace(address(url)?, &format!("127.0.0.1:{}", self.port)))
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, latency: Duration) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

fn address(url: &str) -> io::Result<&str> {
    let address = url.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/'));
    address.map(|(address, _)| address).ok_or_else(|| io::Error::other("the URL names no server"))
}
