//! Ending and deleting all that matches.

use sea_query::Query;
use time::OffsetDateTime;

use super::SessionQuery;
use crate::database::place_of_condition;
use crate::ending;
use crate::error::Result;
use crate::field::FieldValue;
use crate::lookup::Revoked;
use crate::session::Status;
use crate::statements::Which;
use crate::table::SessionFields;

/// How a session ends.
#[derive(Clone, Copy)]
enum End {
    Expire,
    Delete,
}

/// How many lapsed sessions a limited query writes at once, at least.
const LAPSED_AT_ONCE: u64 = 1_000;

impl<T: SessionFields> SessionQuery<'_, T> {
    /// Ends every session that matches and is still valid, now; their number.
    ///
    /// This is "sign out everywhere". The rows stay, for the record, and none is decoded.
    ///
    /// A session that has expired by this machine's clock, and may be valid by that of a machine which is behind,
    /// ends too: its expiry stays, it is not counted, and `updated_at` says when. With a
    /// [`limit`](Self::limit), that is done once there are fewer valid sessions than the limit.
    pub async fn expire_all(mut self) -> Result<u64> {
        if self.status == Status::Expired {
            return Ok(0);
        }
        self.status = Status::Valid;
        self.end_valid(End::Expire).await
    }

    /// Deletes every session that matches; their number. By default only valid sessions match: see
    /// [`status`](Self::status). None is decoded.
    ///
    /// With the default status, a session that has expired by this machine's clock alone is not deleted but
    /// ended, as by [`expire_all`](Self::expire_all).
    pub async fn delete_all(mut self) -> Result<u64> {
        if self.status == Status::Valid {
            return self.end_valid(End::Delete).await;
        }
        let now = self.operations.config().now();
        self.end(End::Delete, self.which(), now).await
    }

    /// Ends what is valid by any clock; how many of them were by this machine's.
    async fn end_valid(&mut self, how: End) -> Result<u64> {
        let now = self.operations.config().now();
        let mut ended = 0;
        if let Some(limit) = self.limit {
            // Those that this machine holds valid come first, or "the oldest" would be one that expired long ago.
            ended = self.end(how, self.which(), now).await?;
            if ended >= limit {
                return Ok(ended);
            }
            self.limit = Some(limit.max(LAPSED_AT_ONCE));
            self.lapse(now).await?;
            self.limit = Some(limit - ended);
        } else {
            self.lapse(now).await?;
        }
        Ok(ended + self.end(how, Which::HasNotEnded, now).await?)
    }

    async fn end(&mut self, how: End, which: Which, now: OffsetDateTime) -> Result<u64> {
        if self.matches_nothing {
            return Ok(0);
        }
        let mut bindings = self.operations.bindings();
        let condition = self.targets(&mut bindings, which, now)?;
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

    /// Ends what has expired by this machine's clock alone, as many at once as the limit says.
    async fn lapse(&mut self, now: OffsetDateTime) -> Result<()> {
        if self.matches_nothing {
            return Ok(());
        }
        loop {
            let mut bindings = self.operations.bindings();
            let condition = self.targets(&mut bindings, Which::HasLapsed, now)?;
            let mut lapse = ending::lapse(&mut bindings, &FieldValue::plain(now));
            let statement = bindings.build(lapse.cond_where(condition));
            let written = self.operations.execute_revoking(statement, Revoked::Any).await?;
            if self.limit.is_none_or(|limit| written < limit) {
                return Ok(());
            }
        }
    }
}
