//! Stands between a node and the server, and can hold up the connection on which the node listens, or cut it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, PartialEq)]
enum Line {
    Open,
    Frozen,
}

pub(crate) struct Proxy {
    port: u16,
    line: watch::Sender<Line>,
    /// Counts up whenever the connections that listen are to be cut.
    cuts: watch::Sender<u64>,
    listeners: Arc<AtomicUsize>,
}

impl Proxy {
    /// In front of the server of `url`.
    pub(crate) async fn start(url: &str) -> Self {
        let server = address(url).to_owned();
        let entrance = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = entrance.local_addr().unwrap().port();
        let (line, cuts) = (watch::Sender::new(Line::Open), watch::Sender::new(0));
        let listeners = Arc::new(AtomicUsize::new(0));
        let proxy = Self { port, line, cuts, listeners };
        let (line, cuts) = (proxy.line.clone(), proxy.cuts.clone());
        let listeners = Arc::clone(&proxy.listeners);
        tokio::spawn(async move {
            while let Ok((client, _)) = entrance.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else {
                    continue;
                };
                let wire = Wire {
                    line: line.subscribe(),
                    cuts: cuts.subscribe(),
                    listens: Arc::new(AtomicBool::new(false)),
                    listeners: Arc::clone(&listeners),
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(wire.clone().carry(from_client, to_server));
                tokio::spawn(wire.carry(from_server, to_client));
            }
        });
        proxy
    }

    /// `url`, by way of this proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replace(address(url), &format!("127.0.0.1:{}", self.port))
    }

    /// From now on nothing goes to or from a connection that listens.
    pub(crate) fn freeze(&self) {
        self.line.send_replace(Line::Frozen);
    }

    pub(crate) fn thaw(&self) {
        self.line.send_replace(Line::Open);
    }

    /// Cuts the connections that listen.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// How many connections have listened so far.
    pub(crate) fn listeners(&self) -> usize {
        self.listeners.load(Ordering::SeqCst)
    }
}

fn address(url: &str) -> &str {
    let (_, rest) = url.rsplit_once('@').expect("the URL has an account");
    rest.split_once('/').expect("the URL has a database").0
}

/// One connection, as either of its directions sees it.
#[derive(Clone)]
struct Wire {
    line: watch::Receiver<Line>,
    cuts: watch::Receiver<u64>,
    listens: Arc<AtomicBool>,
    listeners: Arc<AtomicUsize>,
}

impl Wire {
    async fn carry(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        self.cuts.mark_unchanged();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = tokio::select! {
                read = from.read(&mut buffer) => read.unwrap_or(0),
                () = Self::cut(&mut self.cuts, &self.listens) => 0,
            };
            if read == 0 {
                return;
            }
            let is_first = buffer[..read].windows(7).any(|bytes| bytes == b"LISTEN ");
            if is_first && !self.listens.swap(true, Ordering::SeqCst) {
                self.listeners.fetch_add(1, Ordering::SeqCst);
            }
            if self.listens.load(Ordering::SeqCst) {
                let open = self.line.wait_for(|line| *line == Line::Open);
                tokio::select! {
                    open = open => drop(open),
                    () = Self::cut(&mut self.cuts, &self.listens) => return,
                }
            }
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }

    async fn cut(cuts: &mut watch::Receiver<u64>, listens: &AtomicBool) {
        while cuts.changed().await.is_ok() {
            if listens.load(Ordering::SeqCst) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}
