//! A session table with constraints of the application's own, whose errors quote whole rows.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use cloakroom::{
    Cache, ConfigBuilder, Hashing, Key, NewSession, Reading, Scheme, SessionFields, SessionTable, Sessions,
};
use cloakroom_testing::{Kind, TestDatabase};

pub(crate) const SALT: &[u8] = b"the salt of this house: \xff\xfe 0123456789";

#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "guests")]
pub(crate) struct Guest {
    #[session(index, belongs_to = "users.id")]
    pub(crate) user_id: String,
    /// The database has it required.
    pub(crate) note: Option<String>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
#[expect(dead_code, reason = "only to be shown")]
pub(crate) struct User {
    id: String,
}

pub(crate) fn guest(user_id: &str) -> NewSession<Guest> {
    NewSession::new(Guest { user_id: user_id.to_owned(), note: Some(String::new()) })
}

/// A key, which is not in its text twice.
pub(crate) const KEY: &str = "Zm9yIHRoZSB0ZXN0cyBvZiB0aGlzIGhvdXNlIGFsb25lIQ==";

/// Schemes of each kind. What is stored was made with an older key.
pub(crate) fn schemes() -> [Scheme; 4] {
    let key = Key::from_base64(KEY).unwrap();
    [
        Scheme::hmac_sha256("2026-11", &key),
        Scheme::hmac_sha512("2025-04", &Key::from_bytes(SALT).unwrap()),
        Scheme::salted(Hashing::Sha384, SALT),
        Scheme::adopted("adopted", Reading::of(Hashing::Sha256).append(SALT)),
    ]
}

pub(crate) fn configurations(db: &TestDatabase) -> [ConfigBuilder; 4] {
    [
        db.config().digests(schemes()).cache(Cache::new(100)),
        db.config().secret_salt(SALT).cache(Cache::new(100)),
        db.config().hashing(Hashing::Blake2b512),
        db.config().hashing(Hashing::DangerousPlaintext).cache(Cache::new(100)),
    ]
}

/// The table: `user_id` is a user's and not "refused", `note` is required.
pub(crate) async fn guests(db: &TestDatabase, config: ConfigBuilder) -> Sessions<Guest> {
    db.execute("DROP TABLE IF EXISTS guests").await;
    db.execute("DROP TABLE IF EXISTS guests_cloakroom_migrations").await;
    db.execute("DROP TABLE IF EXISTS users").await;
    let collation = "CHARACTER SET utf8mb4 COLLATE /*M! utf8mb4_nopad_bin */ /*!80017 utf8mb4_0900_bin */";
    match db.kind() {
        Kind::Sqlite => {
            db.execute("CREATE TABLE users (id text PRIMARY KEY)").await;
            db.execute(
                "CREATE TABLE guests (id blob PRIMARY KEY, auth_token_digest text NOT NULL, \
                 data text NOT NULL DEFAULT '{}', expires_at text, inserted_at text NOT NULL, \
                 updated_at text NOT NULL, note text, \
                 user_id text NOT NULL REFERENCES users (id) CHECK (user_id <> 'refused'))",
            )
            .await;
        }
        Kind::Postgres => db.execute("CREATE TABLE users (id varchar(255) PRIMARY KEY)").await,
        Kind::MariaDb => {
            db.execute(&format!("CREATE TABLE users (id varchar(255) {collation} PRIMARY KEY)")).await;
        }
    }
    db.execute("INSERT INTO users VALUES ('1234'), ('5678'), ('refused')").await;
    let sessions = db.sessions_with::<Guest>(config).await;
    match db.kind() {
        Kind::Sqlite => {
            // On one connection: another would not know at once what the first has changed.
            db.execute(
                "ALTER TABLE guests ADD COLUMN required text NOT NULL DEFAULT ''; \
                 ALTER TABLE guests DROP COLUMN note; ALTER TABLE guests RENAME COLUMN required TO note",
            )
            .await;
        }
        Kind::Postgres => db.execute("ALTER TABLE guests ALTER COLUMN note SET NOT NULL").await,
        Kind::MariaDb => db.execute("ALTER TABLE guests MODIFY note varchar(255) NOT NULL").await,
    }
    if db.kind() != Kind::Sqlite {
        db.execute("ALTER TABLE guests ADD CONSTRAINT known FOREIGN KEY (user_id) REFERENCES users (id)")
            .await;
        db.execute("ALTER TABLE guests ADD CONSTRAINT not_refused CHECK (user_id <> 'refused')").await;
    }
    sessions
}

/// A row as the fields see it, shown.
static READERS: Mutex<String> = Mutex::new(String::new());

/// Fields that show what they are read from.
#[derive(Clone, Debug)]
pub(crate) struct Peeking;

impl SessionFields for Peeking {
    type Data = serde_json::Value;

    fn to_values(&self) -> Vec<cloakroom::FieldValue> {
        Vec::new()
    }

    fn from_row(row: &cloakroom::FieldReader<'_>) -> cloakroom::Result<Self> {
        let mut readers = READERS.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(readers, "{row:?} {row:#?}").expect("a string takes everything");
        Ok(Self)
    }
}

pub(crate) fn readers() -> String {
    READERS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
