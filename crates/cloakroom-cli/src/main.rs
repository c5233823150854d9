//! The `cloakroom` command: sessions in a database, from a shell. `cloakroom help` is its manual.

mod args;
mod catalog;
mod commands;
mod completing;
mod condition;
mod config;
mod confirm;
mod context;
mod escape;
mod failure;
mod hints;
mod input;
mod log;
mod output;
mod path;
mod schemes;
mod value;

use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use clap_complete::CompleteEnv;

use crate::args::Args;
use crate::escape::printable_lines;
use crate::failure::Failure;

fn main() -> ExitCode {
    // If a shell asks for completions, this answers and ends.
    CompleteEnv::with_factory(Args::command).complete();
    // Only their owner may read the files that are created, such as the embedded database: they hold personal data.
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    if std::env::args_os().len() == 1 {
        // A user who types only the name wants to know what the command can do.
        return match Args::command().print_long_help() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => Failure::from(error).report(),
        };
    }
    let matches = Args::command().try_get_matches().unwrap_or_else(|error| refuse(&error));
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| refuse(&error));
    match run(args, is_given(&matches, "database")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Reports an error of the command line, which may quote text from anywhere, or shows the help.
fn refuse(error: &clap::Error) -> ! {
    let text = error.render().to_string();
    let escaped = printable_lines(&text);
    if !error.use_stderr() || escaped == text {
        error.exit();
    }
    eprint!("{escaped}");
    std::process::exit(error.exit_code())
}

/// Returns `true` if an option stands on the command line itself, before or after the command's name.
fn is_given(matches: &ArgMatches, option: &str) -> bool {
    matches.value_source(option) == Some(ValueSource::CommandLine)
        || matches.subcommand().is_some_and(|(_, inner)| is_given(inner, option))
}

fn run(args: Args, is_database_given: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(commands::run(args, is_database_given))
}
