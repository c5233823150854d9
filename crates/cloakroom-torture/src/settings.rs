use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::faults::Fault;
use crate::target::Target;

/// The settings of a run: its length, and its faults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Repeats the choice of operations and faults. The results depend on the workers' timing, too.
    pub seed: u64,
    /// When the workers stop.
    pub until: Until,
    /// How many tasks work at once. Each of two handles, with pools of their own, has half of them.
    pub workers: usize,
    /// How many connections each of the two pools may open.
    pub connections: u32,
    /// By how much everything that a server sends is delayed.
    pub latency: Duration,
    /// The share of calls that are dropped midway, from 0 to 1, with [`Fault::Dropped`].
    pub dropped: f64,
    /// The kinds of faults. Those that the database cannot meet are left out.
    pub faults: BTreeSet<Fault>,
    /// Whether all transactions are begun by the library. On a cluster a transaction that the application begins by
    /// itself sees what its node knows, and not all that was committed.
    pub begins_by_library: bool,
    /// Whether the databases acknowledge a commit before it is on the disk. A power cut then loses what was acknowledged,
    /// which the checker must find.
    pub is_relaxed: bool,
    /// Whether to print a line every few seconds.
    pub is_talkative: bool,
}

impl Settings {
    /// Returns these settings with what the target asks for.
    pub(crate) fn for_target(&self, target: &Target) -> Self {
        Self { begins_by_library: target.servers.is_cluster(), ..self.clone() }
    }
}

/// When the workers stop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this time.
    Time(Duration),
    /// After this many operations of all workers together.
    Operations(u64),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            until: Until::Time(Duration::from_mins(5)),
            workers: 24,
            connections: 8,
            latency: Duration::from_millis(3),
            dropped: 0.02,
            faults: BTreeSet::from([Fault::Dropped, Fault::Disk]),
            begins_by_library: false,
            is_relaxed: false,
            is_talkative: false,
        }
    }
}

/// The databases that the workload runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// A server, behind a proxy.
    Postgres,
    /// A server, or a cluster, behind proxies.
    MariaDb,
}

impl Kind {
    /// Returns its name in arguments.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::MariaDb => "MariaDB",
        })
    }
}
