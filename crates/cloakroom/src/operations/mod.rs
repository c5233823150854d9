mod authenticate;
mod call;
mod create;
#[cfg(feature = "dbsc")]
mod device;
mod end;
mod ended;
mod exchange;
mod extend;
mod filled;
mod fitting;
mod guarded;
mod handle;
mod import;
mod limit;
mod noting;
mod own;
mod prune;
mod read_only;
mod retired;
mod revoking;
mod rotate;
mod scheme;
mod sliding;
#[cfg(all(test, feature = "sqlite"))]
mod tests;
mod tidy;
mod together;
mod update;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use sea_query::{SelectStatement, TableRef};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use authenticate::Use;
pub(crate) use call::bounded;
pub(crate) use ended::{End, Ended};
pub(crate) use handle::Handle;
pub use import::{ImportError, ImportProgress, ImportedSession, Importer};
pub(crate) use limit::Limits;
pub use limit::{Evict, PerOwner};
pub use noting::PendingEvents;
pub(crate) use own::{in_its_own_task, in_own_transaction};

use crate::config::Config;
use crate::database::{Connection, Guard, Row, Statement, guard_of_rows, guard_rows};
use crate::error::{Error, Outcome, Result};
use crate::observe::Operation;
use crate::session::Session;
use crate::sql::{Bindings, RowHeader, read_session, table_ref};
use crate::store::Waits;
use crate::table::{SessionFields, TableDefinition};

/// The operations of [`Sessions`](crate::Sessions) on one connection: in the caller's own transaction.
///
/// Made by [`Sessions::within`](crate::Sessions::within). Every operation does what it does on
/// [`Sessions`](crate::Sessions), and is undone if the transaction is rolled back. If no transaction is open, the
/// operation does nothing and fails with [`NoTransaction`](crate::ErrorKind::NoTransaction). One more thing differs: if
/// an extension cannot be written, the read that asked for it fails too, because the failed statement has spoilt the
/// transaction.
///
/// ```
/// # use cloakroom::{Config, NewSession, SessionTable, Sessions};
/// # #[derive(Clone, SessionTable)]
/// # struct UserSession { user_id: String }
/// # async fn example(sessions: Sessions<UserSession>) -> Result<(), Box<dyn std::error::Error>> {
/// let mut transaction = sessions.begin().await?;
/// // … create the user …
/// let new = NewSession::new(UserSession { user_id: "1234".into() });
/// let created = sessions.within(&mut transaction).create(new).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct Operations<'c, T: SessionFields> {
    handle: Arc<Handle>,
    connection: Connection<'c>,
    /// What is revoked, if the connection is in a transaction of this library's own.
    own: Option<&'c mut own::Own>,
    of: PhantomData<fn() -> T>,
}

impl<T: SessionFields> fmt::Debug for Operations<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations")
            .field("sessions", &self.handle)
            .field("connection", &self.connection)
            .finish()
    }
}

impl<'c, T: SessionFields> Operations<'c, T> {
    pub(crate) fn new(handle: Arc<Handle>, connection: Connection<'c>) -> Self {
        Self { handle, connection, own: None, of: PhantomData }
    }

    /// See [`Sessions::reload`](crate::Sessions::reload).
    pub async fn reload(&mut self, session: &mut Session<T>) -> Result<()> {
        self.call(Operation::Reload).of(self.read_again(session)).await
    }

    pub(crate) async fn read_again(&mut self, session: &mut Session<T>) -> Result<()> {
        *session = self.read(session.id).await?.ok_or_else(|| self.gone())?;
        Ok(())
    }

    async fn read(&mut self, id: Uuid) -> Result<Option<Session<T>>> {
        let row = self.read_row(id).await?;
        row.map(|row| self.decode(&row)).transpose()
    }

    /// Returns when the session was last written, if it exists. The rest of the row need not decode.
    pub(crate) async fn last_written(&mut self, id: Uuid) -> Result<Option<OffsetDateTime>> {
        let row = self.read_row(id).await?;
        row.map(|row| Ok(RowHeader::read(self.table(), &row, 0)?.updated_at)).transpose()
    }

    async fn read_row(&mut self, id: Uuid) -> Result<Option<Row>> {
        self.know_sliding().await?;
        let statement = self.handle.store().by_id(id, self.connection.is_pool());
        self.fetch_optional(&statement).await
    }

    pub(crate) async fn fetch_all(&mut self, statement: &Statement) -> Result<Vec<Row>> {
        let rows = self.connection.fetch_all(statement).await;
        rows.map_err(|error| self.failed(error).with_outcome(Outcome::NotDone))
    }

    pub(crate) async fn fetch_optional(&mut self, statement: &Statement) -> Result<Option<Row>> {
        let row = self.connection.fetch_optional(statement).await;
        row.map_err(|error| self.failed(error).with_outcome(Outcome::NotDone))
    }

    pub(crate) async fn execute(&mut self, statement: &Statement) -> Result<u64> {
        if self.connection.is_any_of_pool() {
            let store = self.handle.store();
            let mut writing = store.acquire_to_write(Waits::ForLocks, store.until()).await?;
            return store.execute(writing.connection.connection(), statement).await;
        }
        self.handle.store().execute(self.connection.reborrow(), statement).await
    }

    /// Reads from the standby from now on, if there is one and these operations run on the pool.
    pub(crate) fn read_from_standby(&mut self) {
        if self.connection.is_any_of_pool()
            && let Some(standby) = self.handle.standby()
        {
            self.connection = standby.pool();
        }
    }

    /// Returns how the rows of a statement that [`guard`](Self::guard) has changed say so.
    pub(crate) fn guard_of_rows(&self) -> Guard {
        if self.connection.is_pool() { guard_of_rows(self.connection.backend()) } else { Guard::None }
    }

    /// Makes each row of `select` say, on the pool, whether the statement was a transaction of its own.
    pub(crate) fn guard(&self, select: &mut SelectStatement) -> Guard {
        if self.connection.is_pool() { guard_rows(self.connection.backend(), select) } else { Guard::None }
    }

    pub(crate) fn decode(&self, row: &Row) -> Result<Session<T>> {
        read_session(self.table(), self.config(), row)
    }

    pub(crate) fn failed(&self, error: sqlx::Error) -> Error {
        Error::from_sqlx(error, &self.table().to_string())
    }

    pub(crate) fn reborrow(&mut self) -> Operations<'_, T> {
        Operations {
            handle: Arc::clone(&self.handle),
            connection: self.connection.reborrow(),
            own: self.own.as_deref_mut(),
            of: PhantomData,
        }
    }

    /// Returns the same operations, for a shorter lifetime, for several statements that belong together: a connection of
    /// the caller's must have a transaction open.
    pub(crate) fn in_transaction(&mut self) -> Operations<'_, T> {
        Operations::new(Arc::clone(&self.handle), self.connection.reborrow().in_transaction())
    }

    pub(crate) fn connection(&mut self) -> &mut Connection<'c> {
        &mut self.connection
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub(crate) fn config(&self) -> &Config {
        self.handle.config()
    }

    pub(crate) fn table(&self) -> &TableDefinition {
        self.handle.definition()
    }

    pub(crate) fn table_ref(&self) -> TableRef {
        table_ref(self.table())
    }

    pub(crate) fn bindings(&self) -> Bindings<'_> {
        Bindings::new(self.table(), self.connection.backend()).has_sliding(self.handle.store().has_sliding())
    }
}
