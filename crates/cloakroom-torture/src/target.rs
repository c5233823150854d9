//! What the workload runs on: a database, at one address or at several, and the servers that are ours to kill.

use std::fmt;

use cloakroom_testing::servers::{Galera, LoneDisk, Pair, Pooler, Server};

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
    /// A file on a disk of our own.
    File(LoneDisk),
    One(Server),
    Cluster(Galera),
    /// A primary, and a standby that takes its place.
    Pair(Box<Pair>),
    /// A server that is reached through a pooler.
    Pooled(Server, Box<Pooler>),
}

impl Target {
    /// A database whose server is not ours.
    pub fn of_others(kind: Kind, url: &str) -> Self {
        Self { kind, urls: vec![url.to_owned()], servers: Servers::Others }
    }

    /// A file of `SQLite`'s on a disk whose power is cut.
    pub fn file_on(disk: LoneDisk) -> Self {
        let url = format!("sqlite:{}", disk.path().join("torture.db").display());
        Self { kind: Kind::Sqlite, urls: vec![url], servers: Servers::File(disk) }
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

impl Target {
    /// A primary of our own, whose standby takes its place again and again.
    pub fn pair(pair: Pair) -> Self {
        Self {
            kind: Kind::Postgres,
            urls: vec![pair.primary.url().to_owned()],
            servers: Servers::Pair(Box::new(pair)),
        }
    }

    /// A server of our own behind a pooler, which lives on when the server is killed.
    pub fn pooled(server: Server, pooler: Pooler) -> Self {
        let urls = vec![pooler.url().to_owned()];
        Self { kind: Kind::Postgres, urls, servers: Servers::Pooled(server, Box::new(pooler)) }
    }

    /// Returns the address at which everything that was committed is known.
    pub(crate) fn url(&self) -> &str {
        match &self.servers {
            Servers::Pair(pair) => pair.primary.url(),
            _ => &self.urls[0],
        }
    }
}

impl Servers {
    /// Returns how many there are to be killed and frozen.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Others | Self::File(_) => 0,
            Self::One(_) | Self::Pair(_) | Self::Pooled(..) => 1,
            Self::Cluster(cluster) => cluster.nodes().len(),
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Returns `true` if the database is on a disk whose power can be cut.
    pub(crate) fn has_disk(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::One(server) => server.has_disk(),
            _ => false,
        }
    }

    /// Returns `true` if one of them may answer while another does not.
    pub(crate) fn is_several(&self) -> bool {
        matches!(self, Self::Cluster(_) | Self::Pooled(..))
    }

    pub(crate) fn is_pair(&self) -> bool {
        matches!(self, Self::Pair(_))
    }

    /// Returns a server of ours; `None` if there is none of this number.
    pub(crate) fn server(&mut self, number: usize) -> Option<&mut Server> {
        match self {
            Self::Others | Self::File(_) => None,
            Self::One(server) | Self::Pooled(server, _) => (number == 0).then_some(server),
            Self::Pair(pair) => (number == 0).then_some(&mut pair.primary),
            Self::Cluster(cluster) => (number < cluster.nodes().len()).then(|| cluster.node(number)),
        }
    }
}

/// Says for people what it is.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        match &self.servers {
            Servers::Cluster(_) => f.write_str(", a cluster of Galera"),
            Servers::Pair(_) => f.write_str(", a primary and its standby"),
            Servers::Pooled(_, pooler) => write!(f, " behind pgbouncer {}", pooler.version()),
            _ if self.servers.has_disk() => f.write_str(" on a disk whose power is cut"),
            Servers::Others | Servers::File(_) | Servers::One(_) => Ok(()),
        }
    }
}
