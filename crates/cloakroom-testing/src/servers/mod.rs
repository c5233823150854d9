//! Throwaway database servers: started for a test run, and removed without a trace after it.
//!
//! ```no_run
//! let mut server = cloakroom_testing::servers::postgres()?;
//! println!("{}", server.url());
//! server.kill(); // the power fails …
//! server.start()?; // … and comes back, with the same data on the same port.
//! # Ok::<(), cloakroom_testing::servers::ServerError>(())
//! ```
//!
//! 1. Every server has its own directory (mode 0700), its own free port of 127.0.0.1, and its own random password. A
//!    server that is already running is never touched.
//! 2. If this process is root, a server runs as an account without privileges: `postgres` or `mysql`, or else `nobody`.
//! 3. Nothing waits for the disk, so a power cut would lose data. But the operating system has everything that was
//!    committed, so that it survives [`Server::kill`]. Servers for [measurements](Purpose::Measurements), and those with a
//!    [disk of their own](Server::launch_on_disk), do wait for the disk.
//! 4. A server ends with the process that started it, however that process ends. A small shell process watches for
//!    that, stops the server and removes its directory. If the shell process is killed too, the next start removes the
//!    directory.

mod account;
mod children;
mod directory;
mod disk;
mod error;
mod galera;
mod kind;
mod lone_disk;
mod mariadb;
mod pgbouncer;
mod postgres;
mod process;
mod programs;
mod random;
mod server;
mod site;
mod standby;

pub use directory::Scratch;
pub use disk::Disk;
pub use error::ServerError;
pub use galera::Galera;
pub use kind::{Kind, Purpose};
pub use lone_disk::LoneDisk;
pub use pgbouncer::{PoolMode, Pooler};
pub use server::Server;
pub use standby::{Pair, Synchronous};

/// Lets these processes stand still. If one is gone already, nothing happens to it.
pub fn freeze(processes: &[u32]) {
    process::signal("STOP", processes);
}

/// Lets these processes go on after [`freeze`].
pub fn thaw(processes: &[u32]) {
    process::signal("CONT", processes);
}

/// Starts a PostgreSQL server.
pub fn postgres() -> Result<Server, ServerError> {
    Server::launch(Kind::Postgres)
}

/// Starts a MariaDB server with an empty database named `cloakroom`.
pub fn mariadb() -> Result<Server, ServerError> {
    Server::launch(Kind::MariaDb)
}
