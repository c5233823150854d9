//! A balancer of TCP connections before several nodes, which knows nothing of sessions: each connection goes to the next
//! node.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::Site;

pub(super) struct Balancer {
    /// Where its clients connect to.
    pub(super) site: Site,
    state: Arc<State>,
}

struct State {
    nodes: Vec<SocketAddr>,
    accepted: AtomicUsize,
    loses: AtomicBool,
    lost: Mutex<Option<String>>,
}

impl Balancer {
    pub(super) async fn start(nodes: Vec<SocketAddr>) -> Self {
        let entrance = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Site { address: entrance.local_addr().unwrap() };
        let state = Arc::new(State {
            nodes,
            accepted: AtomicUsize::new(0),
            loses: AtomicBool::new(false),
            lost: Mutex::new(None),
        });
        let balancer = Self { site, state: Arc::clone(&state) };
        tokio::spawn(async move {
            while let Ok((client, _)) = entrance.accept().await {
                let node = state.nodes[state.accepted.fetch_add(1, Ordering::SeqCst) % state.nodes.len()];
                let node = TcpStream::connect(node).await.unwrap();
                tokio::spawn(forward(client, node, Arc::clone(&state)));
            }
        });
        balancer
    }

    /// Returns which node has served the last connection.
    pub(super) fn last(&self) -> usize {
        (self.state.accepted.load(Ordering::SeqCst) - 1) % self.state.nodes.len()
    }

    /// The node of the next connection ends, for this client, when it has done its work and before its answer arrives.
    pub(super) fn lose_next_answer(&self) {
        self.state.loses.store(true, Ordering::SeqCst);
    }

    /// Returns the head of the answer that was lost.
    pub(super) fn lost(&self) -> String {
        self.state.lost.lock().unwrap().take().expect("an answer was lost")
    }
}

async fn forward(mut client: TcpStream, mut node: TcpStream, state: Arc<State>) {
    if !state.loses.swap(false, Ordering::SeqCst) {
        let _ = copy_bidirectional(&mut client, &mut node).await;
        return;
    }
    let (mut from_client, _to_client) = client.split();
    let (mut from_node, mut to_node) = node.split();
    let answer = async {
        let (mut answer, mut buffer) = (String::new(), [0; 4096]);
        while !answer.contains("\r\n\r\n") {
            let read = from_node.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the node answers");
            answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        answer
    };
    let answer = tokio::select! {
        answer = answer => answer,
        () = async {
            let _ = copy(&mut from_client, &mut to_node).await;
            std::future::pending::<()>().await;
        } => unreachable!(),
    };
    *state.lost.lock().unwrap() = Some(answer);
    // Both connections end here.
}
