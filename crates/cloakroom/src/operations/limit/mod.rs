//! How many valid sessions an owner may have at once.
//!
//! A create under a limit is a transaction: it takes the lock of the owner, counts the owner's valid sessions, ends those
//! that are to make room, inserts the row, and commits. `room.rs` says what the lock is on each database, and why no
//! two creates count without each other's rows.

mod owner;
mod room;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub(crate) use owner::Queues;
use room::LimitedRow;
use uuid::Uuid;

use super::Operations;
use super::own::in_its_own_task;
use crate::config::ConfigError;
use crate::database::FieldValue;
use crate::error::{ErrorKind, Result};
use crate::events::{Event, EventKind, Refusal};
use crate::table::{Column, FieldDefinition, HasOwner, Role, SessionFields, TableDefinition};

/// A limit of how many valid sessions each owner has at once; see [`Sessions::with_limit`](crate::Sessions::with_limit).
///
/// ```
/// use cloakroom::{Evict, PerOwner, SessionTable};
///
/// #[derive(Clone, SessionTable)]
/// struct UserSession {
///     #[session(index, owner)]
///     user_id: i64,
///     kind: String,
///     #[session(ended_because)]
///     ended_because: Option<String>,
/// }
///
/// // Ten sessions; the eleventh log-in ends the oldest one.
/// let _: PerOwner<UserSession> = PerOwner::at_most(10).evict(Evict::Oldest);
///
/// // Ten of each kind, and of a television one; the next log-in is refused.
/// let number = |session: &UserSession| Some(if session.kind == "tv" { 1 } else { 10 });
/// let _ = PerOwner::at_most(10).per(UserSession::KIND).limit_for(number).refuse();
/// ```
#[must_use]
pub struct PerOwner<T> {
    most: u64,
    number: Option<Arc<Number<T>>>,
    kinds: Vec<Cow<'static, str>>,
    full: Full,
}

type Number<T> = dyn Fn(&T) -> Option<u64> + Send + Sync;

/// Which sessions end so that there is room for a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evict {
    /// Those that were created first. The default.
    #[default]
    Oldest,
    /// Those that were not used for the longest time, by the column with the role `last_seen`. A session that was never
    /// seen counts as seen when it was created. A use that this process has noted counts before it is written; what another
    /// process has noted within the last [`record_seen`](crate::ConfigBuilder::record_seen) is not known here.
    LeastRecentlySeen,
}

/// What happens to a create for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Evicts(Evict),
    Refuses,
}

impl<T: HasOwner> PerOwner<T> {
    /// Makes a limit of this many valid sessions for each owner, at least one. By default the oldest sessions make room
    /// for a new one.
    pub fn at_most(sessions: u64) -> Self {
        Self { most: sessions, number: None, kinds: Vec::new(), full: Full::Evicts(Evict::Oldest) }
    }

    /// Counts the sessions with each value of this column by themselves, such as those of a web site and those of a
    /// phone. Null is a value. Call it again to count by the values of several columns together.
    pub fn per<V>(mut self, column: Column<T, V>) -> Self {
        self.kinds.push(column.name().into());
        self
    }

    /// Sets the number by the fields of the new session, in place of that of [`at_most`](Self::at_most). `None` means that
    /// this session is created without a limit, and 0 that it is refused.
    ///
    /// The sessions that are counted are all those of the owner, or those with the same value in the columns of
    /// [`per`](Self::per). So the number should follow from the owner and from these columns.
    pub fn limit_for(self, number: impl Fn(&T) -> Option<u64> + Send + Sync + 'static) -> Self {
        Self { number: Some(Arc::new(number)), ..self }
    }

    /// Ends the owner's sessions of this choice, as many as must make room for the new one.
    ///
    /// They end as by [`expire`](crate::Sessions::expire), with the reason
    /// [`EVICTED`](crate::EndReason::EVICTED), in the transaction that inserts the new session.
    pub fn evict(self, which: Evict) -> Self {
        Self { full: Full::Evicts(which), ..self }
    }

    /// Refuses a new session for which there is no room, with [`LimitReached`](crate::ErrorKind::LimitReached).
    pub fn refuse(self) -> Self {
        Self { full: Full::Refuses, ..self }
    }
}

impl<T> PerOwner<T> {
    /// Checks the limit against the table's columns.
    pub(crate) fn check(&self, table: &TableDefinition) -> Result<(), ConfigError> {
        let problem = |problem: String| Err(ConfigError::Limit { problem });
        if self.most == 0 {
            return problem("at_most must be at least 1".to_owned());
        }
        let lacks = |role: &str| {
            let example = format!("#[session({role})]");
            problem(format!("{table} has no column with the role {role}: write `{example}` above its field"))
        };
        if table.field_for(Role::Owner).is_none() {
            return lacks("owner");
        }
        if self.full == Full::Evicts(Evict::LeastRecentlySeen) && last_seen(table).is_none() {
            return lacks("last_seen");
        }
        match self.kinds.iter().find(|kind| table.field_index(kind).is_none()) {
            Some(kind) => problem(format!("{table} has no column {kind:?} of the application's own")),
            None => Ok(()),
        }
    }
}

