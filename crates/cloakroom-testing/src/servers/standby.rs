//! A primary and a standby of PostgreSQL's.

use std::fs;
use std::mem;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::error::ServerError;
use super::kind::{Kind, Purpose};
use super::process;
use super::programs;
use super::random;
use super::server::{Original, Server};

/// What a commit on the primary waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// Nothing at the standby.
    No,
    /// The standby has written it: `synchronous_commit = on`.
    Written,
    /// The standby's readers see it: `synchronous_commit = remote_apply`.
    Applied,
}

impl Synchronous {
    fn options(self) -> [String; 2] {
        let commit = match self {
            Self::No => "local",
            Self::Written => "on",
            Self::Applied => "remote_apply",
        };
        let names = if self == Self::No { "" } else { "standby" };
        [format!("synchronous_standby_names={names}"), format!("synchronous_commit={commit}")]
    }
}

/// A running primary and its hot standby. Dropping it ends both and removes their data.
#[derive(Debug)]
pub struct Pair {
    /// Takes reads and writes.
    pub primary: Server,
    /// Takes reads, and repeats what the primary has committed.
    pub standby: Server,
    /// What a standby waits for when it has become the primary.
    later: Synchronous,
}

impl Pair {
    /// Starts the two, for tests.
    pub fn launch(synchronous: Synchronous) -> Result<Self, ServerError> {
        Self::launch_for(Purpose::Tests, synchronous)
    }

    /// Starts the two, for tests, to fail over again and again: a standby that has become the primary waits for its own
    /// standby too, for as long as there is none.
    pub fn launch_to_fail_over(synchronous: Synchronous) -> Result<Self, ServerError> {
        Self::launch_with(Purpose::Tests, synchronous, synchronous)
    }

    /// Starts the two with the settings for this purpose.
    pub fn launch_for(purpose: Purpose, synchronous: Synchronous) -> Result<Self, ServerError> {
        // The standby may become the primary, and would wait for a standby that it does not have.
        Self::launch_with(purpose, synchronous, Synchronous::No)
    }

    fn launch_with(
        purpose: Purpose,
        synchronous: Synchronous,
        later: Synchronous,
    ) -> Result<Self, ServerError> {
        let mut primary = Server::prepare(Kind::Postgres, purpose, Original::None)?;
        let mut standby = primary.prepare_copy()?;
        primary.site.port = random::free_port()?;
        standby.site.port = random::free_port()?;
        primary.site.options = synchronous.options().into();
        let from = from(&standby, &primary)?;
        follow(&mut standby, &from, later)?;
        primary.launch_prepared()?;
        standby.launch_prepared()?;
        Ok(Self { primary, standby, later })
    }

    /// Starts a new standby in the place of the one that [`fail_over`](Self::fail_over) has made the primary, which is
    /// `primary` from now on. It begins with a copy of the primary's data, which that gives while it works. What the
    /// primary before had is thrown away.
    ///
    /// # Errors
    ///
    /// If the data cannot be copied, or the standby does not start.
    pub fn replace_standby(&mut self) -> Result<(), ServerError> {
        mem::swap(&mut self.primary, &mut self.standby);
        let Self { primary, standby, later } = self;
        standby.kill();
        let data = standby.site.file("data");
        fs::remove_dir_all(&data).map_err(|error| ServerError::io("remove", &data, error))?;
        let mut copy = Command::new(programs::find(Kind::Postgres, "pg_basebackup")?);
        let from = from(standby, primary)?;
        copy.args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "--dbname", &from, "--pgdata"]);
        standby.run_to_end(copy.arg(&data))?;
        follow(standby, &from, *later)?;
        standby.launch_prepared()
    }

    /// Ends the primary as a crash would, and makes the standby take its place.
    ///
    /// # Errors
    ///
    /// If the standby cannot be told, or does not take its place within a minute.
    pub fn fail_over(&mut self) -> Result<(), ServerError> {
        self.primary.kill();
        self.promote()
    }

    /// Makes the standby take writes, and waits until it does.
    ///
    /// # Errors
    ///
    /// If the standby cannot be told, or does not take its place within a minute.
    pub fn promote(&mut self) -> Result<(), ServerError> {
        let site = &self.standby.site;
        // Under its name only when it is whole: the server looks for it now and then, without being told, and removes it.
        let prepared = site.directory.write_private("promote", "", site.account.as_ref())?;
        let promote = site.file("data/promote");
        fs::rename(prepared, &promote).map_err(|error| ServerError::io("name", &promote, error))?;
        let process: Vec<u32> = self.standby.process_id().into_iter().collect();
        process::signal("USR1", &process);
        let deadline = Instant::now() + Duration::from_mins(1);
        // The server removes this file when it has taken its place.
        while site.file("data/standby.signal").exists()
            || !site.log_tail().contains("is ready to accept connections")
        {
            if Instant::now() > deadline {
                let doing = "the standby was not promoted within a minute".to_owned();
                return Err(ServerError::failed(doing, site.log_tail()));
            }
            thread::sleep(Duration::from_millis(5));
        }
        // It starts as a primary from now on.
        self.standby.site.ready_when = None;
        Ok(())
    }
}

/// Returns where a standby finds its primary.
fn from(standby: &Server, primary: &Server) -> Result<String, ServerError> {
    // Not in the command, which every account of this machine sees.
    let site = &standby.site;
    let passwords = format!("*:*:*:*:{}\n", primary.site.password);
    let passwords = site.directory.write_private("passwords", &passwords, site.account.as_ref())?;
    let (port, passwords) = (primary.port(), passwords.display());
    Ok(format!("host=127.0.0.1 port={port} user=postgres passfile={passwords} application_name=standby"))
}

/// Prepares a server with a copy of the primary's data to repeat what the primary does, which it finds [there](from), and
/// to wait for this if it becomes the primary.
fn follow(standby: &mut Server, from: &str, later: Synchronous) -> Result<(), ServerError> {
    let site = &standby.site;
    site.directory.write_private("data/standby.signal", "", site.account.as_ref())?;
    standby.site.options = vec![format!("primary_conninfo={from}")];
    if later != Synchronous::No {
        standby.site.options.extend(later.options());
    }
    standby.site.ready_when = Some("started streaming WAL from primary");
    Ok(())
}
