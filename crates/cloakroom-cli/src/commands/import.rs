//! Imports sessions from a file: all of them, or none.

mod file;
mod line;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use cloakroom::{DynamicFields, ErrorKind, ImportedSession, Outcome, Token, TokenDigest};
use serde_json::json;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use self::file::BadLine;
use self::line::{Line, Secret};
use crate::args::Import;
use crate::commands::progress::Progress;
use crate::context::{Context, Table};
use crate::failure::Failure;
use crate::output::counted;

/// How many sessions go to the library at once.
const BATCH: usize = 1_000;

/// How many bad lines are named.
const NAMED: usize = 20;

/// A session, and the line that it comes from.
struct Numbered {
    line: u64,
    session: ImportedSession<DynamicFields>,
}

pub(crate) async fn run(context: &Context, import: Import) -> Result<(), Failure> {
    let bytes = read(import.file.as_deref())?;
    let sessions = context.sessions().await?;
    let (lines, bad) = file::lines(&bytes, import.from, &sessions);
    let (lines, bad) = checked(lines, bad, &import);
    refuse(&bad)?;

    let mut tokens = match &import.tokens {
        Some(path) => Some(NewTokens::create(path)?),
        None => None,
    };
    let numbered = lines
        .into_iter()
        .map(|line| numbered(line, &sessions, tokens.as_mut()))
        .collect::<Result<Vec<_>, Failure>>()?;
    let total = numbered.len() as u64;
    if let Some(tokens) = &mut tokens {
        tokens.write()?;
    }
    write(&sessions, &numbered, import.dry_run, tokens).await?;

    let done = if import.dry_run { "could be imported" } else { "imported" };
    let json = json!({"imported": if import.dry_run { 0 } else { total }, "lines": total});
    context.output.answer(&json, format_args!("{} {done}", counted(total)))
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

/// Separates the lines that are valid, by themselves and beside each other, from those that are not.
fn checked(lines: Vec<Line>, mut bad: Vec<BadLine>, import: &Import) -> (Vec<Line>, Vec<BadLine>) {
    let mut digests: HashMap<&str, u64> = HashMap::with_capacity(lines.len());
    let mut ids: HashMap<Uuid, u64> = HashMap::new();
    let mut problem_of = |line: &'_ Line| match &line.secret {
        Secret::Digest(_) if !import.digests => {
            Some("it has a digest; say --digests if its token is to be accepted".to_owned())
        }
        Secret::None if import.tokens.is_none() => {
            Some("it has no token; say --tokens FILE if it is to get a new one".to_owned())
        }
        _ => line
            .id
            .and_then(|id| ids.insert(id, line.number))
            .map(|other| format!("it has the id of line {other}")),
    };
    let mut problems = Vec::with_capacity(lines.len());
    for line in &lines {
        let digest = line.digest.as_ref().map(TokenDigest::expose);
        let other = digest.and_then(|digest| digests.insert(digest, line.number));
        let same_token = other.map(|other| format!("it has the token of line {other}"));
        problems.push(problem_of(line).or(same_token));
    }
    let mut good = Vec::with_capacity(lines.len());
    for (line, problem) in lines.into_iter().zip(problems) {
        match problem {
            Some(problem) => bad.push(BadLine { number: line.number, problem }),
            None => good.push(line),
        }
    }
    bad.sort_by_key(|bad| bad.number);
    (good, bad)
}

fn refuse(bad: &[BadLine]) -> Result<(), Failure> {
    if bad.is_empty() {
        return Ok(());
    }
    let lines = if bad.len() == 1 { "line is" } else { "lines are" };
    let mut named: Vec<String> = bad.iter().take(NAMED).map(ToString::to_string).collect();
    if bad.len() > NAMED {
        named.push("…".to_owned());
    }
    Err(Failure::usage(format!("nothing was imported: {} {lines} bad", bad.len())).details(named))
}

/// Returns the session of a line. It gets a new token if the line has none.
fn numbered(line: Line, sessions: &Table, tokens: Option<&mut NewTokens>) -> Result<Numbered, Failure> {
    let Line { number, new, secret, digest, id, inserted_at } = line;
    let mut session = match (secret, digest) {
        (Secret::Token(token), _) => ImportedSession::with_token(new, token),
        (Secret::Digest(digest), _) => ImportedSession::with_digest(new, digest),
        (Secret::None, _) => {
            let token = sessions.config().token_format().generate();
            let token =
                token.map_err(|error| Failure::trouble("no token could be made").caused_by(&error))?;
            let id = id.unwrap_or_else(Uuid::now_v7);
            if let Some(tokens) = tokens {
                tokens.add(number, id, &token);
            }
            ImportedSession::with_token(new, token).id(id)
        }
    };
    if let Some(id) = id {
        session = session.id(id);
    }
    if let Some(instant) = inserted_at {
        session = session.inserted_at(instant);
    }
    Ok(Numbered { line: number, session })
}

