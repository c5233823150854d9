//! Completes a command line in a shell: names from the database.
//!
//! The database is asked with the options on that line and from the environment. If it does not answer soon, or not at
//! all, nothing is offered, and no error is shown: the shell has no place for one.

use std::ffi::OsStr;
use std::time::Duration;

use clap::Parser;
use clap_complete::CompletionCandidate;
use cloakroom::{Database, DynamicFields};

use crate::args::Options;
use crate::catalog::{self, Found};
use crate::context::Server;
use crate::output::built_in_columns;
use crate::value;

/// How long a user who has pressed the key waits at most.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn table(current: &OsStr) -> Vec<CompletionCandidate> {
    let schema = options().and_then(|options| options.schema);
    let tables = tables().into_iter().filter(|found| schema.is_none() || found.schema == schema);
    offer(current, "", tables.map(|found| found.table))
}

pub(crate) fn schema(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut schemas: Vec<String> = tables().into_iter().filter_map(|found| found.schema).collect();
    schemas.dedup();
    offer(current, "", schemas)
}

pub(crate) fn field(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, "", fields())
}

pub(crate) fn assignment(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, "", fields().into_iter().map(|field| field + "="))
}

pub(crate) fn condition(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = comparable().map(|name| name + "=");
    offer(current, "", names.chain(["data.".to_owned()]))
}

/// Returns the last of several words with commas between them.
pub(crate) fn columns(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let before = current.rfind(',').map_or("", |comma| &current[..=comma]);
    let names = fields().into_iter().chain(built_in_columns().map(str::to_owned));
    offer(OsStr::new(&*current), before, names.chain(["data.".to_owned()]))
}

pub(crate) fn sort(current: &OsStr) -> Vec<CompletionCandidate> {
    let before = if current.to_string_lossy().starts_with('-') { "-" } else { "" };
    offer(current, before, comparable())
}

/// The names that a condition or an order can have.
fn comparable() -> impl Iterator<Item = String> {
    fields().into_iter().chain(value::comparable_columns().map(|column| column.name().to_owned()))
}

fn offer(current: &OsStr, before: &str, names: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let names = names.into_iter().map(|name| format!("{before}{name}"));
    // A shell must not get a name that it would execute.
    let names = names.filter(|name| name.starts_with(&*current) && !name.contains(char::is_control));
    names.map(CompletionCandidate::new).collect()
}

fn tables() -> Vec<Found> {
    ask(async |database, _| catalog::session_tables(&database).await.ok()).unwrap_or_default()
}

fn fields() -> Vec<String> {
    let fields = ask(async |database, options: Options| {
        let found =
            DynamicFields::definition_from(&database, options.schema.as_deref(), &options.table).await;
        let fields = found.ok()??.fields().iter().map(|field| field.name().to_owned()).collect();
        Some(fields)
    });
    fields.unwrap_or_default()
}

/// Asks the database that the command line names. Creates no file.
fn ask<T>(question: impl AsyncFnOnce(Database, Options) -> Option<T>) -> Option<T> {
    let options = options()?;
    let server = Server::of(&options.database).ok()?;
    if server.file().is_some_and(|file| !file.exists()) {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let answer = async {
            let database = Database::connect(&options.database).await.ok()?;
            let answer = question(database.clone(), options).await;
            database.close().await;
            answer
        };
        tokio::time::timeout(PATIENCE, answer).await.ok()?
    })
}

/// Returns the options of the line that is being completed, as far as they are written.
fn options() -> Option<Options> {
    /// Only the options, any of which may be given.
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    // The shell's line follows after `--`.
    let line: Vec<_> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let names = ["--database", "--schema", "--table"];
    let mut words = vec![std::ffi::OsString::from("cloakroom")];
    for (place, word) in line.iter().enumerate() {
        let Some(text) = word.to_str() else { continue };
        if names.contains(&text) {
            words.extend([word.clone(), line.get(place + 1)?.clone()]);
        } else if names.iter().any(|name| text.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))) {
            words.push(word.clone());
        }
    }
    Line::try_parse_from(words).ok().map(|line| line.options)
}
