use cloakroom::AuditEntry;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::args;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::timestamp;
use crate::value;

const NAMES: [&str; 5] = ["recorded_at", "event", "session", "owner", "reason"];

/// An entry as JSON. This form is part of the command's interface.
#[derive(Serialize)]
struct EntryJson<'e> {
    id: String,
    recorded_at: String,
    event: &'e str,
    session: Option<String>,
    owner: Option<&'e str>,
    reason: Option<&'e str>,
    details: &'e RawValue,
}

impl<'e> EntryJson<'e> {
    fn new(entry: &'e AuditEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            recorded_at: timestamp(entry.recorded_at),
            event: &entry.name,
            session: entry.session.map(|session| session.to_string()),
            owner: entry.owner.as_deref(),
            reason: entry.reason.as_deref(),
            // The column holds JSON.
            details: serde_json::from_str(entry.details()).unwrap_or(RawValue::NULL),
        }
    }
}

pub(crate) async fn run(context: &Context, wanted: args::Log) -> Result<(), Failure> {
    let sessions = context.sessions().await?;
    let now = sessions.config().now();
    let mut log = sessions.audit_log().limit(wanted.limit);
    if let Some(session) = wanted.session {
        log = log.session(value::id(&session)?);
    }
    if let Some(owner) = wanted.owner {
        log = log.owner(&owner);
    }
    if let Some(event) = wanted.event {
        log = log.event(event);
    }
    if let Some(since) = wanted.since {
        log = log.since(since.instant(now));
    }
    if let Some(until) = wanted.until {
        log = log.until(until.instant(now));
    }
    if let Some(entry) = wanted.after {
        let entry =
            entry.parse().map_err(|_| Failure::usage("--after takes the id of an entry, as JSON has it"))?;
        log = log.before(entry);
    }
    let entries = log.fetch_all().await?;
    let json: Vec<_> = entries.iter().map(EntryJson::new).collect();
    let rows = entries.iter().map(|entry| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let session = entry.session.map(|session| session.to_string());
        [
            timestamp(entry.recorded_at),
            entry.name.clone(),
            session.unwrap_or_default(),
            text(&entry.owner),
            text(&entry.reason),
        ]
    });
    context.output.records(&json, Some(NAMES), rows)
}
