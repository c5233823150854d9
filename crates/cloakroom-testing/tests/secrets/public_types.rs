use std::collections::BTreeSet;

use cloakroom::{
    Backend, Cache, Column, ColumnType, Config, ConfigError, Cursor, DynamicFields, EndReason, Evict,
    Hashing, Key, ManualClock, PendingEvents, PerOwner, Reading, Refusal, Role, Scheme, Scopes, Sessions,
    SignedSpan, Sliding, Status, SystemClock, Token, TokenFormat,
};
use cloakroom_testing::{Kind, START, TestDatabase, run};

use crate::capture;
use crate::full_run::succeed;
use crate::guests::{Guest, KEY, SALT, configurations, guest, guests, schemes};
use crate::seen::Seen;

/// What the library exports that has no value to be shown.
const NOT_SHOWN: [&str; 38] = [
    "AnyScope",
    "Clock",
    "DefaultData",
    "DeviceKeyField",
    "EndedSessions",
    "ExchangesTokens",
    "FieldType",
    "HasDeviceKey",
    "HasEndedBecause",
    "HasHint",
    "HasAssurance",
    "HasAuthenticatedAt",
    "HasLastAddress",
    "HasLastSeen",
    "HasLastUserAgent",
    "InstantField",
    "KeepsAuditLog",
    "HasOwner",
    "HasScopes",
    "Loaded",
    "LoadedRow",
    "MAX_TOKEN_LENGTH",
    "MIN_KEY_LENGTH",
    "MIN_TOKEN_LENGTH",
    "NamesScope",
    "Observer",
    "OptionalTextField",
    "Result",
    "RoleField",
    "RotatesWithGrace",
    "Scope",
    "ScopesField",
    "SessionFields",
    "SessionTable",
    "StoredType",
    "TextField",
    "event_channel",
    // The two crates are in braces of their own, and their types are not the library's.
    "sqlx",
];

