//! Rows with whatever their columns can hold, at random: to read them is a session or an error, never a panic, and to write
//! them back changes nothing.

use cloakroom::{
    DynamicFields, ErrorKind, NewSession, Session, SessionTable, Sessions, Status, UnreadableSession,
};
use cloakroom_testing::{Kind, START, TestDatabase, each_database};
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};
use uuid::Uuid;

use crate::rows;

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "strange")]
struct Strange {
    text: Option<String>,
    integer: Option<i64>,
    int: Option<i32>,
    double: Option<f64>,
    truth: Option<bool>,
    bytes: Option<Vec<u8>>,
    uuid: Option<Uuid>,
    instant: Option<OffsetDateTime>,
    local: Option<PrimitiveDateTime>,
    day: Option<Date>,
    hour: Option<Time>,
    json: Option<serde_json::Value>,
}

const COLUMNS: [&str; 12] =
    ["text", "integer", "int", "double", "truth", "bytes", "uuid", "instant", "local", "day", "hour", "json"];

fn strange() -> Strange {
    Strange {
        text: Some("a".into()),
        integer: Some(1),
        int: Some(1),
        double: Some(0.1),
        truth: Some(true),
        bytes: Some(vec![0, 255]),
        uuid: Some(Uuid::from_u128(7)),
        instant: Some(START),
        local: Some(PrimitiveDateTime::new(START.date(), START.time())),
        day: Some(START.date()),
        hour: Some(START.time()),
        json: Some(serde_json::json!({"a": [1, null]})),
    }
}

/// A generator that is the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // Marsaglia's xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(values.len() as u64)).unwrap();
        &values[index]
    }

    /// A literal, of which the database may make what it likes.
    fn literal(&mut self, kind: Kind) -> String {
        const STRANGE: [&str; 40] = [
            "NULL",
            "''",
            "'infinity'",
            "'-infinity'",
            "'NaN'",
            "'24:00:00'",
            "'24:00'",
            "'838:59:59'",
            "'-10:00'",
            "'294276-12-31 23:59:59'",
            "'4713-01-01 BC'",
            "'9999-12-31 23:59:59.999999'",
            "'10000-01-01'",
            "'0000-00-00'",
            "'2026-00-10'",
            "'2026-02-30'",
            "'1000-01-01'",
            "'0001-01-01 00:00:00+14'",
            "'9999-12-31T23:59:59-10:00'",
            "'5874897-12-31'",
            "'{}'",
            "'{\"a\":1e400}'",
            "'{\"a\":1e308}'",
            "'[1'",
            "'null'",
            "9223372036854775807",
            "-9223372036854775808",
            "2147483648",
            "253402300800",
            "1e308",
            "1e-320",
            "-0.0",
            "x'ff'",
            "x'00'",
            "'1'",
            "'t'",
            "2",
            "'a55ee49b-f592-4941-abde-ff497e5b951f'",
            "'a55ee49bf5924941abdeff497e5b951f'",
            "'\u{1F9E5}'",
        ];
        match self.below(6) {
            0..4 => (*self.of(&STRANGE)).to_owned(),
            4 if kind == Kind::Postgres => {
                // Whatever microsecond there is.
                let seconds = self.below(9_200_000_000_000);
                let sign = *self.of(&["", "-"]);
                format!("(TIMESTAMP 'epoch' + {sign}{seconds} * INTERVAL '1 second')")
            }
            4 => format!("'{:04}-{:02}-{:02}'", self.below(10_000), self.below(14), self.below(33)),
            _ => self.next().cast_signed().to_string(),
        }
    }
}

fn assert_each<T: cloakroom::SessionFields>(
    found: Vec<Result<Session<T>, UnreadableSession>>,
    rows: usize,
) -> Vec<Session<T>> {
    assert_eq!(found.len(), rows);
    let (read, unreadable): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
    for each in unreadable {
        assert_eq!(each.err().unwrap().error.kind(), ErrorKind::Decode);
    }
    read.into_iter().filter_map(Result::ok).collect()
}

/// What the row holds, as the database itself shows it.
async fn shown(db: &TestDatabase, id: Uuid) -> Option<String> {
    let (id, cast, quote) = match db.kind() {
        Kind::Sqlite => (format!("x'{}'", id.simple()), "TYPEOF(?) || QUOTE(?)", '"'),
        Kind::Postgres => (format!("'{id}'"), "COALESCE(CAST(? AS text), 'null')", '"'),
        Kind::MariaDb => (format!("x'{}'", id.simple()), "COALESCE(HEX(?), 'null')", '`'),
    };
    let columns = COLUMNS.map(|column| cast.replace('?', &format!("{quote}{column}{quote}")));
    let columns = match db.kind() {
        Kind::Sqlite => columns.join(" || ', ' || "),
        _ => format!("CONCAT_WS(', ', {})", columns.join(", ")),
    };
    db.texts(&format!("SELECT {columns} FROM strange WHERE id = {id}")).await.pop().unwrap()
}

