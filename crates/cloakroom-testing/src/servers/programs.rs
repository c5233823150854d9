//! Finds the servers' programs.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::ServerError;
use super::kind::Kind;

/// Returns the path of `program`: from `PATH`, or else from where the systems' packages put it.
pub(super) fn find(kind: Kind, program: &'static str) -> Result<PathBuf, ServerError> {
    search(kind, program).ok_or(ServerError::MissingProgram { kind, program })
}

pub(super) fn require(kind: Kind) -> Result<(), ServerError> {
    for program in kind.programs() {
        find(kind, program)?;
    }
    Ok(())
}

impl Kind {
    /// Returns those of the programs that this machine lacks.
    pub fn missing_programs(self) -> Vec<&'static str> {
        let programs = self.programs().iter().copied();
        programs.filter(|program| search(self, program).is_none()).collect()
    }
}

fn search(kind: Kind, program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .chain(usual_places(kind))
        // `postgres` and `initdb` must be of one version, and so from one directory.
        .filter(|directory| kind == Kind::MariaDb || has_all(directory, kind.programs()))
        .map(|directory| directory.join(program))
        .find(|file| is_executable(file))
}

fn usual_places(kind: Kind) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if kind == Kind::Postgres {
        places.extend(versions("/usr/lib/postgresql", "bin")); // Debian, Ubuntu
        places.extend(versions("/usr", "bin")); // PGDG on Fedora: /usr/pgsql-17
    }
    for prefix in ["/usr", "/usr/local", "/opt/homebrew", "/home/linuxbrew/.linuxbrew"] {
        let prefix = Path::new(prefix);
        places.extend(["bin", "sbin", "libexec"].map(|directory| prefix.join(directory)));
        if kind == Kind::Postgres {
            places.extend(versions(prefix.join("opt"), "bin")); // Homebrew: opt/postgresql@17
        } else {
            places.push(prefix.join("opt/mariadb/bin"));
            places.push(prefix.join("mysql/scripts"));
        }
    }
    places
}

/// Returns the directories `parent/<something of PostgreSQL>/<leaf>`, the newest version first.
fn versions(parent: impl AsRef<Path>, leaf: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path().join(leaf))))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Returns the major version in a directory's name: `17`, `9.6`, `pgsql-17`, `postgresql@17`.
fn version(name: &str) -> Option<u32> {
    let number = name.strip_prefix("pgsql-").or_else(|| name.strip_prefix("postgresql@")).unwrap_or(name);
    number.split('.').next()?.parse().ok()
}

fn has_all(directory: &Path, programs: &[&str]) -> bool {
    programs.iter().all(|program| is_executable(&directory.join(program)))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_names_that_packages_use() {
        assert_eq!(version("17"), Some(17));
        assert_eq!(version("9.6"), Some(9));
        assert_eq!(version("pgsql-16"), Some(16));
        assert_eq!(version("postgresql@15"), Some(15));
        assert_eq!(version("share"), None);
    }

    #[test]
    fn a_directory_is_not_a_program() {
        assert!(!is_executable(Path::new("/")));
        assert!(is_executable(Path::new("/bin/sh")));
    }
}
