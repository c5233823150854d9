//! The sessions of a query, each with its own result: a session that does not decode hides no other.

use std::error::Error as StdError;
use std::fmt;

use time::OffsetDateTime;
use uuid::Uuid;

use super::SessionQuery;
use crate::database::Row;
use crate::error::{Error, Result};
use crate::observe::Operation;
use crate::session::{Cursor, Session, Status};
use crate::sql::{RowHeader, read_rest};
use crate::table::SessionFields;

/// A session that exists but does not decode: its `data` or a field does not have the type that the program has now.
///
/// Returned by [`fetch_each`](SessionQuery::fetch_each) and [`stream_each`](SessionQuery::stream_each). Such a session
/// can be ended and deleted by its id and by its token, since neither operation decodes it:
/// `sessions.query().id(unreadable.id).expire_all()`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnreadableSession {
    /// The row's id.
    pub id: Uuid,
    /// When the session expires; `None` if it never does. If the row holds an instant outside the years 1 to 9999, or
    /// no instant at all, this instant and the two below are the last instant of the year 9999; `error` says which one
    /// it is.
    pub expires_at: Option<OffsetDateTime>,
    /// When the session was created.
    pub inserted_at: OffsetDateTime,
    /// When the row was last written.
    pub updated_at: OffsetDateTime,
    /// The error that says what does not decode, of kind [`Decode`](crate::ErrorKind::Decode).
    pub error: Error,
}

impl UnreadableSession {
    /// Returns the place of this session in a listing; see [`SessionQuery::after`].
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.inserted_at, self.id)
    }
}

impl fmt::Display for UnreadableSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the session {} does not decode", self.id)
    }
}

impl StdError for UnreadableSession {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}

/// Puts sessions of one instant into the order of their ids, among sessions in the order of their instants.
fn order_ties<T: SessionFields>(found: &mut [Each<T>], is_newest_first: bool) {
    let key = |each: &Each<T>| match each {
        Ok(session) => (session.inserted_at, session.id),
        Err(unreadable) => (unreadable.inserted_at, unreadable.id),
    };
    for tied in found.chunk_by_mut(|one, next| key(one).0 == key(next).0).filter(|tied| tied.len() > 1) {
        tied.sort_by_key(|each| key(each).1);
        if is_newest_first {
            tied.reverse();
        }
    }
}

pub(super) type Each<T> = Result<Session<T>, UnreadableSession>;

impl RowHeader {
    pub(super) fn unreadable(&self, error: Error) -> UnreadableSession {
        let Self { id, expires_at, inserted_at, updated_at, .. } = *self;
        UnreadableSession { id, expires_at, inserted_at, updated_at, error }
    }
}

/// The rows that one statement returned.
pub(super) struct Page<T: SessionFields> {
    /// How many rows there were, and the place of the last of them, if it can be read.
    pub(super) rows: u64,
    pub(super) last: Option<Result<Cursor>>,
    pub(super) found: Vec<Each<T>>,
}

impl<T: SessionFields> Page<T> {
    /// Returns all sessions, if all of them decode.
    pub(super) fn sessions(self) -> Result<Vec<Session<T>>> {
        self.found.into_iter().map(|each| each.map_err(|unreadable| unreadable.error)).collect()
    }
}

impl<T: SessionFields> SessionQuery<'_, T> {
    /// Returns all sessions that match, in order. A session that does not decode is returned as an
    /// [`UnreadableSession`] among the others. Extends none of them.
    ///
    /// A session stops decoding if its `data` or a field's type has changed in a way that the stored value does not
    /// fit. A list of a user's devices can still show the others, and offer to end this one.
    ///
    /// ```
    /// # use cloakroom::{SessionTable, Sessions};
    /// # #[derive(Clone, SessionTable)]
    /// # struct UserSession { user_id: String }
    /// # async fn example(sessions: Sessions<UserSession>) -> cloakroom::Result<()> {
    /// for each in sessions.query().filter(UserSession::USER_ID.eq("1234")).fetch_each().await? {
    ///     match each {
    ///         Ok(session) => println!("since {}", session.inserted_at),
    ///         Err(unreadable) => println!("since {}, of an older version", unreadable.inserted_at),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Decode`](crate::ErrorKind::Decode) if even the id of a row cannot be read. No change of the application's
    /// types causes this.
    pub async fn fetch_each(mut self) -> Result<Vec<Result<Session<T>, UnreadableSession>>> {
        self.read_as_list();
        self.operations.call(Operation::Fetch).of(self.find_each()).await
    }

    async fn find_each(&mut self) -> Result<Vec<Each<T>>> {
        let now = self.operations.config().now();
        Ok(self.fetch_page(now).await?.found)
    }

    /// Fetches all sessions that match at `now`. A session that is asked for by its token, as `authenticate` does, must
    /// also not have expired while the query waited for its answer.
    pub(super) async fn fetch_page(&mut self, now: OffsetDateTime) -> Result<Page<T>> {
        if self.criteria.matches_nothing {
            return Ok(Page { rows: 0, last: None, found: Vec::new() });
        }
        self.operations.know_sliding().await?;
        let statement = self.select_statement(now)?;
        #[cfg(feature = "sqlite")]
        if let Some(page) = self.fetch_directly(&statement, now).await {
            return Ok(page);
        }
        let rows = self.fetch_rows(&statement, now).await?;
        self.decode(rows, now)
    }

    /// Decodes the rows that matched at `now`.
    pub(super) fn decode(&self, rows: Vec<Row>, now: OffsetDateTime) -> Result<Page<T>> {
        let now = if self.criteria.by_token { Ord::max(now, self.operations.config().now()) } else { now };
        let table = self.operations.table();
        let mut page = Page { rows: rows.len() as u64, last: None, found: Vec::with_capacity(rows.len()) };
        for row in rows {
            let head = match RowHeader::read(table, &row, 0) {
                Ok(head) => head,
                Err(error) => {
                    let head = RowHeader::read_in_part(table, &row)?;
                    page.last = match row.timestamp(2) {
                        Ok(Some(inserted_at)) => Some(Ok(Cursor::new(inserted_at, head.id))),
                        _ => Some(Err(error.clone())),
                    };
                    page.found.push(Err(head.unreadable(error)));
                    continue;
                }
            };
            page.last = Some(Ok(Cursor::new(head.inserted_at, head.id)));
            if self.criteria.status != Status::Valid || !head.is_over(self.operations.config(), now) {
                let read = read_rest(&head, table, self.operations.config(), &row, RowHeader::width(table));
                page.found.push(read.map_err(|error| head.unreadable(error)));
            }
        }
        if self.orders_ties_itself() {
            order_ties(&mut page.found, self.is_newest_first());
        }
        Ok(page)
    }
}
