use std::fs;
use std::path::PathBuf;

use super::account::Account;
use super::directory::Directory;
use super::kind::{Kind, Purpose};

/// Where a server's files are, and the account that it runs as.
pub(super) struct Site {
    pub(super) kind: Kind,
    pub(super) purpose: Purpose,
    pub(super) directory: Directory,
    pub(super) account: Option<Account>,
    pub(super) password: String,
    pub(super) port: u16,
}

impl Site {
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.file("log")
    }

    pub(super) fn log_tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    pub(super) fn url(&self) -> String {
        let (scheme, user, database) = match self.kind {
            Kind::Postgres => ("postgres", "postgres", "postgres"),
            Kind::MariaDb => ("mysql", "root", "cloakroom"),
        };
        let (password, port) = (&self.password, self.port);
        format!("{scheme}://{user}:{password}@127.0.0.1:{port}/{database}")
    }
}
