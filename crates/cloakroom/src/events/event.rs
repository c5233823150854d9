use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use uuid::Uuid;

use crate::session::EndReason;

/// One thing that happened to a session, or to several, of a table.
///
/// [Observers](crate::Observer) are told of each event after its commit. A table with an [audit log](crate::AuditLog)
/// keeps events as rows, written in the transaction of the change. An event holds no secret: neither a token, nor a
/// digest, nor the session's data.
///
/// As JSON it is one flat object:
///
/// ```
/// use cloakroom::{Event, EventKind};
///
/// let json = r#"{
///     "at": "2026-11-29T16:20:00.25Z",
///     "table": "sessions",
///     "owner": "1234",
///     "event": "ended",
///     "session": "019acf3c-7b64-7c3d-8f21-5a0d6f3f9c11",
///     "reason": "password_changed"
/// }"#;
/// let event: Event = serde_json::from_str(json)?;
/// assert!(matches!(&event.kind, EventKind::Ended { reason, .. } if reason == "password_changed"));
/// assert_eq!(event.name(), "ended");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// When it happened, by the clock of the [configuration](crate::ConfigBuilder::clock).
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
    /// The session table, with its schema if it was declared with one.
    pub table: String,
    /// Whose session it is: the value of the column with the role `owner`, as text. `None` if there is no such column, if
    /// it is null, or if the event is about several sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened; see [`Event`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A session was created.
    #[non_exhaustive]
    Created {
        /// Its id.
        session: Uuid,
        /// When it ends unless it is extended. `None` if it never does.
        #[serde(with = "rfc3339::option", default)]
        expires_at: Option<OffsetDateTime>,
    },
    /// Sessions that another system made were imported, in one transaction.
    #[non_exhaustive]
    Imported {
        /// How many.
        sessions: u64,
    },
    /// The application changed a session's fields, data or expiry.
    #[non_exhaustive]
    Updated {
        /// Its id.
        session: Uuid,
    },
    /// A session's expiry was moved forward, by [`extend`](crate::Sessions::extend) or because the session was read. An
    /// audit log does not have this event.
    #[non_exhaustive]
    Extended {
        /// Its id.
        session: Uuid,
        /// When it ends now.
        #[serde(with = "rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// A session got another token, by [`rotate`](crate::Sessions::rotate) or
    /// [`rotate_with_grace`](crate::Sessions::rotate_with_grace).
    #[non_exhaustive]
    Rotated {
        /// Its id.
        session: Uuid,
    },
    /// A browser has bound a session to a key of its device: `Sessions::register_device`, of the feature `dbsc`.
    #[non_exhaustive]
    Bound {
        /// Its id.
        session: Uuid,
    },
    /// A bound session got another token against a proof by its device's key: `Sessions::renew_bound`, of the feature `dbsc`.
    #[non_exhaustive]
    Renewed {
        /// Its id.
        session: Uuid,
    },
    /// A session's token was [exchanged](crate::Sessions::exchange) for its successor. A repetition that gets the same
    /// successor is no event.
    #[non_exhaustive]
    Exchanged {
        /// Its id.
        session: Uuid,
    },
    /// The user proved anew who they are, and the session got another token; see
    /// [`reauthenticate`](crate::Sessions::reauthenticate).
    #[non_exhaustive]
    Reauthenticated {
        /// Its id.
        session: Uuid,
    },
    /// A call ended a session.
    #[non_exhaustive]
    Ended {
        /// Its id.
        session: Uuid,
        /// Why.
        reason: EndReason,
    },
    /// A session was ended to make room for a new one of its owner's; see [`with_limit`](crate::Sessions::with_limit).
    #[non_exhaustive]
    Evicted {
        /// Its id.
        session: Uuid,
    },
    /// A session was ended because a token came again that had been exchanged: two parties have it. This is the one event
    /// to alert somebody about.
    #[non_exhaustive]
    Reused {
        /// Its id.
        session: Uuid,
    },
    /// A call deleted a session's row.
    #[non_exhaustive]
    Deleted {
        /// Its id.
        session: Uuid,
    },
    /// One statement ended so many sessions. A table with an audit log has [`Ended`](Self::Ended) of each in place of it,
    /// and so have the calls that return the sessions.
    #[non_exhaustive]
    EndedMany {
        /// How many.
        sessions: u64,
        /// Why.
        reason: EndReason,
    },
    /// One statement deleted so many sessions. A table with an audit log has [`Deleted`](Self::Deleted) of each in place
    /// of it, and so have the calls that return the sessions.
    #[non_exhaustive]
    DeletedMany {
        /// How many.
        sessions: u64,
    },
    /// Rows of sessions that had expired were deleted, by the pruner or by
    /// [`delete_expired`](crate::Sessions::delete_expired). An audit log does not have this event.
    #[non_exhaustive]
    Pruned {
        /// How many.
        sessions: u64,
    },
    /// A session was not created. Nothing was written, so an audit log does not have this event.
    #[non_exhaustive]
    Refused {
        /// Why.
        because: Refusal,
    },
}

/// Why a session was not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// Its owner has as many valid sessions as a [limit](crate::Sessions::with_limit) allows.
    LimitReached,
}

impl Event {
    /// Returns the name of what happened, as `event` has it in JSON: `created`, `ended`, …
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Returns the id of the session that it is about, if it is about one.
    pub fn session(&self) -> Option<Uuid> {
        self.kind.session()
    }

