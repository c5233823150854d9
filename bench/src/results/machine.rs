//! The machine and the versions that the figures were measured with.

use std::{env, fs, thread};

use serde::Serialize;

/// The crates with versions that matter to a reader of the figures.
const CRATES: [&str; 16] = [
    "cloakroom",
    "sqlx",
    "tower-sessions",
    "tower-sessions-sqlx-store",
    "tower-sessions-moka-store",
    "axum_session",
    "axum_session_sqlx",
    "rusqlite",
    "libsqlite3-sys",
    "tokio-postgres",
    "jsonwebtoken",
    "aws-lc-rs",
    "papaya",
    "axum",
    "tokio",
    "sha2",
];

#[derive(Debug, Default, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: Option<u64>,
    pub system: String,
    /// The versions of the servers that ran, and of SQLite.
    pub databases: Vec<String>,
    pub crates: Vec<String>,
}

impl Machine {
    pub fn look(databases: Vec<String>) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let system =
            field(&read("/etc/os-release"), "PRETTY_NAME", '=').unwrap_or_else(|| env::consts::OS.to_owned());
        let processor = field(&read("/proc/cpuinfo"), "model name", ':');
        let memory = field(&read("/proc/meminfo"), "MemTotal", ':');
        Self {
            processor: processor.unwrap_or_else(|| env::consts::ARCH.to_owned()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory.and_then(|size| gibibytes(&size)),
            system,
            databases,
            crates: versions(include_str!("../../Cargo.lock")),
        }
    }
}

/// Returns the value of the first line that begins with `name`.
fn field(text: &str, name: &str, separator: char) -> Option<String> {
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once(separator)?;
        (key.trim() == name).then_some(value)
    })?;
    Some(value.trim().trim_matches('"').to_owned())
}

fn gibibytes(kibibytes: &str) -> Option<u64> {
    let number: u64 = kibibytes.strip_suffix(" kB")?.trim().parse().ok()?;
    Some((number + (1 << 19)) >> 20)
}

/// Returns `name version` of each of [`CRATES`], in its order, as often as the lock file has it.
fn versions(lock: &str) -> Vec<String> {
    let locked: Vec<(&str, &str)> = lock
        .split("[[package]]")
        .filter_map(|package| {
            let value = |key: &str| {
                let line = package.lines().find(|line| line.starts_with(key))?;
                line.split('"').nth(1)
            };
            Some((value("name = ")?, value("version = ")?))
        })
        .collect();
    let of = |wanted: &'static str| {
        let found = locked.iter().filter(move |(name, _)| *name == wanted);
        found.map(|(name, version)| format!("{name} {version}"))
    };
    CRATES.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n";
        assert_eq!(field(text, "PRETTY_NAME", '='), Some("Debian GNU/Linux 12".to_owned()));
        assert_eq!(field(text, "PRETTY", '='), None);
    }

    #[test]
    fn memory_is_told_in_whole_gibibytes() {
        assert_eq!(gibibytes("16384000 kB"), Some(16));
        assert_eq!(gibibytes("much"), None);
    }

    #[test]
    fn the_lock_file_names_every_crate() {
        let versions = versions(include_str!("../../Cargo.lock"));
        for name in CRATES {
            assert!(versions.iter().any(|version| version.starts_with(&format!("{name} "))), "{name}");
        }
    }
}
