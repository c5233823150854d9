//! Galera: several servers that commit in one order. Each of them applies a little later what another one has committed.

use std::sync::Arc;

use sqlx::mysql::{MySqlConnection, MySqlDatabaseError};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::database::causality::{NotCaughtUp, Waiting};

/// The reads, updates, deletes and inserts that wait. A transaction waits when it begins.
const WAITS_FOR: &str = "wsrep_sync_wait=7";

/// How a statement begins that has settings of its own already, in [`super::dialect`].
const SETTINGS: &str = "/*M!100700 SET STATEMENT ";

/// Every server answers this, and one that knows nothing of Galera says nothing of `wsrep_on`.
const ASK: &str = "SHOW GLOBAL VARIABLES WHERE variable_name IN ('wsrep_on', 'version')";

/// The server knows no such variable: it was built without Galera.
const UNKNOWN_VARIABLE: u16 = 1193;

/// What a node says that did not apply in time what it waited for. A read that locks nothing waits for no row.
const TIMED_OUT: u16 = 1205;

/// Asks the server whether it is a node of a cluster, and how its statements are made to wait.
pub(crate) async fn ask(connection: &mut MySqlConnection) -> Result<Waiting, sqlx::Error> {
    let (mut is_node, mut is_mariadb) = (false, false);
    for row in sqlx::query(ASK).fetch_all(connection).await? {
        let name: String = row.try_get_unchecked(0)?;
        let value: String = row.try_get_unchecked(1)?;
        if name.eq_ignore_ascii_case("wsrep_on") {
            is_node = matches!(&*value.to_ascii_uppercase(), "ON" | "1");
        } else {
            is_mariadb = value.contains("MariaDB");
        }
    }
    Ok(match (is_node, is_mariadb) {
        (false, _) => Waiting::No,
        (true, true) => Waiting::ByStatement,
        (true, false) => Waiting::BySession,
    })
}

/// Returns `true` if the connection has run no statement of this library's yet, as far as that can be told: it may lead
/// to another server than the pool's older connections.
pub(crate) fn may_be_new(connection: &MySqlConnection) -> bool {
    connection.cached_statements_size() == 0
}

/// Makes all statements of a connection wait, for servers that cannot set a variable for one statement.
pub(crate) async fn wait_from_now_on(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    let sql = format!("SET SESSION {WAITS_FOR}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// Returns the statement, changed so that it waits until its node has applied what was committed before it was sent.
pub(crate) fn waiting(sql: &str) -> Arc<str> {
    match sql.strip_prefix(SETTINGS) {
        Some(rest) => format!("{SETTINGS}{WAITS_FOR}, {rest}").into(),
        None => format!("SET STATEMENT {WAITS_FOR} FOR {sql}").into(),
    }
}

/// Returns the statement that begins a transaction of the application's, if it is not the usual one.
///
/// Without a binary log, MariaDB (seen with 10.11.19) sends to the other nodes what ROLLBACK TO SAVEPOINT has undone: in the
/// first transaction of a connection that writes, and in one after a deadlock, if it reads a table before its savepoint. It
/// does not if the transaction begins with its snapshot.
pub(crate) fn begin(waiting: Waiting) -> Option<&'static str> {
    match waiting {
        Waiting::ByStatement => {
            Some("SET STATEMENT wsrep_sync_wait=7 FOR START TRANSACTION WITH CONSISTENT SNAPSHOT")
        }
        Waiting::No | Waiting::BySession => begin_to_write(waiting),
    }
}

/// Returns the statement that begins a transaction which has no savepoints, if it is not the usual one.
pub(crate) fn begin_to_write(waiting: Waiting) -> Option<&'static str> {
    match waiting {
        Waiting::No => None,
        Waiting::ByStatement => Some("SET STATEMENT wsrep_sync_wait=7 FOR START TRANSACTION"),
        Waiting::BySession => Some("SET SESSION wsrep_sync_wait=7; START TRANSACTION"),
    }
}

/// Waits until the node has applied what was committed on any node before. On a server that is none it does nothing.
pub(crate) async fn catch_up(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    const READ: &str = "SELECT 1";
    let sql = match ask(connection).await? {
        Waiting::No => return Ok(()),
        Waiting::ByStatement => waiting(READ),
        Waiting::BySession => {
            format!("SET SESSION {WAITS_FOR}; {READ}; SET SESSION wsrep_sync_wait=DEFAULT").into()
        }
    };
    sqlx::raw_sql(AssertSqlSafe(&*sql)).execute(connection).await.map(drop).map_err(not_caught_up)
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let sqlx::Error::Database(error) = error else {
        return None;
    };
    error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// Returns the error of a read, or of the begin of a transaction, which says so if the node had not caught up in time.
pub(crate) fn not_caught_up(error: sqlx::Error) -> sqlx::Error {
    match number(&error) {
        Some(TIMED_OUT) => sqlx::Error::AnyDriverError(Box::new(NotCaughtUp(error))),
        _ => error,
    }
}

/// Returns the error of a write, which says so if the node had not caught up because it is cut off from the others. A
/// write may also have waited for a row, with the same error.
pub(crate) async fn not_caught_up_to_write(
    connection: &mut MySqlConnection,
    error: sqlx::Error,
) -> sqlx::Error {
    const STATUS: &str = "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_status'";
    if number(&error) != Some(TIMED_OUT) {
        return error;
    }
    let status = sqlx::query(STATUS).fetch_optional(connection).await.ok().flatten();
    match status.map(|row| row.try_get_unchecked::<String, _>(1)) {
        Some(Ok(status)) if status.eq_ignore_ascii_case("non-Primary") => not_caught_up(error),
        _ => error,
    }
}

/// Returns `true` if a statement that was to wait found a server that cannot be in a cluster.
pub(crate) fn is_no_node(error: &sqlx::Error) -> bool {
    number(error) == Some(UNKNOWN_VARIABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_waits_beside_the_settings_that_it_has() {
        assert_eq!(&*waiting("SELECT 1"), "SET STATEMENT wsrep_sync_wait=7 FOR SELECT 1");
        assert_eq!(
            &*waiting(
                "/*M!100700 SET STATEMENT sql_mode='STRICT_ALL_TABLES' FOR */ INSERT INTO t VALUES (?)"
            ),
            "/*M!100700 SET STATEMENT wsrep_sync_wait=7, sql_mode='STRICT_ALL_TABLES' FOR */ INSERT INTO t VALUES (?)",
        );
    }
}
