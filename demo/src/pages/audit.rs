//! What happened to the user's sessions and keys: the audit logs that the library keeps.

use std::collections::HashMap;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use cloakroom::{AuditEntry, AuditLog, EndReason, KeepsAuditLog, SessionFields, Sessions, Status};
use serde::Deserialize;
use uuid::Uuid;

use super::{Frame, LoggedIn, Page, Shown, account, page};
use crate::app::App;
use crate::error::PageError;
use crate::notice::Told;
use crate::tables::{ApiKey, PASSWORD_CHANGED, UserSession};

const PER_PAGE: usize = 30;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    of: Of,
    entries: Vec<Entry>,
    is_first: bool,
    next: Option<Uuid>,
}

/// A row of the page's table.
struct Entry {
    at: Shown,
    event: &'static str,
    /// The device or the key; `None` if its row is gone.
    what: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Place {
    #[serde(default)]
    of: Of,
    before: Option<Uuid>,
}

/// Whose log is shown: each table has its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Of {
    #[default]
    Devices,
    Keys,
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Keys => "keys",
        }
    }
}

pub(crate) async fn show(
    State(app): State<App>,
    LoggedIn { user, .. }: LoggedIn,
    told: Told,
    place: Result<Query<Place>, QueryRejection>,
) -> Page {
    let Query(Place { of, before }) = place?;
    let (mut entries, names) = match of {
        Of::Devices => {
            let entries = read(app.sessions.audit_log(), &user.id, before).await?;
            let names = names(&app.sessions, &user.id, UserSession::ID, &entries, account::name).await?;
            (entries, names)
        }
        Of::Keys => {
            let entries = read(app.keys.audit_log(), &user.id, before).await?;
            let name = |key: &cloakroom::Session<ApiKey>| key.fields.name.clone();
            let names = names(&app.keys, &user.id, ApiKey::ID, &entries, name).await?;
            (entries, names)
        }
    };
    let has_more = entries.len() > PER_PAGE;
    entries.truncate(PER_PAGE);
    let next = entries.last().filter(|_| has_more).map(|last| last.id);
    let entry = |entry: &AuditEntry| Entry {
        at: entry.recorded_at.into(),
        event: event(of, &entry.name, entry.reason.as_deref()),
        what: entry.session.and_then(|id| names.get(&id).cloned()),
    };
    let entries = entries.iter().map(entry).collect();
    let frame = Frame::of(user, told, "/audit");
    page(&AuditPage { frame, of, entries, is_first: before.is_none(), next })
}

/// Returns a page of the log, and one entry more if there is one.
async fn read<T: KeepsAuditLog>(
    log: AuditLog<'_, T>,
    user_id: &str,
    before: Option<Uuid>,
) -> Result<Vec<AuditEntry>, PageError> {
    let log = log.owner(user_id).limit(PER_PAGE as u64 + 1);
    let log = match before {
        Some(before) => log.before(before),
        None => log,
    };
    Ok(log.fetch_all().await?)
}

/// Returns the names of the sessions that these entries are about, as far as their rows are still there.
async fn names<T: SessionFields + cloakroom::HasOwner<Owner = String>>(
    sessions: &Sessions<T>,
    user_id: &str,
    id: cloakroom::Column<T, Uuid>,
    entries: &[AuditEntry],
    name: impl Fn(&cloakroom::Session<T>) -> String,
) -> Result<HashMap<Uuid, String>, PageError> {
    let ids = entries.iter().filter_map(|entry| entry.session);
    let query = sessions.query().owner(user_id.to_owned()).filter(id.is_in(ids)).status(Status::All);
    Ok(query.fetch_all().await?.iter().map(|session| (session.id, name(session))).collect())
}

fn event(of: Of, event: &str, reason: Option<&str>) -> &'static str {
    let is = |known: EndReason| reason.is_some_and(|reason| known == reason);
    match (of, event) {
        (Of::Devices, "created") => "Logged in",
        (Of::Keys, "created") => "Made",
        (Of::Devices, "updated") => "Renamed",
        (Of::Devices, "rotated") => "Got a new token",
        (Of::Keys, "rotated") => "Rotated",
        (_, "bound") => "Bound to the device",
        (_, "reauthenticated") => "Password given again",
        (_, "evicted") => "Ended, to make room for another",
        (Of::Devices, "ended") if is(PASSWORD_CHANGED) => "Logged out: the password was changed",
        (Of::Devices, "ended") => "Logged out",
        (Of::Keys, "ended") => "Revoked",
        (Of::Devices, "deleted") => "Taken off the list",
        (Of::Keys, "deleted") => "Deleted",
        (_, "reused") => "Ended: an old token came again",
        _ => "Changed",
    }
}
