//! axe-core, with which the tests in the browser look for faults of accessibility. It comes from npm, as the lock file
//! beside those tests pins it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{cargo, tools};

/// What npm reads: which version, and its digest.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// Returns where its script is, once it is installed.
pub(crate) fn script() -> PathBuf {
    folder().join("node_modules/axe-core/axe.min.js")
}

/// Installs it into `target/tools`, if it is not there in this version.
pub(crate) fn install() -> Result<(), String> {
    let (source, folder) = (cargo::root().join("demo/tests/browser/axe"), folder());
    if script().is_file() && FILES.iter().all(|file| is_same(&source.join(file), &folder.join(file))) {
        return Ok(());
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]);
    for file in FILES {
        let from = source.join(file);
        fs::copy(&from, folder.join(file)).map_err(|error| format!("{}: {error}", from.display()))?;
    }
    let installed = tools::succeed(npm.current_dir(&folder));
    if installed.is_err() {
        // The next run is to try again.
        let _ = fs::remove_file(folder.join(FILES[1]));
    }
    installed
}

fn folder() -> PathBuf {
    cargo::root().join("target/tools/axe")
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}
