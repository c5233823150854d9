//! Running cargo on this workspace.

use std::env;
use std::path::Path;
use std::process::Command;

/// The cargo that runs us, in the workspace's root.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask's directory lies in the workspace's");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root);
    command
}
