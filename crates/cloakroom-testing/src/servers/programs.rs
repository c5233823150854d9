//! Finds the servers' programs.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::ServerError;
use super::kind::Kind;

/// Returns the path of `program`: from the folder that [`Kind::folder`] names, or else from `PATH`, or else from where
/// the systems' packages put it.
pub(super) fn find(kind: Kind, program: &'static str) -> Result<PathBuf, ServerError> {
    search(kind, program).ok_or(ServerError::MissingProgram { kind, program })
}

/// Returns the path of a program that belongs to no server: from `PATH`, or else from where the systems' packages put it.
pub(super) fn anywhere(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    let places = env::split_paths(&path).filter(|directory| directory.is_absolute()).chain(usual);
    places.map(|directory| directory.join(program)).find(|file| is_executable(file))
}

pub(super) fn require(kind: Kind) -> Result<(), ServerError> {
    for program in kind.programs() {
        find(kind, program)?;
    }
    Ok(())
}

impl Kind {
    /// Returns the environment variable that may name the folder with the server's programs.
    pub fn folder_variable(self) -> &'static str {
        match self {
            Self::Postgres => "CLOAKROOM_TEST_POSTGRES_FOLDER",
            Self::MariaDb => "CLOAKROOM_TEST_MARIADB_FOLDER",
        }
    }

    /// Returns the folder that this environment variable names, such as that of an unpacked package. Servers then come
    /// from there, and never from the system.
    pub fn folder(self) -> Option<PathBuf> {
        env::var_os(self.folder_variable()).filter(|folder| !folder.is_empty()).map(PathBuf::from)
    }

    /// Returns `true` if the folder has MySQL's server, and not MariaDB's.
    pub(super) fn is_mysql(self) -> bool {
        let has = |program| search(self, program).is_some();
        self == Self::MariaDb && self.folder().is_some() && has("mysqld") && !has("mariadbd")
    }

    /// Returns the programs that a server of this kind needs.
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["postgres", "initdb"],
            Self::MariaDb if self.is_mysql() => &["mysqld"],
            Self::MariaDb => &["mariadbd", "mariadb-install-db"],
        }
    }

    /// Returns the server's programs in this folder, or in this machine if there is none: the server itself first.
    pub fn programs_in(self, folder: Option<&Path>) -> Vec<PathBuf> {
        let names = ["postgres", "mariadbd", "mysqld"];
        names.into_iter().filter_map(|name| search_in(self, folder, name)).collect()
    }

    /// Returns those of the programs that this machine, or the folder, lacks.
    pub fn missing_programs(self) -> Vec<&'static str> {
        let programs = self.programs().iter().copied();
        programs.filter(|program| search(self, program).is_none()).collect()
    }
}

fn search(kind: Kind, program: &str) -> Option<PathBuf> {
    search_in(kind, kind.folder().as_deref(), program)
}

fn search_in(kind: Kind, folder: Option<&Path>, program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = match folder {
        Some(folder) => places_in(folder),
        None => env::split_paths(&path)
            .filter(|directory| directory.is_absolute())
            .chain(usual_places(kind))
            .collect(),
    };
    let mut files = places
        .into_iter()
        // `postgres` and `initdb` must be of one version, and so from one directory.
        .filter(|directory| kind == Kind::MariaDb || has_all(directory, kind.programs()))
        .map(|directory| directory.join(program));
    files.find(|file| is_executable(file))
}

/// Returns where an unpacked package, of a system or of a registry, has its programs.
fn places_in(folder: &Path) -> Vec<PathBuf> {
    let mut places = versions(folder.join("usr/lib/postgresql"), "bin");
    places.extend(["usr/sbin", "usr/bin", "sbin", "bin", "scripts"].map(|directory| folder.join(directory)));
    places
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
