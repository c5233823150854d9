//! Programs that are installed into `target/tools` if they are not there.

use std::path::PathBuf;
use std::process::Command;

use crate::cargo;

/// Returns the command `cargo SUBCOMMAND`, in the workspace's root.
pub(crate) fn command(subcommand: &str) -> Result<Command, String> {
    let mut command = Command::new(program(&format!("cargo-{subcommand}"))?);
    command.arg(subcommand).current_dir(cargo::root());
    Ok(command)
}

/// Returns the path of a program that a package of the same name installs.
pub(crate) fn program(name: &str) -> Result<PathBuf, String> {
    let tools = cargo::root().join("target/tools");
    let program = tools.join("bin").join(name);
    if !program.exists() {
        println!("installing {name}");
        let mut install = cargo::command(&["install", "--locked", "--root"]);
        succeed(install.arg(&tools).arg(name))?;
    }
    Ok(program)
}

pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed")) }
}
