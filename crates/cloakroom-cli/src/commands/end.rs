//! Ending sessions: `expire` keeps their rows, `delete` does not.

use cloakroom::{DynamicFields, SessionQuery, Status};
use serde_json::json;

use crate::args::{Delete, Expire, StatusArg};
use crate::commands::one::find;
use crate::commands::progress::Progress;
use crate::confirm;
use crate::context::{Context, Table, select};
use crate::failure::Failure;
use crate::output::counted;
use crate::value::{self, Assignment};

pub(crate) async fn expire(context: &Context, command: Expire) -> Result<(), Failure> {
    if let Some(id) = &command.target.id {
        let id = value::id(id)?;
        let sessions = context.sessions().await?;
        let mut session = find(&sessions, id).await?;
        if !sessions.expire(&mut session).await? {
            eprintln!("the session had expired already");
        }
        return context.output.session(&session, sessions.config().now());
    }
    let sessions = context.sessions().await?;
    let many = Many { sessions, conditions: command.target.conditions, status: Status::Valid };
    let total = many.confirmed("Expire", command.yes).await?;
    let affected = many.in_batches(total, "expired", SessionQuery::expire_all).await?;
    context.output.answer(&json!({"affected": affected}), format_args!("{} expired", counted(affected)))
}

pub(crate) async fn delete(context: &Context, command: Delete) -> Result<(), Failure> {
    if let Some(id) = &command.target.id {
        let id = value::id(id)?;
        let sessions = context.sessions().await?;
        // Not read before: what does not decode can be deleted, too.
        if sessions.query().id(id).status(Status::All).delete_all().await? == 0 {
            return Err(Failure::not_found(format!("there is no session {id}")));
        }
        return context.output.answer(&json!({"affected": 1}), "1 session deleted");
    }
    let sessions = context.sessions().await?;
    let status = command.status.unwrap_or(StatusArg::All).into();
    let many = Many { sessions, conditions: command.target.conditions, status };
    let total = many.confirmed("Delete", command.yes).await?;
    let affected = many.in_batches(total, "deleted", SessionQuery::delete_all).await?;
    context.output.answer(&json!({"affected": affected}), format_args!("{} deleted", counted(affected)))
}

/// The sessions that a command is about to end.
struct Many {
    sessions: Table,
    conditions: Vec<Assignment>,
    status: Status,
}

impl Many {
    /// How many they are; more than one is asked about.
    async fn confirmed(&self, verb: &str, yes: bool) -> Result<u64, Failure> {
        let total = self.query()?.count().await?;
        if total > 1 {
            confirm::ask(&format!("{verb} {} of {}?", counted(total), self.sessions.definition()), yes)?;
        }
        Ok(total)
    }

    /// Ends them a batch at a time: no statement is large, and somebody who watches sees it go on.
    async fn in_batches<F: Future<Output = cloakroom::Result<u64>>>(
        &self,
        total: u64,
        done: &'static str,
        end: impl Fn(SessionQuery<'static, DynamicFields>) -> F,
    ) -> Result<u64, Failure> {
        // Each batch looks for its rows anew: of many sessions, more are taken at once.
        let batch = (total / 100).clamp(1_000, 10_000);
        let progress = Progress::start(total, done);
        let mut affected = 0;
        loop {
            let ended = end(self.query()?.limit(batch)).await?;
            affected += ended;
            progress.reached(affected);
            if ended < batch {
                return Ok(affected);
            }
        }
    }

    fn query(&self) -> Result<SessionQuery<'static, DynamicFields>, Failure> {
        select(&self.sessions, &self.conditions, self.status)
    }
}
