//! What the workload runs on: a database, at one address or at several, and the servers that are ours to kill.

use std::fmt;

use cloakroom_testing::servers::{Galera, Server};

use crate::settings::Kind;

/// A database, which must be empty.
#[derive(Debug)]
pub struct Target {
    pub(crate) kind: Kind,
    /// An address for each node.
    pub(crate) urls: Vec<String>,
    pub(crate) servers: Servers,
}

/// The servers that are killed and frozen, if the settings say so.
#[derive(Debug)]
pub(crate) enum Servers {
    /// A file, or a server of others.
    Others,
    One(Server),
    Cluster(Galera),
}

impl Target {
    /// A database whose server is not ours.
    pub fn of_others(kind: Kind, url: &str) -> Self {
        Self { kind, urls: vec![url.to_owned()], servers: Servers::Others }
    }

    /// A server of our own.
    pub fn server(kind: Kind, server: Server) -> Self {
        Self { kind, urls: vec![server.url().to_owned()], servers: Servers::One(server) }
    }

    /// A cluster of our own. Each handle works on one of its nodes.
    pub fn cluster(cluster: Galera) -> Self {
        let urls = cluster.nodes().iter().map(|node| node.url().to_owned()).collect();
        Self { kind: Kind::MariaDb, urls, servers: Servers::Cluster(cluster) }
    }
}

impl Servers {
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Others => 0,
            Self::One(_) => 1,
            Self::Cluster(cluster) => cluster.nodes().len(),
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.count() > 1
    }

    /// Returns a server of ours; `None` if there is none of this number.
    pub(crate) fn server(&mut self, number: usize) -> Option<&mut Server> {
        match self {
            Self::Others => None,
            Self::One(server) => (number == 0).then_some(server),
            Self::Cluster(cluster) => (number < cluster.nodes().len()).then(|| cluster.node(number)),
        }
    }
}

/// Says for people what it is.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if self.servers.is_cluster() { f.write_str(", a cluster of Galera") } else { Ok(()) }
    }
}
