//! One module a group of commands.

mod create;
mod end;
mod list;
mod migrate;
mod one;
mod progress;
mod prune;
mod stats;
mod token;

use std::io::{self, Write};

use clap::CommandFactory;
use tracing_subscriber::filter::LevelFilter;

use crate::args::{Args, Command};
use crate::context::Context;
use crate::failure::Failure;
use crate::log;

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    // Pruning for hours, one wants to see each run.
    let reports_runs = matches!(&args.command, Command::Prune(prune) if prune.every.is_some());
    log::to_stderr(if reports_runs { LevelFilter::DEBUG } else { LevelFilter::WARN });

    if let Command::Completions { shell } = args.command {
        // Whatever the other options say.
        return completions(shell);
    }
    let no_extend = matches!(&args.command, Command::Authenticate(authenticate) if authenticate.no_extend);
    let context = Context::new(args.options, no_extend)?;
    let result = run_with(&context, args.command).await;
    context.close().await;
    result
}

async fn run_with(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Migrate(migrate) => migrate::run(context, migrate).await,
        Command::Create(create) => create::run(context, create).await,
        Command::Authenticate(authenticate) => token::authenticate(context, authenticate).await,
        Command::List(list) => list::list(context, list).await,
        Command::Count(count) => list::count(context, count).await,
        Command::Show(one) => one::show(context, &one.id).await,
        Command::Extend(one) => one::extend(context, &one.id).await,
        Command::Expire(expire) => end::expire(context, expire).await,
        Command::Delete(delete) => end::delete(context, delete).await,
        Command::Prune(prune) => prune::run(context, prune).await,
        Command::Token(token) => token::run(context, token),
        Command::Stats => stats::run(context).await,
        Command::Completions { shell } => completions(shell),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "cloakroom", &mut script);
    Ok(io::stdout().write_all(&script)?)
}
