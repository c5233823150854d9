//! Completions for shells, and pages for `man`.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::args::Args;
use crate::failure::Failure;

/// With this variable set, the script makes the shell ask this command for completions.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let shells = Shells::builtins();
    let name = shell.to_string();
    let completer =
        shells.completer(&name).ok_or_else(|| Failure::usage(format!("{name} is not supported")))?;
    let mut script = Vec::new();
    completer.write_registration("COMPLETE", "cloakroom", "cloakroom", "cloakroom", &mut script)?;
    if shell == Shell::Bash {
        script.extend_from_slice(include_bytes!("complete.bash"));
    }
    Ok(io::stdout().write_all(&script)?)
}

/// Returns the page of the command itself, or of the subcommand that these words name.
pub(crate) fn page(words: &[String]) -> Result<(), Failure> {
    let mut command = Args::command();
    command.build();
    let mut name = "cloakroom".to_owned();
    for word in words {
        let found = command.find_subcommand(word).cloned();
        command = found.ok_or_else(|| Failure::usage(format!("there is no command {name} {word}")))?;
        name = format!("{name}-{word}");
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command.display_name(name)).render(&mut page)?;
    Ok(io::stdout().write_all(&page)?)
}
