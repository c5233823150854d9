use super::{Backend, Database};

/// The databases that hold the sessions of one table: one, or a primary with a standby.
///
/// Made with `From` of a sqlx pool, of a [`Database`] or of a [`Replica`], as [`Sessions::new`](crate::Sessions::new)
/// does.
#[derive(Clone, Debug)]
pub struct Databases {
    pub(crate) primary: Database,
    pub(crate) standby: Option<Standby>,
}

/// A primary and a standby server, which repeats what the primary has committed a little later.
///
/// Made by [`Database::replica`]; pass it to [`Sessions::new`](crate::Sessions::new).
#[derive(Clone, Debug)]
#[must_use]
pub struct Replica {
    primary: Database,
    standby: Standby,
}

#[derive(Clone, Debug)]
pub(crate) struct Standby {
    pub(crate) database: Database,
    /// Whether a lookup that the cache will keep may ask it.
    pub(crate) answers_cached_lookups: bool,
}

impl Database {
    /// Uses a standby server beside the primary: a hot standby of PostgreSQL, or a replica of MariaDB or MySQL.
    ///
    /// | operation | asks |
    /// |---|---|
    /// | every write, [`begin`](crate::Sessions::begin), [`migrate`](crate::Sessions::migrate) | the primary |
    /// | [`authenticate`](crate::Sessions::authenticate) and its siblings, queries by token, `fetch_one`, `fetch_optional`, [`reload`](crate::Sessions::reload) | the primary |
    /// | lists: `fetch_all`, `fetch_each`, `stream`, `count`, `count_by`, `exists` | the standby |
    /// | lists of a query that is [`fresh`](crate::SessionQuery::fresh) | the primary |
    /// | [`authenticate`](crate::Sessions::authenticate) with a [`Cache`](crate::Cache), and [`cached_lookups`](Replica::cached_lookups) | the standby first |
    ///
    /// # What is out of date, and for how long
    ///
    /// A list is as old as the standby lags behind: milliseconds as a rule, without a bound if the standby is slow,
    /// paused or cut off. A page that shows a user's devices right after one of them was signed out may show it still;
    /// such a page asks with [`fresh`](crate::SessionQuery::fresh). No token is accepted because of the standby, unless
    /// `cached_lookups` is on. A [`Cache`](crate::Cache) hears of revocations from the primary.
    ///
    /// If the standby cannot be reached, lists fail with [`Unavailable`](crate::ErrorKind::Unavailable). After a
    /// promotion, make a new handle with the pools as they are then.
    ///
    /// # Errors
    ///
    /// `Sessions::new` fails if the two are different kinds of database.
    pub fn replica(primary: impl Into<Self>, standby: impl Into<Self>) -> Replica {
        let standby = Standby { database: standby.into(), answers_cached_lookups: false };
        Replica { primary: primary.into(), standby }
    }
}

impl Replica {
    /// Sets whether the standby answers the lookups of [`authenticate`](crate::Sessions::authenticate) that a
    /// [`Cache`](crate::Cache) keeps. Default no. Without a cache this has no effect, and
    /// [`authenticate_fresh`](crate::Sessions::authenticate_fresh) always asks the primary.
    ///
    /// A session that the standby does not know, that is due for an extension, or that may have been revoked within the
    /// last [`max_staleness`](crate::Cache::max_staleness) as far as this process has heard, is looked up on the
    /// primary. So a new token is never unknown, and the primary serves everything if the standby cannot be reached.
    ///
    /// An answer may be as old as `max_staleness` and the lag of the standby together. What this process has revoked or
    /// heard of is refused at once, unless the standby lags by more than `max_staleness`.
    pub fn cached_lookups(mut self, answers: bool) -> Self {
        self.standby.answers_cached_lookups = answers;
        self
    }
}

impl Databases {
    /// Returns the kinds of the two, if they differ.
    pub(crate) fn mismatch(&self) -> Option<[Backend; 2]> {
        let kinds = [self.primary.backend(), self.standby.as_ref()?.database.backend()];
        (kinds[0] != kinds[1]).then_some(kinds)
    }
}

impl<D: Into<Database>> From<D> for Databases {
    fn from(primary: D) -> Self {
        Self { primary: primary.into(), standby: None }
    }
}

impl From<Replica> for Databases {
    fn from(replica: Replica) -> Self {
        Self { primary: replica.primary, standby: Some(replica.standby) }
    }
}
