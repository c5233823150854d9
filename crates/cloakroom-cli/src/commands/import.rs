//! Imports sessions from a file: in transactions of a few thousand, or with new tokens, all of them or none.

mod file;
mod line;
mod new_tokens;

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use cloakroom::{
    DynamicFields, ErrorKind, ImportError, ImportProgress, ImportedSession, Outcome, TokenDigest,
};
use futures_util::stream;
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::file::{BadLine, Lines};
use self::line::{Line, Names, Secret};
use crate::args::Import;
use crate::commands::progress::Progress;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::counted;

/// How many bad lines are named.
const NAMED: usize = 20;

pub(crate) async fn run(context: &Context, import: Import) -> Result<(), Failure> {
    let bytes = read(import.file.as_deref())?;
    let sessions = context.sessions().await?;
    let configured = import.digests.then(|| &sessions.config().digests()[0]);
    let names =
        Names { sessions: &sessions, scheme: context.scheme.as_ref().or(configured), map: &import.map };
    names.check()?;
    let lines = || Lines::new(&bytes, import.from, names);
    let numbers = checked(lines(), import.tokens.is_some())?;
    let total = numbers.len() as u64;

    let (written, there) = if let Some(path) = &import.tokens {
        new_tokens::import(&sessions, lines(), path).await?;
        (total, 0)
    } else {
        let progress = Progress::start(total, "imported");
        let rows = lines().map(|line| line.and_then(imported));
        let importer = sessions.importer().on_progress(|done| progress.reached(done.read));
        let importer = if import.dry_run { importer.dry_run() } else { importer };
        let done = importer.run(stream::iter(rows)).await;
        let done = done.map_err(|error| stopped(&error, &numbers, import.dry_run))?;
        (done.imported, done.already_there)
    };
    let json = json!({
        "imported": if import.dry_run { 0 } else { written },
        "already_there": there,
        "lines": total,
    });
    let what = if import.dry_run { "could be imported" } else { "imported" };
    let there = match there {
        0 => String::new(),
        1 => ", 1 was there already".to_owned(),
        there => format!(", {there} were there already"),
    };
    context.output.answer(&json, format_args!("{} {what}{there}", counted(written)))
}

/// Reads the whole file: nothing is written before every line was checked.
fn read(file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    match file.filter(|file| *file != Path::new("-")) {
        Some(path) => {
            let wrong = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
            let mut file = File::open(path).map_err(wrong)?;
            // The full capacity at once: a vector that grows leaves copies behind.
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            bytes.reserve_exact(usize::try_from(length).unwrap_or(0).saturating_add(1));
            file.read_to_end(&mut bytes).map_err(wrong)?;
        }
        None if io::stdin().is_terminal() => {
            return Err(Failure::usage("name the file, or have another command write it to standard input"));
        }
        None => {
            io::stdin().lock().read_to_end(&mut bytes)?;
        }
    }
    Ok(bytes)
}

/// Returns the numbers of the lines, if all are valid, by themselves and beside each other.
fn checked(lines: Lines<'_>, makes_tokens: bool) -> Result<Vec<u64>, Failure> {
    // 128 bits in place of each digest, for files of millions of lines.
    let keys = [RandomState::new(), RandomState::new()];
    let mut digests: HashMap<[u64; 2], u64> = HashMap::new();
    let mut ids: HashMap<Uuid, u64> = HashMap::new();
    let (mut numbers, mut bad) = (Vec::new(), Vec::new());
    for line in lines {
        let line = match line {
            Ok(line) => line,
            Err(line) => {
                bad.push(line);
                continue;
            }
        };
        let number = line.number;
        let same_id = line.id.and_then(|id| ids.insert(id, number));
        let digest = line.digest.as_ref().map(TokenDigest::expose);
        let same_token =
            digest.and_then(|digest| digests.insert(keys.each_ref().map(|key| key.hash_one(digest)), number));
        let problem = match (&line.secret, same_id, same_token) {
            (Secret::None, ..) if !makes_tokens => {
                "it has no token; say --tokens FILE if it is to get a new one".to_owned()
            }
            (_, Some(other), _) => format!("it has the id of line {other}"),
            (_, _, Some(other)) => format!("it has the token of line {other}"),
            _ => {
                numbers.push(number);
                continue;
            }
        };
        bad.push(BadLine { number, problem });
    }
    if bad.is_empty() {
        return Ok(numbers);
    }
    let lines = if bad.len() == 1 { "line is" } else { "lines are" };
    let mut named: Vec<String> = bad.iter().take(NAMED).map(ToString::to_string).collect();
    if bad.len() > NAMED {
        named.push("…".to_owned());
    }
    Err(Failure::usage(format!("nothing was imported: {} {lines} bad", bad.len())).details(named))
}

/// Returns the session of a line.
fn imported(line: Line) -> Result<ImportedSession<DynamicFields>, BadLine> {
    let Line { number, new, secret, id, inserted_at, .. } = line;
    let mut session = match secret {
        Secret::Token(token) => ImportedSession::with_token(new, token),
        Secret::Digest(digest) => ImportedSession::with_digest(new, digest),
        Secret::None => return Err(BadLine { number, problem: "it has no token".to_owned() }),
    };
    if let Some(id) = id {
        session = session.id(id);
    }
    if let Some(instant) = inserted_at {
        session = session.inserted_at(instant);
    }
    Ok(session)
}

/// Returns what is said of an import that stopped.
fn stopped(stopped: &ImportError, numbers: &[u64], is_dry_run: bool) -> Failure {
    let error = stopped.error();
    let mut failure = match error.kind() {
        // The library's words are about the row alone.
        ErrorKind::DuplicateToken | ErrorKind::Constraint => {
            Failure::usage(error.to_string()).caused_by_source_of(error)
        }
        _ => error.clone().into(),
    };
    let place = stopped.row().and_then(|row| usize::try_from(row).ok());
    if let Some(number) = place.and_then(|place| numbers.get(place)) {
        failure = failure.context(format!("line {number}"));
    }
    let ImportProgress { read, .. } = stopped.progress();
    let last = usize::try_from(read).ok().and_then(|read| numbers.get(read.checked_sub(1)?));
    let what = match last {
        _ if is_dry_run => "it could not all be imported".to_owned(),
        None if error.outcome() == Outcome::NotDone => "nothing was imported".to_owned(),
        None => "it is not known whether anything was imported: run it again".to_owned(),
        Some(number) => format!(
            "the import stopped: all up to line {number} is in the table; run it again, and what is there is left as it is"
        ),
    };
    failure.context(what)
}
