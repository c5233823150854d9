//! Subcommands of cargo that are installed into `target/tools` if they are not there.

use std::process::Command;

use crate::cargo;

/// Returns the command `cargo SUBCOMMAND`, in the workspace's root.
pub(crate) fn command(subcommand: &str) -> Result<Command, String> {
    let tools = cargo::root().join("target/tools");
    let name = format!("cargo-{subcommand}");
    let program = tools.join("bin").join(&name);
    if !program.exists() {
        println!("installing {name}");
        let mut install = cargo::command(&["install", "--locked", "--root"]);
        succeed(install.arg(&tools).arg(&name))?;
    }
    let mut command = Command::new(program);
    command.arg(subcommand).current_dir(cargo::root());
    Ok(command)
}

pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed")) }
}
