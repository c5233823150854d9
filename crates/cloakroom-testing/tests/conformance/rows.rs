//! Many rows at once, by raw SQL, and values as the databases write them.

use cloakroom_testing::{Kind, TestDatabase};
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

/// How many rows go in one statement.
const ROWS: usize = 2_000;

/// An UPDATE of MariaDB's, or of MySQL's, that stores dates that are none.
pub(crate) const LENIENT_UPDATE: &str = "/*M! SET STATEMENT sql_mode='ALLOW_INVALID_DATES' FOR */ \
    UPDATE /*+ SET_VAR(sql_mode='ALLOW_INVALID_DATES') */";

/// A session to be: its user as a literal, when it was created and when it expires.
pub(crate) struct Row {
    pub(crate) user_id: String,
    pub(crate) inserted_at: OffsetDateTime,
    pub(crate) expires_at: Option<OffsetDateTime>,
}

/// The id of the row of this number.
pub(crate) fn id(number: usize) -> Uuid {
    Uuid::from_u128(number as u128)
}

/// The digest of the row of this number.
pub(crate) fn digest(number: usize) -> String {
    format!("{number:064x}")
}

/// Inserts sessions into a table whose one field is `user_id`.
pub(crate) async fn insert(db: &TestDatabase, table: &str, count: usize, row: impl Fn(usize) -> Row) {
    let columns = "id, auth_token_digest, data, expires_at, user_id, inserted_at, updated_at";
    let kind = db.kind();
    insert_values(db, &format!("{table} ({columns})"), count, |number| {
        let Row { user_id, inserted_at, expires_at } = row(number);
        let inserted_at = instant(kind, inserted_at);
        let expires_at = expires_at.map_or("NULL".to_owned(), |expires_at| instant(kind, expires_at));
        let (id, digest) = (uuid(kind, id(number)), digest(number));
        format!("{id}, '{digest}', '{{}}', {expires_at}, {user_id}, {inserted_at}, {inserted_at}")
    })
    .await;
}

/// Inserts rows of any table, each given as its literals.
pub(crate) async fn insert_values(
    db: &TestDatabase,
    target: &str,
    count: usize,
    values: impl Fn(usize) -> String,
) {
    let numbers: Vec<usize> = (0..count).collect();
    for chunk in numbers.chunks(ROWS) {
        let rows: Vec<String> = chunk.iter().map(|number| format!("({})", values(*number))).collect();
        db.execute(&format!("INSERT INTO {target} VALUES {}", rows.join(", "))).await;
    }
}

/// A UUID as a literal.
pub(crate) fn uuid(kind: Kind, id: Uuid) -> String {
    match kind {
        Kind::Postgres => format!("'{id}'"),
        Kind::Sqlite | Kind::MariaDb => format!("x'{}'", id.simple()),
    }
}

/// An instant as a literal, in the form that the library stores.
pub(crate) fn instant(kind: Kind, instant: OffsetDateTime) -> String {
    let instant = instant.to_offset(UtcOffset::UTC);
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]");
    let text = instant.format(&format).expect("the instant has a form");
    match kind {
        Kind::Sqlite => format!("'{text}Z'"),
        Kind::Postgres => format!("'{text}+00'"),
        Kind::MariaDb => format!("'{}'", text.replace('T', " ")),
    }
}
