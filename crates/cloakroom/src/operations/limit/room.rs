//! Room for a new session.
//!
//! No two creates of one owner may count without each other's rows:
//!
//! | database | what keeps them apart |
//! |---|---|
//! | PostgreSQL | An advisory lock of the transaction, by the table's oid and the owner. It is asked for before the rows are counted, in a statement of its own, so that the count sees what its last holder has committed. |
//! | SQLite | The one lock of all writers. |
//! | MariaDB, MySQL | The owner's rows. They are counted with `FOR UPDATE`, the row is inserted, and they are counted again. Of two creates that both got past the first count, for example because the owner had no row yet, one finds the other's row in its second count, and waits until that row is committed: a locking read skips no row, committed or not. If both do, they wait for each other, and the server rolls one of them back, which runs again. So the create that commits last has seen all rows, on any level of isolation. A transaction of this library's own is `READ COMMITTED`, so that it locks no gaps between owners. |
//! | Galera | The same within a node. Creates on several nodes do not see each other. If they evict the same row, the cluster refuses all but one of them. If not, there may be more rows than the limit when they have committed. So the rows are counted once more after the commit, by each of them, and what is too much is ended. |

use std::sync::Arc;

use sea_query::{Condition, Expr, ExprTrait, LockType, Order, Query};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Evict, Full, Limit, last_seen};
use crate::cache::Revoked;
use crate::database::{Begin, ColumnType, FieldValue, OwnerLock};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, EventKind};
use crate::operations::{End, Ended, Handle, Operations, in_own_transaction};
use crate::session::{EndReason, Status};
use crate::sql::{ending, has_status, is_of_age};
use crate::table::{Role, SessionFields, column};

/// A new row that is under limits.
pub(super) struct LimitedRow {
    pub(super) id: Uuid,
    pub(super) values: Vec<FieldValue>,
    pub(super) owner: FieldValue,
    pub(super) limits: Vec<Limit>,
    /// That it is created, if that is to be told or recorded.
    pub(super) event: Option<Event>,
}

impl LimitedRow {
    /// Returns the events of sessions of the same owner that have made room for it.
    fn evictions(&self, evicted: &[Uuid]) -> impl Iterator<Item = Event> {
        evicted.iter().filter_map(|session| self.event_of(EventKind::Evicted { session: *session }))
    }

    /// Returns another event of the same owner.
    pub(super) fn event_of(&self, kind: EventKind) -> Option<Event> {
        self.event.as_ref().map(|created| Event { kind, ..created.clone() })
    }
}

/// Inserts the row in a transaction of its own, which makes room for it.
pub(super) async fn insert<T: SessionFields>(handle: &Arc<Handle>, row: &Arc<LimitedRow>) -> Result<()> {
    write::<T>(handle, row, Step::Insert).await?;
    if handle.store().pool.causality.is_cluster() {
        let is_refused = write::<T>(handle, row, Step::CountAgain).await?;
        if is_refused {
            return Err(reached());
        }
    }
    Ok(())
}

/// Which last uses count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Uses {
    /// Those that are written, and those that this process has noted and not written yet.
    Noted,
    /// Those that are written, which all processes see.
    Written,
}

#[derive(Clone, Copy)]
enum Step {
    Insert,
    /// On a cluster, once the row is committed.
    CountAgain,
}

/// Runs one transaction, again if it loses to others. Returns `true` if the row, which was there before, was deleted.
async fn write<T: SessionFields>(handle: &Arc<Handle>, row: &Arc<LimitedRow>, step: Step) -> Result<bool> {
    let written = in_own_transaction(handle, Begin::ReadCommitted, |own| {
        let row = Arc::clone(row);
        Box::pin(async move {
            let mut operations = own.operations::<T>();
            match step {
                Step::Insert => Ok((operations.insert_and_make_room(&row).await?, false)),
                Step::CountAgain => operations.count_again(&row).await,
            }
        })
    });
    let (evicted, is_refused) = written.await?;
    let on_pool = Operations::<T>::new(Arc::clone(handle), handle.store().pool());
    on_pool.note_ended(Ended::Each(&evicted), &End::Expired(EndReason::EVICTED));
    Ok(is_refused)
}

