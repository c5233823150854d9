//! A proxy before a server, which can be cut. When told, its newer connections fall silent without being closed.
//! That is the worst that a network does to a listener.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::failure::Outcome;

/// Connections up to this number, in the order in which they were made, are never cut.
#[derive(Clone, Copy, Debug)]
pub struct Spared(pub usize);

pub struct Proxy {
    pub address: SocketAddr,
    is_cut: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// Ends with the runtime.
    pub async fn start(to: SocketAddr, spared: Spared) -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let is_cut = Arc::new(watch::Sender::new(false));
        tokio::spawn(accept(listener, to, spared, Arc::clone(&is_cut)));
        Ok(Self { address, is_cut })
    }

    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, spared: Spared, is_cut: Arc<watch::Sender<bool>>) {
    let mut number = 0;
    while let Ok((client, _)) = listener.accept().await {
        number += 1;
        let may_be_cut = number > spared.0;
        tokio::spawn(forward(client, to, may_be_cut.then(|| is_cut.subscribe())));
    }
}

async fn forward(mut client: TcpStream, to: SocketAddr, cut: Option<watch::Receiver<bool>>) {
    let Ok(mut server) = TcpStream::connect(to).await else {
        return;
    };
    let _ = client.set_nodelay(true).and(server.set_nodelay(true));
    let silence = async {
        // If the proxy itself is gone, nothing is left to cut.
        if let Some(mut cut) = cut
            && cut.wait_for(|is_cut| *is_cut).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    };
    let copied = tokio::select! {
        // First, so that a connection made after the cut carries nothing.
        biased;
        () = silence => None,
        copied = copy_bidirectional(&mut client, &mut server) => Some(copied),
    };
    if copied.is_none() {
        // Both sockets stay open, and neither is read.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that sends back what it receives.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = client.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        address
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(proxy.address).await.unwrap()
    }

    async fn say(connection: &mut TcpStream) {
        connection.write_all(b"a").await.unwrap();
    }

    async fn hear(connection: &mut TcpStream) {
        assert_eq!(connection.read_u8().await.unwrap(), b'a');
    }

    #[tokio::test]
    async fn a_cut_silences_new_connections_and_spares_the_first() {
        let proxy = Proxy::start(echo().await, Spared(1)).await.unwrap();
        let (mut first, mut second) = (connect(&proxy).await, connect(&proxy).await);
        for connection in [&mut first, &mut second] {
            say(connection).await;
            hear(connection).await;
        }
        proxy.cut();
        let mut third = connect(&proxy).await;
        say(&mut second).await;
        say(&mut third).await;
        // Enough time for many other answers.
        for _ in 0..100 {
            say(&mut first).await;
            hear(&mut first).await;
        }
        for mut silent in [second, third] {
            let read = futures_util::FutureExt::now_or_never(silent.read_u8());
            assert!(read.is_none(), "a connection that was cut says something");
        }
    }
}
