use cloakroom::{DynamicFields, Session, Status};

use crate::context::{Context, Table};
use crate::failure::Failure;
use crate::output::{Each, Shown};
use crate::value;

pub(crate) async fn show(context: &Context, id: &str) -> Result<(), Failure> {
    let id = value::id(id)?;
    let sessions = context.sessions().await?;
    let each = find_each(&sessions, id).await?;
    let mut shown = Shown::each(&each, sessions.config().now());
    if let Ok(session) = &each
        && sessions.definition().has_rotation_grace()
    {
        shown = shown.with_old_tokens(sessions.retired_tokens(session).await?);
    }
    context.output.shown(&shown)
}

pub(crate) async fn extend(context: &Context, id: &str) -> Result<(), Failure> {
    let id = value::id(id)?;
    let sessions = context.sessions().await?;
    let mut session = find(&sessions, id).await?;
    let is_extended = sessions.extend(&mut session).await?;
    let now = sessions.config().now();
    if !session.is_valid(now) {
        return Err(Failure::not_found("the session has expired, and an expired session is not extended"));
    }
    if !is_extended {
        eprintln!("no extension is due");
    }
    context.output.session(&session, now)
}

/// Returns the session with this id, of any status. Reading it does not extend it.
pub(crate) async fn find(sessions: &Table, id: uuid::Uuid) -> Result<Session<DynamicFields>, Failure> {
    find_each(sessions, id).await?.map_err(|unreadable| unreadable.error.into())
}

/// The same, or the part of it that is known if it does not decode.
pub(crate) async fn find_each(sessions: &Table, id: uuid::Uuid) -> Result<Each, Failure> {
    let mut found = sessions.query().id(id).status(Status::All).fetch_each().await?;
    found.pop().ok_or_else(|| Failure::not_found(format!("there is no session {id}")))
}