impl<T: SessionFields> Operations<'_, T> {
    /// Makes room for the row and inserts it, in the caller's transaction.
    pub(super) async fn insert_with_room(&mut self, row: &LimitedRow) -> Result<()> {
        let evicted = self.insert_and_make_room(row).await?;
        self.note_ended(Ended::Each(&evicted), &End::Expired(EndReason::EVICTED));
        Ok(())
    }

    /// Makes room for the row and inserts it, in the transaction that is open, and records both. Returns the sessions that
    /// have ended.
    async fn insert_and_make_room(&mut self, row: &LimitedRow) -> Result<Vec<Uuid>> {
        self.lock_owner(&row.owner).await?;
        let mut evicted = Vec::new();
        self.make_room(row, &mut evicted).await?;
        let statement = self.handle().store().insert(std::iter::once(&row.values[..]));
        self.execute(&statement).await?;
        if self.connection().backend().dialect().owner_lock() == OwnerLock::Rows {
            let made = self.make_room(row, &mut evicted).await;
            if made.as_ref().is_err_and(|error| error.kind() == ErrorKind::LimitReached) {
                // A transaction of the caller's may go on.
                self.delete_new(row.id).await?;
            }
            made?;
        }
        let events = row.evictions(&evicted).chain(row.event.clone()).collect();
        self.record(events).await?;
        Ok(evicted)
    }

    /// Keeps other creates of the owner from counting until the transaction ends.
    async fn lock_owner(&mut self, owner: &FieldValue) -> Result<()> {
        match self.connection().backend().dialect().owner_lock() {
            OwnerLock::Rows => Ok(()),
            OwnerLock::Advisory => self.lock_by_name(owner).await,
            // A transaction of this library's own has begun with the lock.
            OwnerLock::Whole if self.own.is_some() => Ok(()),
            OwnerLock::Whole => {
                // A write takes the lock, also one of no row. Taken after a read, it could be refused.
                let bindings = self.bindings();
                let mut nothing = Query::update();
                let id = bindings.column(column::ID);
                nothing.table(self.table_ref()).value(column::ID, id).and_where(Expr::cust("1 = 0"));
                let statement = bindings.build(&nothing);
                self.execute(&statement).await.map(drop)
            }
        }
    }

    async fn lock_by_name(&mut self, owner: &FieldValue) -> Result<()> {
        const LOCK: &str = "pg_advisory_xact_lock(hashtextextended( \
            'cloakroom owner ' || CAST(CAST($1 AS regclass) AS oid) || ' ' || $2, 0))";
        let (table, backend) = (self.table(), self.handle().backend());
        let Some(field) = table.field_for(Role::Owner) else {
            return Ok(());
        };
        let quoted = [table.schema_name(), Some(table.table_name())].into_iter().flatten();
        let quoted: Vec<_> = quoted.map(|name| backend.dialect().quoted(name)).collect();
        let mut bindings = self.bindings();
        let text = if is_compared_as_text(field.column_type(backend)) {
            Expr::cust_with_exprs("CAST($1 AS text)", [bindings.stored_in(field.name(), owner.clone())])
        } else {
            Expr::cust("''")
        };
        let table = bindings.expr(FieldValue::plain(quoted.join(".")));
        let mut lock = Query::select();
        lock.expr(Expr::cust("current_setting('transaction_isolation')"))
            .expr(Expr::cust_with_exprs(LOCK, [table, text]));
        let statement = bindings.build(&lock);
        let row = self.fetch_optional(&statement).await?;
        let isolation = row.and_then(|row| row.text(0).ok().flatten());
        if isolation.as_deref() == Some("repeatable read") {
            // It would not see what others have committed while it waited.
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a limit cannot be kept in a transaction of the level REPEATABLE READ: use READ COMMITTED or SERIALIZABLE",
            ));
        }
        Ok(())
    }

    /// Makes room for the row, which may be there already. Adds the sessions that have ended to `evicted`.
    async fn make_room(&mut self, row: &LimitedRow, evicted: &mut Vec<Uuid>) -> Result<()> {
        for limit in &row.limits {
            let mut present = self.counted(limit, Uses::Noted).await?;
            present.retain(|id| *id != row.id);
            let excess = (present.len() as u64 + 1).saturating_sub(limit.most);
            if excess == 0 {
                continue;
            }
            if limit.full == Full::Refuses || limit.most == 0 {
                return Err(reached());
            }
            present.truncate(usize::try_from(excess).unwrap_or(usize::MAX));
            self.evict(&present).await?;
            evicted.append(&mut present);
        }
        Ok(())
    }

    /// Counts the owner's rows once more, of which one is the new row, and ends what is too much, or deletes the new row.
    /// Returns the sessions that have ended, and `true` if the new row was deleted.
    ///
    /// Each create of the owner does so after its commit, and the last one sees all rows. What is too much does not
    /// depend on who looks, so that two do not end two sessions where there is one too many. A refusal may be one too
    /// many.
    async fn count_again(&mut self, row: &LimitedRow) -> Result<(Vec<Uuid>, bool)> {
        let mut evicted = Vec::new();
        for limit in &row.limits {
            let mut present = self.counted(limit, Uses::Written).await?;
            let excess = (present.len() as u64).saturating_sub(limit.most);
            if excess == 0 {
                continue;
            }
            if limit.full == Full::Refuses {
                let is_there = present.contains(&row.id);
                let mut events: Vec<_> = row.evictions(&evicted).collect();
                if is_there {
                    self.delete_new(row.id).await?;
                    events.extend(row.event_of(EventKind::Deleted { session: row.id }));
                }
                self.record(events).await?;
                return Ok((evicted, is_there));
            }
            present.truncate(usize::try_from(excess).unwrap_or(usize::MAX));
            self.evict(&present).await?;
            evicted.append(&mut present);
        }
        self.record(row.evictions(&evicted).collect()).await?;
        Ok((evicted, false))
    }

    /// Returns the valid sessions that the limit counts: first those that make room before the others.
    async fn counted(&mut self, limit: &Limit, uses: Uses) -> Result<Vec<Uuid>> {
        let now = self.config().now();
        let seen_column = match limit.full {
            Full::Evicts(Evict::LeastRecentlySeen) => last_seen(self.table()),
            _ => None,
        };
        let mut bindings = self.bindings();
        let mut condition = Condition::all();
        for (name, value) in &limit.same {
            condition = condition.add(match value.fingerprint() {
                Some(_) => bindings.compares(name, sea_query::BinOper::Equal, value.clone())?,
                None => bindings.column(name).is_null(),
            });
        }
        if let Some(is_valid) = has_status(&mut bindings, Status::Valid, FieldValue::plain(now)) {
            condition = condition.add(is_valid);
        }
        let lifetime = self.config().max_lifetime();
        condition = condition.add_option(is_of_age(&mut bindings, Status::Valid, lifetime, now));
        let mut select = Query::select();
        select.expr(bindings.column(column::ID)).expr(bindings.column(column::INSERTED_AT));
        if let Some(field) = seen_column {
            select.expr(bindings.selected(field.name()));
        }
        select
            .from(self.table_ref())
            .cond_where(condition)
            .order_by_expr(bindings.column(column::INSERTED_AT), Order::Asc)
            .order_by_expr(bindings.column(column::ID), Order::Asc);
        if bindings.backend().dialect().owner_lock() == OwnerLock::Rows {
            select.lock(LockType::Update);
        }
        let has_seen = seen_column.is_some();
        let statement = bindings.build(&select);
        let mut present = Vec::new();
        for row in self.fetch_all(&statement).await? {
            let id = row.uuid(0).map_err(|error| self.failed(error))?;
            // A row that holds no instant makes room first.
            let instant = |index: usize| row.timestamp(index).ok().flatten();
            let noted = if uses == Uses::Noted { self.handle().last_use(id) } else { None };
            let seen = if has_seen { Ord::max(instant(2), noted) } else { None };
            present.push((seen.or(instant(1)).unwrap_or(OffsetDateTime::UNIX_EPOCH), id));
        }
        present.sort_unstable();
        Ok(present.into_iter().map(|(_, id)| id).collect())
    }

    /// Ends these sessions.
    async fn evict(&mut self, ids: &[Uuid]) -> Result<()> {
        let now = self.config().now();
        let mut bindings = self.bindings();
        let reason = self.handle().store().reason(&EndReason::EVICTED);
        let mut expire = ending::expire_update(&mut bindings, &FieldValue::plain(now), reason);
        let keys = ids.iter().map(|id| FieldValue::plain(*id)).collect();
        let id = bindings.column(column::ID);
        expire.and_where(bindings.is_among(id, keys));
        if let Some(is_valid) = has_status(&mut bindings, Status::Valid, FieldValue::plain(now)) {
            expire.cond_where(is_valid);
        }
        let statement = bindings.build(&expire);
        let revoked = if let [id] = ids { Revoked::Session(*id) } else { Revoked::Any };
        self.execute_revoking(statement, revoked).await.map(drop)
    }

    /// Deletes the new row again. No caller has its token.
    async fn delete_new(&mut self, id: Uuid) -> Result<()> {
        let mut bindings = self.bindings();
        let mut delete = Query::delete();
        let id = bindings.expr(FieldValue::plain(id));
        delete.from_table(self.table_ref()).and_where(bindings.column(column::ID).eq(id));
        let statement = bindings.build(&delete);
        self.execute(&statement).await.map(drop)
    }
}

