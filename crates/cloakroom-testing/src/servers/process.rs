//! Processes: starts them as the right account, signals them, and waits for their end.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::error::ServerError;
use super::site::Site;

/// Starts `command` as the site's account, in its directory, writing to its log.
///
/// The watchdog knows of it before it does anything: the process first is a shell, which becomes the program when we
/// tell it to, and ends if we do not live to do so.
pub(super) fn spawn(
    command: &Command,
    site: &Site,
    watchdog: &mut Watchdog,
    ending: Ending,
) -> Result<Child, ServerError> {
    let program = Path::new(command.get_program());
    let (log, error_log) = open_log(site)?;
    let mut waiting = shell(r#"read -r word && exec "$@" </dev/null"#);
    waiting
        .arg(program)
        .args(command.get_args())
        .envs([("LC_ALL", "C"), ("TZ", "UTC")])
        .env("HOME", site.directory.path())
        .env("TMPDIR", site.directory.path())
        .current_dir(site.directory.path())
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(error_log)
        // Out of the terminal's group: Ctrl-C is meant for the parent, and the watchdog stops the server.
        .process_group(0);
    // The caller's settings for clients and servers do not apply to this one.
    for (name, _) in env::vars_os() {
        let is_setting = ["PG", "MYSQL", "MARIADB"]
            .iter()
            .any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()));
        if is_setting {
            waiting.env_remove(name);
        }
    }
    if let Some(account) = &site.account {
        // As root this also drops the supplementary groups.
        waiting.uid(account.uid).gid(account.gid);
    }
    let mut process = waiting.spawn().map_err(|e| ServerError::io("run", program, e))?;
    watchdog.watch(process.id(), ending);
    if let Some(mut word) = process.stdin.take() {
        // If the shell is gone, its end is noticed below.
        let _ = writeln!(word, "go");
    }
    Ok(process)
}

fn open_log(site: &Site) -> Result<(File, File), ServerError> {
    let path = site.log();
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .and_then(|log| Ok((log.try_clone()?, log)))
        .map_err(|e| ServerError::io("open", &path, e))
}

/// Sends a signal through the shell, because std can only send KILL. If it fails, the process is already gone.
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

/// Waits for the end of `process`. Returns `false` if it still runs after `timeout`.
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
    // Both fail only if the process is gone and was already waited for.
    let _ = process.kill();
    let _ = process.wait();
}

/// A shell process that outlives us for a moment. It reads from us which process group to watch. When the pipe ends,
/// because we are done or have ended in any way, it stops that group and removes the directory.
pub(super) struct Watchdog {
    process: Child,
    pipe: Option<ChildStdin>,
}

/// How the watchdog stops a process group.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// Kill it.
    Kill,
    /// `PostgreSQL`'s immediate shutdown: it stops its children and frees shared memory.
    Quit,
    /// It soon ends by itself, and would leave files behind if interrupted.
    Wait,
}

const WATCHDOG: &str = r#"
directory=$1 signal= group=
trap '' HUP INT QUIT TERM
while read -r line; do
    signal=${line% *} group=${line#* }
done
is_there() {
    case $signal in
    KILL) false ;;
    # It removes this file last. Signal 0 alone would not do: it also finds a process that has
    # ended, for as long as a slow init takes to note it.
    QUIT) [ -e "$directory/data/postmaster.pid" ] && kill -s 0 -- "-$group" ;;
    0) kill -s 0 -- "-$group" ;;
    esac
}
if [ -n "$group" ]; then
    kill -s "$signal" -- "-$group"
    tries=60
    while is_there && [ "$tries" -gt 0 ]; do
        sleep 0.1
        tries=$((tries - 1))
    done
    kill -s KILL -- "-$group"
fi
# A killed PostgreSQL leaves a few bytes of shared memory, named on line 7 of this file.
if [ -e "$directory/data/postmaster.pid" ]; then
    set -- $(sed -n 7p "$directory/data/postmaster.pid")
    ipcrm -m "$2"
fi
# The data may be on a disk of their own.
umount -l "$directory/data"
tries=20
while ! rm -rf -- "$directory" && [ "$tries" -gt 0 ]; do
    sleep 0.1
    tries=$((tries - 1))
done
"#;

impl Watchdog {
    pub(super) fn start(directory: &Path) -> Result<Self, ServerError> {
        let mut process = shell(WATCHDOG)
            .arg(directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            // A reader of our output must not wait for the watchdog's end.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| ServerError::io("run", Path::new("/bin/sh"), e))?;
        let pipe = process.stdin.take();
        Ok(Self { process, pipe })
    }

    /// Tells it which process group to watch.
    pub(super) fn watch(&mut self, group: u32, ending: Ending) {
        let signal = match ending {
            Ending::Kill => "KILL",
            Ending::Quit => "QUIT",
            Ending::Wait => "0",
        };
        self.tell(&format!("{signal} {group}"));
    }

    /// Tells it to watch nothing any more: the group is gone, and its number may be used again.
    pub(super) fn forget(&mut self) {
        self.tell("");
    }

    fn tell(&mut self, line: &str) {
        if let Some(pipe) = &mut self.pipe {
            // Without its watchdog the server still ends with `Server`.
            let _ = writeln!(pipe, "{line}");
        }
    }

    /// Makes it stop the group and remove the directory now, and waits for that.
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
    command.args(["-c", script, "cloakroom"]);
    command
}
