//! What is checked before a release, and takes longer or needs more tools than a change does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::cargo;
use crate::tools::{self, succeed};

/// The crates that are published, each after those that it depends on.
const PUBLISHED: [&str; 7] = [
    "cloakroom-derive",
    "cloakroom",
    "cloakroom-web",
    "cloakroom-axum",
    "cloakroom-actix",
    "cloakroom-cli",
    "cloakroom-tower-sessions",
];

/// The oldest compiler that `rust-version` promises.
const MSRV: &str = "1.94";

type Check = fn() -> Result<(), String>;

const CHECKS: [(&str, Check); 6] = [
    ("licences, advisories and sources of the dependencies", deny),
    ("every combination of features", powerset),
    ("the oldest compiler", msrv),
    ("the oldest versions of the dependencies", minimal_versions),
    ("the packages, and the examples in their documentation", packages),
    ("the interface, against the last release", semver),
];

/// Runs all checks, also after one has failed.
pub(crate) fn run() -> Result<(), String> {
    let mut failures = Vec::new();
    for (name, check) in CHECKS {
        println!("== {name}");
        match check() {
            Ok(()) => println!("== {name}: passed\n"),
            Err(problem) => {
                println!("== {name}: FAILED: {problem}\n");
                failures.push(name);
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(format!("failed: {}", failures.join("; "))) }
}

fn deny() -> Result<(), String> {
    tool("deny", &["check"])
}

fn powerset() -> Result<(), String> {
    for package in ["cloakroom", "cloakroom-web", "cloakroom-axum", "cloakroom-actix"] {
        let features = ["check", "--feature-powerset", "--at-least-one-of", "sqlite,postgres,mysql"];
        let rest = ["--exclude-features", "servers", "--no-dev-deps", "--package", package];
        tool("hack", &[&features[..], &rest[..]].concat())?;
    }
    Ok(())
}

fn msrv() -> Result<(), String> {
    let mut install = Command::new("rustup");
    succeed(install.args(["toolchain", "install", MSRV, "--profile", "minimal"]))?;
    let mut check = Command::new("rustup");
    check.args(["run", MSRV, "cargo", "check", "--locked", "--all-features"]);
    check.args(PUBLISHED.map(|package| format!("--package={package}")));
    succeed(check.current_dir(cargo::root()).env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN"))
}

/// In a copy, whose lock file it rewrites. Of the dependencies' own dependencies the newest: they promise for
/// themselves.
fn minimal_versions() -> Result<(), String> {
    let copy = cargo::root().join("target/minimal-versions");
    let _ = fs::remove_dir_all(&copy);
    let mut clone = Command::new("git");
    succeed(clone.args(["clone", "--quiet", "--local"]).arg(cargo::root()).arg(&copy))?;
    let nightly = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo"]).args(arguments).current_dir(&copy);
        command.env("CARGO_TARGET_DIR", cargo::root().join("target/minimal-versions-target"));
        succeed(command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN"))
    };
    nightly(&["update", "-Zdirect-minimal-versions"])?;
    nightly(&[
        "check",
        "--package=cloakroom",
        "--package=cloakroom-web",
        "--package=cloakroom-axum",
        "--package=cloakroom-actix",
        "--package=cloakroom-cli",
        "--package=cloakroom-tower-sessions",
        "--all-features",
    ])
}

/// Packs the crates that are published.
pub(crate) fn pack(arguments: &[&str]) -> Result<(), String> {
    let mut package = cargo::command(&["package", "--allow-dirty"]);
    package.args(PUBLISHED.map(|name| format!("--package={name}"))).args(arguments);
    succeed(&mut package)
}

/// Deletes what cargo has unpacked of these crates before.
///
/// `cargo package` builds a crate against the packed crates that it depends on, which it takes from a registry made for
/// the purpose. It unpacks them into its own directory by name and version, and does not unpack them again if the code
/// has changed and the version has not (cargo 1.95). The names of such registries have no host: they begin with a dash.
fn forget_packed() -> Result<(), String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let Some(unpacked) = home.map(|home| home.join("registry/src")) else {
        return Ok(());
    };
    for registry in entries(&unpacked).filter(|name| name_of(name).starts_with('-')) {
        for package in entries(&registry).filter(|name| name_of(name).starts_with("cloakroom")) {
            fs::remove_dir_all(&package).map_err(|error| format!("{}: {error}", package.display()))?;
        }
    }
    Ok(())
}

/// Returns the paths in a directory; none if there is no such directory.
fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Each crate as it would be published, in a directory of its own.
fn packages() -> Result<(), String> {
    forget_packed()?;
    pack(&[])?;
    let workspace = cargo::root().join("target/packaged");
    let _ = fs::remove_dir_all(&workspace);
    fs::create_dir_all(&workspace).map_err(|error| error.to_string())?;
    let mut patches = Vec::new();
    let mut members = Vec::new();
    for name in PUBLISHED {
        let archive = format!("target/package/{name}-{}.crate", env!("CARGO_PKG_VERSION"));
        let mut unpack = Command::new("tar");
        succeed(unpack.arg("-xzf").arg(cargo::root().join(archive)).arg("-C").arg(&workspace))?;
        let directory = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
        check_files(&workspace.join(&directory))?;
        patches.push(format!("{name} = {{ path = \"{directory}\" }}"));
        members.push(format!("\"{directory}\""));
    }
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n[patch.crates-io]\n{}\n",
        members.join(", "),
        patches.join("\n")
    );
    fs::write(workspace.join("Cargo.toml"), manifest).map_err(|error| error.to_string())?;
    let mut test = cargo::command(&["test", "--doc", "--package=cloakroom", "--all-features"]);
    succeed(
        test.current_dir(&workspace).env("CARGO_TARGET_DIR", cargo::root().join("target/packaged-target")),
    )
}

fn semver() -> Result<(), String> {
    let tags = Command::new("git").args(["tag", "--list", "0.*"]).current_dir(cargo::root()).output();
    let tags = tags.map_err(|error| error.to_string())?;
    let Some(last) = String::from_utf8_lossy(&tags.stdout).lines().next_back().map(str::to_owned) else {
        return Err("there is no tag of a release to compare with".to_owned());
    };
    let packages = ["cloakroom", "cloakroom-web", "cloakroom-axum", "cloakroom-actix"];
    let packages = packages.map(|package| ["--package", package]).concat();
    tool("semver-checks", &[&["--baseline-rev", &last][..], &packages[..]].concat())
}

/// Runs a subcommand of cargo.
fn tool(subcommand: &str, arguments: &[&str]) -> Result<(), String> {
    succeed(tools::command(subcommand)?.args(arguments))
}

/// What a package must bring along.
fn check_files(package: &Path) -> Result<(), String> {
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "README.md"] {
        let file = package.join(name);
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        // A link that was packed as such would be its target's name.
        if text.len() < 200 {
            return Err(format!("{} holds no more than {text:?}", file.display()));
        }
    }
    Ok(())
}