/// The names in the library's `pub use` statements.
fn exported() -> BTreeSet<String> {
    let source = include_str!("../../../cloakroom/src/lib.rs");
    source
        .split("\npub use ")
        .skip(1)
        .filter_map(|rest| rest.split(';').next())
        .filter(|path| !path.contains("sea_query"))
        .flat_map(|path| {
            let names = path.rsplit("::").next().unwrap_or_default().trim_matches(['{', '}']);
            names.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

/// The types that need no database.
fn show_the_rest(seen: &mut Seen) {
    for backend in [Backend::Sqlite, Backend::Postgres, Backend::MySql] {
        seen.show("Backend", &backend);
        seen.print(&backend);
    }
    seen.show("Status", &Status::All);
    seen.show("Sliding", &Sliding::Fixed);
    seen.show("Refusal", &Refusal::LimitReached);
    seen.show("PendingEvents", &PendingEvents::default());
    let scopes = |names: &[&str]| Scopes::<String>::from_names(names);
    seen.show("Scopes", &scopes(&["read", "write"]));
    seen.show("ParseScopesError", &scopes(&["two words"]).unwrap_err());
    let excess = scopes(&["write"]).unwrap().within(&scopes(&["read"]).unwrap());
    seen.show("ExcessScopesError", &excess.unwrap_err());
    seen.print(&Status::Expired);
    seen.show("ColumnType", &ColumnType::Json);
    seen.print(&ColumnType::Uuid);
    seen.show("Column", &Column::<Guest, String>::new("user_id"));
    seen.show("ManualClock", &ManualClock::new(START));
    seen.show("SystemClock", &SystemClock);
    seen.show("SignedSpan", &SignedSpan::from(std::time::Duration::from_secs(1)));
    seen.show("Cache", &Cache::new(8));
    seen.show("Hashing", &Hashing::Sha256);
    seen.print(&Hashing::DangerousPlaintext);
    let format = TokenFormat::prefixed("acme_live").unwrap();
    seen.show("TokenFormat", &format);
    seen.show("Evict", &Evict::Oldest);
    seen.show("PerOwner", &PerOwner::<DynamicFields>::at_most(10));
    seen.show("EndReason", &EndReason::LOGGED_OUT);
    seen.print(&EndReason::EVICTED);
    seen.show("Role", &Role::Hint);
    seen.show("Seen", &cloakroom::Seen::<Guest>::new().from_client(None, Some(b"curl")));
    seen.print(&Role::Hint);

    show_schemes(seen);

    // Errors that were given a secret to complain of.
    let token = Token::generate(64).unwrap();
    let text = token.expose();
    seen.secret("a token", text.as_bytes());
    for (name, error) in [
        ("ParseCursorError", text.parse::<Cursor>().err().map(boxed)),
        ("ParseEndReasonError", text.repeat(2).parse::<EndReason>().err().map(boxed)),
        ("ParseHashingError", text.parse::<Hashing>().err().map(boxed)),
        ("ParseRoleError", text.parse::<Role>().err().map(boxed)),
        ("ParseTokenError", format.parse(text).err().map(boxed)),
        ("TokenPrefixError", TokenFormat::prefixed(text).err().map(boxed)),
        ("TokenPrefixError", TokenFormat::prefixed(&text[..20].replace('_', "-")).err().map(boxed)),
        ("ParseColumnTypeError", text.parse::<ColumnType>().err().map(boxed)),
        ("TokenError", Token::import(&text[..15]).err().map(boxed)),
        ("TokenError", Token::import(text.repeat(100)).err().map(boxed)),
        ("DigestError", Hashing::DangerousPlaintext.digest(SALT, text.as_bytes()).err().map(boxed)),
        ("DigestError", Hashing::Sha256.digest(SALT, text.repeat(100).as_bytes()).err().map(boxed)),
        ("ConfigError", salt_without_hashing().err().map(boxed)),
        ("KeyError", Key::from_base64(&text[..15]).err().map(boxed)),
        ("KeyError", Key::from_base64(&format!("{text}!")).err().map(boxed)),
        ("KeyError", Key::from_bytes(&text.as_bytes()[..31]).err().map(boxed)),
        ("DigestError", Scheme::sha256().parse_digest(text).err().map(boxed)),
    ] {
        let error = error.expect(name);
        seen.show(name, &error);
        seen.error(&*error);
    }
}

fn show_schemes(seen: &mut Seen) {
    seen.key();
    seen.show("Key", &Key::from_base64(KEY).unwrap());
    for scheme in schemes() {
        seen.show("Scheme", &scheme);
        seen.print(&scheme.name());
    }
    seen.show("Reading", &Reading::of(Hashing::Sha256).prepend(SALT).append(KEY));
}

fn boxed(error: impl std::error::Error + 'static) -> Box<dyn std::error::Error> {
    Box::new(error)
}

fn salt_without_hashing() -> Result<Config, ConfigError> {
    Config::builder().hashing(Hashing::DangerousPlaintext).secret_salt(SALT).build()
}

async fn case(db: TestDatabase) {
    capture::start("");
    let mut seen = Seen::default();
    let [keyed, salted, ..] = configurations(&db);
    seen.show("ConfigBuilder", &keyed);
    seen.show("ConfigBuilder", &salted);
    let sessions = guests(&db, salted).await;
    succeed(&db, &sessions, &mut seen).await;
    show_the_rest(&mut seen);
    seen.show("Outcome", &cloakroom::Outcome::NotDone);
    seen.show("CausalReads", &cloakroom::CausalReads::Auto);
    let replica = cloakroom::Database::replica(db.database(), db.database());
    seen.show("Replica", &replica);
    seen.show("Databases", &cloakroom::Databases::from(replica));
    seen.show("Comparison", &cloakroom::Comparison::Equal);
    let token = Token::generate(64).unwrap();
    seen.secret("an imported token", token.expose().as_bytes());
    let imported = cloakroom::ImportedSession::with_token(guest("1234"), token);
    seen.show("ImportedSession", &imported);
    seen.show("Importer", &sessions.importer());
    let progress = sessions.importer().run_iter([imported.clone()]).await.unwrap();
    seen.show("ImportProgress", &progress);
    // Another session with the same token.
    let of_another = imported.clone().inserted_at(START - std::time::Duration::from_hours(24));
    let error = sessions.importer().run_iter([of_another]).await.unwrap_err();
    seen.show("ImportError", &error);
    seen.error(&error);
    let table = DynamicFields::definition_from(&db.database(), None, "guests").await.unwrap().unwrap();
    let dynamic =
        Sessions::<DynamicFields>::with_definition(db.database(), table, Config::default()).unwrap();
    seen.show("CountBy", &dynamic.query().count_by("user_id", 5).await.unwrap());
    let created = sessions.create(guest("1234")).await.unwrap();
    seen.show("SessionData", &created.session.data);
    seen.show("SchemeCount", &sessions.count_by_scheme().await.unwrap());
    db.execute("UPDATE guests SET data = 'of no form'").await;
    for unreadable in sessions.query().fetch_each().await.unwrap().into_iter().filter_map(Result::err) {
        seen.show("UnreadableSession", &unreadable);
        seen.error(&unreadable);
    }
    seen.show("Transaction", &sessions.begin().await.unwrap());

    let exported = exported();
    assert!(exported.contains("Sessions") && exported.contains("Token"), "{exported:?}");
    let missed: Vec<&String> = exported
        .iter()
        .filter(|name| !seen.types().contains(*name) && !NOT_SHOWN.contains(&&***name))
        .collect();
    assert!(missed.is_empty(), "nobody has looked at the Debug of {missed:?}");
    seen.assert_no_leaks();
}

#[test]
fn every_public_type_was_looked_at_and_shows_no_secret() {
    run(Kind::Sqlite, case);
}
