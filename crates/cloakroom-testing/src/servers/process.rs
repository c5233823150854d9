//! Processes: starting them as the right account, signalling them, and seeing them off.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::server::Site;
use super::{Kind, ServerError};

/// Starts `command` as the site's account, in its directory, writing to its log.
pub(super) fn spawn(command: &mut Command, site: &Site) -> Result<Child, ServerError> {
    let log_path = site.log();
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&log_path)
        .map_err(|e| ServerError::io("open", &log_path, e))?;
    let error_log = log
        .try_clone()
        .map_err(|e| ServerError::io("open", &log_path, e))?;
    let program = Path::new(command.get_program()).to_owned();

    // The caller's settings for clients and servers are not for this one.
    for (name, _) in env::vars_os() {
        let is_setting = ["PG", "MYSQL", "MARIADB"]
            .iter()
            .any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()));
        if is_setting {
            command.env_remove(name);
        }
    }
    command
        .envs([("LC_ALL", "C"), ("TZ", "UTC")])
        .env("HOME", site.directory.path())
        .env("TMPDIR", site.directory.path())
        .current_dir(site.directory.path())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(error_log)
        // Out of the terminal's group: Ctrl-C is for the parent, and the watchdog does the rest.
        .process_group(0);
    if let Some(account) = &site.account {
        // As root this also drops the supplementary groups.
        command.uid(account.uid).gid(account.gid);
    }
    command
        .spawn()
        .map_err(|e| ServerError::io("run", &program, e))
}

/// Sends a signal, by the shell: std has none but KILL. Failures are a process already gone.
pub(super) fn signal(name: &str, processes: &[u32]) {
    if processes.is_empty() {
        return;
    }
    let _ = shell(r#"name=$1; shift; kill -s "$name" "$@""#)
        .arg(name)
        .args(processes.iter().map(u32::to_string))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// Waits for the end of `process`; false if it is still there after `timeout`.
pub(super) fn wait(process: &mut Child, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    while let Ok(None) = process.try_wait() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Kills `process` and waits for its end.
pub(super) fn end(process: &mut Child) {
    // Both fail only for a process that is gone and waited for.
    let _ = process.kill();
    let _ = process.wait();
}

/// A shell process that outlives us for a moment. It reads from us which process group to watch;
/// when the pipe ends, because we have ended in whatever way, it stops that group and removes the
/// directory.
pub(super) struct Watchdog {
    process: Child,
    pipe: Option<ChildStdin>,
}

const WATCHDOG: &str = r#"
directory=$1 gentle=$2 group=
trap '' HUP INT QUIT TERM
while read -r line; do group=$line; done
if [ -n "$group" ]; then
    kill -s "$gentle" -- "-$group"
    tries=60
    while kill -s 0 -- "-$group" && [ "$tries" -gt 0 ]; do
        sleep 0.1
        tries=$((tries - 1))
    done
    kill -s KILL -- "-$group"
fi
tries=20
while ! rm -rf -- "$directory" && [ "$tries" -gt 0 ]; do
    sleep 0.1
    tries=$((tries - 1))
done
"#;

impl Watchdog {
    pub(super) fn start(directory: &Path, kind: Kind) -> Result<Self, ServerError> {
        let mut process = shell(WATCHDOG)
            .arg(directory)
            .arg(match kind {
                // Immediate shutdown, in which it stops its children and frees shared memory.
                Kind::Postgres => "QUIT",
                Kind::MariaDb => "KILL",
            })
            .current_dir("/")
            .stdin(Stdio::piped())
            // Whoever reads our output must not wait for the watchdog's end.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| ServerError::io("run", Path::new("/bin/sh"), e))?;
        let pipe = process.stdin.take();
        Ok(Self { process, pipe })
    }

    /// Names the process group to watch, or none: told before its number can be used again.
    pub(super) fn watch(&mut self, group: Option<u32>) {
        let line = group.map_or_else(String::new, |group| group.to_string());
        if let Some(pipe) = &mut self.pipe {
            // Without its watchdog the server still ends with `Server`.
            let _ = writeln!(pipe, "{line}");
        }
    }

    /// Lets it go, after the work is done.
    pub(super) fn retire(&mut self) {
        self.pipe = None;
        let _ = self.process.wait();
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.retire();
    }
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "cloakroom-watchdog"]);
    command
}
