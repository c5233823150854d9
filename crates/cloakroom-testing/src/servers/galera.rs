//! A Galera cluster of MariaDB's.

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::thread;

use super::error::ServerError;
use super::kind::{Kind, Purpose};
use super::random;
use super::server::{Original, Server};

/// How many nodes there are: the fewest of which one can fail.
const NODES: usize = 3;

/// Where the packages of distributions have the library that connects the nodes.
const PROVIDERS: [&str; 4] = [
    "usr/lib/galera/libgalera_smm.so",
    "usr/lib/libgalera_smm.so",
    "usr/lib64/galera/libgalera_smm.so",
    "usr/lib64/galera-4/libgalera_smm.so",
];

const NEW_CLUSTER: &str = "--wsrep-new-cluster";

/// A running cluster of three nodes, each of which takes reads and writes. Dropping it ends them and removes their data.
#[derive(Debug)]
pub struct Galera {
    nodes: Vec<Server>,
}

impl Galera {
    /// Returns `true` if this machine, or the folder that [`Kind::folder`] names, has what a cluster needs.
    pub fn is_installed() -> bool {
        provider().is_some() && Kind::MariaDb.missing_programs().is_empty() && !Kind::MariaDb.is_mysql()
    }

    /// Starts a cluster, for tests.
    pub fn launch() -> Result<Self, ServerError> {
        Self::launch_for(Purpose::Tests, [&[], &[], &[]])
    }

    /// Starts a cluster with the settings for this purpose, and with further options for each node.
    ///
    /// The first node starts alone and stops again. The others begin with copies of its data, so that none has to be
    /// sent the whole of it.
    pub fn launch_for(purpose: Purpose, options: [&[&str]; NODES]) -> Result<Self, ServerError> {
        let mut first = Server::prepare(Kind::MariaDb, purpose, Original::None)?;
        let ports = (0..NODES).map(|_| Ports::free()).collect::<Result<Vec<_>, _>>()?;
        ports[0].assign(&mut first, &ports)?;
        first.site.options.push(NEW_CLUSTER.to_owned());
        first.launch_prepared()?;
        first.stop();
        first.site.has_accounts = true;
        let mut nodes = vec![first];
        for own in &ports[1..] {
            let mut node = nodes[0].prepare_copy()?;
            own.assign(&mut node, &ports)?;
            nodes.push(node);
        }
        for (node, options) in nodes.iter_mut().zip(options) {
            node.site.options.extend(options.iter().map(|&option| option.to_owned()));
        }
        nodes[0].launch_prepared()?;
        nodes[0].site.options.retain(|option| option != NEW_CLUSTER);
        thread::scope(|scope| {
            let starting: Vec<_> =
                nodes[1..].iter_mut().map(|node| scope.spawn(|| node.launch_prepared())).collect();
            starting
                .into_iter()
                .try_for_each(|node| node.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
        })?;
        Ok(Self { nodes })
    }

    /// Returns the nodes.
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// Returns a node, to stop or kill it.
    ///
    /// # Panics
    ///
    /// If there is no node of this number, counted from 0.
    pub fn node(&mut self, number: usize) -> &mut Server {
        &mut self.nodes[number]
    }
}

/// The ports of one node, beside that for clients.
struct Ports {
    /// For the other nodes.
    group: u16,
    /// For what it has missed.
    missed: u16,
    /// For the whole of the data.
    snapshot: u16,
}

impl Ports {
    fn free() -> Result<Self, ServerError> {
        Ok(Self { group: random::free_port()?, missed: random::free_port()?, snapshot: random::free_port()? })
    }

    /// Makes a server the node with these ports.
    fn assign(&self, node: &mut Server, all: &[Self]) -> Result<(), ServerError> {
        node.site.port = random::free_port()?;
        node.site.ready_when = Some("WSREP: Synchronized with group, ready for connections");
        let provider = provider()
            .ok_or(ServerError::MissingProgram { kind: Kind::MariaDb, program: "libgalera_smm.so" })?;
        let addresses: Vec<String> = all.iter().map(|ports| format!("127.0.0.1:{}", ports.group)).collect();
        let Self { group, missed, snapshot } = self;
        node.site.options = vec![
            "--wsrep-on=ON".to_owned(),
            format!("--wsrep-provider={}", provider.display()),
            "--wsrep-cluster-name=cloakroom".to_owned(),
            format!("--wsrep-cluster-address=gcomm://{}", addresses.join(",")),
            "--wsrep-node-address=127.0.0.1".to_owned(),
            format!("--wsrep-node-incoming-address=127.0.0.1:{}", node.site.port),
            format!("--wsrep-sst-receive-address=127.0.0.1:{snapshot}"),
            "--wsrep-sst-method=rsync".to_owned(),
            format!(
                "--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{group};\
                 ist.recv_addr=127.0.0.1:{missed};gcache.size=32M;\
                 evs.join_retrans_period=PT0.3S;evs.inactive_check_period=PT0.1S"
            ),
            // Newer versions have this plugin, which refuses to change those options while the server runs.
            "--loose-plugin-wsrep-provider=OFF".to_owned(),
            "--binlog-format=ROW".to_owned(),
            "--innodb-autoinc-lock-mode=2".to_owned(),
        ];
        Ok(())
    }
}

/// Returns the library that connects the nodes.
fn provider() -> Option<PathBuf> {
    let root = Kind::MariaDb.folder().unwrap_or_else(|| PathBuf::from("/"));
    let places = PROVIDERS.iter().map(|place| Path::new(&root).join(place));
    places.into_iter().find(|place| fs::metadata(place).is_ok_and(|file| file.is_file()))
}
