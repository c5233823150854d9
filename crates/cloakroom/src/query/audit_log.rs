//! Reading an audit log.

use std::fmt;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::Row;
use crate::error::Result;
use crate::events::Event;
use crate::observe::Operation;
use crate::operations::Operations;
use crate::sql::audit::{self, Wanted};
use crate::sql::unreadable;
use crate::table::{KeepsAuditLog, SessionFields, audit_column};

/// A query of what happened to the sessions of a table; made by [`Sessions::audit_log`](crate::Sessions::audit_log).
///
/// Without a condition it finds every entry. The newest come first.
///
/// ```
/// # use cloakroom::{Config, SessionTable, Sessions};
/// # #[derive(Clone, SessionTable)]
/// # #[session(audit_log)]
/// # struct UserSession { #[session(index, owner)] user_id: String }
/// # async fn example(sessions: Sessions<UserSession>) -> Result<(), Box<dyn std::error::Error>> {
/// for entry in sessions.audit_log().owner("1234").limit(50).fetch_all().await? {
///     println!("{} {} {}", entry.recorded_at, entry.name, entry.reason.unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
#[must_use]
#[derive(Debug)]
pub struct AuditLog<'c, T: SessionFields> {
    operations: Operations<'c, T>,
    wanted: Wanted,
}

/// One entry of an audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEntry {
    /// The entry's id: a UUID of version 7, in the order in which the entries of one process were made.
    pub id: Uuid,
    /// When it happened.
    pub recorded_at: OffsetDateTime,
    /// What happened: the [name](Event::name) of the event.
    pub name: String,
    /// The session that it is about, if it is about one.
    pub session: Option<Uuid>,
    /// Whose session it is, up to 255 characters.
    pub owner: Option<String>,
    /// Why the session was ended, if it was.
    pub reason: Option<String>,
    details: String,
}

impl AuditEntry {
    /// Returns the whole event. `None` if it is one that this version of the library does not know.
    pub fn event(&self) -> Option<Event> {
        serde_json::from_str(&self.details).ok()
    }

    /// Returns the whole event as JSON, as it is stored.
    pub fn details(&self) -> &str {
        &self.details
    }
}

impl<T: SessionFields> Operations<'_, T> {
    /// See [`Sessions::audit_log`](crate::Sessions::audit_log).
    pub fn audit_log(&mut self) -> AuditLog<'_, T>
    where
        T: KeepsAuditLog,
    {
        AuditLog::new(self.reborrow())
    }
}

impl<'c, T: SessionFields> AuditLog<'c, T> {
    pub(crate) fn new(operations: Operations<'c, T>) -> Self {
        Self { operations, wanted: Wanted::default() }
    }

    /// Finds only what happened to this session.
    pub fn session(mut self, id: Uuid) -> Self {
        self.wanted.session = Some(id);
        self
    }

    /// Finds only what happened to the sessions of this owner: the value of the column with the role `owner`, as text.
    pub fn owner(mut self, owner: &(impl fmt::Display + ?Sized)) -> Self {
        self.wanted.owner = Some(owner.to_string());
        self
    }

    /// Finds only events of this [name](Event::name), such as `reused`.
    pub fn event(mut self, name: impl Into<String>) -> Self {
        self.wanted.event = Some(name.into());
        self
    }

    /// Finds only what happened at this instant or later.
    pub fn since(mut self, instant: OffsetDateTime) -> Self {
        self.wanted.since = Some(instant);
        self
    }

    /// Finds only what happened before this instant.
    pub fn until(mut self, instant: OffsetDateTime) -> Self {
        self.wanted.until = Some(instant);
        self
    }

    /// Finds only entries before this one, for the next page: give the id of the last entry of the page before.
    pub fn before(mut self, entry: Uuid) -> Self {
        self.wanted.before = Some(entry);
        self
    }

    /// Returns at most so many entries. Default: all, which are held in memory.
    pub fn limit(mut self, entries: u64) -> Self {
        self.wanted.limit = Some(entries);
        self
    }

    /// Returns the entries.
    ///
    /// # Errors
    ///
    /// [`MissingTable`](crate::ErrorKind::MissingTable) if the table was not migrated since it was declared with
    /// `audit_log`.
    pub async fn fetch_all(mut self) -> Result<Vec<AuditEntry>>
    where
        T: KeepsAuditLog,
    {
        let call = self.operations.call(Operation::AuditLog);
        call.of(self.fetch_rows()).await
    }

    async fn fetch_rows(&mut self) -> Result<Vec<AuditEntry>> {
        self.operations.require_audit_log()?;
        let mut bindings = self.operations.bindings();
        let mut list = audit::list(&mut bindings, &self.wanted);
        let guard = self.operations.guard(&mut list);
        let statement = bindings.build(&list).guarded(guard);
        let rows = self.operations.fetch_all(&statement).await?;
        rows.iter().map(|row| self.read(row)).collect()
    }

    fn read(&self, row: &Row) -> Result<AuditEntry> {
        let failed = |error| unreadable(self.operations.table(), audit_column::DETAILS, error);
        let read = || -> Result<_, sqlx::Error> {
            Ok(AuditEntry {
                id: row.uuid(0)?,
                recorded_at: row.timestamp(1)?.unwrap_or(OffsetDateTime::UNIX_EPOCH),
                name: row.text(2)?.unwrap_or_default(),
                session: row.get(3)?,
                owner: row.text(4)?,
                reason: row.text(5)?,
                details: row.json(6)?.unwrap_or_default(),
            })
        };
        read().map_err(failed)
    }
}
