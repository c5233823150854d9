//! Tokens and sessions that other systems have made, moved in: their own rows, as `docs/moving.md` exports them, and the
//! very tokens that their clients present.

use cloakroom::time::OffsetDateTime;
use cloakroom::time::format_description::well_known::Rfc3339;
use cloakroom::{
    Hashing, ImportedSession, Key, NewSession, Reading, Scheme, SessionTable, Sessions, Status, Token,
};
use cloakroom_testing::{TestDatabase, each_database};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A table with the fields of all these systems.
#[derive(Clone, Debug, PartialEq, SessionTable)]
#[session(table = "moved")]
struct Moved {
    #[session(index)]
    user_id: Option<String>,
    name: Option<String>,
    scopes: Option<String>,
    application_id: Option<String>,
}

/// A file of vectors, as far as it is needed here. The others are for those who make it.
#[derive(Deserialize)]
struct Vectors {
    stored: Stored,
    at: String,
    presented: Vec<Presented>,
    expected: Vec<Expected>,
    exported: Vec<Exported>,
}

#[derive(Deserialize)]
struct Stored {
    hash: Option<String>,
    reading: Option<String>,
}

#[derive(Deserialize)]
struct Presented {
    token: Option<String>,
    row: Option<usize>,
    authenticates: bool,
}

#[derive(Deserialize)]
struct Expected {
    owner: Option<String>,
    inserted_at: Option<String>,
    expires_at: Option<String>,
    left_out: Option<String>,
    data: Option<Value>,
    name: Option<String>,
    scopes: Option<String>,
}

/// A line that the page's query prints.
#[derive(Deserialize)]
struct Exported {
    token: Option<String>,
    digest: Option<String>,
    user_id: Option<Value>,
    name: Option<String>,
    scopes: Option<String>,
    application_id: Option<Value>,
    inserted_at: Option<String>,
    expires_at: Option<String>,
    data: Option<Box<RawValue>>,
}

fn instant(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap()
}

/// Text, or the digits of a number.
fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

impl Stored {
    /// The scheme of the page's section, if the digest moves and not the token.
    fn scheme(&self) -> Option<Scheme> {
        let reading = Reading::of(self.hash.as_ref()?.parse().unwrap());
        let reading = match self.reading.as_deref() {
            Some("whole") => reading,
            Some("decoded_hex") => reading.decoded_hex(),
            other => panic!("{other:?}"),
        };
        Some(Scheme::adopted("old", reading))
    }
}

impl Exported {
    fn into_import(self, scheme: Option<&Scheme>) -> ImportedSession<Moved> {
        let fields = Moved {
            user_id: self.user_id.and_then(text),
            name: self.name,
            scopes: self.scopes,
            application_id: self.application_id.and_then(text),
        };
        let mut new = NewSession::new(fields);
        if let Some(data) = &self.data {
            new = new.raw_data(data);
        }
        new = match &self.expires_at {
            Some(expiry) => new.expires_at(instant(expiry)),
            None => new.never_expires(),
        };
        let imported = match (self.token, self.digest, scheme) {
            (Some(token), None, None) => ImportedSession::with_token(new, Token::import(token).unwrap()),
            (None, Some(digest), Some(scheme)) => {
                ImportedSession::with_digest(new, scheme.parse_digest(&digest).unwrap())
            }
            other => panic!("a token or a digest: {:?}", other.2),
        };
        match self.inserted_at {
            Some(creation) => imported.inserted_at(instant(&creation)),
            None => imported,
        }
    }
}

fn newest() -> Scheme {
    Scheme::hmac_sha256("2026-11", &Key::from_bytes([11; 32]).unwrap())
}

/// Schemes whose tags stand before digests of other schemes, with digests of the same lengths.
fn others() -> [Scheme; 3] {
    [
        Scheme::hmac_sha256("2025-04", &Key::from_bytes([4; 32]).unwrap()),
        Scheme::adopted("short", Reading::of(Hashing::Sha256).twice()),
        Scheme::adopted("long", Reading::of(Hashing::Sha512).twice()),
    ]
}

async fn stored_digests(db: &TestDatabase) -> Vec<String> {
    let digests = db.texts("SELECT auth_token_digest FROM moved").await;
    digests.into_iter().map(Option::unwrap).collect()
}

/// Replaces one stored digest with another.
async fn store_as(db: &TestDatabase, stored: &str, digest: &str) {
    db.execute(&format!(
        "UPDATE moved SET auth_token_digest = '{digest}' WHERE auth_token_digest = '{stored}'"
    ))
    .await;
}

/// How many valid sessions are stored under the scheme of this name.
async fn valid_under(sessions: &Sessions<Moved>, name: &str) -> u64 {
    let counts = sessions.count_by_scheme().await.unwrap();
    counts.into_iter().find(|count| count.scheme == name).map_or(0, |count| count.valid)
}

