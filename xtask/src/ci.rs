use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use crate::arguments::TestOptions;
use crate::{cargo, test};

/// The steps after the tests: a name, cargo's arguments, and an environment variable if need be.
const STEPS: &[Step] = &[
    Step { name: "fmt", arguments: &["fmt", "--all", "--check"], environment: None },
    Step {
        name: "clippy",
        arguments: &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-Dwarnings"],
        environment: None,
    },
    Step {
        name: "doc",
        arguments: &["doc", "--workspace", "--no-deps", "--all-features"],
        environment: Some(("RUSTDOCFLAGS", "-Dwarnings")),
    },
    single_feature("only sqlite", &feature_arguments("sqlite")),
    single_feature("only postgres", &feature_arguments("postgres")),
    single_feature("only mysql", &feature_arguments("mysql")),
    // Whether each crate can be packed. `cargo xtask release` builds them from what was packed.
    Step { name: PACKAGING, arguments: PACKAGE, environment: None },
    Step {
        name: "fmt of the benchmark",
        arguments: &["fmt", "--manifest-path", BENCH, "--check"],
        environment: None,
    },
    Step {
        name: "clippy of the benchmark",
        arguments: &["clippy", "--manifest-path", BENCH, "--all-targets", "--", "-Dwarnings"],
        environment: None,
    },
    Step { name: "test of the benchmark", arguments: &["test", "--manifest-path", BENCH], environment: None },
];

const PACKAGING: &str = "package";

/// Packs the crates that are published. [`forget_packed`] goes first.
pub(crate) const PACKAGE: &[&str] = &[
    "package",
    "--allow-dirty",
    "--package=cloakroom-derive",
    "--package=cloakroom",
    "--package=cloakroom-web",
    "--package=cloakroom-axum",
    "--package=cloakroom-actix",
    "--package=cloakroom-cli",
    "--package=cloakroom-tower-sessions",
];

/// A workspace of its own.
const BENCH: &str = "bench/Cargo.toml";

struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    environment: Option<(&'static str, &'static str)>,
}

/// Clippy rather than check: it denies warnings in this workspace without building the dependencies anew.
const fn feature_arguments(feature: &'static str) -> [&'static str; 10] {
    let (package, with) = ("--package=cloakroom", "--features");
    [
        "clippy",
        package,
        "--no-default-features",
        with,
        feature,
        "--lib",
        "--tests",
        "--quiet",
        "--",
        "-Dwarnings",
    ]
}

const fn single_feature(name: &'static str, arguments: &'static [&'static str]) -> Step {
    Step { name, arguments, environment: None }
}

pub(crate) fn run() -> Result<(), String> {
    timed("test", || test::run(&TestOptions::default()))?;
    for step in STEPS {
        timed(step.name, || step.run())?;
    }
    println!("ci: all steps passed");
    Ok(())
}

fn timed(name: &str, step: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    println!("== {name}");
    let start = Instant::now();
    let result = step();
    let seconds = start.elapsed().as_secs_f32();
    let verdict = if result.is_ok() { "passed" } else { "failed" };
    println!("== {name} {verdict} in {seconds:.1} s\n");
    result.map_err(|problem| format!("step {name}: {problem}"))
}

impl Step {
    fn run(&self) -> Result<(), String> {
        let mut command = cargo::command(self.arguments);
        if self.name == PACKAGING {
            command.arg("--no-verify");
        }
        command.envs(self.environment);
        let status = command.status().map_err(|e| format!("could not run cargo: {e}"))?;
        if status.success() { Ok(()) } else { Err(format!("`cargo {}` failed", self.arguments.join(" "))) }
    }
}

/// Deletes what cargo has unpacked of these crates before.
///
/// `cargo package` builds a crate against the packed crates that it depends on, which it takes from a registry made for
/// the purpose. It unpacks them into its own directory by name and version, and does not unpack them again if the code
/// has changed and the version has not (cargo 1.95). The names of such registries have no host: they begin with a dash.
pub(crate) fn forget_packed() -> Result<(), String> {
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
