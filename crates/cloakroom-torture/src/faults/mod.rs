//! The faults: what they are called, and who causes them.

mod injector;
pub(crate) mod leaving;
mod locks;
pub(crate) mod network;
mod reunion;

use std::collections::BTreeSet;
use std::fmt;

use crate::settings::Kind;
use crate::target::Target;

pub(crate) use injector::{Caused, Injector, Means};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// Callers are dropped midway, as a handler is if its browser disconnects.
    Dropped,
    /// The disk is full. `SQLite` alone.
    Disk,
    /// The server is killed, and started again.
    Kill,
    /// The power of the database's disk is cut: what was not synced is lost. The server and, on `SQLite`, all processes
    /// that work are killed with it. Only on a disk of our own.
    Power,
    /// The server stands still for up to three seconds.
    Freeze,
    /// A node stands still until the others go on without it, and comes back. Clusters alone.
    Evict,
    /// All nodes but one stand still until that one knows itself in the minority, and come back. Clusters alone.
    Quorum,
    /// The primary is killed, the standby takes its place, and gets a standby of its own. A primary with a standby alone.
    FailOver,
    /// Half of the connections break.
    Cut,
    /// The server does what it was asked, and the connection breaks before its answer arrives.
    Answer,
    /// A quarter of the connections pass on nothing for up to four seconds.
    Stall,
    /// An eighth of the connections pass on nothing any more, and stay open for half a minute.
    Silence,
    /// A quarter of the connections are closed in one direction.
    HalfClose,
    /// Another client locks the table for up to two seconds. Not on a cluster, whose other nodes would not know of it.
    Lock,
    /// The server refuses writes for a second. `PostgreSQL` alone.
    ReadOnly,
    /// A process's clock is set to another time, up to 20 seconds from the right one.
    Clock,
    /// A process that works is killed, and another one started. Only if the workers are processes.
    Worker,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Dropped,
        Self::Disk,
        Self::Kill,
        Self::Power,
        Self::Freeze,
        Self::Evict,
        Self::Quorum,
        Self::FailOver,
        Self::Cut,
        Self::Answer,
        Self::Stall,
        Self::Silence,
        Self::HalfClose,
        Self::Lock,
        Self::ReadOnly,
        Self::Clock,
        Self::Worker,
    ];

    /// Returns the faults that the target can meet, without those that need workers in processes, or in this one.
    pub(crate) fn of(target: &Target, has_processes: bool) -> BTreeSet<Self> {
        let Target { kind, servers, .. } = target;
        let (kind, has_server, is_cluster) = (*kind, servers.count() > 0, servers.is_cluster());
        let can_meet = |fault: &Self| match fault {
            Self::Dropped => true,
            Self::Lock => !is_cluster,
            Self::Evict | Self::Quorum => is_cluster,
            Self::FailOver => servers.is_pair(),
            Self::Clock => !has_processes,
            Self::Worker => has_processes,
            Self::Disk => kind == Kind::Sqlite && !has_processes,
            Self::Cut | Self::Answer | Self::Stall | Self::Silence | Self::HalfClose => kind != Kind::Sqlite,
            Self::Kill | Self::Freeze => has_server,
            // A file's users lose the power, too.
            Self::Power => servers.has_disk() && (has_server || has_processes),
            Self::ReadOnly => has_server && kind == Kind::Postgres,
        };
        Self::ALL.into_iter().filter(can_meet).collect()
    }

    /// Returns its name in arguments.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Disk => "disk",
            Self::Kill => "kill",
            Self::Power => "power",
            Self::Freeze => "freeze",
            Self::Evict => "evict",
            Self::Quorum => "quorum",
            Self::FailOver => "fail-over",
            Self::Cut => "cut",
            Self::Answer => "answer",
            Self::Stall => "stall",
            Self::Silence => "silence",
            Self::HalfClose => "half-close",
            Self::Lock => "lock",
            Self::ReadOnly => "read-only",
            Self::Clock => "clock",
            Self::Worker => "worker",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
