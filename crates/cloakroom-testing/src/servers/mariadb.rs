use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::ServerError;
use super::kind::{Kind, Purpose};
use super::programs;
use super::site::Site;

/// Creates the data directory.
pub(super) fn initialise(site: &Site) -> Result<Command, ServerError> {
    let is_mysql = Kind::MariaDb.is_mysql();
    let program = if is_mysql { "mysqld" } else { "mariadb-install-db" };
    let mut command = Command::new(programs::find(Kind::MariaDb, program)?);
    // This option has to come first: the machine's own settings must not apply.
    command.arg("--no-defaults").args(in_folder());
    if is_mysql {
        command.arg("--initialize-insecure");
    } else {
        command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
    }
    command.args(common_options(site));
    Ok(command)
}

/// Where a server that was unpacked beside the system has what it reads.
fn in_folder() -> Vec<String> {
    let base = Kind::MariaDb.folder().map(|folder| folder.join("usr"));
    let is_unpacked = |base: &PathBuf| base.is_dir();
    let Some(base) = base.filter(is_unpacked) else {
        return Vec::new();
    };
    vec![option("--basedir", &base), option("--plugin-dir", &base.join("lib/mysql/plugin"))]
}

/// Returns the command that runs the server.
pub(super) fn server(site: &Site) -> Result<Command, ServerError> {
    let program = if Kind::MariaDb.is_mysql() { "mysqld" } else { "mariadbd" };
    let mut command = Command::new(programs::find(Kind::MariaDb, program)?);
    command
        .arg("--no-defaults")
        .args(in_folder())
        .args(common_options(site))
        .arg(option("--socket", &site.file("socket")))
        .arg(option("--pid-file", &site.file("pid")))
        .arg(format!("--port={}", site.port))
        .args(["--bind-address=127.0.0.1", "--max-connections=400"])
        .arg("--character-set-server=utf8mb4");
    if !site.has_accounts {
        command.arg(option("--init-file", &accounts(site)?));
    }
    command.args(&site.options);
    Ok(command)
}

/// Returns `true` if the server's log says that it is ready, and it greets a client.
pub(super) fn is_ready(site: &Site) -> bool {
    let says_so =
        fs::read(site.log()).is_ok_and(|log| String::from_utf8_lossy(&log).contains("ready for connections"));
    if says_so && greets(site.port) {
        site.directory.remove_file("accounts.sql");
        return true;
    }
    false
}

fn common_options(site: &Site) -> Vec<String> {
    let mut options = vec![
        option("--datadir", &site.file("data")),
        option("--tmpdir", site.directory.path()),
        "--skip-name-resolve".to_owned(),
        "--skip-log-bin".to_owned(),
        // MySQL looks there for files to load, and does not start without the directory.
        option("--secure-file-priv", site.directory.path()),
        "--loose-aria-pagecache-buffer-size=8M".to_owned(),
    ];
    options.extend(durability(site.purpose).iter().map(|&option| option.to_owned()));
    options
}

fn durability(purpose: Purpose) -> &'static [&'static str] {
    match purpose {
        Purpose::Tests => &[
            // At a commit the log is written but not flushed: it survives a kill.
            "--innodb-flush-log-at-trx-commit=2",
            "--loose-innodb-flush-method=nosync",
            "--loose-innodb-doublewrite=0",
            "--loose-innodb-log-file-size=16M",
            "--innodb-buffer-pool-size=64M",
        ],
        Purpose::Measurements => &["--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=256M"],
    }
}

/// The SQL that the server runs before it accepts clients. It can be run again: the password stays the same.
fn accounts(site: &Site) -> Result<PathBuf, ServerError> {
    let password = &site.password;
    let statements = format!(
        "CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';\n\
         ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '{password}';\n\
         GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n\
         CREATE USER IF NOT EXISTS 'root'@'localhost';\n\
         ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';\n\
         GRANT ALL PRIVILEGES ON *.* TO 'root'@'localhost' WITH GRANT OPTION;\n\
         CREATE DATABASE IF NOT EXISTS cloakroom CHARACTER SET utf8mb4;\n"
    );
    site.directory.write_private("accounts.sql", &statements, site.account.as_ref())
}

/// A server that accepts connections speaks first: three bytes of length, a zero, and the version of its protocol, 10.
fn greets(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let timeout = Duration::from_secs(2);
    let Ok(mut stream) = TcpStream::connect_timeout(&address, timeout) else {
        return false;
    };
    let mut start = [0; 5];
    stream.set_read_timeout(Some(timeout)).is_ok()
        && stream.read_exact(&mut start).is_ok()
        && start[3..] == [0, 10]
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}
