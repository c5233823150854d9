//! A disk whose power can be cut.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::error::ServerError;
use super::programs;

const PROGRAMS: [&str; 4] = ["mkfs.xfs", "xfs_io", "mount", "umount"];

/// Where in its directory it is: a server's own directory of data, which the watchdog unmounts.
const MOUNT_POINT: &str = "data";

/// The file that has its contents.
const IMAGE: &str = "disk";

/// XFS makes none that is smaller than 300 MiB.
const SIZE: u64 = 2 << 30;

/// How long a process that was killed may keep the disk in use.
const PATIENCE: Duration = Duration::from_secs(30);

/// A file system of its own, in a file, whose power can be cut: what was not synced by then is lost, and every later
/// action fails until the power is back.
///
/// It is XFS on a loop device, which Linux alone has, and only root may mount it. The power is cut by XFS's own
/// `shutdown`, which drops all that its log and its files have in memory only; the file system's own tests do the same.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    path: PathBuf,
}

impl Disk {
    /// Returns which of the programs that it needs are not installed.
    pub fn missing_programs() -> Vec<&'static str> {
        PROGRAMS.into_iter().filter(|program| programs::anywhere(program).is_none()).collect()
    }

    /// Creates a disk in this directory, whose watchdog unmounts it.
    pub(super) fn create(directory: &Path) -> Result<Self, ServerError> {
        let disk = Self { image: directory.join(IMAGE), path: directory.join(MOUNT_POINT) };
        let io = |verb, path| move |error| ServerError::io(verb, path, error);
        let image = File::create_new(&disk.image).map_err(io("create", &disk.image))?;
        image.set_len(SIZE).map_err(io("make room in", &disk.image))?;
        drop(image);
        std::fs::create_dir(&disk.path).map_err(io("create", &disk.path))?;
        run("mkfs.xfs", |command| command.arg("-q").arg(&disk.image))?;
        disk.mount()?;
        Ok(disk)
    }

    /// Returns the directory of its files.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until all files are on the disk.
    pub fn sync(&self) -> Result<(), ServerError> {
        run("xfs_io", |command| command.args(["-c", "syncfs"]).arg(&self.path))
    }

    /// Cuts the power. Processes that use its files get errors from now on.
    pub fn cut_power(&self) -> Result<(), ServerError> {
        // If it is not mounted, the path is in another file system, which must not go.
        if !self.is_mounted() {
            let what = format!("the disk at {} is not mounted", self.path.display());
            return Err(ServerError::failed(what, String::new()));
        }
        run("xfs_io", |command| command.args(["-x", "-c", "shutdown"]).arg(&self.path))
    }

    /// Brings it back with what had been synced. No process may have files on it.
    pub fn restore_power(&self) -> Result<(), ServerError> {
        let begun = Instant::now();
        loop {
            match run("umount", |command| command.arg(&self.path)) {
                // A process that was killed may end a moment later.
                Err(error) if error.log_says("busy") && begun.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(error) => return Err(error),
                Ok(()) => return self.mount(),
            }
        }
    }

    /// Returns `true` if its directory is in another file system than the directory above it.
    fn is_mounted(&self) -> bool {
        let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev());
        let above = self.path.parent().map(device);
        matches!((device(&self.path), above), (Ok(own), Some(Ok(above))) if own != above)
    }

    fn mount(&self) -> Result<(), ServerError> {
        run("mount", |command| command.args(["-t", "xfs", "-o", "loop"]).args([&self.image, &self.path]))
    }
}

/// Unmounts the disk in this directory, if there is one.
pub(super) fn unmount(directory: &Path) {
    let path = directory.join(MOUNT_POINT);
    if directory.join(IMAGE).exists() {
        // It may not be mounted any more.
        let _ = run("umount", |command| command.arg("-l").arg(path));
    }
}

fn run(
    program: &'static str,
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<(), ServerError> {
    let path = programs::anywhere(program).ok_or(ServerError::MissingForDisk { program })?;
    let mut command = Command::new(&path);
    let output = arguments(&mut command)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| ServerError::io("run", &path, error))?;
    if output.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let what = "a disk whose power can be cut needs Linux, root's rights, loop devices and XFS";
    Err(ServerError::failed(format!("`{program}` failed: {what}"), log))
}
