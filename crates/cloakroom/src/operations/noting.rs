//! Events: who is told of what an operation has done, and what the audit log has of it.

use super::Operations;
use super::create::new_id;
use crate::database::{AfterCommit, Statement};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, EventKind};
use crate::session::Session;
use crate::sql::audit;
use crate::table::{Role, SessionFields};

/// The events of operations on a connection of the caller's, whose commit this library does not see.
///
/// Returned by [`Operations::into_events`]. If it is dropped, no [observer](crate::Observer) hears of them.
#[must_use]
#[derive(Debug, Default)]
pub struct PendingEvents(AfterCommit);

impl PendingEvents {
    /// Tells the observers. Call it after the transaction is committed.
    pub fn deliver(self) {
        self.0.run();
    }

    /// Returns how many events there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: SessionFields> Operations<'_, T> {
    /// Returns the events of what was done so far, to be [delivered](PendingEvents::deliver) once the caller has committed.
    ///
    /// This is for transactions and connections of sqlx's own. A [`Transaction`](crate::Transaction) that
    /// [`Sessions::begin`](crate::Sessions::begin) has begun tells the observers by itself when it is committed.
    ///
    /// ```
    /// # use cloakroom::{Session, SessionTable, Sessions};
    /// # #[derive(Clone, SessionTable)]
    /// # struct UserSession { user_id: String }
    /// # async fn example(
    /// #     sessions: Sessions<UserSession>,
    /// #     pool: cloakroom::sqlx::SqlitePool,
    /// #     mut session: Session<UserSession>,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut transaction = pool.begin().await?;
    /// let mut operations = sessions.within(&mut transaction);
    /// operations.expire(&mut session).await?;
    /// let events = operations.into_events();
    /// transaction.commit().await?;
    /// events.deliver();
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_events(self) -> PendingEvents {
        let pending = self.connection.after_commit().filter(|after| !after.is_told());
        PendingEvents(pending.cloned().unwrap_or_default())
    }

    /// Fails if the table has no audit log.
    pub(crate) fn require_audit_log(&self) -> Result<()> {
        if self.table().keeps_audit_log() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, format!("{} keeps no audit log", self.table())))
    }

    /// Fails if the table keeps an audit log, and the connection is one of the caller's on which no transaction is open: a
    /// change could then be written without its entry.
    pub(crate) async fn require_transaction_to_audit(&mut self) -> Result<()> {
        if !self.table().keeps_audit_log() {
            return Ok(());
        }
        let required = self.connection.require_transaction().await;
        required.map_err(|error| self.failed(error))
    }

    /// Returns the event, if anything is to be told of it, or written.
    pub(crate) fn event(&self, fields: Option<&T>, kind: EventKind) -> Option<Event> {
        if self.handle().observers().is_empty() && !self.table().keeps_audit_log() {
            return None;
        }
        let owner = fields.and_then(|fields| {
            let place = self.table().place_for(Role::Owner)?;
            fields.to_values().get(place)?.shown()
        });
        Some(Event { at: self.config().now(), table: self.table().to_string(), owner, kind })
    }

    /// Returns the event of something that happened to this session.
    pub(crate) fn event_of(&self, session: &Session<T>, kind: EventKind) -> Option<Event> {
        // The owner is the row's, whatever the caller has written into the session meanwhile.
        self.event(Some(session.stored.fields.as_deref().unwrap_or(&session.fields)), kind)
    }

    /// Returns `true` if the audit log is to have the event.
    pub(crate) fn is_audited(&self, event: Option<&Event>) -> bool {
        self.table().keeps_audit_log() && event.is_some_and(|event| event.kind.is_audited())
    }

    /// Returns the statement that writes those of the events into the audit log that it is to have.
    pub(crate) fn audit<'e>(&self, events: impl IntoIterator<Item = &'e Event>) -> Option<Statement> {
        let audited = events.into_iter().filter(|event| self.is_audited(Some(event)));
        let entries: Vec<_> = audited.map(|event| (new_id(event.at), event)).collect();
        (!entries.is_empty()).then(|| audit::insert(&mut self.bindings(), entries))
    }

    /// Writes the events into the audit log, and tells the observers when the transaction is committed. On the pool there
    /// is no transaction, and so no audit log that is to have them.
    pub(crate) async fn record(&mut self, events: Vec<Event>) -> Result<()> {
        if let Some(statement) = self.audit(&events) {
            debug_assert!(!self.connection.is_pool(), "an entry of its own could be lost");
            self.execute(&statement).await?;
        }
        self.tell(events);
        Ok(())
    }

    /// Tells the observers of events: now if they are committed, which they are on the pool, or after the commit.
    pub(crate) fn tell(&self, events: impl IntoIterator<Item = Event>) {
        let observers = self.handle().observers();
        if observers.is_empty() {
            return;
        }
        for event in events {
            match self.connection.after_commit() {
                Some(after) => {
                    let observers = observers.clone();
                    after.add(move || observers.tell(&event));
                }
                None => observers.tell(&event),
            }
        }
    }
}
