//! The `cloakroom` command: sessions in a database, from a shell. `cloakroom help` is its manual.

mod args;
mod commands;
mod config;
mod confirm;
mod context;
mod failure;
mod input;
mod log;
mod output;
mod value;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::Args;
use crate::failure::Failure;

fn main() -> ExitCode {
    if std::env::args_os().len() == 1 {
        // Whoever types the bare name asks what it can do.
        return match Args::command().print_long_help() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => Failure::from(error).report(),
        };
    }
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(args: Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(commands::run(args))
}
