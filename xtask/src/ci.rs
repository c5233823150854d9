use std::time::Instant;

use crate::arguments::TestOptions;
use crate::{cargo, release, test};

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
    Step {
        name: "fmt of the benchmark",
        arguments: &["fmt", "--manifest-path", BENCH, "--check"],
        environment: None,
    },
    Step {
        name: "clippy of the benchmark",
        arguments: &[
            "clippy",
            "--manifest-path",
            BENCH,
            "--target-dir",
            SHARED,
            "--all-targets",
            "--",
            "-Dwarnings",
        ],
        environment: None,
    },
    Step {
        name: "test of the benchmark",
        arguments: &["test", "--manifest-path", BENCH, "--target-dir", SHARED],
        environment: None,
    },
];

/// A workspace of its own.
const BENCH: &str = "bench/Cargo.toml";

/// Many of its dependencies are also this workspace's, and are built by then.
const SHARED: &str = "target";

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
    // Whether each crate can be packed. `cargo xtask release` builds them from what was packed.
    timed("package", || release::pack(&["--no-verify"]))?;
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
        command.envs(self.environment);
        let status = command.status().map_err(|e| format!("could not run cargo: {e}"))?;
        if status.success() { Ok(()) } else { Err(format!("`cargo {}` failed", self.arguments.join(" "))) }
    }
}
