//! A write that is a transaction of its own, and says so, in one message to the driver's thread.

use futures_util::StreamExt;
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Either, Executor, SqliteConnection};

use super::driver;
use crate::database::bare::{Answer, Wanted};
use crate::database::guard::Verdict;
use crate::database::statement::Statement;

/// What SQLite says to a ROLLBACK if no transaction is open.
const NONE_IS_OPEN: &str = "cannot rollback - no transaction is active";

/// Runs a write and then ROLLBACK. That fails, unless a transaction was left open on the connection: then the write ran
/// inside it, and both are undone. To ask by itself whether one is open takes another message to the driver's thread,
/// which costs more than a small write. If the caller goes away in between, no harm is done, as there would be with a
/// BEGIN.
pub(crate) async fn write(
    connection: &mut SqliteConnection,
    statement: &Statement,
    wanted: Wanted,
) -> Result<(Answer, Verdict), sqlx::Error> {
    let sql = AssertSqlSafe(format!("{}; ROLLBACK", statement.sql));
    let query =
        sqlx::query_with(sql, driver::arguments(&statement.values)?).persistent(statement.is_remembered);
    let mut results = connection.fetch_many(query);
    let (mut rows, mut written) = (Vec::new(), None);
    while let Some(result) = results.next().await {
        match (result, written) {
            (Ok(Either::Right(row)), _) if wanted != Wanted::Count => rows.push(driver::row(row)),
            (Ok(Either::Right(_)), _) => {}
            (Ok(Either::Left(done)), None) => written = Some(done.rows_affected()),
            (Ok(Either::Left(_)), Some(written)) => return Ok((Answer { rows, written }, Verdict::Undone)),
            (Err(error), Some(written)) => {
                let is_none_open = error.as_database_error().is_some_and(says_that_none_is_open);
                let verdict = if is_none_open { Verdict::OwnTransaction } else { Verdict::Nothing };
                return Ok((Answer { rows, written }, verdict));
            }
            (Err(error), None) => return Err(error),
        }
    }
    Ok((Answer { rows, written: written.unwrap_or(0) }, Verdict::Nothing))
}

fn says_that_none_is_open(error: &dyn DatabaseError) -> bool {
    error.message() == NONE_IS_OPEN
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row};

    use super::*;
    use crate::database::FieldValue;

    async fn names(connection: &mut SqliteConnection) -> Vec<String> {
        let rows = sqlx::query("SELECT name FROM names ORDER BY name").fetch_all(connection).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn insert(name: &str) -> Statement {
        Statement::new("INSERT INTO names VALUES (?), ('b' || ?)", vec![FieldValue::plain(name); 2])
    }

    #[tokio::test]
    async fn a_write_says_whether_it_was_a_transaction_of_its_own() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let create = "CREATE TABLE names (name TEXT PRIMARY KEY) STRICT";
        sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
        for name in ["1", "2"] {
            let (answer, verdict) = write(&mut connection, &insert(name), Wanted::Count).await.unwrap();
            assert_eq!((answer.written, verdict), (2, Verdict::OwnTransaction));
        }
        let returning = insert("3");
        let returning = Statement::new(format!("{} RETURNING name", returning.sql), returning.values);
        let (answer, verdict) = write(&mut connection, &returning, Wanted::Rows).await.unwrap();
        assert_eq!((answer.rows.len(), verdict), (2, Verdict::OwnTransaction));

        sqlx::raw_sql("BEGIN; DELETE FROM names").execute(&mut connection).await.unwrap();
        let (_, verdict) = write(&mut connection, &insert("1"), Wanted::Count).await.unwrap();
        assert_eq!(verdict, Verdict::Undone);
        assert_eq!(names(&mut connection).await, ["1", "2", "3", "b1", "b2", "b3"]);

        assert!(write(&mut connection, &insert("1"), Wanted::Count).await.is_err());
        let (answer, verdict) = write(&mut connection, &insert("4"), Wanted::Count).await.unwrap();
        assert_eq!((answer.written, verdict), (2, Verdict::OwnTransaction));
        assert_eq!(names(&mut connection).await.len(), 8);
    }
}