/// Returns the column that says when a session was last used.
fn last_seen(table: &TableDefinition) -> Option<&FieldDefinition> {
    "last_seen".parse().ok().and_then(|role| table.field_for(role))
}

impl<T> Clone for PerOwner<T> {
    fn clone(&self) -> Self {
        Self { number: self.number.clone(), kinds: self.kinds.clone(), ..*self }
    }
}

impl<T> fmt::Debug for PerOwner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerOwner")
            .field("at_most", &self.most)
            .field("has_own_number", &self.number.is_some())
            .field("per", &self.kinds)
            .field("full", &self.full)
            .finish()
    }
}

/// The limits of one handle, and the creates under them that wait for their turn.
#[derive(Clone)]
pub(crate) struct Limits {
    /// A list of [`PerOwner`] for the handle's type of fields, which is the same in all calls.
    limits: Arc<dyn Any + Send + Sync>,
    queues: Arc<Queues>,
}

impl Limits {
    pub(crate) fn new<T: SessionFields>(limits: Vec<PerOwner<T>>) -> Self {
        Self { limits: Arc::new(limits), queues: Arc::default() }
    }

    pub(crate) fn of<T: SessionFields>(&self) -> &[PerOwner<T>] {
        self.limits.downcast_ref::<Vec<PerOwner<T>>>().map_or(&[], Vec::as_slice)
    }
}

/// A limit, as it is for one new session.
#[derive(Clone)]
pub(super) struct Limit {
    most: u64,
    /// The columns by which sessions are counted, and their values.
    same: Vec<(Cow<'static, str>, FieldValue)>,
    full: Full,
}

impl<T: SessionFields> Operations<'_, T> {
    /// Returns the limits that a new session with these fields is under, and its owner. `None` if there are none, or if
    /// the session has no owner. `values` are those of the fields.
    pub(super) fn limits_of(&self, fields: &T, values: &[FieldValue]) -> Option<(FieldValue, Vec<Limit>)> {
        let limits = self.handle().limits()?.of::<T>();
        let table = self.table();
        let value = |name: &str| values.get(table.field_index(name)?).cloned();
        let owner_column = &table.field_for(Role::Owner)?.name;
        let owner = value(owner_column)?;
        owner.fingerprint()?;
        let limits = limits.iter().filter_map(|limit| {
            let most = match &limit.number {
                Some(number) => number(fields)?,
                None => limit.most,
            };
            let columns = std::iter::once(owner_column).chain(&limit.kinds);
            let same = columns.filter_map(|name| Some((name.clone(), value(name)?))).collect();
            Some(Limit { most, same, full: limit.full })
        });
        let limits: Vec<_> = limits.collect();
        (!limits.is_empty()).then_some((owner, limits))
    }

    /// Inserts a row under these limits of its owner, in one transaction with what makes room for it.
    pub(super) async fn insert_limited(
        &mut self,
        id: Uuid,
        values: Vec<FieldValue>,
        (owner, limits): (FieldValue, Vec<Limit>),
        event: Option<Event>,
    ) -> Result<()> {
        let row = LimitedRow { id, values, owner, limits, event };
        let refused = row.event_of(EventKind::Refused { because: Refusal::LimitReached });
        let inserted = self.insert_row(row).await;
        if let (Err(error), Some(refused)) = (&inserted, refused)
            && error.kind() == ErrorKind::LimitReached
        {
            // It is so whether or not a transaction of the caller's is committed.
            self.handle().observers().tell(&refused);
        }
        inserted
    }

    async fn insert_row(&mut self, row: LimitedRow) -> Result<()> {
        if !self.connection().is_pool() {
            let required = self.connection().require_transaction().await;
            required.map_err(|error| self.failed(error))?;
            return self.insert_with_room(&row).await;
        }
        let (handle, row) = (Arc::clone(self.handle()), Arc::new(row));
        let key = if handle.backend().dialect().is_embedded() { None } else { row.owner.fingerprint() };
        let turn = match handle.limits() {
            Some(limits) => Some(limits.queues.turn(key.unwrap_or_default()).await?),
            None => None,
        };
        in_its_own_task(Box::pin(async move {
            let inserted = room::insert::<T>(&handle, &row).await;
            drop(turn);
            inserted
        }))
        .await
    }
}
