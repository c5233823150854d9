//! A disk that no server has: its directory is its own.

use std::fmt;
use std::ops::Deref;

use super::directory::Directory;
use super::disk::Disk;
use super::error::ServerError;
use super::process::Watchdog;

/// A [`Disk`] with a directory of its own, which goes with this.
pub struct LoneDisk {
    disk: Disk,
    watchdog: Watchdog,
    _directory: Directory,
}

impl LoneDisk {
    /// Creates a disk with a directory of its own.
    pub fn create() -> Result<Self, ServerError> {
        let path = Directory::free_path()?;
        let watchdog = Watchdog::start(&path)?;
        let directory = Directory::of_our_own(path)?;
        let disk = Disk::create(directory.path())?;
        Ok(Self { disk, watchdog, _directory: directory })
    }
}

impl Deref for LoneDisk {
    type Target = Disk;

    fn deref(&self) -> &Disk {
        &self.disk
    }
}

impl Drop for LoneDisk {
    fn drop(&mut self) {
        self.watchdog.retire();
    }
}

impl fmt::Debug for LoneDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoneDisk").field("path", &self.path()).finish_non_exhaustive()
    }
}
