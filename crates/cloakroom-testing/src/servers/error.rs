use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use super::kind::Kind;

/// Why a throwaway server could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// A program is not installed.
    MissingProgram {
        /// The server that needs it.
        kind: Kind,
        /// The programs that were looked for, in `PATH` and the usual places.
        program: &'static str,
    },
    /// pgbouncer is not installed.
    MissingPooler,
    /// A program that a [`Disk`](super::Disk) needs is not installed.
    MissingForDisk {
        /// The program.
        program: &'static str,
    },
    /// This process runs as root, the server refuses to run as root, and there is no other account to run it under.
    NoAccount {
        /// The accounts looked for in `/etc/passwd`.
        wanted: &'static [&'static str],
    },
    /// The operating system refused an action.
    Io {
        /// The action, and the file that it concerned.
        doing: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program ran and failed.
    Failed {
        /// What happened.
        what: String,
        /// The last lines of its log.
        log: String,
    },
}

impl ServerError {
    pub(super) fn io(verb: &str, path: &Path, source: io::Error) -> Self {
        let doing = format!("{verb} {}", path.display());
        Self::Io { doing, source }
    }

    pub(super) fn failed(what: String, log: String) -> Self {
        Self::Failed { what, log }
    }

    pub(super) fn log_says(&self, words: &str) -> bool {
        matches!(self, Self::Failed { log, .. } if log.contains(words))
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingProgram { kind, program } => {
                let package = kind.package();
                write!(
                    f,
                    "{kind}'s program `{program}` is neither in PATH nor in the usual places; \
                     install it (Debian, Ubuntu: `apt-get install {package}`)"
                )
            }
            Self::MissingPooler => f.write_str(
                "`pgbouncer` is neither in PATH nor in the usual places; \
                 install it (Debian, Ubuntu: `apt-get install pgbouncer`)",
            ),
            Self::MissingForDisk { program } => write!(
                f,
                "`{program}` is neither in PATH nor in the usual places; \
                 install it (Debian, Ubuntu: `apt-get install xfsprogs`)"
            ),
            Self::NoAccount { wanted } => write!(
                f,
                "a database server does not run as root, and /etc/passwd has no account for it \
                 (looked for: {})",
                wanted.join(", ")
            ),
            Self::Io { doing, source } => write!(f, "could not {doing}: {source}"),
            Self::Failed { what, log } if log.is_empty() => write!(f, "{what}; its log is empty"),
            Self::Failed { what, log } => write!(f, "{what}; the end of its log:\n{log}"),
        }
    }
}

impl Error for ServerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = ServerError::MissingProgram { kind: Kind::MariaDb, program: "mariadb-install-db" };
        let message = error.to_string();
        assert!(message.contains("`mariadb-install-db`"), "{message}");
        assert!(message.contains("apt-get install mariadb-server"), "{message}");
    }
}
