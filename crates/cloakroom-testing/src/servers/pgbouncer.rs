use std::fmt;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::directory::Directory;
use super::error::ServerError;
use super::kind::{Kind, Purpose};
use super::process::{self, Ending, Watchdog};
use super::server::Server;
use super::site::Site;
use super::{programs, random};

const PROGRAM: &str = "pgbouncer";
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// When a pooler's client gets another connection of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// When it connects anew.
    Session,
    /// After each transaction.
    Transaction,
}

/// A running pgbouncer in front of a PostgreSQL server. Dropping it ends it.
pub struct Pooler {
    url: String,
    version: (u32, u32),
    process: Child,
    watchdog: Watchdog,
    /// Its directory is in use for as long as it runs.
    site: Site,
}

impl Pooler {
    /// Starts pgbouncer in front of `server`, with so many connections to it.
    ///
    /// It refuses to run as root, as the server does, and runs as the same account.
    ///
    /// # Errors
    ///
    /// If pgbouncer is not installed, or does not start.
    pub fn start(server: &Server, mode: PoolMode, connections: usize) -> Result<Self, ServerError> {
        let program = programs::anywhere(PROGRAM).ok_or(ServerError::MissingPooler)?;
        let version = version(&program)?;
        let path = Directory::free_path()?;
        let mut watchdog = Watchdog::start(&path)?;
        let (directory, account) = Directory::create(path, Kind::Postgres)?;
        let (kind, purpose, port) = (Kind::Postgres, Purpose::Tests, random::free_port()?);
        let site = Site {
            kind,
            purpose,
            directory,
            account,
            password: server.password().to_owned(),
            port,
            options: Vec::new(),
            ready_when: None,
            has_accounts: true,
        };
        let settings = settings(&site, server.port(), mode, connections, version);
        let file = site.directory.write_private("pgbouncer.ini", &settings, site.account.as_ref())?;
        let mut command = Command::new(program);
        command.arg(file);
        let process = process::spawn(&command, &site, &mut watchdog, Ending::Kill)?;
        let mut pooler = Self { url: site.url(), version, process, watchdog, site };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let has_ended = !matches!(pooler.process.try_wait(), Ok(None));
            if has_ended || Instant::now() > deadline {
                let doing = "pgbouncer did not start".to_owned();
                return Err(ServerError::failed(doing, pooler.site.log_tail()));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(pooler)
    }

    /// Returns the URL to connect to. The account and the database are the server's.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns `true` if it knows prepared statements in transaction mode, as pgbouncer does from 1.21 on.
    pub fn knows_prepared_statements(&self) -> bool {
        self.version >= PREPARES
    }

    /// Returns its version, such as `1.18`.
    pub fn version(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }

    /// Returns the programs of pgbouncer that this machine lacks.
    pub fn missing_programs() -> Vec<&'static str> {
        if programs::anywhere(PROGRAM).is_some() { Vec::new() } else { vec![PROGRAM] }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        process::end(&mut self.process);
        self.watchdog.forget();
        self.watchdog.retire();
    }
}

impl fmt::Debug for Pooler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pooler").field("version", &self.version).finish_non_exhaustive()
    }
}

/// The first version that knows `max_prepared_statements`.
const PREPARES: (u32, u32) = (1, 21);

fn settings(site: &Site, server: u16, mode: PoolMode, connections: usize, version: (u32, u32)) -> String {
    let mode = match mode {
        PoolMode::Session => "session",
        PoolMode::Transaction => "transaction",
    };
    let prepares = if version >= PREPARES { "max_prepared_statements = 200\n" } else { "" };
    let (password, port) = (&site.password, site.port);
    // Any client may come: the port is one of the loopback interface, and for the time of a test.
    format!(
        "[databases]\n\
         * = host=127.0.0.1 port={server} user=postgres password={password}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = {mode}\n\
         default_pool_size = {connections}\n\
         max_client_conn = 200\n\
         ignore_startup_parameters = extra_float_digits\n\
         {prepares}"
    )
}

/// Returns the version in `PgBouncer 1.18.0`, of the two numbers that matter.
fn version(program: &std::path::Path) -> Result<(u32, u32), ServerError> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|e| ServerError::io("run", program, e))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    read_version(&said).ok_or_else(|| ServerError::failed("pgbouncer told no version".into(), said))
}

fn read_version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split_whitespace().nth(1)?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_what_follows_the_name() {
        assert_eq!(read_version("PgBouncer 1.18.0\nlibevent 2.1.12-stable\n"), Some((1, 18)));
        assert_eq!(read_version("PgBouncer 1.26.1"), Some((1, 26)));
        assert!(PREPARES > (1, 18) && PREPARES < (1, 26));
        for other in ["", "PgBouncer", "PgBouncer one.two"] {
            assert_eq!(read_version(other), None);
        }
    }
}
