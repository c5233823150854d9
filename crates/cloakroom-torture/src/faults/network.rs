//! A proxy between the pools and the server: it delays everything that it passes on, and breaks connections to order.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to the connections. Each connection draws if it is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    None,
    /// They break, in both directions.
    Cut,
    /// They break when the server's next answer arrives, which is lost.
    LoseAnswer,
    /// They pass on nothing for this long.
    Stall(Duration),
    /// They pass on nothing any more, and break after half a minute.
    Silence,
    /// Nothing more goes to the client, or to the server, and the other direction stays open.
    HalfClose,
    /// Those that pass on nothing any more break.
    CutSilent,
}

impl Order {
    /// The share of the connections that are concerned.
    fn share(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Cut => 0.5,
            Self::LoseAnswer | Self::Stall(_) | Self::HalfClose => 0.25,
            Self::Silence => 0.125,
            Self::CutSilent => 1.0,
        }
    }
}

/// After this time the systems at both ends give up a silent connection. Until then the server keeps its transaction
/// and its locks. (By default they do so after two hours.)
const SILENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    orders: watch::Sender<Order>,
    /// The address of the server.
    server: watch::Sender<String>,
}

impl Proxy {
    /// Starts a proxy before the server of `url`. The server's answers arrive `latency` later.
    pub(crate) async fn start(url: &str, latency: Duration, seed: u64) -> io::Result<Self> {
        let server = watch::Sender::new(address(url)?.to_owned());
        let behind = server.subscribe();
        let entrance = TcpListener::bind("127.0.0.1:0").await?;
        let port = entrance.local_addr()?.port();
        let (orders, given) = watch::channel(Order::None);
        let mut random = fastrand::Rng::with_seed(seed);
        tokio::spawn(async move {
            while let Ok((client, _)) = entrance.accept().await {
                let address = behind.borrow().clone();
                let Ok(server) = TcpStream::connect(address).await else {
                    continue;
                };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let mut orders = given.clone();
                // Orders from before concern other connections.
                orders.mark_unchanged();
                let random = fastrand::Rng::with_seed(random.u64(..));
                tokio::spawn(Carrier { client, server, latency, orders, random }.carry());
            }
        });
        Ok(Self { port, orders, server })
    }

    /// Returns `url` with the address of this proxy.
    pub(crate) fn url(&self, url: &str) -> io::Result<String> {
        Ok(url.replace(address(url)?, &format!("127.0.0.1:{}", self.port)))
    }

    /// Leads new connections to the server of this `url`.
    pub(crate) fn lead_to(&self, url: &str) -> io::Result<()> {
        self.server.send_replace(address(url)?.to_owned());
        Ok(())
    }

    /// Gives an order to the connections that are open now.
    pub(crate) fn order(&self, order: Order) {
        self.orders.send_replace(order);
    }
}

struct Carrier {
    client: TcpStream,
    server: TcpStream,
    latency: Duration,
    orders: watch::Receiver<Order>,
    random: fastrand::Rng,
}

/// What ends a connection.
struct Ended;

impl Carrier {
    /// Passes everything on until one side closes, or an order breaks the connection.
    async fn carry(mut self) {
        let (mut to_server, mut to_client) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
        let mut loses_answer = false;
        loop {
            let passed = tokio::select! {
                read = self.client.read(&mut to_server) => {
                    pass(read, &to_server, &mut self.server, Duration::ZERO).await
                }
                read = self.server.read(&mut to_client) => {
                    if loses_answer {
                        return;
                    }
                    pass(read, &to_client, &mut self.client, self.latency).await
                }
                changed = self.orders.changed() => match changed {
                    Ok(()) => self.obey(&mut loses_answer).await,
                    // The run is over.
                    Err(_) => return,
                },
            };
            if passed.is_err() {
                return;
            }
        }
    }

    async fn obey(&mut self, loses_answer: &mut bool) -> Result<(), Ended> {
        let order = *self.orders.borrow_and_update();
        if self.random.f64() >= order.share() {
            return Ok(());
        }
        match order {
            Order::None | Order::CutSilent => Ok(()),
            Order::Cut => Err(Ended),
            Order::LoseAnswer => {
                *loses_answer = true;
                Ok(())
            }
            Order::Stall(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Order::Silence => {
                let end = self.orders.wait_for(|order| matches!(order, Order::CutSilent));
                let _ = tokio::time::timeout(SILENCE, end).await;
                Err(Ended)
            }
            Order::HalfClose => {
                let side = if self.random.bool() { &mut self.client } else { &mut self.server };
                let _ = side.shutdown().await;
                Ok(())
            }
        }
    }
}

async fn pass(
    read: io::Result<usize>,
    bytes: &[u8],
    to: &mut TcpStream,
    latency: Duration,
) -> Result<(), Ended> {
    let Ok(read @ 1..) = read else {
        return Err(Ended);
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    to.write_all(&bytes[..read]).await.map_err(|_| Ended)
}

fn address(url: &str) -> io::Result<&str> {
    let address = url.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/'));
    address.map(|(address, _)| address).ok_or_else(|| io::Error::other("the URL names no server"))
}
