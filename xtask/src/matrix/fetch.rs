//! Brings servers that the system does not have: unpacked beside it, and installed nowhere.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::list::Source;
use crate::tools;

/// Returns the folder that has the server, or `None` for the system's own. What is there already is not fetched again.
pub(super) fn folder(name: &str, source: Source, downloads: &Path) -> Result<Option<PathBuf>, String> {
    let folder = match source {
        Source::System => return Ok(None),
        Source::Npm { .. } | Source::Debian { .. } => downloads.join(name),
    };
    let complete = folder.join("complete");
    if !complete.exists() {
        println!("fetching {name}");
        let _ = fs::remove_dir_all(&folder);
        create(&folder)?;
        match source {
            Source::System => {}
            Source::Npm { package } => from_npm(package, &folder)?,
            Source::Debian { suite, packages } => from_debian(suite, packages, &folder, downloads)?,
        }
        fs::write(&complete, "").map_err(|error| format!("{}: {error}", complete.display()))?;
    }
    Ok(Some(match source {
        Source::Npm { package } => folder.join("node_modules").join(unversioned(package)).join("native"),
        Source::System | Source::Debian { .. } => folder,
    }))
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn from_npm(package: &str, folder: &Path) -> Result<(), String> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", "--prefix"]);
    tools::succeed(npm.arg(folder).arg(package))?;
    // An archive of npm holds no links. The package's own script makes them; npm from version 11 on does not run it
    // unless it is told to.
    let mut links = Command::new("node");
    links
        .arg("scripts/hydrate-symlinks.js")
        .current_dir(folder.join("node_modules").join(unversioned(package)));
    tools::succeed(links.stdout(Stdio::null()))
}

fn unversioned(package: &str) -> &str {
    package.rsplit_once('@').map_or(package, |(name, _version)| name)
}

/// Downloads the packages with all that they depend on, the C library included, and lets the programs use only that.
fn from_debian(suite: &str, packages: &[&str], folder: &Path, downloads: &Path) -> Result<(), String> {
    let apt = Apt::of(suite, &downloads.join("apt").join(suite))?;
    apt.run(&["update", "--quiet=2"])?;
    let archives = apt.directory.join("cache/archives");
    // Another server's packages.
    let _ = fs::remove_dir_all(&archives);
    create(&archives.join("partial"))?;
    let mut arguments = vec!["install", "--yes", "--quiet=2", "--download-only", "--no-install-recommends"];
    arguments.extend(packages);
    apt.run(&arguments)?;
    for archive in files(&archives).into_iter().filter(|file| file.extension() == Some(OsStr::new("deb"))) {
        tools::succeed(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(folder))?;
    }
    use_own_libraries(folder)
}

/// A package manager's state of our own, so that the system's stays as it is.
struct Apt {
    directory: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn of(suite: &str, directory: &Path) -> Result<Self, String> {
        for folder in ["lists/partial", "cache/archives/partial", "state"] {
            create(&directory.join(folder))?;
        }
        let (host, key) = sources_of_this_machine().ok_or("this machine's packages are not Debian's")?;
        // Experimental packages go with the others of the unstable suite, which apt prefers by itself.
        let suites = if suite == "experimental" { vec!["sid", suite] } else { vec![suite] };
        let lines = suites.iter().map(|suite| format!("deb [signed-by={key}] {host} {suite} main\n"));
        let list = directory.join("sources.list");
        let status = directory.join("state/status");
        fs::write(&list, lines.collect::<String>())
            .and_then(|()| fs::write(&status, ""))
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let option = |name: &str, value: &Path| format!("-oDir::{name}={}", value.display());
        let options = vec![
            option("Etc::sourcelist", &list),
            option("Etc::sourceparts", Path::new("-")),
            option("State", &directory.join("state")),
            option("State::lists", &directory.join("lists")),
            option("State::status", &status),
            option("Cache", &directory.join("cache")),
            // The archives belong to us, not to the account that apt downloads as.
            "-oAPT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { directory: directory.to_owned(), options })
    }

    fn run(&self, arguments: &[&str]) -> Result<(), String> {
        tools::succeed(Command::new("apt-get").args(&self.options).args(arguments).stdout(Stdio::null()))
    }
}

/// Returns where this machine has its packages from, and the key that they are signed with.
fn sources_of_this_machine() -> Option<(String, String)> {
    let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let places = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];
    let host = places.iter().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| host_in(&text));
    host.filter(|_| Path::new(key).exists()).map(|host| (host, key.to_owned()))
}

fn host_in(text: &str) -> Option<String> {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).find_map(|line| {
        let mut words = line.split_whitespace();
        let is_source = matches!(words.next(), Some("URIs:" | "deb"));
        let word = words.find(|word| word.starts_with("http"))?;
        (is_source && word.trim_end_matches('/').ends_with("/debian")).then(|| word.to_owned())
    })
}

/// Makes the programs in a folder run with the loader and the libraries in that folder.
fn use_own_libraries(folder: &Path) -> Result<(), String> {
    let triplet =
        |entry: &PathBuf| entry.file_name().is_some_and(|name| name.to_string_lossy().contains("-linux-"));
    let Some(libraries) = files(&folder.join("usr/lib")).into_iter().find(triplet) else {
        return Err(format!("{} has no libraries", folder.display()));
    };
    let is_loader =
        |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"));
    let mut places = files(&folder.join("usr/lib64"));
    places.extend(files(&libraries));
    places.extend(files(&folder.join("usr/lib")));
    let Some(loader) = places.into_iter().find(is_loader) else {
        return Err(format!("{} has no loader", folder.display()));
    };
    let mut directories = vec![folder.join("usr/sbin"), folder.join("usr/bin")];
    directories.extend(files(&folder.join("usr/lib/postgresql")).iter().map(|version| version.join("bin")));
    for program in directories.iter().flat_map(|directory| files(directory)).filter(|file| is_elf(file)) {
        let mut patchelf = Command::new("patchelf");
        patchelf.arg("--set-interpreter").arg(&loader);
        // Libraries that a library needs are looked for there as well.
        patchelf.arg("--force-rpath").arg("--set-rpath").arg(&libraries).arg(&program);
        // A program without an interpreter is linked statically, and needs no other.
        let _ = patchelf.stderr(Stdio::null()).status().map_err(|error| format!("patchelf: {error}"))?;
    }
    Ok(())
}

fn is_elf(file: &Path) -> bool {
    let is_link = fs::symlink_metadata(file).is_ok_and(|metadata| metadata.is_symlink());
    let mut start = [0; 4];
    let read = fs::File::open(file).and_then(|mut file| file.read_exact(&mut start));
    !is_link && read.is_ok() && start == *b"\x7fELF"
}

/// Returns the paths in a directory, in order; none if there is no such directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_debians_packages_is_read_from_both_forms_of_sources() {
        let deb822 =
            "Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian\nSuites: x\n";
        assert_eq!(host_in(deb822).as_deref(), Some("http://mirror.example/debian"));
        let line = "deb [arch=amd64] https://mirror.example/debian/ bookworm main\n";
        assert_eq!(host_in(line).as_deref(), Some("https://mirror.example/debian/"));
        assert_eq!(host_in("deb https://other.example/tools stable main\n"), None);
    }
}
