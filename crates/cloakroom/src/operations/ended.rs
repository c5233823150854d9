//! The ends of sessions, and their reasons. Every end that an operation makes is noted here, once it is written.

use uuid::Uuid;

use super::Operations;
use crate::error::{Error, ErrorKind, Result};
use crate::session::{EndReason, Session};
use crate::table::{Role, RoleField, SessionFields};

/// How sessions end.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// They expire now, and the column with the role `ended_because` says why, if there is one.
    Expired(EndReason),
    /// They have expired by this machine's clock, and now do so by every clock. The end has no reason.
    Lapsed,
    /// Their rows are deleted.
    Deleted,
}

/// Which sessions have ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended<'i> {
    One(Uuid),
    Each(&'i [Uuid]),
    /// As many as this, whose ids are not known.
    Number(u64),
}

impl Ended<'_> {
    fn number(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Each(ids) => ids.len() as u64,
            Self::Number(number) => *number,
        }
    }
}

impl End {
    /// Returns why, for an end that has a reason.
    pub(crate) fn reason(&self) -> Option<&EndReason> {
        match self {
            Self::Expired(reason) => Some(reason),
            Self::Lapsed | Self::Deleted => None,
        }
    }

    /// Returns the reason for a metric. The application may have any number of reasons of its own, which are one here.
    fn label(&self) -> &'static str {
        const OWN: [(EndReason, &str); 4] = [
            (EndReason::LOGGED_OUT, "logged_out"),
            (EndReason::EVICTED, "evicted"),
            (EndReason::ROTATED_AWAY, "rotated_away"),
            (EndReason::REUSE, "reuse"),
        ];
        match self {
            Self::Expired(reason) => {
                OWN.iter().find(|(own, _)| own == reason).map_or("other", |(_, label)| label)
            }
            Self::Lapsed => "lapsed",
            Self::Deleted => "deleted",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Expired(reason) => reason.as_str(),
            Self::Lapsed => "lapsed",
            Self::Deleted => "deleted",
        }
    }
}

impl<T: SessionFields> Operations<'_, T> {
    /// Notes that sessions have ended. On the pool that is committed; within the caller's transaction it is written, and
    /// may still be undone.
    pub(crate) fn note_ended(&self, ended: Ended<'_>, end: &End) {
        let sessions = ended.number();
        if sessions > 0 {
            self.handle().metrics().ended(sessions, end.label());
            let session = if let Ended::One(id) = ended { Some(tracing::field::display(id)) } else { None };
            tracing::debug!(table = %self.table(), sessions, session, reason = end.name(), "sessions have ended");
        }
    }

    /// Refuses a reason that the caller gives if there is no column for it.
    pub(crate) fn check_reason(&self) -> Result<()> {
        if self.table().field_for(Role::EndedBecause).is_some() {
            return Ok(());
        }
        let message = format!("{} has no column with the role {}", self.table(), Role::EndedBecause);
        Err(Error::new(ErrorKind::UnknownField, message))
    }

    /// Checks the reason against what its column holds. Returns `true` if what is read back may differ.
    pub(crate) async fn fit_reason(&mut self, reason: &EndReason) -> Result<bool> {
        let value = self.handle().store().reason(reason);
        self.fit_role(Role::EndedBecause, value).await
    }
}

impl<T: SessionFields> Session<T> {
    /// Records why the session was ended.
    pub(crate) fn note_reason(&mut self, reason: &EndReason) {
        self.note_field(|fields| {
            if let Some(RoleField::Text(field)) = fields.role_mut(Role::EndedBecause) {
                field.set_text(reason.as_str().to_owned());
            }
        });
    }
}
