//! A server's directory: private, with a short path, and marked so that a forgotten one is known.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::disk;
use super::error::ServerError;
use super::kind::Kind;
use super::random;

const PREFIX: &str = "cloakroom-";
const LOCK: &str = "lock";

#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    // Locked for as long as this process lives: the lock marks a directory in use.
    _lock: File,
}

impl Directory {
    /// Returns a path that no process uses or will use: a collision is so unlikely that it can be named before it
    /// exists.
    pub(super) fn free_path() -> Result<PathBuf, ServerError> {
        Ok(base().join(format!("{PREFIX}{}", random::hex(8)?)))
    }

    /// Creates a directory, owned by the account that the server is to run as.
    pub(super) fn create(path: PathBuf, kind: Kind) -> Result<(Self, Option<Account>), ServerError> {
        let (directory, own_uid) = Self::locked(path)?;
        let account = Account::for_server(kind, own_uid)?;
        give(&directory.path, account.as_ref())?;
        Ok((directory, account))
    }

    /// Creates a directory of our own.
    pub(super) fn of_our_own(path: PathBuf) -> Result<Self, ServerError> {
        Ok(Self::locked(path)?.0)
    }

    /// Creates a directory of our own, and removes forgotten ones. Returns our user id, too.
    fn locked(path: PathBuf) -> Result<(Self, u32), ServerError> {
        let io = |verb| {
            let path = &path;
            move |e| ServerError::io(verb, path, e)
        };
        DirBuilder::new().mode(0o700).create(&path).map_err(io("create"))?;
        // We own what we create: this is the only way to learn our user id from std.
        let own_uid = fs::metadata(&path).map_err(io("look at"))?.uid();
        if let Some(base) = path.parent() {
            sweep(base, own_uid);
        }
        let lock = locked_file(&path).map_err(io("lock a file in"))?;
        Ok((Self { path, _lock: lock }, own_uid))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that only the server's account may read.
    pub(super) fn write_private(
        &self,
        name: &str,
        contents: &str,
        account: Option<&Account>,
    ) -> Result<PathBuf, ServerError> {
        let path = self.path.join(name);
        let write = || -> std::io::Result<()> {
            let mut file =
                OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(contents.as_bytes())?;
            match account {
                Some(account) => chown(&path, Some(account.uid), Some(account.gid)),
                None => Ok(()),
            }
        };
        write().map_err(|e| ServerError::io("write", &path, e))?;
        Ok(path)
    }

    /// Removes a file that held the password in plaintext and is no longer needed.
    pub(super) fn remove_file(&self, name: &str) {
        // It may not exist, and goes with the directory at the latest.
        let _ = fs::remove_file(self.path.join(name));
    }
}

/// A directory for the caller's own files. It is removed when this is dropped. If the process ends otherwise, the next
/// server or directory removes it.
#[derive(Debug)]
pub struct Scratch(Directory);

impl Scratch {
    /// Creates a directory, beside those of the servers.
    pub fn create() -> Result<Self, ServerError> {
        Ok(Self(Directory::of_our_own(Directory::free_path()?)?))
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Remaining files are removed later.
        let _ = fs::remove_dir_all(self.0.path());
    }
}

/// Gives a file or an empty directory to this account.
pub(super) fn give(path: &Path, account: Option<&Account>) -> Result<(), ServerError> {
    let Some(account) = account else {
        return Ok(());
    };
    chown(path, Some(account.uid), Some(account.gid))
        .map_err(|error| ServerError::io("give away", path, error))
}

/// Copies a directory with all that is in it, and gives the copy to this account.
pub(super) fn copy(from: &Path, to: &Path, account: Option<&Account>) -> Result<(), ServerError> {
    fn io<'p>(verb: &'static str, path: &'p Path) -> impl FnOnce(std::io::Error) -> ServerError + 'p {
        move |error| ServerError::io(verb, path, error)
    }
    // PostgreSQL accepts no data that others may read.
    DirBuilder::new().mode(0o700).create(to).map_err(io("create", to))?;
    give(to, account)?;
    for entry in fs::read_dir(from).map_err(io("list", from))? {
        let source = entry.map_err(io("list", from))?.path();
        let target = to.join(source.file_name().unwrap_or_default());
        if source.is_dir() {
            copy(&source, &target, account)?;
        } else {
            fs::copy(&source, &target).map_err(io("copy", &source))?;
            give(&target, account)?;
        }
    }
    Ok(())
}

/// Returns the system's directory for temporary files, or `/tmp` if that is not suitable: a socket's path has room for
/// about 100 bytes, and another account must have access.
fn base() -> PathBuf {
    let wanted = env::temp_dir();
    let is_short = wanted.as_os_str().len() <= 50;
    let is_open = wanted.is_absolute()
        && wanted.ancestors().all(|path| fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o001 != 0));
    if is_short && is_open { wanted } else { PathBuf::from("/tmp") }
}

/// Locks the directory before it gets its name, so that another process which finds it by name finds it locked.
fn locked_file(directory: &Path) -> std::io::Result<File> {
    let unfinished = directory.join("lock.new");
    let file = File::create_new(&unfinished)?;
    file.lock()?;
    fs::rename(unfinished, directory.join(LOCK))?;
    Ok(file)
}

/// Removes what earlier runs of this user left behind: directories with a lock that no process holds. A failure here
/// does not keep a server from starting.
fn sweep(base: &Path, own_uid: u32) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_ours && is_forgotten(&entry.path().join(LOCK), own_uid) {
            disk::unmount(&entry.path());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_forgotten(lock: &Path, own_uid: u32) -> bool {
    fs::symlink_metadata(lock).is_ok_and(|meta| meta.is_file() && meta.uid() == own_uid)
        && File::open(lock).is_ok_and(|file| file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_left_alone_and_a_forgotten_one_is_swept() {
        let base = env::temp_dir().join(format!("sweep-{}", random::hex(6).expect("urandom")));
        let used = base.join(format!("{PREFIX}used"));
        let forgotten = base.join(format!("{PREFIX}forgotten"));
        let foreign = base.join("something-else");
        for directory in [&used, &forgotten, &foreign] {
            fs::create_dir_all(directory).expect("a fresh directory");
        }
        let held = locked_file(&used).expect("nobody else knows it");
        drop(locked_file(&forgotten).expect("nobody else knows it"));
        drop(locked_file(&foreign).expect("nobody else knows it"));

        let own_uid = fs::metadata(&base).expect("just created").uid();
        sweep(&base, own_uid);

        assert!(used.exists());
        assert!(!forgotten.exists());
        assert!(foreign.exists());
        drop(held);
        fs::remove_dir_all(&base).expect("all of it is ours");
    }

    #[test]
    fn a_directory_for_files_is_locked_while_it_is_used_and_gone_afterwards() {
        let scratch = Scratch::create().expect("a writable directory");
        let path = scratch.path().to_owned();
        let own_uid = fs::metadata(&path).expect("just created").uid();
        fs::write(path.join("file"), "contents").expect("it is ours");
        assert!(!is_forgotten(&path.join(LOCK), own_uid));
        drop(scratch);
        assert!(!path.exists());
    }
}