/// Writes all of them in one transaction.
async fn write(
    sessions: &Table,
    numbered: &[Numbered],
    is_dry_run: bool,
    tokens: Option<NewTokens>,
) -> Result<(), Failure> {
    let progress = Progress::start(numbered.len() as u64, "imported");
    let mut transaction = sessions.begin().await?;
    let mut done = 0;
    for batch in numbered.chunks(BATCH) {
        let these = batch.iter().map(|numbered| numbered.session.clone()).collect();
        if let Err(error) = sessions.within(&mut transaction).import(these).await {
            // A separate search finds the line, after everything was rolled back.
            let _ = transaction.rollback().await;
            return Err(whose(sessions, batch, error).await.context("nothing was imported"));
        }
        done += batch.len() as u64;
        progress.reached(done);
    }
    if is_dry_run {
        transaction.rollback().await?;
        return Ok(());
    }
    match transaction.commit().await {
        Ok(()) => {
            if let Some(tokens) = tokens {
                tokens.keep();
            }
            Ok(())
        }
        Err(error) if error.outcome() == Outcome::NotDone => {
            Err(Failure::from(error).context("nothing was imported"))
        }
        Err(error) => {
            let failure = Failure::from(error);
            if let Some(tokens) = tokens {
                // The new tokens may be valid.
                tokens.keep();
            }
            Err(failure.context("it is not known whether all of it was imported, or nothing"))
        }
    }
}

/// Finds the line of a batch that the database refuses.
async fn whose(sessions: &Table, batch: &[Numbered], error: cloakroom::Error) -> Failure {
    let is_of_a_line = matches!(
        error.kind(),
        ErrorKind::InvalidField
            | ErrorKind::InvalidData
            | ErrorKind::DuplicateToken
            | ErrorKind::Constraint
            | ErrorKind::Database
    );
    if !is_of_a_line {
        return error.into();
    }
    let of_line = |failure: Failure, line: u64| failure.context(format!("line {line}"));
    let Ok(mut transaction) = sessions.begin().await else {
        return error.into();
    };
    for numbered in batch {
        let these = vec![numbered.session.clone()];
        if let Err(error) = sessions.within(&mut transaction).import(these).await {
            let _ = transaction.rollback().await;
            let failure = match error.kind() {
                ErrorKind::DuplicateToken => Failure::usage("a session in the table has its token"),
                ErrorKind::Constraint => {
                    Failure::usage("its id is taken, or it breaks another rule of the table")
                        .caused_by(&error)
                }
                _ => Failure::from(error),
            };
            return of_line(failure, numbered.line);
        }
    }
    let _ = transaction.rollback().await;
    // One by one they are valid: one of them conflicts with others.
    let (first, last) = (batch.first(), batch.last());
    let lines = first.zip(last).map(|(first, last)| format!("a line from {} to {}", first.line, last.line));
    Failure::from(error).context(lines.unwrap_or_default())
}

/// The file that new tokens are written to. It is removed again, unless the tokens are valid.
struct NewTokens {
    path: PathBuf,
    file: File,
    text: Zeroizing<Vec<u8>>,
    is_kept: bool,
}

impl NewTokens {
    fn create(path: &Path) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(path)
            .map_err(|error| Failure::usage(format!("cannot make {}: {error}", path.display())))?;
        let text = Zeroizing::new(b"line,id,token\n".to_vec());
        Ok(Self { path: path.to_owned(), file, text, is_kept: false })
    }

    fn add(&mut self, line: u64, id: Uuid, token: &Token) {
        let mut row = format!("{line},{id},{}\n", token.expose());
        if self.text.capacity() < self.text.len() + row.len() {
            // A vector that grows by itself leaves a copy behind.
            let mut larger = Zeroizing::new(Vec::with_capacity(self.text.capacity() * 2 + row.len()));
            larger.extend_from_slice(&self.text);
            self.text = larger;
        }
        self.text.extend_from_slice(row.as_bytes());
        row.zeroize();
    }

    /// Written to the disk before the sessions are stored: a lost token could not be handed out.
    fn write(&mut self) -> Result<(), Failure> {
        io::Write::write_all(&mut self.file, &self.text)
            .and_then(|()| self.file.sync_all())
            .map_err(|error| Failure::from(error).context(format!("cannot write {}", self.path.display())))
    }

    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for NewTokens {
    fn drop(&mut self) {
        if !self.is_kept {
            // It has no token that a client could use.
            let _ = fs::remove_file(&self.path);
        }
    }
}
