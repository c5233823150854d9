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
    /// What its command has beside the usual: `name=value` for PostgreSQL, whole options for MariaDB.
    pub(super) options: Vec<String>,
    /// What its log says when it is ready, beside the usual.
    pub(super) ready_when: Option<&'static str>,
    /// Whether its data came with accounts and a database.
    pub(super) has_accounts: bool,
}

impl Site {
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.file("log")
    }

    /// Returns `true` if the log says what a server says that is ready, beside the usual.
    pub(super) fn says_that_it_is_ready(&self) -> bool {
        self.ready_when.is_none_or(|words| {
            fs::read(self.log()).is_ok_and(|log| String::from_utf8_lossy(&log).contains(words))
        })
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
