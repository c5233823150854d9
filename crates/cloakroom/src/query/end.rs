//! Ending and deleting all that matches.

use std::sync::Arc;

use sea_query::Query;
use time::OffsetDateTime;

use super::SessionQuery;
use crate::cache::Revoked;
use crate::database::{FieldValue, place_of_condition};
use crate::error::Result;
use crate::session::Status;
use crate::sql::ending;
use crate::store::Waits;
use crate::table::SessionFields;

/// How a session ends.
#[derive(Clone, Copy)]
enum End {
    Expire,
    Delete,
}

/// How many rows a limited query writes at once, at least, of those that only another clock holds valid.
const AT_ONCE: u64 = 1_000;

impl<T: SessionFields> SessionQuery<'_, T> {
    /// Ends every session that matches and is still valid, now. Returns their number.
    ///
    /// This is "sign out everywhere". The rows stay, for the record, and none is decoded.
    ///
    /// A session that expired by this machine's clock less than a day ago may be valid by the clock of a machine that is
    /// behind. It ends too, in a statement of its own before the others: its expiry stays, it is not counted, and its
    /// `updated_at` says when. With a [`limit`](Self::limit), that is done if fewer valid sessions than the limit were
    /// found.
    pub async fn expire_all(mut self) -> Result<u64> {
        if self.status == Status::Expired {
            return Ok(0);
        }
        self.status = Status::Valid;
        self.end_valid_on_one(End::Expire).await
    }

    /// Deletes every session that matches. Returns their number. By default only valid sessions match: see
    /// [`status`](Self::status). None is decoded.
    ///
    /// With the default status, a session that only a clock which is behind holds valid is not deleted but ended, as by
    /// [`expire_all`](Self::expire_all).
    pub async fn delete_all(mut self) -> Result<u64> {
        if self.status == Status::Valid {
            return self.end_valid_on_one(End::Delete).await;
        }
        let now = self.operations.config().now();
        self.end(End::Delete, now, now).await
    }

    /// The same as [`end_valid`](Self::end_valid), with one connection of the pool for all statements: SQLite lets one
    /// connection write after another, and the second would wait for the first to let go.
    async fn end_valid_on_one(&mut self, how: End) -> Result<u64> {
        if self.matches_nothing {
            return Ok(0);
        }
        if !self.operations.connection().is_any_of_pool() {
            return self.end_valid(how).await;
        }
        let sessions = Arc::clone(self.operations.handle());
        let store = sessions.store();
        let mut writing = store.acquire_to_write(Waits::ForLocks, store.until()).await?;
        self.on(writing.connection.connection()).end_valid(how).await
    }

    /// Ends what is valid by any clock. Returns how many of them were valid by this machine's.
    async fn end_valid(&mut self, how: End) -> Result<u64> {
        let now = self.operations.config().now();
        let mut ended = 0;
        if let Some(limit) = self.limit {
            // What a limit allows goes to sessions that are valid here, before anything is done about others.
            ended = self.end(how, now, now).await?;
            if ended >= limit {
                return Ok(ended);
            }
            self.limit = Some(limit - ended);
        }
        self.end_lapsed(now).await?;
        Ok(ended + self.end(how, now, ending::behind(now)).await?)
    }

    /// Ends what has expired by this machine's clock, and is valid by one that is behind.
    async fn end_lapsed(&mut self, now: OffsetDateTime) -> Result<()> {
        let mut lapsed = self.reborrow().filter(ending::has_expired(now));
        lapsed.limit = lapsed.limit.map(|limit| limit.max(AT_ONCE));
        // What has been written has ended, so that each round finds others.
        while lapsed.end(End::Expire, now, ending::behind(now)).await? == lapsed.limit.unwrap_or(u64::MAX) {}
        Ok(())
    }

    /// Ends what matches at `valid_at`.
    async fn end(&mut self, how: End, now: OffsetDateTime, valid_at: OffsetDateTime) -> Result<u64> {
        if self.matches_nothing {
            return Ok(0);
        }
        let mut bindings = self.operations.bindings();
        let condition = self.targets(&mut bindings, valid_at)?;
        let statement = match how {
            End::Expire => {
                let mut expire = ending::expire(&mut bindings, &FieldValue::plain(now));
                bindings.build(expire.cond_where(condition))
            }
            End::Delete => {
                let mut delete = Query::delete();
                delete
                    .from_table(self.operations.table_ref())
                    .cond_where(condition)
                    .and_where_option(place_of_condition(bindings.backend()));
                bindings.build(&delete)
            }
        };
        self.operations.execute_revoking(statement, Revoked::Any).await
    }
}
