use std::time::Duration;

use cloakroom::{DynamicFields, Pruner, SessionFields, Status};
use serde_json::json;

use crate::args::Prune;
use crate::commands::progress::Progress;
use crate::context::{Context, Table};
use crate::failure::Failure;
use crate::output::counted;
use crate::value::Moment;

pub(crate) async fn run(context: &Context, prune: Prune) -> Result<(), Failure> {
    let sessions = context.sessions().await?;
    let keep = prune.older_than.unwrap_or_default();
    let affected = match prune.every {
        None => once(&sessions, keep, prune.quiet).await?,
        Some(every) => until_interrupted(sessions, every, keep).await?,
    };
    if prune.quiet {
        return Ok(());
    }
    context.output.answer(&json!({"affected": affected}), format_args!("{} deleted", counted(affected)))
}

async fn once(sessions: &Table, keep: Duration, is_quiet: bool) -> Result<u64, Failure> {
    let total = if is_quiet {
        0
    } else {
        let since = Moment::Ago(keep).instant(sessions.config().now());
        let expired = sessions.query().status(Status::Expired);
        expired.filter(DynamicFields::EXPIRES_AT.le(since)).count().await?
    };
    let progress = Progress::start(total, "deleted");
    Ok(sessions.delete_expired_for(keep, |deleted| progress.reached(deleted)).await?)
}

/// The pruner reports each of its runs to the log.
async fn until_interrupted(sessions: Table, every: Duration, keep: Duration) -> Result<u64, Failure> {
    let mut stopped = Box::pin(interrupted());
    let mut pruner = Pruner::builder(every).keep(keep).spawn(sessions);
    loop {
        tokio::select! {
            result = &mut stopped => {
                let deleted = pruner.progress().deleted;
                pruner.stop().await;
                return result.map(|()| deleted);
            }
            _ = pruner.run_ended() => {}
        }
    }
}

/// Waits until the user or the system asks the command to end.
async fn interrupted() -> Result<(), Failure> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => Ok(result?),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    Ok(tokio::signal::ctrl_c().await?)
}
