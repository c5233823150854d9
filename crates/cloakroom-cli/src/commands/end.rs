//! Ending sessions: `expire` keeps their rows, `delete` does not.

use cloakroom::{DynamicFields, SessionQuery, Status};
use serde_json::json;

use crate::args::{Delete, Expire, Filter, StatusArg, Target};
use crate::commands::one::find_each;
use crate::commands::progress::Progress;
use crate::confirm;
use crate::context::{Context, Table};
use crate::failure::Failure;
use crate::output::{Shown, counted};
use crate::value;

pub(crate) async fn expire(context: &Context, command: Expire) -> Result<(), Failure> {
    if let Some(id) = &command.target.id {
        return expire_one(context, value::id(id)?).await;
    }
    let many = Many::new(context, command.target, Status::Valid).await?;
    let total = many.confirmed("Expire", command.yes).await?;
    let affected = many.in_batches(total, "expired", SessionQuery::expire_all).await?;
    context.output.answer(&json!({"affected": affected}), format_args!("{} expired", counted(affected)))
}

async fn expire_one(context: &Context, id: uuid::Uuid) -> Result<(), Failure> {
    let sessions = context.sessions().await?;
    let mut each = find_each(&sessions, id).await?;
    let has_ended = if let Ok(session) = &mut each {
        sessions.expire(session).await?
    } else {
        // A session that does not decode can be ended, too.
        let ended = sessions.query().id(id).expire_all().await?;
        each = find_each(&sessions, id).await?;
        ended > 0
    };
    if !has_ended {
        eprintln!("the session had expired already");
    }
    context.output.shown(&Shown::each(&each, sessions.config().now()))
}

pub(crate) async fn delete(context: &Context, command: Delete) -> Result<(), Failure> {
    if let Some(id) = &command.target.id {
        let id = value::id(id)?;
        let sessions = context.sessions().await?;
        // Not read before: a session that does not decode can be deleted, too.
        if sessions.query().id(id).status(Status::All).delete_all().await? == 0 {
            return Err(Failure::not_found(format!("there is no session {id}")));
        }
        return context.output.answer(&json!({"affected": 1}), "1 session deleted");
    }
    let status = command.status.unwrap_or(StatusArg::All).into();
    let many = Many::new(context, command.target, status).await?;
    let total = many.confirmed("Delete", command.yes).await?;
    let affected = many.in_batches(total, "deleted", SessionQuery::delete_all).await?;
    context.output.answer(&json!({"affected": affected}), format_args!("{} deleted", counted(affected)))
}

/// The sessions that a command is about to end.
struct Many {
    sessions: Table,
    filter: Filter,
    is_all: bool,
    status: Status,
}

impl Many {
    async fn new(context: &Context, target: Target, status: Status) -> Result<Self, Failure> {
        let Target { filter, all: is_all, .. } = target;
        if !is_all && filter.is_empty() {
            return Err(Failure::usage(
                "say which sessions: --id UUID, --where CONDITION, --expires-before TIME or the like, or --all",
            ));
        }
        Ok(Self { sessions: context.sessions().await?, filter, is_all, status })
    }

    /// Returns how many sessions match. The command asks before it ends more than one, and with `--all` before it ends
    /// any.
    async fn confirmed(&self, verb: &str, yes: bool) -> Result<u64, Failure> {
        let total = self.query()?.count().await?;
        if total > u64::from(!self.is_all) {
            let what = if self.is_all { "all, " } else { "" };
            let table = self.sessions.definition();
            confirm::ask(&format!("{verb} {what}{} of {table}?", counted(total)), yes)?;
        }
        Ok(total)
    }

    /// Ends them a batch at a time, so that no statement is large and a user who watches sees the progress.
    async fn in_batches<F: Future<Output = cloakroom::Result<u64>>>(
        &self,
        total: u64,
        done: &'static str,
        end: impl Fn(SessionQuery<'static, DynamicFields>) -> F,
    ) -> Result<u64, Failure> {
        // Each batch searches for its rows anew, so batches are larger if there are many sessions.
        let batch = (total / 100).clamp(1_000, 10_000);
        let progress = Progress::start(total, done);
        let mut affected = 0;
        loop {
            let ended = end(self.query()?.limit(batch)).await.map_err(|error| {
                let failure = Failure::from(error);
                match affected {
                    0 => failure,
                    _ => failure.context(format!("{} had been {done} when it failed", counted(affected))),
                }
            })?;
            affected += ended;
            progress.reached(affected);
            if ended < batch {
                return Ok(affected);
            }
        }
    }

    fn query(&self) -> Result<SessionQuery<'static, DynamicFields>, Failure> {
        Ok(self.filter.query(&self.sessions)?.status(self.status))
    }
}