async fn what_a_column_can_hold_is_read_or_an_error_and_written_back_as_it_was(db: TestDatabase) {
    const ROWS: usize = 100;
    if db.kind() == Kind::Sqlite {
        // Of which it checks no types.
        let columns: Vec<String> = COLUMNS
            .iter()
            .zip([
                "TEXT",
                "INTEGER",
                "INT",
                "REAL",
                "BOOLEAN",
                "BLOB",
                "UUID",
                "DATETIME",
                "TIMESTAMP",
                "DATE",
                "TIME",
                "JSON",
            ])
            .map(|(name, sql_type)| format!("\"{name}\" {sql_type}"))
            .collect();
        db.execute(&format!(
            "CREATE TABLE strange (id BLOB NOT NULL PRIMARY KEY, auth_token_digest TEXT NOT NULL, data TEXT NOT NULL, \
             expires_at TEXT, inserted_at TEXT NOT NULL, updated_at TEXT NOT NULL, {})",
            columns.join(", ")
        ))
        .await;
    }
    let sessions = db.sessions::<Strange>().await;
    let table = DynamicFields::definition_from(&db.database(), None, "strange").await.unwrap().unwrap();
    let config = db.config().build().unwrap();
    let dynamic = Sessions::<DynamicFields>::with_definition(db.database(), table, config).unwrap();
    // `cargo xtask fuzz` sets others.
    let seed = std::env::var("CLOAKROOM_FUZZ_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed) | 1);
    let (mut taken, mut tokens) = (0, Vec::new());
    for _ in 0..ROWS {
        let created = sessions.create(NewSession::new(strange())).await.unwrap();
        let id = match db.kind() {
            Kind::Postgres => format!("'{}'", created.session.id),
            _ => format!("x'{}'", created.session.id.simple()),
        };
        tokens.push(created.token);
        for _ in 0..=random.below(2) {
            let columns = [&COLUMNS[..], &["data", "expires_at", "inserted_at", "updated_at"]].concat();
            let (column, value) = (*random.of(&columns), random.literal(db.kind()));
            let (lenient, quote) = match db.kind() {
                Kind::MariaDb => (rows::LENIENT_UPDATE, '`'),
                _ => ("UPDATE", '"'),
            };
            let sql = format!("{lenient} strange SET {quote}{column}{quote} = {value} WHERE id = {id}");
            taken += usize::from(db.try_execute(&sql).await.is_ok());
        }
    }
    assert!(taken > ROWS / 10, "{taken} of the values were taken");

    let read = assert_each(sessions.query().status(Status::All).fetch_each().await.unwrap(), ROWS);
    assert!(!read.is_empty() && read.len() < ROWS, "{} were read", read.len());
    for token in &tokens {
        let found = sessions.authenticate(token).await;
        assert!(
            found.as_ref().is_ok() || found.as_ref().is_err_and(|it| it.kind() == ErrorKind::Decode),
            "{found:?}"
        );
        let found = dynamic.authenticate(token).await;
        assert!(
            found.as_ref().is_ok() || found.as_ref().is_err_and(|it| it.kind() == ErrorKind::Decode),
            "{found:?}"
        );
    }
    let read = assert_each(dynamic.query().status(Status::All).fetch_each().await.unwrap(), ROWS);
    assert!(read.len() > ROWS / 2, "{} were read", read.len());
    for mut session in read {
        let before = shown(&db, session.id).await;
        match dynamic.update(&mut session).await {
            Ok(()) => assert_eq!(shown(&db, session.id).await, before, "{session:?}"),
            // The mode in which others may have stored a date without a month is not ours.
            Err(error) => assert!(
                db.kind() == Kind::MariaDb && error.kind() == ErrorKind::InvalidField
                    || error.kind() == ErrorKind::Conflict,
                "{error:?} {session:?}"
            ),
        }
    }
    // Whatever they hold, they end.
    sessions.query().expire_all().await.unwrap();
    assert_eq!(sessions.query().count().await.unwrap(), 0);
    sessions.query().status(Status::All).delete_all().await.unwrap();
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), 0);
}

each_database! { what_a_column_can_hold_is_read_or_an_error_and_written_back_as_it_was }
