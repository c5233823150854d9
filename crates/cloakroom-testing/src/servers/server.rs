use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use super::directory::Directory;
use super::disk::Disk;
use super::error::ServerError;
use super::kind::{Kind, Purpose};
use super::process::{self, Ending, Watchdog};
use super::site::Site;
use super::{children, directory, mariadb, postgres, programs, random};

const START_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// What a new server's data begins with.
#[derive(Clone, Copy)]
pub(super) enum Original<'a> {
    /// Nothing, in its own directory.
    None,
    /// Nothing, on a disk of its own.
    Disk,
    /// A copy of another server's, which must not run.
    Server(&'a Server),
}

/// A running throwaway server. Dropping it ends the server and removes its data.
pub struct Server {
    url: String,
    process: Option<Child>,
    watchdog: Watchdog,
    pub(super) site: Site,
    /// What its data is on, if that is not the directory's own disk.
    disk: Option<Disk>,
}

impl Server {
    /// Returns the URL to connect to: `postgres://postgres:…@127.0.0.1:…/postgres` or
    /// `mysql://root:…@127.0.0.1:…/cloakroom`. The account may create further databases.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns which server this is.
    pub fn kind(&self) -> Kind {
        self.site.kind
    }

    /// Returns the product's name, for people.
    pub fn name(&self) -> &'static str {
        self.site.kind.name()
    }

    /// Returns the port of 127.0.0.1 on which it listens. The port stays the same for the server's life.
    pub fn port(&self) -> u16 {
        self.site.port
    }

    /// Returns the password of the account in [`url`](Self::url).
    pub(super) fn password(&self) -> &str {
        &self.site.password
    }

    /// Returns the id of the server's process, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Returns `true` if the server's process runs: not after [`stop`](Self::stop), [`kill`](Self::kill), or a crash.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// Returns what the server has logged since it was started last.
    pub fn log(&self) -> String {
        fs::read(self.site.log()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// Returns the last lines of the server's log.
    pub fn log_tail(&self) -> String {
        self.site.log_tail()
    }

    /// Shuts the server down cleanly, without waiting for its clients to leave, and waits until it has ended. If it has
    /// not ended after 30 seconds, it is killed.
    pub fn stop(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        let signal = match self.site.kind {
            Kind::Postgres => "INT",
            Kind::MariaDb => "TERM",
        };
        process::signal(signal, &[process.id()]);
        if process::wait(process, STOP_TIMEOUT) {
            self.forget_process();
        } else {
            self.kill();
        }
    }

    /// Kills the server and all its processes at once, as a crash would.
    pub fn kill(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        // Stopped first, so that it starts no child before it ends.
        process::signal("STOP", &[process.id()]);
        process::signal("KILL", &children::of(process.id()));
        process::end(process);
        self.forget_process();
    }

    /// Cuts the power of the server's disk, so that all that was not synced is lost, and kills the server. Then brings the
    /// power back: the server can be [started](Self::start) with what is left.
    ///
    /// The server stands still first, as it does when the power fails: it must not answer while the disk goes. An `fsync`
    /// that is out meanwhile may say that it is done, and is not.
    ///
    /// # Errors
    ///
    /// If it has no [disk of its own](Self::launch_on_disk), or the disk cannot be mounted again.
    pub fn cut_power(&mut self) -> Result<(), ServerError> {
        let Some(disk) = &self.disk else {
            return Err(ServerError::failed("the server has no disk of its own".to_owned(), String::new()));
        };
        self.freeze();
        if let Err(error) = disk.cut_power() {
            self.thaw();
            return Err(error);
        }
        self.kill();
        self.disk.as_ref().map_or(Ok(()), Disk::restore_power)
    }

    /// Returns `true` if its data is on a disk of its own, whose power can be cut.
    pub fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Lets the server and all its processes stand still, with their connections open, until [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        self.signal_all("STOP");
    }

    /// Lets the server go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.signal_all("CONT");
    }

    fn signal_all(&self, signal: &str) {
        if let Some(id) = self.process_id() {
            // The first is the one that starts the others.
            process::signal(signal, &[id]);
            process::signal(signal, &children::of(id));
        }
    }

    /// Starts the server again after [`stop`](Self::stop), [`kill`](Self::kill) or a crash, with
    /// the same data, password and port. Does nothing while it runs.
    pub fn start(&mut self) -> Result<(), ServerError> {
        if self.is_running() {
            return Ok(());
        }
        self.forget_process();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match self.start_once() {
                // The last child of a killed server may end a moment later.
                Err(error) if error.log_says("is still in use") && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(50));
                }
                result => return result,
            }
        }
    }

    /// Starts a server of this kind, for tests.
    pub fn launch(kind: Kind) -> Result<Self, ServerError> {
        Self::launch_for(kind, Purpose::Tests)
    }

    /// Starts a server of this kind with the settings for this purpose.
    pub fn launch_for(kind: Kind, purpose: Purpose) -> Result<Self, ServerError> {
        Self::launch_new(Self::prepare(kind, purpose, Original::None)?)
    }

    /// Starts a server of this kind with a [`Disk`] of its own, for whose answers it waits.
    pub fn launch_on_disk(kind: Kind) -> Result<Self, ServerError> {
        Self::launch_new(Self::prepare(kind, Purpose::Measurements, Original::Disk)?)
    }

    fn launch_new(mut server: Self) -> Result<Self, ServerError> {
        let mut attempts = 5;
        loop {
            server.site.port = random::free_port()?;
            match server.start_once() {
                // Another process took the port first. That is unlikely to happen twice.
                Err(error) if error.log_says("Address already in use") && attempts > 1 => {
                    attempts -= 1;
                }
                result => {
                    result?;
                    server.url = server.site.url();
                    return Ok(server);
                }
            }
        }
    }

    pub(super) fn prepare(kind: Kind, purpose: Purpose, from: Original<'_>) -> Result<Self, ServerError> {
        // Checked before anything is created.
        programs::require(kind)?;
        // The watchdog starts before the server that it watches, so that the server is never without it. It removes the
        // directory also if one of the next steps fails.
        let path = Directory::free_path()?;
        let watchdog = Watchdog::start(&path)?;
        let (directory, account) = Directory::create(path, kind)?;
        let mut server = Self {
            url: String::new(),
            process: None,
            watchdog,
            site: Site {
                kind,
                purpose,
                directory,
                account,
                password: random::hex(16)?,
                port: 0,
                options: Vec::new(),
                ready_when: None,
                has_accounts: false,
            },
            disk: None,
        };
        if let Original::Server(original) = from {
            server.site.password.clone_from(&original.site.password);
            server.site.has_accounts = true;
            let (from, to) = (original.site.file("data"), server.site.file("data"));
            directory::copy(&from, &to, server.site.account.as_ref())?;
            return Ok(server);
        }
        if let Original::Disk = from {
            let disk = Disk::create(server.site.directory.path())?;
            directory::give(disk.path(), server.site.account.as_ref())?;
            server.disk = Some(disk);
        }
        let command = match kind {
            Kind::Postgres => postgres::initialise(&server.site)?,
            Kind::MariaDb => mariadb::initialise(&server.site)?,
        };
        server.run_to_end(&command)?;
        // The programs that make the data do not wait for the disk.
        server.disk.as_ref().map_or(Ok(()), Disk::sync)?;
        server.site.directory.remove_file("password");
        Ok(server)
    }

    /// Prepares a server that begins with a copy of this one's data, accounts and password. This one must not run.
    pub(super) fn prepare_copy(&self) -> Result<Self, ServerError> {
        Self::prepare(self.site.kind, self.site.purpose, Original::Server(self))
    }

    /// Starts a server that was prepared with its own options, on its port.
    pub(super) fn launch_prepared(&mut self) -> Result<(), ServerError> {
        self.start_once()?;
        self.url = self.site.url();
        Ok(())
    }

    pub(super) fn run_to_end(&mut self, command: &Command) -> Result<(), ServerError> {
        let program = PathBuf::from(command.get_program());
        let ending = match self.kind() {
            Kind::Postgres => Ending::Wait,
            Kind::MariaDb => Ending::Kill,
        };
        self.spawn(command, ending)?;
        let Some(process) = &mut self.process else {
            unreachable!("spawn has just set it");
        };
        let ended = process::wait(process, START_TIMEOUT);
        let succeeded = matches!(process.try_wait(), Ok(Some(status)) if status.success());
        if !ended {
            self.kill();
        }
        self.forget_process();
        if succeeded {
            Ok(())
        } else {
            let doing = format!("{} did not succeed", program.display());
            Err(ServerError::failed(doing, self.log_tail()))
        }
    }

    fn start_once(&mut self) -> Result<(), ServerError> {
        // An empty log, so that an earlier "ready" or "in use" is not taken for one of this start.
        let log = self.site.log();
        fs::write(&log, "").map_err(|e| ServerError::io("empty", &log, e))?;
        let command = match self.site.kind {
            Kind::Postgres => postgres::server(&self.site)?,
            Kind::MariaDb => mariadb::server(&self.site)?,
        };
        let ending = match self.kind() {
            Kind::Postgres => Ending::Quit,
            Kind::MariaDb => Ending::Kill,
        };
        self.spawn(&command, ending)?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if !self.is_running() {
                self.forget_process();
                let doing = format!("{} ended while starting", self.name());
                return Err(ServerError::failed(doing, self.log_tail()));
            }
            if self.is_ready() {
                return Ok(());
            }
            if Instant::now() > deadline {
                self.kill();
                let doing = format!("{} was not ready after 60 seconds", self.name());
                return Err(ServerError::failed(doing, self.log_tail()));
            }
            thread::sleep(POLL);
        }
    }

    fn is_ready(&self) -> bool {
        self.process_id().is_some_and(|pid| match self.site.kind {
            Kind::Postgres => postgres::is_ready(&self.site, pid) && self.site.says_that_it_is_ready(),
            // The usual words are in a node's too.
            Kind::MariaDb => self.site.says_that_it_is_ready() && mariadb::is_ready(&self.site),
        })
    }

    fn spawn(&mut self, command: &Command, ending: Ending) -> Result<(), ServerError> {
        let process = process::spawn(command, &self.site, &mut self.watchdog, ending)?;
        self.process = Some(process);
        Ok(())
    }

    fn forget_process(&mut self) {
        self.process = None;
        self.watchdog.forget();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.site.kind == Kind::Postgres
            && let Some(process) = &mut self.process
        {
            // Immediate shutdown: as quick as a kill, but it frees its shared memory.
            process::signal("QUIT", &[process.id()]);
            process::wait(process, Duration::from_secs(5));
        }
        if self.is_running() {
            self.kill();
        }
        self.forget_process();
        self.watchdog.retire();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("kind", &self.site.kind)
            .field("port", &self.site.port)
            .field("process_id", &self.process_id())
            .finish_non_exhaustive()
    }
}
