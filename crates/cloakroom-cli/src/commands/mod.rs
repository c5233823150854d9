//! The commands, one module for each group.

mod change;
mod create;
mod doctor;
mod end;
mod import;
mod keys;
mod list;
mod log;
mod manual;
mod migrate;
mod one;
mod progress;
mod prune;
mod stats;
mod token;

use tracing_subscriber::filter::LevelFilter;

use crate::args::{Args, Command};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) async fn run(args: Args, is_database_given: bool) -> Result<(), Failure> {
    // A user who prunes for hours wants to see each run.
    let reports_runs =
        matches!(&args.command, Command::Prune(prune) if prune.every.is_some() && !prune.quiet);
    crate::log::to_stderr(if reports_runs { LevelFilter::DEBUG } else { LevelFilter::WARN });

    // With any other options.
    match args.command {
        Command::Completions { shell } => return manual::completions(shell),
        Command::Man { command } => return manual::page(&command),
        Command::Keys(keys) => return keys::run(Output::new(args.options.format), keys),
        _ => {}
    }
    let no_extend = matches!(&args.command, Command::Authenticate(authenticate) if authenticate.no_extend);
    let scheme = match &args.command {
        Command::Import(import) => import.scheme.as_deref(),
        _ => None,
    };
    let context = Context::new(args.options, no_extend, scheme, is_database_given)?;
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
        Command::Log(log) => log::run(context, log).await,
        Command::Update(update) => change::update(context, update).await,
        Command::Extend(one) => one::extend(context, &one.id).await,
        Command::Rotate(one) => change::rotate(context, &one.id).await,
        Command::Expire(expire) => end::expire(context, expire).await,
        Command::Delete(delete) => end::delete(context, delete).await,
        Command::Prune(prune) => prune::run(context, prune).await,
        Command::Import(import) => import::run(context, import).await,
        Command::Token(token) => token::run(context, token),
        Command::Keys(keys) => keys::run(context.output, keys),
        Command::Stats(stats) => stats::run(context, stats).await,
        Command::Doctor => doctor::run(context).await,
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { command } => manual::page(&command),
    }
}
