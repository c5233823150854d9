use std::path::{self, Path};
use std::process::Command;

use cloakroom_testing::servers::Kind;

use crate::arguments::BenchOptions;
use crate::cargo;
use crate::install::{self, Need};

/// Builds the benchmark and runs it; it starts its own servers.
pub(crate) fn run(options: &BenchOptions) -> Result<(), String> {
    let servers = [Kind::Postgres, Kind::MariaDb].map(Need::Server);
    // MariaDB's driver is not counted.
    install::ensure(if options.counts { &servers[..1] } else { &servers })?;
    let mut command = command(options)?;
    let status = command.status().map_err(|e| format!("could not run cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err("the benchmark failed".to_owned()) }
}

fn command(options: &BenchOptions) -> Result<Command, String> {
    let mut command = cargo::command(&["run", "--release", "--manifest-path", "bench/Cargo.toml", "--"]);
    for (option, is_given) in
        [("--quick", options.quick), ("--counts", options.counts), ("--record", options.record)]
    {
        if is_given {
            command.arg(option);
        }
    }
    for case in &options.only {
        command.args(["--only", case]);
    }
    for (option, file) in [("--json", &options.json), ("--svg", &options.svg), ("--docs", &options.docs)] {
        if let Some(file) = file {
            // The path is relative to the caller's directory, which is not the one in which cargo runs.
            let file = path::absolute(Path::new(file)).map_err(|e| format!("{file}: {e}"))?;
            command.arg(option).arg(file);
        }
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_meant_from_where_the_caller_is() {
        let options = BenchOptions {
            quick: true,
            only: vec!["prune".to_owned()],
            json: Some("results.json".to_owned()),
            ..BenchOptions::default()
        };
        let command = command(&options).unwrap();
        let arguments: Vec<_> = command.get_args().filter_map(|argument| argument.to_str()).collect();
        let file = std::env::current_dir().unwrap().join("results.json");
        let expected = ["--", "--quick", "--only", "prune", "--json", file.to_str().unwrap()];
        assert_eq!(arguments[4..], expected);
    }
}