    /// Returns why the session was ended, if it was: `evicted` and `reuse` are reasons too.
    pub fn reason(&self) -> Option<EndReason> {
        match &self.kind {
            EventKind::Ended { reason, .. } | EventKind::EndedMany { reason, .. } => Some(reason.clone()),
            EventKind::Evicted { .. } => Some(EndReason::EVICTED),
            EventKind::Reused { .. } => Some(EndReason::REUSE),
            _ => None,
        }
    }
}

impl EventKind {
    /// Returns the event of one session's end.
    pub(crate) fn ended(session: Uuid, reason: &EndReason) -> Self {
        match reason {
            reason if *reason == EndReason::EVICTED => Self::Evicted { session },
            reason if *reason == EndReason::REUSE => Self::Reused { session },
            reason => Self::Ended { session, reason: reason.clone() },
        }
    }

    /// Returns `true` if an audit log has it: a change that somebody may be asked about later.
    pub(crate) fn is_audited(&self) -> bool {
        !matches!(
            self,
            Self::Extended { .. } | Self::Renewed { .. } | Self::Pruned { .. } | Self::Refused { .. }
        )
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Imported { .. } => "imported",
            Self::Updated { .. } => "updated",
            Self::Extended { .. } => "extended",
            Self::Rotated { .. } => "rotated",
            Self::Bound { .. } => "bound",
            Self::Renewed { .. } => "renewed",
            Self::Exchanged { .. } => "exchanged",
            Self::Reauthenticated { .. } => "reauthenticated",
            Self::Ended { .. } => "ended",
            Self::Evicted { .. } => "evicted",
            Self::Reused { .. } => "reused",
            Self::Deleted { .. } => "deleted",
            Self::EndedMany { .. } => "ended_many",
            Self::DeletedMany { .. } => "deleted_many",
            Self::Pruned { .. } => "pruned",
            Self::Refused { .. } => "refused",
        }
    }

    fn session(&self) -> Option<Uuid> {
        match self {
            Self::Created { session, .. }
            | Self::Updated { session }
            | Self::Extended { session, .. }
            | Self::Rotated { session }
            | Self::Bound { session }
            | Self::Renewed { session }
            | Self::Exchanged { session }
            | Self::Reauthenticated { session }
            | Self::Ended { session, .. }
            | Self::Evicted { session }
            | Self::Reused { session }
            | Self::Deleted { session } => Some(*session),
            Self::Imported { .. }
            | Self::EndedMany { .. }
            | Self::DeletedMany { .. }
            | Self::Pruned { .. }
            | Self::Refused { .. } => None,
        }
    }
}

/// Writes it for a log: what happened, to which session of which table, and why.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.name(), self.table)?;
        if let Some(session) = self.session() {
            write!(f, ": session {session}")?;
        }
        match self.reason() {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn each_kind() -> Vec<EventKind> {
        let session = Uuid::from_u128(7);
        let at = datetime!(2026-11-29 16:20:00.25 UTC);
        let reason = EndReason::from_static("password_changed");
        vec![
            EventKind::Created { session, expires_at: Some(at) },
            EventKind::Created { session, expires_at: None },
            EventKind::Imported { sessions: u64::MAX },
            EventKind::Updated { session },
            EventKind::Extended { session, expires_at: at },
            EventKind::Rotated { session },
            EventKind::Bound { session },
            EventKind::Renewed { session },
            EventKind::Exchanged { session },
            EventKind::Reauthenticated { session },
            EventKind::Ended { session, reason: reason.clone() },
            EventKind::Evicted { session },
            EventKind::Reused { session },
            EventKind::Deleted { session },
            EventKind::EndedMany { sessions: 3, reason },
            EventKind::DeletedMany { sessions: 3 },
            EventKind::Pruned { sessions: 3 },
            EventKind::Refused { because: Refusal::LimitReached },
        ]
    }

    fn event(kind: EventKind) -> Event {
        let at = datetime!(2026-11-29 16:20:00.123456 UTC);
        Event { at, table: "auth.sessions".into(), owner: Some("7".into()), kind }
    }

    #[test]
    fn every_event_reads_back_as_it_was_written() {
        for kind in each_kind() {
            for owner in [Some("7".to_owned()), None] {
                let event = Event { owner, ..event(kind.clone()) };
                let json = serde_json::to_value(&event).unwrap();
                assert_eq!(json["event"], event.name(), "{json}");
                assert_eq!(json.get("session").is_some(), event.session().is_some(), "{json}");
                assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
            }
        }
    }

    #[test]
    fn an_end_by_the_librarys_own_reasons_is_an_event_of_its_own() {
        let session = Uuid::from_u128(7);
        let name = |reason: &EndReason| event(EventKind::ended(session, reason)).name();
        assert_eq!(name(&EndReason::EVICTED), "evicted");
        assert_eq!(name(&EndReason::REUSE), "reused");
        assert_eq!(name(&EndReason::LOGGED_OUT), "ended");
        for reason in [EndReason::EVICTED, EndReason::REUSE, EndReason::LOGGED_OUT] {
            assert_eq!(event(EventKind::ended(session, &reason)).reason(), Some(reason));
        }
    }

    #[test]
    fn an_event_is_shown_in_one_line() {
        let ended = event(EventKind::ended(Uuid::from_u128(7), &EndReason::LOGGED_OUT));
        assert_eq!(
            ended.to_string(),
            "ended in auth.sessions: session 00000000-0000-0000-0000-000000000007 (logged_out)"
        );
        assert_eq!(event(EventKind::Pruned { sessions: 3 }).to_string(), "pruned in auth.sessions");
    }
}
