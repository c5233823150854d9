use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::process::Process;

/// The demo as it is built, on a database of its own.
pub(crate) struct Site {
    _process: Process,
    directory: TempDir,
    pub(crate) address: SocketAddr,
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom-demo"));
        command
            .args(["--address", "127.0.0.1:0", "--database"])
            .arg(database_in(&directory))
            .args(arguments)
            .current_dir(directory.path())
            .env_remove("DATABASE_URL")
            .envs([("RUST_LOG", "info"), ("NO_COLOR", "1")]);
        let (process, address) = Process::start(&command, "Listening on http://");
        let address = address.trim_end_matches('/').parse().expect("an address");
        Self { _process: process, directory, address }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of its database.
    pub(crate) fn database(&self) -> String {
        database_in(&self.directory)
    }
}

fn database_in(directory: &TempDir) -> String {
    format!("sqlite:{}", directory.path().join("demo.db").display())
}
