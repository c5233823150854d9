//! Looks at a database and its session table, and says what is and what should be changed. Writes nothing.

mod ask;
mod mysql;
mod postgres;
mod sqlite;
mod table;

use cloakroom::{Database, Sessions, sqlx};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;

/// How much a user should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Worth to know, or not to be found out.
    Note,
    /// Something should be changed.
    Warning,
}

/// What one look showed.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    says: String,
}

/// All that was found.
#[derive(Debug, Serialize)]
struct Findings {
    table: String,
    findings: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, check: &'static str, state: State, says: impl Into<String>) {
        self.findings.push(Finding { check, state, says: says.into() });
    }

    fn ok(&mut self, check: &'static str, says: impl Into<String>) {
        self.add(check, State::Ok, says);
    }

    fn note(&mut self, check: &'static str, says: impl Into<String>) {
        self.add(check, State::Note, says);
    }

    fn warn(&mut self, check: &'static str, says: impl Into<String>) {
        self.add(check, State::Warning, says);
    }

    /// Notes what kept a look from showing anything. The others go on.
    fn unknown(&mut self, check: &'static str, error: &sqlx::Error) {
        let why = match error {
            sqlx::Error::Database(error) => error.message().to_owned(),
            error => error.to_string(),
        };
        self.note(check, format!("this cannot be looked at: {why}"));
    }
}

pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let database = context.connect().await?;
    let mut findings = Findings { table: context.definition().to_string(), findings: Vec::new() };
    match &database {
        Database::Sqlite(_) => sqlite::look(&database, &mut findings).await,
        Database::Postgres(pool) => postgres::look(&database, pool, &mut findings).await,
        Database::MySql(pool) => mysql::look(&database, pool, &mut findings).await,
        // There is no other database, with the features that this command enables.
        _ => {}
    }
    match context.existing(&database).await {
        Ok(Some(definition)) => {
            let sessions: Sessions<_> = context.sessions_of(database, definition)?;
            table::look(&sessions, &mut findings).await;
        }
        // What was said before may be the reason, such as a pooler.
        Err(failure) => {
            findings.warn("table", format!("the table cannot be looked at: {}", failure.in_full()));
        }
        Ok(None) => {
            let make = context.hint("migrate up --field user_id:text:index");
            findings.warn("table", format!("there is no table {}; make it with: {make}", findings.table));
        }
    }
    let warnings = findings.findings.iter().filter(|finding| finding.state == State::Warning).count();
    let rows = findings.findings.iter().map(|finding| {
        let state = match finding.state {
            State::Ok => "ok",
            State::Note => "note",
            State::Warning => "warning",
        };
        [state.to_owned(), finding.check.to_owned(), finding.says.clone()]
    });
    context.output.records(&findings, Some(["state", "check", "says"]), rows)?;
    match warnings {
        0 => Ok(()),
        1 => Err(Failure::not_found("there is one warning")),
        _ => Err(Failure::not_found(format!("there are {warnings} warnings"))),
    }
}
