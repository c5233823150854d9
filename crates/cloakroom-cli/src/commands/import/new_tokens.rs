//! Imports sessions of which some get new tokens: all of them or none, since a second run would make other tokens.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use cloakroom::{DynamicFields, ErrorKind, ImportedSession, Outcome, Token};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use super::file::Lines;
use super::line::{Line, Secret};
use crate::commands::progress::Progress;
use crate::context::Table;
use crate::failure::Failure;

/// How many sessions go to the library at once.
const BATCH: usize = 1_000;

/// A session, and the line that it comes from.
struct Numbered {
    line: u64,
    session: ImportedSession<DynamicFields>,
}

/// Imports lines that are valid, and writes the new tokens to a new file.
pub(super) async fn import(sessions: &Table, lines: Lines<'_>, path: &Path) -> Result<(), Failure> {
    let mut tokens = NewTokens::create(path)?;
    let mut numbered = Vec::new();
    for line in lines {
        let mut line = line.map_err(|bad| Failure::usage(bad.to_string()))?;
        tokens.give_to(&mut line, sessions)?;
        let number = line.number;
        let session = super::imported(line).map_err(|bad| Failure::usage(bad.to_string()))?;
        numbered.push(Numbered { line: number, session });
    }
    tokens.write()?;
    write(sessions, &numbered, tokens).await
}

/// Writes all of them in one transaction.
async fn write(sessions: &Table, numbered: &[Numbered], tokens: NewTokens) -> Result<(), Failure> {
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
    match transaction.commit().await {
        Ok(()) => {
            tokens.keep();
            Ok(())
        }
        Err(error) if error.outcome() == Outcome::NotDone => {
            Err(Failure::from(error).context("nothing was imported"))
        }
        Err(error) => {
            // The new tokens may be valid.
            tokens.keep();
            Err(Failure::from(error).context("it is not known whether all of it was imported, or nothing"))
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

    /// Gives a session without a token a new one.
    fn give_to(&mut self, line: &mut Line, sessions: &Table) -> Result<(), Failure> {
        if matches!(line.secret, Secret::None) {
            let token = sessions.config().token_format().generate();
            let token =
                token.map_err(|error| Failure::trouble("no token could be made").caused_by(&error))?;
            let id = *line.id.get_or_insert_with(Uuid::now_v7);
            self.add(line.number, id, &token);
            line.secret = Secret::Token(token);
        }
        Ok(())
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
