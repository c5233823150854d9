//! Stands between an application and its server, and holds back what the server answers to the statements that begin
//! transactions.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    port: u16,
    /// Whether answers are held back.
    holds: watch::Sender<bool>,
    /// How many statements have gone out whose answers are held back.
    held: watch::Receiver<u64>,
}

impl Proxy {
    /// In front of the server of `url`.
    pub(crate) async fn start(url: &str) -> Self {
        let server = address(url).to_owned();
        let entrance = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = entrance.local_addr().unwrap().port();
        let (holds, held) = (watch::Sender::new(false), watch::Sender::new(0));
        let proxy = Self { port, holds: holds.clone(), held: held.subscribe() };
        tokio::spawn(async move {
            while let Ok((client, _)) = entrance.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                // Whether this connection's next answers are those that are held back.
                let is_held = Arc::new(watch::Sender::new(false));
                tokio::spawn(ask(from_client, to_server, holds.clone(), held.clone(), Arc::clone(&is_held)));
                tokio::spawn(answer(from_server, to_client, holds.subscribe(), is_held));
            }
        });
        proxy
    }

    /// `url`, by way of this proxy, and in the clear: it reads what goes by, and MySQL offers TLS.
    pub(crate) fn url(&self, url: &str) -> String {
        let url = url.replace(address(url), &format!("127.0.0.1:{}", self.port));
        if url.starts_with("mysql:") { format!("{url}?ssl-mode=DISABLED") } else { url }
    }

    /// Drops `begin` once its statement has gone out, and before the answer has come. Then the answer goes on.
    pub(crate) async fn drop_midway(&mut self, begin: impl Future) {
        self.drop_unanswered(begin).await;
        self.holds.send_replace(false);
    }

    /// Drops `begin` once its statement has gone out. No answer comes on its connection any more.
    pub(crate) async fn drop_unanswered(&mut self, begin: impl Future) {
        self.holds.send_replace(true);
        self.held.mark_unchanged();
        tokio::select! {
            _ = begin => panic!("the answer was held back"),
            held = self.held.changed() => held.unwrap(),
        }
    }
}

fn address(url: &str) -> &str {
    let (_, rest) = url.rsplit_once('@').expect("the URL has an account");
    rest.split_once('/').expect("the URL has a database").0
}

async fn ask(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    holds: watch::Sender<bool>,
    held: watch::Sender<u64>,
    is_held: Arc<watch::Sender<bool>>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let says = |word: &[u8]| buffer[..read].windows(word.len()).any(|bytes| bytes == word);
        let begins = *holds.borrow() && (says(b"BEGIN") || says(b"SAVEPOINT"));
        if begins {
            is_held.send_replace(true);
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        if begins {
            held.send_modify(|count| *count += 1);
        }
    }
}

async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut holds: watch::Receiver<bool>,
    is_held: Arc<watch::Sender<bool>>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if *is_held.borrow() {
            let _ = holds.wait_for(|holds| !holds).await;
            is_held.send_replace(false);
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
