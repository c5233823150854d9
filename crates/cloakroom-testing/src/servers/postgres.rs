use std::fs;
use std::process::Command;

use super::error::ServerError;
use super::kind::{Kind, Purpose};
use super::programs;
use super::site::Site;

/// Creates the data directory.
pub(super) fn initialise(site: &Site) -> Result<Command, ServerError> {
    let password = site.directory.write_private("password", &site.password, site.account.as_ref())?;
    let mut command = Command::new(programs::find(Kind::Postgres, "initdb")?);
    command
        .arg("--pgdata")
        .arg(site.file("data"))
        .arg("--pwfile")
        .arg(password)
        // Not SCRAM: for each of the tests' many connections the client would compute thousands of hashes, unoptimised.
        // Not `password` either, with which the server computes them. Nothing of it leaves the loopback interface.
        .args(["--username=postgres", "--auth=md5"])
        .args(["--encoding=UTF8", "--no-locale"])
        // Not --no-instructions: it exists from version 14 on.
        .arg("--no-sync");
    Ok(command)
}

/// Returns the command that runs the server.
pub(super) fn server(site: &Site) -> Result<Command, ServerError> {
    let socket_directory = site.directory.path().display();
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={}", site.port),
        format!("unix_socket_directories={socket_directory}"),
        "max_connections=400".to_owned(),
        // In the data directory rather than /dev/shm, which is small in containers, and in which a killed server would
        // leave files.
        "dynamic_shared_memory_type=mmap".to_owned(),
    ];
    let mut command = Command::new(programs::find(Kind::Postgres, "postgres")?);
    command.arg("-D").arg(site.file("data"));
    let own = site.options.iter().map(String::as_str);
    for setting in settings.iter().map(String::as_str).chain(durability(site.purpose)).chain(own) {
        command.arg("-c").arg(setting);
    }
    Ok(command)
}

fn durability(purpose: Purpose) -> [&'static str; 4] {
    match purpose {
        // Commits still go to the operating system, so that they survive a kill.
        Purpose::Tests => {
            ["shared_buffers=32MB", "fsync=off", "synchronous_commit=on", "full_page_writes=off"]
        }
        Purpose::Measurements => {
            ["shared_buffers=256MB", "fsync=on", "synchronous_commit=on", "full_page_writes=on"]
        }
    }
}

/// The last line of the server's pid file says that it is ready. The first line tells it from a file that a killed
/// server left.
pub(super) fn is_ready(site: &Site, process: u32) -> bool {
    let Some(status) = pid_file(site) else {
        return false;
    };
    let lines: Vec<&str> = status.lines().map(str::trim).collect();
    lines.first().and_then(|pid| pid.parse().ok()) == Some(process)
        && lines.get(7).is_some_and(|status| ["ready", "standby"].contains(status))
}

fn pid_file(site: &Site) -> Option<String> {
    fs::read_to_string(site.file("data/postmaster.pid")).ok()
}