fn reached() -> Error {
    Error::new(ErrorKind::LimitReached, "the session's owner has as many valid sessions as the limit allows")
}

/// Returns `true` if two values of a column are equal if and only if their texts are. If not, as in a column that ignores
/// case, one lock is that of all owners.
fn is_compared_as_text(column_type: &ColumnType) -> bool {
    const EXACT: [&str; 14] = [
        "bigint",
        "bigserial",
        "boolean",
        "bytea",
        "character varying",
        "int",
        "int2",
        "int4",
        "int8",
        "integer",
        "smallint",
        "text",
        "uuid",
        "varchar",
    ];
    match column_type {
        ColumnType::Text | ColumnType::Integer | ColumnType::Bool | ColumnType::Bytes | ColumnType::Uuid => {
            true
        }
        ColumnType::Exact(sql) => {
            let name = sql.split('(').next().unwrap_or_default().trim().to_ascii_lowercase();
            EXACT.contains(&&*name)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_that_may_be_equal_in_another_spelling_share_a_lock() {
        for sql in ["varchar(64)", "VARCHAR (8)", "uuid", "bigint", "text"] {
            assert!(is_compared_as_text(&ColumnType::Exact(sql.into())), "{sql}");
        }
        for sql in ["citext", "numeric(10, 2)", "char(8)", "text[]", "mood", ""] {
            assert!(!is_compared_as_text(&ColumnType::Exact(sql.into())), "{sql}");
        }
        assert!(is_compared_as_text(&ColumnType::Integer) && !is_compared_as_text(&ColumnType::Float));
    }
}
