use std::process::Command;

use cloakroom_testing::servers::Kind;

use crate::arguments::TortureOptions;
use crate::cargo;
use crate::install::{self, Need};

/// Builds the workload and runs it; it starts its own servers.
pub(crate) fn run(options: &TortureOptions) -> Result<(), String> {
    let kinds = options.databases.iter().filter_map(|database| database.server());
    let of_groups =
        options.groups.iter().map(|group| if *group == "galera" { Kind::MariaDb } else { Kind::Postgres });
    let pooler = options.groups.contains(&"pgbouncer").then_some(Need::Pooler);
    let disk = options.faults.iter().any(|fault| fault == "power").then_some(Need::Disk);
    let needs: Vec<Need> = kinds.chain(of_groups).map(Need::Server).chain(pooler).chain(disk).collect();
    install::ensure(&needs)?;
    let status = command(options).status().map_err(|e| format!("could not run cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err("the workload found violations, or could not run".to_owned()) }
}

fn command(options: &TortureOptions) -> Command {
    let mut command = cargo::command(&["run", "--quiet", "--package", "cloakroom-torture", "--"]);
    for database in &options.databases {
        command.args(["--database", database.word()]);
    }
    for group in &options.groups {
        command.args(["--database", group]);
    }
    for fault in &options.faults {
        command.args(["--fault", fault]);
    }
    command.args(options.is_relaxed.then_some("--relaxed"));
    for (option, value) in [("--minutes", &options.minutes), ("--seed", &options.seed)] {
        if let Some(value) = value {
            command.args([option, value]);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Database;

    #[test]
    fn what_was_asked_for_is_handed_on() {
        let options = TortureOptions {
            databases: vec![Database::MariaDb],
            groups: vec!["galera"],
            minutes: Some("0.5".to_owned()),
            seed: Some("7".to_owned()),
            faults: vec!["kill".to_owned()],
            is_relaxed: true,
        };
        let command = command(&options);
        let arguments: Vec<_> = command.get_args().filter_map(|argument| argument.to_str()).collect();
        assert_eq!(
            arguments[4..],
            [
                "--",
                "--database",
                "mariadb",
                "--database",
                "galera",
                "--fault",
                "kill",
                "--relaxed",
                "--minutes",
                "0.5",
                "--seed",
                "7"
            ]
        );
    }
}