async fn moves_in(db: TestDatabase, vectors: &str) {
    let read = || serde_json::from_str::<Vectors>(vectors).unwrap();
    let Vectors { stored, at, presented, expected, exported } = read();
    db.clock().set(instant(&at));
    let scheme = stored.scheme();
    let schemes = [newest()].into_iter().chain(scheme.clone()).chain(others());
    let sessions: Sessions<Moved> = db.sessions_with(db.config().digests(schemes).extend_after(None)).await;
    let rows = |exported: Vec<Exported>| {
        exported.into_iter().map(|row| row.into_import(scheme.as_ref())).collect::<Vec<_>>()
    };
    let (count, rows_again) = (exported.len() as u64, rows(read().exported));
    assert!(count > 0 && !presented.is_empty());
    let done = sessions.importer().run_iter(rows(exported)).await.unwrap();
    assert_eq!(done.imported, count);

    // Under another scheme's tag, no token's digest is one.
    let imported = stored_digests(&db).await;
    for other in others() {
        let tagged = |digest: &String| format!("{}${}", other.name(), digest.split_once('$').unwrap().1);
        for digest in &imported {
            store_as(&db, digest, &tagged(digest)).await;
        }
        for token in presented.iter().filter_map(|presented| presented.token.as_ref()) {
            assert!(sessions.authenticate(token).await.unwrap().is_none(), "under {}", other.name());
        }
        for digest in &imported {
            store_as(&db, &tagged(digest), digest).await;
        }
    }

    let is_admitted = |presented: &Presented| {
        presented.authenticates && presented.row.is_some_and(|row| expected[row].left_out.is_none())
    };
    let mut admitted = 0;
    for one in presented.iter().filter(|presented| presented.token.is_some()) {
        let token = one.token.as_ref().unwrap();
        let found = sessions.authenticate(token).await.unwrap();
        assert_eq!(found.is_some(), is_admitted(one), "row {:?}", one.row);
        let Some(found) = found else { continue };
        admitted += 1;
        assert!(stored_digests(&db).await.contains(&newest().digest(token).unwrap().expose().to_owned()));
        let row = &expected[one.row.unwrap()];
        assert_eq!(found.fields.user_id, row.owner);
        assert_eq!(found.expires_at, row.expires_at.as_deref().map(instant));
        let made = row.inserted_at.as_deref().map_or(db.now(), instant);
        assert_eq!(found.inserted_at, made, "its lifetime goes on");
        for (field, expected) in [(&found.fields.name, &row.name), (&found.fields.scopes, &row.scopes)] {
            assert!(expected.is_none() || field == expected, "{expected:?}");
        }
        if let Some(data) = &row.data {
            assert_eq!(found.data, *data);
        }
        // With the rest of what it presented, it is no token.
        assert!(sessions.authenticate(format!("{token}x")).await.unwrap().is_none());
    }
    assert!(admitted > 0);
    // What was used is stored under the newest scheme, what was not is as it was.
    let all_valid = sessions.query().count().await.unwrap();
    let unused = if scheme.is_some() { valid_under(&sessions, "old").await } else { 0 };
    assert_eq!(valid_under(&sessions, "2026-11").await + unused, all_valid);
    for digest in stored_digests(&db).await {
        assert!(sessions.authenticate(&digest).await.unwrap().is_none(), "a digest is no token");
    }

    // A second run changes nothing, though the digests are others by now.
    let before = stored_digests(&db).await;
    let again = sessions.importer().run_iter(rows_again).await.unwrap();
    assert_eq!((again.imported, again.already_there), (0, count));
    assert_eq!(stored_digests(&db).await.len(), before.len());
    assert_eq!(sessions.query().status(Status::All).count().await.unwrap(), count);
}

macro_rules! each_system {
    ($($case:ident: $file:literal,)*) => {
        $(
            async fn $case(db: TestDatabase) {
                Box::pin(moves_in(db, include_str!(concat!("vectors/", $file, ".json")))).await;
            }
        )*

        each_database! { $($case,)* }

        #[test]
        fn every_file_of_vectors_is_moved() {
            let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/moving/vectors")).unwrap();
            let mut names: Vec<_> =
                files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            assert_eq!(names, [$(concat!($file, ".json")),*]);
        }
    };
}

each_system! {
    auth_js_moves_in: "auth-js",
    better_auth_api_keys_move_in: "better-auth-api-keys",
    better_auth_sessions_move_in: "better-auth-sessions",
    connect_pg_simple_moves_in: "connect-pg-simple",
    django_oauth_toolkit_moves_in: "django-oauth-toolkit",
    django_rest_knox_4_moves_in: "django-rest-knox-4",
    django_rest_knox_5_moves_in: "django-rest-knox-5",
    djangorestframework_api_key_moves_in: "djangorestframework-api-key",
    drf_tokens_move_in: "drf-tokens",
    fastapi_users_moves_in: "fastapi-users",
    flask_session_moves_in: "flask-session",
    lucia_moves_in: "lucia",
}
