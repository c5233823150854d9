//! A primary and a standby of PostgreSQL's.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::error::ServerError;
use super::kind::{Kind, Purpose};
use super::process;
use super::random;
use super::server::Server;

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

/// A running primary and its hot standby. Dropping it ends both and removes their data.
#[derive(Debug)]
pub struct Pair {
    /// Takes reads and writes.
    pub primary: Server,
    /// Takes reads, and repeats what the primary has committed.
    pub standby: Server,
}

impl Pair {
    /// Starts the two, for tests.
    pub fn launch(synchronous: Synchronous) -> Result<Self, ServerError> {
        Self::launch_for(Purpose::Tests, synchronous)
    }

    /// Starts the two with the settings for this purpose.
    pub fn launch_for(purpose: Purpose, synchronous: Synchronous) -> Result<Self, ServerError> {
        let mut primary = Server::prepare(Kind::Postgres, purpose, None)?;
        let mut standby = primary.prepare_copy()?;
        primary.site.port = random::free_port()?;
        standby.site.port = random::free_port()?;
        let commit = match synchronous {
            Synchronous::No => "local",
            Synchronous::Written => "on",
            Synchronous::Applied => "remote_apply",
        };
        // Either may become the other, and then waits for a standby that it does not have.
        let names = if synchronous == Synchronous::No { "" } else { "standby" };
        primary.site.options =
            vec![format!("synchronous_standby_names={names}"), format!("synchronous_commit={commit}")];
        let site = &standby.site;
        site.directory.write_private("data/standby.signal", "", site.account.as_ref())?;
        // Not in the command, which every account of this machine sees.
        let passwords = format!("*:*:*:*:{}\n", primary.site.password);
        let passwords = site.directory.write_private("passwords", &passwords, site.account.as_ref())?;
        standby.site.options = vec![format!(
            "primary_conninfo=host=127.0.0.1 port={} user=postgres passfile={} application_name=standby",
            primary.port(),
            passwords.display(),
        )];
        standby.site.ready_when = Some("started streaming WAL from primary");
        primary.launch_prepared()?;
        standby.launch_prepared()?;
        Ok(Self { primary, standby })
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
